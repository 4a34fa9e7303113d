//! Frames out of files.

use std::path::Path;

use ffmpeg_next::format::Pixel;
use ffmpeg_next::{Rational, codec, frame, media};

use crate::demux::{Demuxer, StreamDecoder};
use crate::error::Error;
use crate::picture::{Orientation, convert, to_image};
use crate::source::{Frame, FrameSource, ReadReport, VideoInfo};

/// Reads the frames of a video file, or of a still picture, which is a video of one frame.
///
/// Frames are upright (the rotation that telephones store beside the picture is applied), in RGB, all of one size, with
/// the file's own timestamps counted from the start of the file. The colour matrix and range that the file names are
/// heeded (BT.601 where it names none), and pixels are taken as square. So 8-bit video equals the frames of OpenCV 4.14's
/// `VideoCapture` bit for bit; HDR is not tone-mapped.
///
/// Damaged packets are left out and counted, see [`VideoReader::report`]. Memory does not grow with the length.
///
/// ```
/// # fn main() -> Result<(), video_io::Error> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("clip.mp4");
/// # video_io::synthetic::write_clip(&path, 64, 48, 25.0, 1.0)?;
/// use video_io::{FrameSource, VideoReader};
///
/// let mut video = VideoReader::open(&path)?;
/// println!("{} x {} pixels", video.info().width, video.info().height);
/// // Every tenth frame; those in between are decoded, as they must be, but not converted to RGB.
/// while let Some(frame) = video.next_frame_if(&mut |index, _time| index % 10 == 0)? {
///     println!("frame {} at {:.2} s: {:?}", frame.index, frame.time, frame.image.get_pixel(0, 0));
/// }
/// assert_eq!(video.report().broken_packets, 0);
/// # Ok(()) }
/// ```
pub struct VideoReader {
    source: StreamDecoder,
    info: VideoInfo,
    /// The turn that the file asks for where a frame asks for none.
    orientation: Orientation,
    decoded: frame::Video,
    /// The picture in RGB as it is stored, before it is turned.
    rgb: frame::Video,
    /// Whether `decoded` already holds the next frame: opening decodes the first one.
    ahead: bool,
    last_time: Option<f64>,
    frames: u64,
    ended: bool,
}

impl VideoReader {
    /// Opens a video file or a still picture and decodes its first frame.
    ///
    /// # Errors
    ///
    /// When there is no such file, it is a directory, empty, no media file, cut before its index, without a video
    /// stream, in a codec that the linked FFmpeg cannot decode, or without one frame that decodes: each its own variant
    /// of [`Error`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::from_demuxer(Demuxer::open(path.as_ref())?)
    }

    pub(crate) fn from_demuxer(demuxer: Demuxer) -> Result<Self, Error> {
        let mut source = StreamDecoder::open(demuxer, media::Type::Video)?;
        let mut decoded = frame::Video::empty();
        if !source.next(&mut decoded)? {
            return Err(source.demuxer().nothing_decoded(media::Type::Video, source.broken_packets()));
        }
        let still = source.demuxer().is_still();
        let (start, duration) = source.announced();
        let stream = source.stream();
        let orientation = stream.as_ref().and_then(stored_orientation).unwrap_or_default();
        // A camera's picture file says how it was held in the picture itself.
        let (width, height) = frame_orientation(&decoded, orientation).upright(decoded.width(), decoded.height());
        let frames = stream.as_ref().and_then(|s| u64::try_from(s.frames()).ok()).filter(|&n| n > 0);
        let rates = stream.as_ref().map(|s| [s.avg_frame_rate(), s.rate()]);
        let codec = stream.map(|s| s.parameters().id().name()).unwrap_or_default().to_owned();
        let info = VideoInfo {
            width,
            height,
            frame_rate: if still { 1.0 } else { rates.map_or(FALLBACK_FRAME_RATE, |rates| frame_rate(&rates)) },
            frames: if still { Some(1) } else { frames },
            duration,
            start_time: source.time(decoded.timestamp()).or(start).unwrap_or(0.0),
            codec,
            still,
        };
        let rgb = frame::Video::new(Pixel::RGB24, decoded.width(), decoded.height());
        Ok(VideoReader {
            source,
            info,
            orientation,
            decoded,
            rgb,
            ahead: true,
            last_time: None,
            frames: 0,
            ended: false,
        })
    }

    /// What was met so far: damaged packets and, after the end, how much the file lacks.
    pub fn report(&self) -> ReadReport {
        let frame_length = 1.0 / self.info.frame_rate;
        let missing = match (self.ended, self.info.duration, self.last_time) {
            (true, Some(duration), Some(last)) => self.info.start_time + duration - (last + frame_length),
            _ => 0.0,
        };
        // Files round their lengths, and the last frame may be shown longer than the others.
        let missing_seconds = if missing > 2.0 * frame_length { missing } else { 0.0 };
        ReadReport { broken_packets: self.source.broken_packets(), missing_seconds }
    }

    /// Decodes the next frame without converting it; its index and time, or `None` at the end.
    fn decode_next(&mut self) -> Result<Option<(u64, f64)>, Error> {
        if self.ended {
            return Ok(None);
        }
        if !std::mem::take(&mut self.ahead) && !self.source.next(&mut self.decoded)? {
            self.ended = true;
            return Ok(None);
        }
        let index = self.frames;
        self.frames += 1;
        let next = self.last_time.map_or(self.info.start_time, |last| last + 1.0 / self.info.frame_rate);
        // Raw streams have no timestamps, broken ones jump back: then the frame rate is all there is to go by.
        let time = self.source.time(self.decoded.timestamp()).filter(|&t| self.last_time.is_none_or(|last| t > last));
        let time = time.unwrap_or(next);
        self.last_time = Some(time);
        Ok(Some((index, time)))
    }

    /// Converts the frame that was decoded last.
    fn convert(&mut self, index: u64, time: f64) -> Result<Frame, Error> {
        let orientation = frame_orientation(&self.decoded, self.orientation);
        // A stream may change its size on the way; the reader keeps the size that it announced.
        let (width, height) = orientation.upright(self.info.width, self.info.height);
        if (self.rgb.width(), self.rgb.height()) != (width, height) {
            self.rgb = frame::Video::new(Pixel::RGB24, width, height);
        }
        convert(&self.decoded, &mut self.rgb).map_err(|cause| self.source.failed(cause))?;
        Ok(Frame { index, time, image: to_image(&self.rgb, orientation) })
    }
}

impl FrameSource for VideoReader {
    fn info(&self) -> &VideoInfo {
        &self.info
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, Error> {
        self.next_frame_if(&mut |_, _| true)
    }

    fn next_frame_if(&mut self, wanted: &mut dyn FnMut(u64, f64) -> bool) -> Result<Option<Frame>, Error> {
        while let Some((index, time)) = self.decode_next()? {
            if wanted(index, time) {
                return self.convert(index, time).map(Some);
            }
        }
        Ok(None)
    }
}

impl std::fmt::Debug for VideoReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VideoReader")
            .field("path", &self.source.demuxer().path())
            .field("info", &self.info)
            .field("report", &self.report())
            .finish_non_exhaustive()
    }
}

/// What FFmpeg itself assumes of a stream that says nothing of its frame rate.
const FALLBACK_FRAME_RATE: f64 = 25.0;

/// Above it a "frame rate" is the tick of a clock, as files with one frame or with uneven ones announce it.
const HIGHEST_FRAME_RATE: f64 = 1_000.0;

fn frame_rate(candidates: &[Rational]) -> f64 {
    let mut rates = candidates.iter().filter(|rate| rate.denominator() > 0).map(|&rate| f64::from(rate));
    rates.find(|&rate| rate > 0.0 && rate <= HIGHEST_FRAME_RATE).unwrap_or(FALLBACK_FRAME_RATE)
}

fn stored_orientation(stream: &ffmpeg_next::Stream<'_>) -> Option<Orientation> {
    let matrix = stream.side_data().find(|data| data.kind() == codec::packet::side_data::Type::DisplayMatrix)?;
    Orientation::from_display_matrix(matrix.data())
}

/// Newer FFmpegs copy the stream's matrix to every frame: the frame's own replaces the stream's, never adds to it.
fn frame_orientation(decoded: &frame::Video, of_stream: Orientation) -> Orientation {
    let matrix = decoded.side_data(frame::side_data::Type::DisplayMatrix);
    matrix.and_then(|matrix| Orientation::from_display_matrix(matrix.data())).unwrap_or(of_stream)
}
