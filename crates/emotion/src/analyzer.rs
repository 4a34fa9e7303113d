//! The analyser: a clip in, a [`Timeline`] out.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use face_prep::{FaceDetector, TrackerConfig};
use fusion::Fuser;
use video_io::{AudioReader, MediaInfo, VideoReader};

use crate::Error;
use crate::builder::{AnalyzerBuilder, FaceModel, ProgressFn, SpeechModel};
use crate::export::{self, AnnotatedVideo};
use crate::notes;
use crate::pipeline::{Ears, Eyes, Found, Heard, Progress, Seen, assemble, listen, look, microseconds};
use crate::sink::FrameSink;
use crate::timeline::{SCHEMA, Settings, Source, SourceAudio, Statistics, Timeline};

/// Samples per second that the speech models hear.
const SPEECH_RATE: u32 = 16_000;

/// Reads expressed emotion from clips, one after the other, with models that are loaded once.
///
/// Made by [`Analyzer::builder`].
pub struct Analyzer {
    pub(crate) stride: u64,
    pub(crate) window: f64,
    pub(crate) hop: f64,
    pub(crate) annotate: bool,
    pub(crate) detector: Box<dyn FaceDetector>,
    pub(crate) tracker: TrackerConfig,
    pub(crate) face_model: FaceModel,
    pub(crate) speech_model: SpeechModel,
    pub(crate) fuser: Box<dyn Fuser>,
    pub(crate) progress: Option<ProgressFn>,
}

impl Analyzer {
    /// An analyser with default settings, to be changed one by one.
    pub fn builder() -> AnalyzerBuilder {
        AnalyzerBuilder::default()
    }

    /// Analyses a clip: any video, sound or picture that FFmpeg reads.
    ///
    /// A clip with only one of face and voice is analysed by that one, and the timeline's `notes` say why the other is
    /// missing.
    ///
    /// # Errors
    /// [`Error::Media`] when the file cannot be read, [`Error::NothingFound`] when there is neither a face nor speech,
    /// [`Error::Model`] when a model fails.
    pub fn analyze(&mut self, path: impl AsRef<Path>) -> Result<Timeline, Error> {
        let (start, path) = (Instant::now(), path.as_ref());
        let info = video_io::probe(path)?;
        self.run(path, &info, None, start)
    }

    /// As [`analyze`](Self::analyze), and hands every frame on with what is known about it: for a live view or pictures of
    /// your own.
    ///
    /// # Errors
    /// As [`analyze`](Self::analyze), and those of the sink.
    pub fn analyze_with(&mut self, path: impl AsRef<Path>, sink: &mut dyn FrameSink) -> Result<Timeline, Error> {
        let (start, path) = (Instant::now(), path.as_ref());
        let info = video_io::probe(path)?;
        self.run(path, &info, Some(sink), start)
    }

    /// As [`analyze`](Self::analyze), and writes `timeline.json`, `timeline.csv`, `chart.png` and, unless it was switched
    /// off, `annotated.mp4` (`annotated.png` for a still picture) into a folder, all in one pass over the clip.
    ///
    /// The folder is made when it is missing. Files get their names only when they are whole; when the analysis fails,
    /// nothing new is left behind.
    ///
    /// # Errors
    /// As [`analyze`](Self::analyze); [`Error::Io`] when the folder cannot be written.
    pub fn analyze_to(&mut self, path: impl AsRef<Path>, folder: impl AsRef<Path>) -> Result<Timeline, Error> {
        let (start, path) = (Instant::now(), path.as_ref());
        let info = video_io::probe(path)?;
        let mut folder = OutputFolder::make(folder.as_ref())?;
        let mut video = match &info.video {
            Some(video) if self.annotate => Some(AnnotatedVideo::create(&folder.path, path, video)),
            _ => None,
        };
        let sink = video.as_mut().map(|video| video as &mut dyn FrameSink);
        let mut timeline = self.run(path, &info, sink, start)?;
        // Without a single frame there is nothing to finish.
        if let Some(video) = video.filter(|_| timeline.statistics.decoded_frames > 0) {
            video.finish()?;
        }
        stamp(&mut timeline, start);
        export::write(&timeline, &folder.path)?;
        folder.keep = true;
        Ok(timeline)
    }

    fn run(
        &mut self,
        path: &Path,
        info: &MediaInfo,
        sink: Option<&mut dyn FrameSink>,
        start: Instant,
    ) -> Result<Timeline, Error> {
        let mut silent = |_| {};
        let progress: &mut dyn FnMut(Progress) = match &mut self.progress {
            Some(progress) => progress,
            None => &mut silent,
        };
        let mut notes = Vec::new();
        let ears = Ears { model: &*self.speech_model, window: self.window, hop: self.hop };
        let heard = hear(path, info, &ears, &mut notes, progress)?;
        let mut tracker = self.tracker.clone();
        if info.is_still() {
            // A still picture gives no second sight of a face that could confirm the first.
            tracker.confirm = 0.0;
        }
        let eyes = Eyes {
            detector: &mut *self.detector,
            model: &*self.face_model,
            tracker,
            stride: self.stride,
            fuser: &*self.fuser,
        };
        let seen = see(path, info, eyes, &heard, sink, &mut notes, progress)?;
        notes.extend(notes::missing(path, info, &seen, &heard, self.detector.name())?);

        let Found { fused, verdict } = assemble(&seen, &heard, self.hop, &*self.fuser)?;
        let duration = info.duration.or(info.video.as_ref().and_then(|video| video.duration)).map(microseconds);
        let mut timeline = Timeline {
            schema: SCHEMA.to_owned(),
            source: Source {
                path: path.to_string_lossy().into_owned(),
                duration,
                width: info.video.as_ref().map(|video| video.width),
                height: info.video.as_ref().map(|video| video.height),
                frame_rate: info.video.as_ref().map(|video| microseconds(video.frame_rate)),
                frames: info.video.as_ref().map(|_| seen.decoded_frames),
                audio: info.audio.as_ref().map(|audio| SourceAudio {
                    sample_rate: audio.sample_rate,
                    duration: audio.duration.map(microseconds),
                }),
            },
            settings: Settings {
                stride: self.stride,
                detector: self.detector.name().to_owned(),
                fer_model: self.face_model.name().to_owned(),
                ser_model: self.speech_model.name().to_owned(),
                fusion: self.fuser.name().to_owned(),
                window: self.window,
                hop: self.hop,
            },
            fused,
            verdict,
            statistics: Statistics {
                analysed_frames: seen.analysed_frames,
                frames_with_face: seen.frames_with_face,
                decoded_frames: seen.decoded_frames,
                decoded_frames_with_face: seen.decoded_frames_with_face,
                ..Statistics::default()
            },
            tracks: seen.tracks,
            speech: heard.into_windows(),
            notes,
        };
        stamp(&mut timeline, start);
        Ok(timeline)
    }
}

/// Listens to the file's sound. When only the sound is broken, the pictures are analysed and a note says so.
fn hear(
    path: &Path,
    info: &MediaInfo,
    ears: &Ears<'_>,
    notes: &mut Vec<String>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Heard, Error> {
    let Some(audio) = &info.audio else { return Ok(Heard::default()) };
    let heard = AudioReader::open(path, SPEECH_RATE).map_err(Error::from).and_then(|mut reader| {
        let heard = listen(&mut reader, ears, audio.duration, progress)?;
        notes.extend(notes::damage("sound", reader.report()));
        Ok(heard)
    });
    match heard {
        Err(Error::Media { source }) if info.video.is_some() => {
            notes.push(format!("The sound could not be read: {source}."));
            Ok(Heard::default())
        }
        heard => heard,
    }
}

/// Looks at the file's frames. When only the pictures are broken, the voice stands alone and a note says so.
fn see(
    path: &Path,
    info: &MediaInfo,
    eyes: Eyes<'_>,
    heard: &Heard,
    sink: Option<&mut dyn FrameSink>,
    notes: &mut Vec<String>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Seen, Error> {
    if info.video.is_none() {
        return Ok(Seen::default());
    }
    let mut reader = match VideoReader::open(path) {
        Err(source) if !heard.windows().is_empty() => {
            notes.push(format!("The pictures could not be read: {source}."));
            return Ok(Seen::default());
        }
        reader => reader?,
    };
    let stride = eyes.stride;
    let seen = look(&mut reader, eyes, heard, sink, progress)?;
    notes.extend(notes::damage("video", reader.report()));
    if seen.fell_back && !info.is_still() {
        notes.push(format!("The video is shorter than the stride of {stride} frames: its last frame was analysed."));
    }
    Ok(seen)
}

/// Enters time and memory into the statistics.
fn stamp(timeline: &mut Timeline, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    let statistics = &mut timeline.statistics;
    statistics.seconds = (seconds * 1e3).round() / 1e3;
    statistics.peak_rss_mb = peak_rss_mb();
    let duration = timeline.source.duration.filter(|duration| *duration > 0.0);
    statistics.real_time_factor = duration.map(|duration| (seconds / duration * 1e4).round() / 1e4);
}

/// The largest resident memory of this process so far, in MiB; `None` where there is no `/proc`.
fn peak_rss_mb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes / 1024)
}

/// A folder for outputs. What had to be made of it is removed again unless it is kept.
struct OutputFolder {
    path: PathBuf,
    /// The folders that were made, innermost first.
    made: Vec<PathBuf>,
    keep: bool,
}

impl OutputFolder {
    fn make(path: &Path) -> Result<Self, Error> {
        let missing = path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
        let made = missing.map(Path::to_owned).collect();
        let folder = Self { path: path.to_owned(), made, keep: false };
        std::fs::create_dir_all(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        Ok(folder)
    }
}

impl Drop for OutputFolder {
    fn drop(&mut self) {
        if !self.keep {
            for folder in &self.made {
                // Fails, rightly, when something else was put into it meanwhile.
                std::fs::remove_dir(folder).ok();
            }
        }
    }
}

impl fmt::Debug for Analyzer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Analyzer")
            .field("stride", &self.stride)
            .field("window", &self.window)
            .field("hop", &self.hop)
            .field("annotate", &self.annotate)
            .field("detector", &self.detector.name())
            .field("face_model", &self.face_model.name())
            .field("speech_model", &self.speech_model.name())
            .field("fuser", &self.fuser.name())
            .finish_non_exhaustive()
    }
}
