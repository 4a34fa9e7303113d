//! What an analysis found, moment by moment: the file `timeline.json`, schema `emotion.timeline/1`.

use std::path::Path;

use emotion_core::{Emotion, Scores};
use serde::{Deserialize, Serialize};

use crate::Error;

/// The schema that [`Timeline`] is written with. Later versions may add fields, never rename them.
pub const SCHEMA: &str = "emotion.timeline/1";

/// Expressed emotion over time in one clip.
///
/// Times are seconds from the beginning of the clip, boxes are pixels of the upright frame, scores map each label to a
/// probability. [`to_json`](Self::to_json) writes the fields in the order in which they stand here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timeline {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The file that was analysed.
    pub source: Source,
    /// How it was analysed.
    pub settings: Settings,
    /// One entry for each face that was followed, in the order of their first frames; empty when no face was found.
    pub tracks: Vec<Track>,
    /// The windows of sound that hold speech, in order; empty without speech.
    pub speech: Vec<SpeechWindow>,
    /// Face and voice together, in order of time: one entry for each moment of each track, and one in the middle of each
    /// window of speech where no face was seen within half a hop.
    pub fused: Vec<FusedMoment>,
    /// What the whole clip expresses most.
    pub verdict: Verdict,
    /// What the analysis cost.
    pub statistics: Statistics,
    /// Why something is missing, in English sentences; empty when face and voice both spoke.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// The analysed file. What it does not have is `None`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// The path as it was given.
    pub path: String,
    /// Length in seconds.
    pub duration: Option<f64>,
    /// Width of the upright picture in pixels.
    pub width: Option<u32>,
    /// Height of the upright picture in pixels.
    pub height: Option<u32>,
    /// Mean frames per second, as the file states it.
    pub frame_rate: Option<f64>,
    /// The number of frames that were decoded.
    pub frames: Option<u64>,
    /// The sound stream.
    pub audio: Option<SourceAudio>,
}

/// The sound stream of the analysed file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceAudio {
    /// Samples per second in the file.
    pub sample_rate: u32,
    /// Length in seconds.
    pub duration: Option<f64>,
}

/// The settings of the analysis, by their names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Every how manieth frame was classified; 1 is every frame.
    pub stride: u64,
    /// The face detector, such as `cascade`.
    pub detector: String,
    /// The face model.
    pub fer_model: String,
    /// The speech model.
    pub ser_model: String,
    /// The fuser, such as `mean`.
    pub fusion: String,
    /// Length of a window of speech in seconds.
    #[serde(default)]
    pub window: f64,
    /// Distance between the starts of two windows of speech in seconds.
    #[serde(default)]
    pub hop: f64,
}

/// One face, followed from frame to frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Track {
    /// The track's number, from 1.
    pub id: u64,
    /// When the face was first seen.
    pub start: f64,
    /// When the face was last seen.
    pub end: f64,
    /// The analysed frames in which it was seen, in order.
    pub moments: Vec<Moment>,
}

/// One face in one analysed frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// The frame's time.
    pub time: f64,
    /// The frame's index, from 0.
    pub frame: u64,
    /// Left, top, width, height in pixels; may reach beyond the picture.
    #[serde(rename = "box")]
    pub bounding_box: [f32; 4],
    /// Whether the detector saw the face in this very frame, rather than the tracker following it.
    pub detected: bool,
    /// How good the picture of the face is, from 0 to 1.
    pub quality: f32,
    /// What the face expresses.
    pub scores: Scores,
}

/// One window of speech.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpeechWindow {
    /// The window's start.
    pub start: f64,
    /// The window's end.
    pub end: f64,
    /// What the voice expresses.
    pub scores: Scores,
}

/// Face and voice together at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FusedMoment {
    /// The moment.
    pub time: f64,
    /// The track whose face it is; `None` where the voice speaks without a face.
    pub track: Option<u64>,
    /// The fused scores over the seven common labels.
    pub scores: Scores,
    /// How far face and voice contradict each other, from 0 (not at all) to 1 bit; `None` where one of them is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disagreement: Option<f32>,
}

/// What the whole clip expresses most; a modality that is missing is `None`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// By the share of votes over the faces of the analysed frames.
    pub face: Option<Opinion>,
    /// By the mean of the windows of speech, weighted by their lengths.
    pub voice: Option<Opinion>,
    /// Face and voice, by the fuser of the settings.
    pub fused: Option<Opinion>,
}

/// One part of the verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opinion {
    /// The most probable emotion.
    pub label: Emotion,
    /// How the scores came about: `vote`, `mean`, or the fuser's name.
    pub by: String,
    /// The scores that the label is the top of.
    pub scores: Scores,
}

impl Opinion {
    /// The opinion that these scores amount to, reached in the way that `by` names.
    pub fn new(by: &str, scores: Scores) -> Self {
        Self { label: scores.top().0, by: by.to_owned(), scores }
    }
}

/// What the analysis cost.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Statistics {
    /// Frames that were classified, whether they hold a face or not.
    pub analysed_frames: u64,
    /// Analysed frames with at least one face.
    pub frames_with_face: u64,
    /// Wall-clock seconds, from opening the file to the finished timeline.
    pub seconds: f64,
    /// The largest memory that the whole process held so far, in MiB; `None` where the system does not say.
    pub peak_rss_mb: Option<u64>,
    /// Frames that were decoded and searched for faces.
    #[serde(default)]
    pub decoded_frames: u64,
    /// Decoded frames with at least one face, detected or followed.
    #[serde(default)]
    pub decoded_frames_with_face: u64,
    /// Seconds of work for each second of the clip: below 1 is faster than the clip plays.
    #[serde(default)]
    pub real_time_factor: Option<f64>,
}

impl Timeline {
    /// The timeline as indented JSON with a line feed at the end.
    pub fn to_json(&self) -> String {
        // Serialising to a string fails only for maps whose keys are not strings, and there are none here.
        let mut json = serde_json::to_string_pretty(self).unwrap_or_default();
        json.push('\n');
        json
    }

    /// Reads a timeline back from JSON.
    ///
    /// # Errors
    /// [`Error::Timeline`] when the text is no JSON, has another schema, or holds scores that are no probabilities.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Header {
            schema: String,
        }
        let header: Header = serde_json::from_str(json).map_err(|source| Error::Timeline { source: source.into() })?;
        if header.schema != SCHEMA {
            let reason = format!("expected the schema {SCHEMA:?}, got {:?}", header.schema);
            return Err(Error::Timeline { source: reason.into() });
        }
        serde_json::from_str(json).map_err(|source| Error::Timeline { source: source.into() })
    }

    /// Reads a `timeline.json`.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read, else as [`from_json`](Self::from_json).
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let json = std::fs::read_to_string(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
        Self::from_json(&json)
    }

    /// The track with the most moments, the earlier one on a tie; `None` without a face.
    pub fn main_track(&self) -> Option<&Track> {
        self.tracks.iter().rev().max_by_key(|track| track.moments.len())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use emotion_core::LabelSet;

    use super::*;

    /// A small timeline with face and voice, for the tests of everything that reads one.
    pub(crate) fn sample() -> Timeline {
        let scores = |logits: [f32; 7]| Scores::from_logits(&LabelSet::face7(), &logits).expect("finite logits");
        let happy = scores([0.0, 0.0, 0.0, 3.0, 0.0, 0.0, 1.0]);
        let calm = Scores::new(&LabelSet::speech8(), &[0.0, 0.0, 0.0, 0.25, 0.0, 0.0, 0.25, 0.5]).expect("sums to 1");
        let moment = |frame: u64| Moment {
            time: frame as f64 / 25.0,
            frame,
            bounding_box: [100.0, 80.5, 200.0, 200.0],
            detected: true,
            quality: 0.8,
            scores: happy.clone(),
        };
        let fused = |time: f64| FusedMoment { time, track: Some(1), scores: happy.clone(), disagreement: Some(0.25) };
        Timeline {
            schema: SCHEMA.to_owned(),
            source: Source {
                path: "clip.mp4".to_owned(),
                duration: Some(2.0),
                width: Some(512),
                height: Some(512),
                frame_rate: Some(25.0),
                frames: Some(50),
                audio: Some(SourceAudio { sample_rate: 16_000, duration: Some(2.0) }),
            },
            settings: Settings {
                stride: 10,
                detector: "cascade".to_owned(),
                fer_model: "stub".to_owned(),
                ser_model: "stub".to_owned(),
                fusion: "mean".to_owned(),
                window: 2.0,
                hop: 1.0,
            },
            tracks: vec![Track { id: 1, start: 0.0, end: 1.96, moments: (0..5).map(|n| moment(n * 10 + 9)).collect() }],
            speech: vec![SpeechWindow { start: 0.0, end: 2.0, scores: calm.clone() }],
            fused: (0..5).map(|n| fused(f64::from(n * 10 + 9) / 25.0)).collect(),
            verdict: Verdict {
                face: Some(Opinion::new("vote", happy.clone())),
                voice: Some(Opinion::new("mean", calm)),
                fused: Some(Opinion::new("mean", happy)),
            },
            statistics: Statistics {
                analysed_frames: 5,
                frames_with_face: 5,
                seconds: 1.9,
                peak_rss_mb: Some(700),
                decoded_frames: 50,
                decoded_frames_with_face: 50,
                real_time_factor: Some(0.95),
            },
            notes: Vec::new(),
        }
    }

    #[test]
    fn written_in_the_documented_order_and_read_back() {
        let timeline = sample();
        let json = timeline.to_json();
        let keys = ["schema", "source", "settings", "tracks", "speech", "fused", "verdict", "statistics", "notes"];
        let places: Vec<_> = keys.iter().map(|key| json.find(&format!("\n  \"{key}\":")).expect(key)).collect();
        assert!(places.is_sorted(), "{places:?}");
        let moment = json.find("\"box\"").expect("a box");
        assert!(
            json.find("\"frame\"").expect("a frame") < moment && moment < json.find("\"detected\"").expect("detected")
        );
        assert!(json.contains("\"by\": \"vote\""));

        let back = Timeline::from_json(&json).unwrap();
        assert_eq!((back.tracks.len(), back.speech.len(), back.fused.len()), (1, 1, 5));
        assert_eq!(back.settings, timeline.settings);
        assert_eq!(back.main_track().map(|track| track.id), Some(1));
        assert_eq!(back.verdict.face.unwrap().label, Emotion::Happy);
    }

    #[test]
    fn the_example_of_the_format_is_read() {
        let json = r#"{"schema": "emotion.timeline/1",
            "source": {"path": "clip.wav", "duration": 8.0, "width": null, "height": null, "frame_rate": null,
                       "frames": null, "audio": {"sample_rate": 16000, "duration": 8.0}},
            "settings": {"stride": 10, "detector": "cascade", "fer_model": "a", "ser_model": "b", "fusion": "mean"},
            "tracks": [], "speech": [{"start": 0.0, "end": 2.0, "scores": {"angry": 0.25, "sad": 0.75}}],
            "fused": [{"time": 1.0, "track": null, "scores": {"angry": 0.25, "sad": 0.75}}],
            "verdict": {"face": null, "voice": {"label": "sad", "by": "mean", "scores": {"angry": 0.25, "sad": 0.75}},
                        "fused": null},
            "statistics": {"analysed_frames": 0, "frames_with_face": 0, "seconds": 1.9, "peak_rss_mb": null}}"#;
        let timeline = Timeline::from_json(json).unwrap();
        assert_eq!(timeline.verdict.voice.unwrap().label, Emotion::Sad);
        assert!(timeline.notes.is_empty());
    }

    #[test]
    fn other_schemas_and_broken_scores_are_refused() {
        let json = sample().to_json();
        for (from, to) in [(SCHEMA, "emotion.timeline/9"), ("\"calm\": 0.5", "\"calm\": 1.5"), ("{", "[")] {
            let error = Timeline::from_json(&json.replacen(from, to, 1)).unwrap_err();
            assert!(matches!(error, Error::Timeline { .. }), "{error}");
        }
        assert!(matches!(Timeline::read("no/such/timeline.json"), Err(Error::Io { .. })));
    }
}
