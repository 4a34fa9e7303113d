//! Pictures back into a file.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use ffmpeg_next as ffmpeg;
use ffmpeg_next::codec::{self, Id, threading};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::format::context::{Output, StreamIo};
use ffmpeg_next::util::error::EAGAIN;
use ffmpeg_next::{Codec, Dictionary, Packet, Rational, color, encoder, frame};
use image::RgbImage;

use crate::demux::initialise;
use crate::error::Error;
use crate::picture::{convert, from_image};
use crate::sound::{Sound, SoundTrack, Target};
use crate::watched::{Failure, Watched};

/// The clock of the pictures: 90 kHz, MPEG's own, in which the common frame rates are whole numbers.
const CLOCK: Rational = Rational(1, 90_000);

/// Encoding threads. Two keep up with the analysis of a clip; more only cost memory.
const ENCODING_THREADS: usize = 2;

/// Bits for each pixel of each frame, for encoders that know no constant quality.
const BITS_PER_PIXEL: f64 = 0.12;

/// The H.264 encoders to try before whatever else FFmpeg has, best first.
const ENCODERS: [&str; 2] = ["libx264", "libopenh264"];

/// The presets of x264, from the quickest to the most thorough.
const PRESETS: [&str; 9] =
    ["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"];

/// How a [`VideoWriter`] writes.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoWriterConfig {
    /// The width of every picture in pixels, 1 to 16384. No default: 0 is refused.
    pub width: u32,
    /// The height of every picture in pixels, 1 to 16384. No default: 0 is refused.
    pub height: u32,
    /// The frame rate to announce, above 0 and at most 1000; 25 by default. The times given to [`VideoWriter::write`] say
    /// when each frame is shown, this only how long the last one stays.
    pub frame_rate: f64,
    /// The file whose sound goes with the pictures, as it is where an MP4 can hold it; none by default. A file without
    /// sound gives none.
    pub audio_from: Option<PathBuf>,
    /// The constant rate factor of x264: 0 is lossless, 51 the worst; 20 by default, which looks like the original.
    pub crf: u8,
    /// The preset of x264, `ultrafast` to `veryslow`: `veryfast` by default.
    pub preset: String,
}

impl Default for VideoWriterConfig {
    fn default() -> Self {
        VideoWriterConfig {
            width: 0,
            height: 0,
            frame_rate: 25.0,
            audio_from: None,
            crf: 20,
            preset: "veryfast".to_owned(),
        }
    }
}

impl VideoWriterConfig {
    fn validate(&self) -> Result<(), Error> {
        let check = |good: bool, setting, expected, got: String| match good {
            true => Ok(()),
            false => Err(Error::InvalidConfig { setting, expected, got }),
        };
        let sides = 1..=16_384;
        check(sides.contains(&self.width), "width", "1 to 16384 pixels", self.width.to_string())?;
        check(sides.contains(&self.height), "height", "1 to 16384 pixels", self.height.to_string())?;
        let rate = self.frame_rate > 0.0 && self.frame_rate <= 1_000.0;
        check(rate, "frame_rate", "above 0 and at most 1000 frames a second", self.frame_rate.to_string())?;
        check(self.crf <= 51, "crf", "0 to 51", self.crf.to_string())?;
        let preset = PRESETS.contains(&self.preset.as_str());
        check(preset, "preset", "a preset of x264, ultrafast to veryslow", self.preset.clone())
    }
}

/// Writes pictures as an MP4 file: H.264 in 4:2:0, playable while it downloads, with the sound of another file.
///
/// The file is written under a temporary name in the same folder and takes its own name only in
/// [`finish`](VideoWriter::finish); a writer that is dropped before leaves nothing behind. So what stands at the path is
/// always whole. It is an MP4 whatever the path's extension says.
///
/// An odd width or height, which 4:2:0 cannot have, gains a row or column that repeats the edge. Memory does not grow
/// with the length.
///
/// ```
/// # fn main() -> Result<(), video_io::Error> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("red.mp4");
/// use image::{Rgb, RgbImage};
/// use video_io::{VideoWriter, VideoWriterConfig};
///
/// let config = VideoWriterConfig { width: 320, height: 240, frame_rate: 25.0, ..VideoWriterConfig::default() };
/// let mut writer = VideoWriter::create(&path, config)?;
/// for n in 0..50 {
///     let red = RgbImage::from_pixel(320, 240, Rgb([5 * n, 0, 0]));
///     writer.write(&red, f64::from(n) / 25.0)?;
/// }
/// writer.finish()?;
/// assert_eq!(video_io::probe(&path)?.duration, Some(2.0));
/// # Ok(()) }
/// ```
pub struct VideoWriter {
    config: VideoWriterConfig,
    encoder: encoder::Video,
    sound: Option<Sound>,
    output: Output,
    failure: Failure,
    // Below `output`: a file is closed before it is deleted.
    file: TemporaryFile,
    /// The time and the tick of the frame written last.
    last: Option<(f64, i64)>,
}

impl VideoWriter {
    /// Opens a file for writing. What stood at `path` before stays until [`finish`](VideoWriter::finish), so `audio_from`
    /// may be the same file.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`]; [`Error::Io`] when the folder cannot be written to; [`Error::NoEncoder`] when FFmpeg has
    /// no encoder for H.264 (or for AAC, if the sound needs it); the errors of [`AudioReader`](crate::AudioReader) for
    /// `audio_from`, except that a file without sound is fine.
    pub fn create(path: impl AsRef<Path>, config: VideoWriterConfig) -> Result<Self, Error> {
        initialise();
        config.validate()?;
        let path = path.as_ref();
        let open_sound = |copy| config.audio_from.as_deref().map(|from| Sound::open(from, copy)).transpose();
        let sound = open_sound(true)?.flatten();
        match Self::create_with(path, &config, sound) {
            // The muxer has the last word on what an MP4 can hold.
            Err(Error::Encode { .. }) if config.audio_from.is_some() => {
                Self::create_with(path, &config, open_sound(false)?.flatten())
            }
            result => result,
        }
    }

    fn create_with(path: &Path, config: &VideoWriterConfig, sound: Option<Sound>) -> Result<Self, Error> {
        let encoder = open_encoder(config)?;
        let failure = Failure::default();
        let (file, handle) = TemporaryFile::create(path)?;
        let failed = |cause| failure.or_encode(path, cause);
        let io = StreamIo::from_write_seek(Watched::new(handle, &failure)).map_err(failed)?;
        let url = file.url();
        let mut output = ffmpeg::format::output_to_stream(io, url.as_deref(), Some("mp4")).map_err(failed)?;
        let mut stream = output.add_stream(None::<Codec>).map_err(failed)?;
        stream.set_parameters(&encoder);
        stream.set_time_base(CLOCK);
        stream.set_avg_frame_rate(Rational::from(config.frame_rate));
        if let Some(sound) = &sound {
            sound.add_stream(&mut output).map_err(failed)?;
        }
        let mut options = Dictionary::new();
        if url.is_some() {
            // Moves the index to the front at the end, for which the muxer opens its own file a second time, by name.
            options.set("movflags", "+faststart");
        }
        output.write_header_with(options).map_err(failed)?;
        Ok(VideoWriter { config: config.clone(), encoder, sound, output, failure, file, last: None })
    }

    /// How the sound goes into the video.
    pub fn sound_track(&self) -> SoundTrack {
        self.sound.as_ref().map_or(SoundTrack::None, Sound::kind)
    }

    /// Writes a picture that is shown from `time` on, in seconds. Times are kept to the nearest 1/90000 s; the first need
    /// not be 0, and their distances may vary.
    ///
    /// # Errors
    ///
    /// [`Error::WrongFrameSize`] and [`Error::InvalidTime`] when the arguments do not fit, after which the writer can go
    /// on; [`Error::Io`] or [`Error::Encode`] when writing fails.
    pub fn write(&mut self, image: &RgbImage, time: f64) -> Result<(), Error> {
        let (width, height) = image.dimensions();
        let VideoWriterConfig { width: expected_width, height: expected_height, .. } = self.config;
        if (width, height) != (expected_width, expected_height) {
            return Err(Error::WrongFrameSize { expected_width, expected_height, width, height });
        }
        let previous = self.last.map(|(time, _)| time);
        if !(time.is_finite() && time >= 0.0 && previous.is_none_or(|previous| time > previous)) {
            return Err(Error::InvalidTime { previous, got: time });
        }
        let tick = (time / f64::from(CLOCK)).round() as i64;
        let tick = self.last.map_or(tick, |(_, last)| tick.max(last + 1));

        let rgb = from_image(image);
        // A new picture each time: the encoder keeps references to those that it was given.
        let mut yuv = frame::Video::new(Pixel::YUV420P, rgb.width(), rgb.height());
        convert(&rgb, &mut yuv).map_err(|cause| self.failed(cause))?;
        yuv.set_pts(Some(tick));
        self.encoder.send_frame(&yuv).map_err(|cause| self.failed(cause))?;
        self.last = Some((time, tick));
        self.write_packets()?;
        self.write_sound(time)
    }

    /// Writes what the encoder held back and the rest of the sound, closes the file and gives it its name.
    ///
    /// # Errors
    ///
    /// [`Error::NothingWritten`] when no frame was written; [`Error::Io`] or [`Error::Encode`] when writing or renaming fails.
    /// The temporary file is deleted then.
    pub fn finish(mut self) -> Result<(), Error> {
        if self.last.is_none() {
            return Err(Error::NothingWritten { path: self.file.path.clone() });
        }
        self.encoder.send_eof().map_err(|cause| self.failed(cause))?;
        self.write_packets()?;
        self.write_sound(f64::INFINITY)?;
        self.output.write_trailer().map_err(|cause| self.failed(cause))?;
        drop(self.output);
        if let Some(source) = self.failure.take() {
            return Err(Error::Io { path: self.file.path.clone(), action: "writing", source });
        }
        self.file.keep()
    }

    fn write_packets(&mut self) -> Result<(), Error> {
        let frame_length = (1.0 / (self.config.frame_rate * f64::from(CLOCK))).round() as i64;
        loop {
            let mut packet = Packet::empty();
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => {
                    packet.set_duration(frame_length);
                    self.target(0).write(packet, CLOCK)?;
                }
                Err(ffmpeg::Error::Eof | ffmpeg::Error::Other { errno: EAGAIN }) => return Ok(()),
                Err(cause) => return Err(self.failed(cause)),
            }
        }
    }

    fn write_sound(&mut self, time: f64) -> Result<(), Error> {
        let Some(mut sound) = self.sound.take() else { return Ok(()) };
        let result = sound.write_until(time, &mut self.target(1));
        self.sound = Some(sound);
        result
    }

    fn target(&mut self, stream: usize) -> Target<'_> {
        Target { output: &mut self.output, stream, path: &self.file.path, failure: &self.failure }
    }

    fn failed(&self, cause: ffmpeg::Error) -> Error {
        self.failure.or_encode(&self.file.path, cause)
    }
}

impl std::fmt::Debug for VideoWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VideoWriter")
            .field("path", &self.file.path)
            .field("config", &self.config)
            .field("sound_track", &self.sound_track())
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

/// Opens the first H.264 encoder that takes the settings.
fn open_encoder(config: &VideoWriterConfig) -> Result<encoder::Video, Error> {
    let named = ENCODERS.iter().filter_map(|name| encoder::find_by_name(name));
    let mut tried = Vec::new();
    for codec in named.chain(encoder::find(Id::H264)) {
        match open_encoder_as(codec, config) {
            Ok(encoder) => return Ok(encoder),
            Err(cause) => tried.push(format!("{} ({cause})", codec.name())),
        }
    }
    let tried = if tried.is_empty() { "none is built in".to_owned() } else { tried.join(", ") };
    Err(Error::NoEncoder { wanted: "H.264", tried })
}

fn open_encoder_as(codec: Codec, config: &VideoWriterConfig) -> Result<encoder::Video, ffmpeg::Error> {
    let (width, height) = (config.width.next_multiple_of(2), config.height.next_multiple_of(2));
    let mut encoder = codec::Context::new_with_codec(codec).encoder().video()?;
    encoder.set_width(width);
    encoder.set_height(height);
    encoder.set_format(Pixel::YUV420P);
    encoder.set_time_base(CLOCK);
    encoder.set_frame_rate(Some(Rational::from(config.frame_rate)));
    // The matrix that the pictures are converted with, said aloud so that players do not guess by the size.
    encoder.set_colorspace(color::Space::SMPTE170M);
    encoder.set_color_range(color::Range::MPEG);
    encoder.set_flags(codec::Flags::GLOBAL_HEADER);
    encoder.set_threading(threading::Config::count(ENCODING_THREADS));
    let mut options = Dictionary::new();
    if codec.name() == "libx264" {
        options.set("preset", &config.preset);
        options.set("crf", &config.crf.to_string());
    } else {
        let pixels = f64::from(width) * f64::from(height) * config.frame_rate;
        encoder.set_bit_rate((pixels * BITS_PER_PIXEL) as usize);
    }
    encoder.open_as_with(codec, options)
}

/// A file under a temporary name beside the one that it shall have; deleted when dropped, unless it is kept.
struct TemporaryFile {
    path: PathBuf,
    temporary: PathBuf,
    kept: bool,
}

impl TemporaryFile {
    fn create(path: &Path) -> Result<(Self, File), Error> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let failed = |source| Error::Io { path: path.to_owned(), action: "creating", source };
        if path.is_dir() {
            return Err(Error::IsADirectory { path: path.to_owned() });
        }
        let name = path.file_name().ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
        let path = std::path::absolute(path).map_err(failed)?;
        loop {
            let mut hidden = OsString::from(".");
            hidden.push(name);
            hidden.push(format!(".{}-{}.part", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
            let temporary = path.with_file_name(hidden);
            match OpenOptions::new().write(true).create_new(true).open(&temporary) {
                Ok(file) => return Ok((TemporaryFile { path: path.clone(), temporary, kept: false }, file)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// The temporary name for FFmpeg, marked as a file's so that a colon in it makes no protocol. `None` when it is not
    /// UTF-8, which FFmpeg's binding cannot take.
    fn url(&self) -> Option<String> {
        self.temporary.to_str().map(|path| format!("file:{path}"))
    }

    /// Gives the file its name, in place of any other.
    fn keep(mut self) -> Result<(), Error> {
        fs::rename(&self.temporary, &self.path).map_err(|source| Error::Io {
            path: self.path.clone(),
            action: "renaming",
            source,
        })?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if !self.kept {
            // Nobody is left to tell when this fails.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}
