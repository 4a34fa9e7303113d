//! What a file holds, without reading it through.

use std::path::Path;

use ffmpeg_next::media;

use crate::audio::SoundDecoder;
use crate::demux::Demuxer;
use crate::source::{AudioInfo, FrameSource, VideoInfo};
use crate::{Error, VideoReader};

/// What a media file holds.
#[derive(Debug, Clone, PartialEq)]
pub struct MediaInfo {
    /// The length of the whole file in seconds, where the file says it; none for a still picture.
    pub duration: Option<f64>,
    /// The pictures; none for a song, with or without a cover.
    pub video: Option<VideoInfo>,
    /// The sound; none for a file without an audio stream. A stream of silence is sound.
    pub audio: Option<AudioInfo>,
}

impl MediaInfo {
    /// Whether the file is a still picture.
    pub fn is_still(&self) -> bool {
        self.video.as_ref().is_some_and(|video| video.still)
    }
}

/// Says what a file holds. The first frame and the first sound are decoded, so what it names can be read.
///
/// # Errors
///
/// As [`VideoReader::open`], but a missing stream is an answer here, as long as there is one of the two.
/// [`Error::NotMedia`] when there is neither.
///
/// ```
/// # fn main() -> Result<(), video_io::Error> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("clip.mp4");
/// # video_io::synthetic::write_clip(&path, 64, 48, 25.0, 1.0)?;
/// let info = video_io::probe(&path)?;
/// let video = info.video.expect("the clip has pictures");
/// assert_eq!((video.width, video.height, video.frame_rate), (64, 48, 25.0));
/// assert!(info.audio.is_none());
/// # Ok(()) }
/// ```
pub fn probe(path: impl AsRef<Path>) -> Result<MediaInfo, Error> {
    let path = path.as_ref();
    let demuxer = Demuxer::open(path)?;
    let has = |medium| demuxer.best(medium).is_some();
    let (video, audio, duration) = (has(media::Type::Video), has(media::Type::Audio), demuxer.duration());
    if !video && !audio {
        return Err(demuxer.nothing_inside());
    }
    let audio = audio.then(|| Demuxer::open(path).and_then(SoundDecoder::open)).transpose()?;
    let video = if video { Some(VideoReader::from_demuxer(demuxer)?) } else { None };
    Ok(MediaInfo {
        duration,
        video: video.map(|video| video.info().clone()),
        audio: audio.map(|audio| audio.info().clone()),
    })
}
