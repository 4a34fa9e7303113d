//! Where frames and sound come from: the two traits, and what they hand over.

use image::RgbImage;

use crate::Error;

/// One upright picture of a video.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The number of the frame in its source, from 0. Frames that were passed over are counted.
    pub index: u64,
    /// When the frame is shown, in seconds from the start of the source. Never a quotient of index and frame rate.
    pub time: f64,
    /// The picture, upright, 8 bits a channel.
    pub image: RgbImage,
}

/// What is known about a video stream before it is decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoInfo {
    /// The width of every frame in pixels, upright.
    pub width: u32,
    /// The height of every frame in pixels, upright.
    pub height: u32,
    /// The mean number of frames a second that the file announces; 1 for a still picture. A file with a variable frame
    /// rate has other distances between its frames: use [`Frame::time`].
    pub frame_rate: f64,
    /// The number of frames, where the file says it. A little more than come out of a file whose edit list hides some.
    pub frames: Option<u64>,
    /// The length in seconds, where the file says it.
    pub duration: Option<f64>,
    /// When the first frame is shown, in seconds from the start of the file.
    pub start_time: f64,
    /// FFmpeg's name of the codec, as `h264`.
    pub codec: String,
    /// Whether the file is a still picture (JPEG, PNG, …), which reads as a video of one frame.
    pub still: bool,
}

/// A source of frames: a file, a camera, a synthetic pattern.
///
/// # For implementors
///
/// Frames come in the order in which they are shown. `index` counts up by one for every frame of the source, `time`
/// rises strictly, every picture has the width and height of [`FrameSource::info`]. After the end, `next_frame` goes on
/// returning `None`. A source is never a reason to hold more than a few frames in memory.
pub trait FrameSource: Send {
    /// What is known about the video.
    fn info(&self) -> &VideoInfo;

    /// The next frame, or `None` at the end.
    ///
    /// # Errors
    ///
    /// When the source fails for another reason than its end. Damaged pictures inside a file are no error: they are
    /// left out.
    fn next_frame(&mut self) -> Result<Option<Frame>, Error>;

    /// The next frame for which `wanted(index, time)` holds, or `None` at the end.
    ///
    /// It returns what calling [`next_frame`](FrameSource::next_frame) until the condition holds would return. A
    /// [`VideoReader`](crate::VideoReader) saves the conversion to RGB for the frames in between.
    ///
    /// # Errors
    ///
    /// As [`next_frame`](FrameSource::next_frame).
    fn next_frame_if(&mut self, wanted: &mut dyn FnMut(u64, f64) -> bool) -> Result<Option<Frame>, Error> {
        while let Some(frame) = self.next_frame()? {
            if wanted(frame.index, frame.time) {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }
}

/// What is known about an audio stream before it is decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioInfo {
    /// Samples a second, as stored in the file.
    pub sample_rate: u32,
    /// Channels, as stored in the file.
    pub channels: u16,
    /// The length in seconds, where the file says it.
    pub duration: Option<f64>,
    /// When the first sample sounds, in seconds from the start of the file.
    pub start_time: f64,
    /// FFmpeg's name of the codec, as `aac`.
    pub codec: String,
}

/// A source of mono sound: a file, a microphone, a synthetic tone.
///
/// # For implementors
///
/// Samples are mono, in -1..1, evenly spaced at [`sample_rate`](AudioSource::sample_rate): sample `n` of everything read
/// sounds at [`start_time`](AudioSource::start_time)` + n / sample_rate` seconds. A call appends a chunk of at most a few
/// seconds; 0 means the end, then and from then on.
pub trait AudioSource: Send {
    /// Samples a second of what [`read`](AudioSource::read) appends.
    fn sample_rate(&self) -> u32;

    /// When the first sample sounds, in seconds from the start of the source. Sound may begin later than the pictures.
    fn start_time(&self) -> f64 {
        0.0
    }

    /// Appends the next samples to `out` and returns how many; 0 at the end.
    ///
    /// # Errors
    ///
    /// When the source fails for another reason than its end.
    fn read(&mut self, out: &mut Vec<f32>) -> Result<usize, Error>;

    /// Everything that is left, in one vector: as long as the source, so for short clips.
    ///
    /// # Errors
    ///
    /// As [`read`](AudioSource::read).
    fn read_to_end(&mut self) -> Result<Vec<f32>, Error> {
        let mut samples = Vec::new();
        while self.read(&mut samples)? > 0 {}
        Ok(samples)
    }
}

/// What a reader has met so far in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ReadReport {
    /// Damaged packets that were left out or arrived incomplete.
    pub broken_packets: u64,
    /// Seconds at the end of the stream that the file announces but does not hold: 0 for a whole file, and as long as
    /// the end is not reached.
    pub missing_seconds: f64,
}
