//! The pass over the frames: track, cut out, classify, hand on.

use std::collections::{HashMap, VecDeque};

use emotion_core::{EmotionModel, Scores};
use face_prep::{FaceDetector, TrackedFace, Tracker, TrackerConfig, face_gray48, quality};
use fusion::{Evidence, Fuser, Smoother, Vote};
use image::GrayImage;
use video_io::{Frame, FrameSource};

use super::voice::Heard;
use super::{Progress, Stage, microseconds};
use crate::Error;
use crate::sink::{AnalysedFrame, FaceView, FrameSink};
use crate::timeline::{Moment, Track};

/// Faces that the model sees at once: more would hardly be faster on a CPU, and would keep more frames waiting.
const BATCH: usize = 16;

/// Bytes of the frames that may wait for their scores before they are drawn: 30 frames of 512×512, one of 4K.
const WAITING_BYTES: usize = 24 << 20;

/// The time constant of the scores that are drawn, in seconds: labels that change with every frame cannot be read.
const DISPLAY_SMOOTHING: f64 = 0.3;

/// What looks at the frames.
pub(crate) struct Eyes<'a> {
    pub(crate) detector: &'a mut dyn FaceDetector,
    pub(crate) model: &'a dyn EmotionModel<Input = GrayImage>,
    pub(crate) tracker: TrackerConfig,
    pub(crate) stride: u64,
    pub(crate) fuser: &'a dyn Fuser,
}

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The tracks that hold at least one analysed moment, in the order of their first frames.
    pub(crate) tracks: Vec<Track>,
    pub(crate) vote: Vote,
    pub(crate) analysed_frames: u64,
    pub(crate) frames_with_face: u64,
    pub(crate) decoded_frames: u64,
    pub(crate) decoded_frames_with_face: u64,
    /// The clip is shorter than the stride, so its last frame was analysed instead.
    pub(crate) fell_back: bool,
}

/// Goes through all frames of a source.
///
/// Every frame goes to the tracker. Frame `n`, counted from 1, is classified when `n mod stride = 0`, as in Algorithm 1 of
/// the every-tenth-frame method; of a clip that is shorter than the stride the last frame is. With a sink, frames wait
/// for their scores and go on in order.
pub(crate) fn look(
    source: &mut dyn FrameSource,
    eyes: Eyes<'_>,
    heard: &Heard,
    mut sink: Option<&mut dyn FrameSink>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Seen, Error> {
    let Eyes { detector, model, tracker, stride, fuser } = eyes;
    let duration = source.info().duration;
    let mut tracker = Tracker::new(tracker)?;
    let mut queue = Queue::new(model, fuser, heard);

    // One frame is read ahead: only then is it known which one is the last.
    let mut next = source.next_frame()?;
    while let Some(frame) = next {
        next = source.next_frame()?;
        let faces = tracker.step(&frame.image, frame.index, frame.time, detector)?;
        let decoded = queue.seen.decoded_frames + 1;
        let last_chance = next.is_none() && queue.seen.analysed_frames == 0;
        let analysed = decoded.is_multiple_of(stride) || last_chance;
        queue.seen.fell_back |= analysed && !decoded.is_multiple_of(stride);
        let time = frame.time;
        queue.push(frame, faces, analysed, sink.is_some())?;
        if queue.is_due() {
            queue.flush(&mut sink)?;
        }
        progress(Progress { stage: Stage::Video, seconds: time, duration, frames: decoded });
    }
    queue.flush(&mut sink)?;

    let mut seen = queue.seen;
    seen.tracks.retain(|track| !track.moments.is_empty());
    Ok(seen)
}

/// A frame that waits for its scores. Without a sink the picture is let go at once.
struct Waiting {
    frame: Option<Frame>,
    faces: Vec<FaceView>,
    /// What will become moments of the timeline, when the scores are there.
    moments: Vec<Unscored>,
}

/// A moment without its scores.
struct Unscored {
    track: u64,
    time: f64,
    frame: u64,
    bounding_box: [f32; 4],
    detected: bool,
    quality: f32,
}

struct Queue<'a> {
    model: &'a dyn EmotionModel<Input = GrayImage>,
    fuser: &'a dyn Fuser,
    heard: &'a Heard,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    /// The faces of `waiting` that are to be classified, in order.
    crops: Vec<GrayImage>,
    /// The scores to draw for each live track, smoothed over time.
    shown: HashMap<u64, (Smoother, Scores)>,
    seen: Seen,
}

impl<'a> Queue<'a> {
    fn new(model: &'a dyn EmotionModel<Input = GrayImage>, fuser: &'a dyn Fuser, heard: &'a Heard) -> Self {
        Self {
            model,
            fuser,
            heard,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            crops: Vec::new(),
            shown: HashMap::new(),
            seen: Seen::default(),
        }
    }

    /// Takes a frame with its faces; cuts the faces out when the frame is to be classified.
    fn push(&mut self, frame: Frame, faces: Vec<TrackedFace>, analysed: bool, keep: bool) -> Result<(), Error> {
        self.seen.decoded_frames += 1;
        self.seen.decoded_frames_with_face += u64::from(!faces.is_empty());
        self.seen.analysed_frames += u64::from(analysed);
        self.seen.frames_with_face += u64::from(analysed && !faces.is_empty());

        let mut moments = Vec::new();
        for face in &faces {
            let time = microseconds(frame.time);
            match self.seen.tracks.iter_mut().rev().find(|track| track.id == face.track) {
                Some(track) => track.end = time,
                None => self.seen.tracks.push(Track { id: face.track, start: time, end: time, moments: Vec::new() }),
            }
            if analysed {
                let landmarks = face.landmarks.as_ref();
                self.crops.push(face_gray48(&frame.image, &face.bbox, landmarks)?);
                let quality = quality::assess(&frame.image, &face.bbox, landmarks)?.overall;
                let bounds = &face.bbox;
                moments.push(Unscored {
                    track: face.track,
                    time,
                    frame: frame.index,
                    bounding_box: [bounds.x, bounds.y, bounds.width, bounds.height]
                        .map(|side| (side * 100.0).round() / 100.0),
                    detected: face.detected,
                    quality: (quality * 1e4).round() / 1e4,
                });
            }
        }
        let views = faces.into_iter().map(|face| FaceView {
            track: face.track,
            bounding_box: face.bbox,
            detected: face.detected,
            scores: None,
        });
        self.waiting_bytes += if keep { frame.image.as_raw().len() } else { 0 };
        self.waiting.push_back(Waiting { faces: views.collect(), frame: keep.then_some(frame), moments });
        Ok(())
    }

    /// Whether there is enough to classify, nothing to wait for, or too much waiting.
    fn is_due(&self) -> bool {
        self.crops.is_empty() || self.crops.len() >= BATCH || self.waiting_bytes >= WAITING_BYTES
    }

    /// Classifies what is waiting and hands the frames on.
    fn flush(&mut self, sink: &mut Option<&mut dyn FrameSink>) -> Result<(), Error> {
        let crops = std::mem::take(&mut self.crops);
        let scores = if crops.is_empty() {
            Vec::new()
        } else {
            let failed = |source| Error::Model { what: format!("face model {}", self.model.name()), source };
            self.model.predict_batch(&crops).map_err(failed)?
        };
        let mut scores = scores.into_iter();
        for waiting in std::mem::take(&mut self.waiting) {
            let Waiting { frame, mut faces, moments } = waiting;
            let mut qualities = HashMap::new();
            for moment in moments {
                let Some(scores) = scores.next() else {
                    let what = format!("face model {}", self.model.name());
                    return Err(Error::Model { what, source: "it gave fewer answers than it was asked".into() });
                };
                qualities.insert(moment.track, moment.quality);
                self.seen.vote.add(&scores)?;
                self.show(moment.track, moment.time, &scores)?;
                let Unscored { track, time, frame, bounding_box, detected, quality } = moment;
                if let Some(track) = self.seen.tracks.iter_mut().rev().find(|known| known.id == track) {
                    track.moments.push(Moment { time, frame, bounding_box, detected, quality, scores });
                }
            }
            if let (Some(frame), Some(sink)) = (frame, sink.as_mut()) {
                for face in &mut faces {
                    face.scores = self.shown.get(&face.track).map(|(_, scores)| scores.clone());
                }
                let voice = self.heard.at(frame.time).cloned();
                let fused = self.fuse(&faces, voice.as_ref(), &qualities)?;
                sink.frame(AnalysedFrame { frame, faces, voice, fused })?;
            }
        }
        self.waiting_bytes = 0;
        Ok(())
    }

    /// Remembers what to draw for a track from now on.
    fn show(&mut self, track: u64, time: f64, scores: &Scores) -> Result<(), Error> {
        match self.shown.get_mut(&track) {
            Some((smoother, shown)) => *shown = smoother.push(time, scores)?,
            None => {
                let mut smoother = Smoother::new(DISPLAY_SMOOTHING)?;
                let shown = smoother.push(time, scores)?;
                self.shown.insert(track, (smoother, shown));
            }
        }
        Ok(())
    }

    /// The largest face that has scores, with the voice.
    fn fuse(
        &self,
        faces: &[FaceView],
        voice: Option<&Scores>,
        qualities: &HashMap<u64, f32>,
    ) -> Result<Option<Scores>, Error> {
        let scored = faces.iter().filter(|face| face.scores.is_some());
        let largest = scored.max_by(|a, b| a.bounding_box.area().total_cmp(&b.bounding_box.area()));
        let face = largest.and_then(|face| {
            let quality = qualities.get(&face.track).copied().unwrap_or(1.0);
            face.scores.as_ref().map(|scores| Evidence { scores, quality })
        });
        if face.is_none() && voice.is_none() {
            return Ok(None);
        }
        Ok(Some(self.fuser.fuse_evidence(&[face, voice.map(Evidence::new)])?))
    }
}
