//! What can go wrong between a path and its frames, always with the path and the reason.

use std::io;
use std::path::PathBuf;

/// An error of this crate.
///
/// The first half of the variants blames a file, the second half the caller, the last the machine (a codec that this
/// FFmpeg was built without).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No file stands at the path.
    #[error("{}: no such file", path.display())]
    NotFound {
        /// The path given.
        path: PathBuf,
    },
    /// The path is a directory.
    #[error("{}: is a directory, expected a file", path.display())]
    IsADirectory {
        /// The path given.
        path: PathBuf,
    },
    /// The file has no bytes.
    #[error("{}: the file is empty", path.display())]
    EmptyFile {
        /// The path given.
        path: PathBuf,
    },
    /// Reading, writing or renaming failed in the operating system.
    #[error("{}: {action} failed: {source}", path.display())]
    Io {
        /// The file concerned.
        path: PathBuf,
        /// What was being done: `opening`, `reading`, `creating`, `writing`, `renaming`.
        action: &'static str,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// FFmpeg does not know the bytes as video, sound or a picture.
    #[error("{}: not a media file: {reason}", path.display())]
    NotMedia {
        /// The path given.
        path: PathBuf,
        /// What was found instead.
        reason: String,
        /// What FFmpeg answered, when it was asked.
        #[source]
        source: Option<Cause>,
    },
    /// The file ends before the index without which nothing of it can be read.
    #[error("{}: the file is cut short: {reason}", path.display())]
    Truncated {
        /// The path given.
        path: PathBuf,
        /// What is missing, and how many bytes are there.
        reason: String,
    },
    /// Frames were asked of a file without a video stream.
    #[error("{}: no video stream, found {found}", path.display())]
    NoVideoStream {
        /// The path given.
        path: PathBuf,
        /// The streams that are there, as `audio (aac)`.
        found: String,
    },
    /// Sound was asked of a file without an audio stream.
    #[error("{}: no audio stream, found {found}", path.display())]
    NoAudioStream {
        /// The path given.
        path: PathBuf,
        /// The streams that are there, as `video (h264)`.
        found: String,
    },
    /// The FFmpeg that this program is linked to has no decoder for the stream.
    #[error("{}: no decoder for the {medium} stream's codec {codec} in the linked FFmpeg", path.display())]
    UnsupportedCodec {
        /// The path given.
        path: PathBuf,
        /// `video` or `audio`.
        medium: &'static str,
        /// FFmpeg's name of the codec.
        codec: String,
    },
    /// The stream is there, but not one frame of it decodes.
    #[error("{}: nothing of the {medium} stream could be decoded ({broken_packets} broken packets)", path.display())]
    NothingDecoded {
        /// The path given.
        path: PathBuf,
        /// `video` or `audio`.
        medium: &'static str,
        /// The packets that the decoder refused.
        broken_packets: u64,
    },
    /// FFmpeg gave up on a file that it had begun to read.
    #[error("{}: decoding failed: {source}", path.display())]
    Decode {
        /// The file concerned.
        path: PathBuf,
        /// FFmpeg's reason.
        #[source]
        source: Cause,
    },
    /// FFmpeg refused to encode or to multiplex.
    #[error("{}: encoding failed: {source}", path.display())]
    Encode {
        /// The file concerned.
        path: PathBuf,
        /// FFmpeg's reason.
        #[source]
        source: Cause,
    },
    /// A setting outside its range.
    #[error("{setting} must be {expected}, got {got}")]
    InvalidConfig {
        /// The setting's name.
        setting: &'static str,
        /// The values that are allowed.
        expected: &'static str,
        /// The value given.
        got: String,
    },
    /// A picture of another size than the video has.
    #[error("expected a picture of {expected_width}x{expected_height} pixels, got {width}x{height}")]
    WrongFrameSize {
        /// The width of the video, in pixels.
        expected_width: u32,
        /// The height of the video, in pixels.
        expected_height: u32,
        /// The width of the picture, in pixels.
        width: u32,
        /// The height of the picture, in pixels.
        height: u32,
    },
    /// A frame's time that is negative, not finite, or not after the one before.
    #[error("expected a time {}, got {got} seconds", previous.map_or("of at least 0 seconds".to_owned(), |t| format!("after {t} seconds")))]
    InvalidTime {
        /// The time of the frame before, in seconds.
        previous: Option<f64>,
        /// The time given, in seconds.
        got: f64,
    },
    /// A video was finished without one frame.
    #[error("{}: a video needs at least one frame, got none", path.display())]
    NothingWritten {
        /// The path that the video was to have.
        path: PathBuf,
    },
    /// The FFmpeg that this program is linked to has no encoder that would do.
    #[error("no {wanted} encoder in the linked FFmpeg: tried {tried}")]
    NoEncoder {
        /// The codec wanted.
        wanted: &'static str,
        /// The encoders tried, and why each failed.
        tried: String,
    },
    /// A camera, microphone or synthetic device that cannot be opened.
    #[error("{format} device {device}: {reason}")]
    Device {
        /// FFmpeg's name of the device layer, as `v4l2`.
        format: String,
        /// The device, as `/dev/video0`.
        device: String,
        /// Why it cannot be opened.
        reason: String,
    },
}

/// An answer of FFmpeg, kept opaque so that the FFmpeg binding is no part of this crate's interface.
#[derive(Debug, Clone, Copy)]
pub struct Cause(pub(crate) ffmpeg_next::Error);

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Cause {}
