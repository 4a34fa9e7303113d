//! From a file to its timeline: clips made on the spot, stub models and a stub detector, no weights and no data needed.
//!
//! The drawn "face" is a square of one colour, which the stub detector finds by its colour and the stub face model judges
//! by its brightness; the "voice" is a buzz with the pitch and the syllables of speech, judged by its loudness.

#![allow(clippy::unwrap_used, reason = "a failing test may panic, in its helpers too")]

use std::f32::consts::{PI, TAU};
use std::fs;
use std::path::{Path, PathBuf};

use emotion::timeline::Timeline;
use emotion::{AnalysedFrame, Analyzer, AnalyzerBuilder, Error, Fusion};
use emotion_core::{BoxError, Emotion, EmotionModel, LabelSet, Scores};
use face_prep::{BoundingBox, Detection, FaceDetector};
use image::{GrayImage, Rgb, RgbImage};
use tempfile::TempDir;
use video_io::{VideoWriter, VideoWriterConfig};

const RATE: f64 = 25.0;
const SIZE: (u32, u32) = (240, 180);

/// Finds the orange square.
struct SquareDetector;

impl FaceDetector for SquareDetector {
    fn detect(&mut self, image: &RgbImage) -> Result<Vec<Detection>, face_prep::Error> {
        let orange = |pixel: &Rgb<u8>| i32::from(pixel.0[0]) - i32::from(pixel.0[2]) > 60;
        let places: Vec<_> =
            image.enumerate_pixels().filter(|(_, _, pixel)| orange(pixel)).map(|(x, y, _)| (x, y)).collect();
        if places.len() < 100 {
            return Ok(Vec::new());
        }
        let (left, right) = places.iter().fold((u32::MAX, 0), |(low, high), (x, _)| (low.min(*x), high.max(*x)));
        let (top, bottom) = places.iter().fold((u32::MAX, 0), |(low, high), (_, y)| (low.min(*y), high.max(*y)));
        let bbox = BoundingBox::new(left as f32, top as f32, (right - left + 1) as f32, (bottom - top + 1) as f32);
        Ok(vec![Detection { bbox, score: 1.0, landmarks: None }])
    }

    fn name(&self) -> &str {
        "square"
    }
}

/// Bright faces are happy, dark ones sad.
struct BrightnessModel(LabelSet);

impl EmotionModel for BrightnessModel {
    type Input = GrayImage;

    fn labels(&self) -> &LabelSet {
        &self.0
    }

    fn name(&self) -> &str {
        "brightness"
    }

    fn predict_batch(&self, inputs: &[GrayImage]) -> Result<Vec<Scores>, BoxError> {
        let scores = |face: &GrayImage| {
            assert_eq!(face.dimensions(), (48, 48));
            let middle = f32::from(face.get_pixel(24, 24).0[0]) / 255.0;
            Scores::from_weights(&self.0, &[0.0, 0.0, 0.0, middle, 1.0 - middle, 0.0, 0.0])
        };
        Ok(inputs.iter().map(scores).collect::<Result<_, _>>()?)
    }
}

/// Every voice is half angry and half calm.
struct AngryModel(LabelSet);

impl EmotionModel for AngryModel {
    type Input = Vec<f32>;

    fn labels(&self) -> &LabelSet {
        &self.0
    }

    fn name(&self) -> &str {
        "angry"
    }

    fn predict_batch(&self, inputs: &[Vec<f32>]) -> Result<Vec<Scores>, BoxError> {
        let scores = Scores::new(&self.0, &[0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5])?;
        Ok(vec![scores; inputs.len()])
    }
}

fn builder() -> AnalyzerBuilder {
    Analyzer::builder()
        .detector(SquareDetector)
        .face_model(BrightnessModel(LabelSet::face7()))
        .speech_model(AngryModel(LabelSet::speech8()))
}

fn analyzer() -> Analyzer {
    builder().build().unwrap()
}

/// A frame with a bright square that wanders, or without one.
fn picture(index: u32, face: bool) -> RgbImage {
    let (width, height) = SIZE;
    RgbImage::from_fn(width, height, |x, y| {
        let inside = face && (60 + index / 2..140 + index / 2).contains(&x) && (50..130).contains(&y);
        // Some texture, so that trackers have something to hold on to.
        let grain = ((x * 7 + y * 13) % 16) as u8;
        Rgb(if inside { [224 + grain, 200 + grain, 90] } else { [60 + grain, 70 + grain, 80 + grain] })
    })
}

/// A buzz with a gliding pitch, in four syllables a second: what the speech gate takes for a voice.
fn voice(seconds: f32) -> Vec<f32> {
    let mut phase = 0.0f32;
    (0..(seconds * 16_000.0) as usize)
        .map(|n| {
            let time = n as f32 / 16_000.0;
            phase += (140.0 + 30.0 * (time * 5.0).sin()) / 16_000.0;
            let wave: f32 = (1..8).map(|k| (phase * k as f32 * TAU).sin() / k as f32).sum();
            0.15 * wave * (time * 4.0 * PI).sin().powi(2)
        })
        .collect()
}

fn write_wav(path: &Path, samples: &[f32]) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for sample in samples {
        writer.write_sample((sample * 32_767.0) as i16).unwrap();
    }
    writer.finalize().unwrap();
}

/// A folder with clips.
struct Clips(TempDir);

impl Clips {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A clip of so many frames, all with or without a face, with this sound if any.
    fn video(&self, name: &str, frames: u32, face: bool, sound: Option<&[f32]>) -> PathBuf {
        self.video_of(name, frames, |_| face, sound)
    }

    /// A clip of so many frames, with a face where `face` says so.
    fn video_of(&self, name: &str, frames: u32, face: impl Fn(u32) -> bool, sound: Option<&[f32]>) -> PathBuf {
        let audio_from = sound.map(|samples| {
            let path = self.path(&format!("{name}.wav"));
            write_wav(&path, samples);
            path
        });
        let path = self.path(name);
        let (width, height) = SIZE;
        let config = VideoWriterConfig { width, height, frame_rate: RATE, audio_from, ..VideoWriterConfig::default() };
        let mut writer = VideoWriter::create(&path, config).unwrap();
        for index in 0..frames {
            writer.write(&picture(index, face(index)), f64::from(index) / RATE).unwrap();
        }
        writer.finish().unwrap();
        path
    }

    fn out(&self) -> PathBuf {
        self.path("out")
    }

    /// The names in the output folder, sorted.
    fn outputs(&self) -> Vec<String> {
        let entries = fs::read_dir(self.out()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn note(timeline: &Timeline, text: &str) {
    assert!(timeline.notes.iter().any(|note| note.contains(text)), "no {text:?} in {:?}", timeline.notes);
}

#[test]
fn a_clip_with_face_and_voice_gives_all_outputs() {
    let clips = Clips::new();
    let clip = clips.video("clip.mp4", 50, true, Some(&voice(2.0)));
    let timeline = analyzer().analyze_to(&clip, clips.out()).unwrap();

    assert_eq!(
        (timeline.source.width, timeline.source.height, timeline.source.frames),
        (Some(240), Some(180), Some(50))
    );
    assert_eq!(timeline.tracks.len(), 1);
    let track = &timeline.tracks[0];
    assert_eq!((track.id, track.start), (1, 0.0));
    assert!((track.end - 49.0 / RATE).abs() < 1e-3, "{}", track.end);
    // Frame n, counted from 1, is analysed when n mod 10 = 0.
    let frames: Vec<_> = track.moments.iter().map(|moment| moment.frame).collect();
    assert_eq!(frames, [9, 19, 29, 39, 49]);
    assert!((track.moments[0].time - 0.36).abs() < 1e-3);
    let [x, _, width, _] = track.moments[4].bounding_box;
    assert!((x - 84.0).abs() < 8.0 && (width - 80.0).abs() < 12.0, "{x} {width}");

    assert!(!timeline.speech.is_empty());
    let verdict = &timeline.verdict;
    let face = verdict.face.as_ref().unwrap();
    assert_eq!((face.label, face.by.as_str(), face.scores.get(Emotion::Happy)), (Emotion::Happy, "vote", 1.0));
    // Half angry and half calm, which folds into neutral: with the face's 1.0 for happy, the mean is half happy.
    let fused = verdict.fused.as_ref().unwrap();
    assert_eq!((fused.label, fused.by.as_str()), (Emotion::Happy, "mean"));
    for (emotion, share) in [(Emotion::Happy, 0.5), (Emotion::Angry, 0.25), (Emotion::Neutral, 0.25)] {
        assert!((fused.scores.get(emotion) - share).abs() < 1e-5, "{emotion}");
    }
    assert_eq!(timeline.fused.len(), 5);
    assert!(timeline.fused.iter().all(|moment| moment.track == Some(1) && moment.disagreement > Some(0.5)));
    let statistics = &timeline.statistics;
    assert_eq!((statistics.analysed_frames, statistics.frames_with_face, statistics.decoded_frames), (5, 5, 50));
    assert!(statistics.seconds > 0.0 && statistics.real_time_factor.is_some());
    assert!(timeline.notes.is_empty(), "{:?}", timeline.notes);

    assert_eq!(clips.outputs(), ["annotated.mp4", "chart.png", "timeline.csv", "timeline.json"]);
    let back = Timeline::read(clips.out().join("timeline.json")).unwrap();
    assert_eq!(back.tracks[0].moments.len(), 5);
    let annotated = video_io::probe(clips.out().join("annotated.mp4")).unwrap();
    assert!(annotated.audio.is_some(), "the sound is kept");
    assert_eq!(annotated.video.unwrap().frames, Some(50));
    let table = fs::read_to_string(clips.out().join("timeline.csv")).unwrap();
    assert_eq!(table.lines().count(), 1 + 5 + timeline.speech.len() + 5);
}

#[test]
fn every_frame_is_analysed_with_a_stride_of_one() {
    let clips = Clips::new();
    let clip = clips.video("clip.mp4", 40, true, None);
    let mut frames = Vec::new();
    let mut sink = |frame: AnalysedFrame| {
        frames.push((frame.frame.index, frame.faces.len(), frame.faces[0].scores.is_some(), frame.fused.is_some()));
        Ok(())
    };
    let timeline = builder().stride(1).build().unwrap().analyze_with(&clip, &mut sink).unwrap();
    assert_eq!(timeline.tracks.len(), 1);
    assert_eq!(timeline.tracks[0].moments.len(), 40);
    assert_eq!(frames, (0..40).map(|index| (index, 1, true, true)).collect::<Vec<_>>());
    note(&timeline, "The file has no sound: the face stands alone.");
    assert_eq!(timeline.verdict.voice, None);
    assert_eq!(timeline.verdict.fused.unwrap().label, Emotion::Happy);
}

#[test]
fn sound_alone_is_read_by_the_voice() {
    let clips = Clips::new();
    let clip = clips.path("speech.wav");
    write_wav(&clip, &voice(3.0));
    let timeline = analyzer().analyze_to(&clip, clips.out()).unwrap();
    assert_eq!((timeline.source.width, timeline.source.frames), (None, None));
    assert_eq!(timeline.source.audio.as_ref().unwrap().sample_rate, 16_000);
    note(&timeline, "The file has no pictures: the voice stands alone.");
    assert!(timeline.tracks.is_empty() && timeline.verdict.face.is_none());
    assert_eq!(timeline.verdict.voice.as_ref().unwrap().scores.get(Emotion::Calm), 0.5);
    assert_eq!(timeline.fused.len(), timeline.speech.len());
    assert!(timeline.fused.iter().all(|moment| moment.track.is_none()));
    assert_eq!(clips.outputs(), ["chart.png", "timeline.csv", "timeline.json"]);
}

#[test]
fn a_still_picture_is_a_video_of_one_frame() {
    let clips = Clips::new();
    let clip = clips.path("portrait.jpg");
    picture(0, true).save(&clip).unwrap();
    let timeline = analyzer().analyze_to(&clip, clips.out()).unwrap();
    assert_eq!(timeline.statistics.analysed_frames, 1);
    assert_eq!(timeline.tracks[0].moments.len(), 1);
    assert_eq!(timeline.verdict.face.unwrap().label, Emotion::Happy);
    assert_eq!(timeline.notes, ["The file has no sound: the face stands alone."]);
    assert_eq!(clips.outputs(), ["annotated.png", "chart.png", "timeline.csv", "timeline.json"]);
}

#[test]
fn a_silent_sound_track_is_named_as_such() {
    let clips = Clips::new();
    let clip = clips.video("silent.mp4", 30, true, Some(&[0.0; 19_200]));
    let timeline = analyzer().analyze(&clip).unwrap();
    note(&timeline, "s of sound are silent: the face stands alone.");
    assert!(timeline.source.audio.is_some() && timeline.speech.is_empty());
    assert_eq!(timeline.verdict.fused.unwrap().label, Emotion::Happy);
}

#[test]
fn without_a_face_the_voice_stands_alone() {
    let clips = Clips::new();
    let clip = clips.video("nobody.mp4", 50, false, Some(&voice(2.0)));
    let timeline = analyzer().analyze_to(&clip, clips.out()).unwrap();
    note(&timeline, "No face in 5 analysed frames (square detector): the voice stands alone.");
    assert_eq!(timeline.statistics.frames_with_face, 0);
    assert!(timeline.verdict.face.is_none());
    let fused = timeline.verdict.fused.unwrap();
    assert_eq!((fused.scores.get(Emotion::Angry), fused.scores.get(Emotion::Neutral)), (0.5, 0.5));
    assert_eq!(clips.outputs(), ["annotated.mp4", "chart.png", "timeline.csv", "timeline.json"]);
}

#[test]
fn where_the_face_is_gone_the_voice_goes_on_alone() {
    let clips = Clips::new();
    let clip = clips.video_of("leaves.mp4", 125, |index| index < 50, Some(&voice(5.0)));
    let timeline = analyzer().analyze(&clip).unwrap();
    assert_eq!(timeline.tracks.len(), 1);
    assert!(timeline.tracks[0].end < 2.5, "{}", timeline.tracks[0].end);
    assert_eq!(timeline.statistics.analysed_frames, 12);
    let alone: Vec<_> = timeline.fused.iter().filter(|moment| moment.track.is_none()).collect();
    assert!(!alone.is_empty() && alone.iter().all(|moment| moment.time > 2.0), "{alone:?}");
    assert!(alone.iter().all(|moment| moment.disagreement.is_none() && moment.scores.get(Emotion::Angry) == 0.5));
    assert!(timeline.fused.is_sorted_by_key(|moment| moment.time), "in order of time");
    assert!(timeline.notes.is_empty(), "{:?}", timeline.notes);
}

#[test]
fn neither_face_nor_voice_is_an_error_that_says_what_was_looked_for() {
    let clips = Clips::new();
    let silent = clips.video("nothing.mp4", 30, false, Some(&[0.0; 19_200]));
    let error = analyzer().analyze_to(&silent, clips.out()).unwrap_err();
    assert!(matches!(error, Error::NothingFound { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("nothing.mp4") && text.contains("no face in 3 analysed frames (square detector)"), "{text}");
    assert!(text.contains("s of sound are silent"), "{text}");
    assert!(!clips.out().exists(), "nothing is left behind");

    analyzer().analyze_to(&silent, clips.out().join("deep/down")).unwrap_err();
    assert!(!clips.out().exists(), "nor any of the folders above");
}

#[test]
fn a_clip_shorter_than_the_stride_has_its_last_frame_analysed() {
    let clips = Clips::new();
    let clip = clips.video("short.mp4", 4, true, None);
    let timeline = analyzer().analyze(&clip).unwrap();
    assert_eq!(timeline.tracks[0].moments.iter().map(|moment| moment.frame).collect::<Vec<_>>(), [3]);
    note(&timeline, "shorter than the stride of 10 frames");
}

#[test]
fn broken_files_give_one_error_that_names_them_and_leave_nothing() {
    let clips = Clips::new();
    let whole = fs::read(clips.video("whole.mp4", 50, true, Some(&voice(2.0)))).unwrap();
    // The index of these files stands in front: cut in the middle of it, nothing can be read.
    fs::write(clips.path("headless.mp4"), &whole[..400]).unwrap();
    fs::write(clips.path("text.mp4"), "This is no video.\n".repeat(50)).unwrap();
    fs::write(clips.path("empty.mp4"), []).unwrap();
    fs::create_dir(clips.path("folder.mp4")).unwrap();
    for name in ["headless.mp4", "text.mp4", "empty.mp4", "folder.mp4", "missing.mp4"] {
        let error = analyzer().analyze_to(clips.path(name), clips.out()).unwrap_err();
        assert!(matches!(error, Error::Media { .. }), "{name}: {error:?}");
        assert!(error.to_string().contains(name), "{name}: {error}");
        assert!(!clips.out().exists(), "{name} left something behind");
    }
}

#[test]
fn a_file_that_is_cut_short_is_read_as_far_as_it_goes() {
    let clips = Clips::new();
    let whole = fs::read(clips.video("whole.mp4", 100, true, Some(&voice(4.0)))).unwrap();
    let cut = clips.path("cut.mp4");
    fs::write(&cut, &whole[..whole.len() * 6 / 10]).unwrap();
    let timeline = analyzer().analyze_to(&cut, clips.out()).unwrap();
    assert!((1..10).contains(&timeline.statistics.analysed_frames), "{:?}", timeline.statistics);
    note(&timeline, "The file is cut short");
    assert_eq!(clips.outputs(), ["annotated.mp4", "chart.png", "timeline.csv", "timeline.json"]);
}

#[test]
fn a_failure_on_the_way_leaves_nothing_behind() {
    struct Failing(LabelSet);
    impl EmotionModel for Failing {
        type Input = GrayImage;
        fn labels(&self) -> &LabelSet {
            &self.0
        }
        fn name(&self) -> &str {
            "failing"
        }
        fn predict_batch(&self, _: &[GrayImage]) -> Result<Vec<Scores>, BoxError> {
            Err("out of order".into())
        }
    }
    let clips = Clips::new();
    let clip = clips.video("clip.mp4", 50, true, None);
    let mut analyzer = builder().face_model(Failing(LabelSet::face7())).build().unwrap();
    let error = analyzer.analyze_to(&clip, clips.out()).unwrap_err();
    assert!(matches!(&error, Error::Model { what, .. } if what.contains("failing")), "{error:?}");
    assert!(!clips.out().exists());

    // A folder that was there before stays, and stays empty.
    fs::create_dir(clips.out()).unwrap();
    analyzer.analyze_to(&clip, clips.out()).unwrap_err();
    assert!(clips.outputs().is_empty());
}

#[test]
fn outputs_that_cannot_be_written_are_named() {
    let clips = Clips::new();
    let clip = clips.video("clip.mp4", 20, true, None);
    fs::write(clips.out(), "a file where the folder should be").unwrap();
    let error = analyzer().analyze_to(&clip, clips.out()).unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if *path == clips.out()), "{error:?}");
}

#[test]
fn settings_out_of_range_are_refused() {
    let refused = |builder: AnalyzerBuilder, name: &str| match builder.build() {
        Err(Error::InvalidConfig { field, .. }) => assert_eq!(field, name),
        other => panic!("{name}: {other:?}"),
    };
    refused(builder().stride(0), "stride");
    refused(builder().window(0.1, 0.1), "window");
    refused(builder().window(2.0, 3.0), "hop");
    refused(builder().window(f64::NAN, 1.0), "window");
    assert!(matches!(builder().fusion(Fusion::Weighted { face: 2.0 }).build(), Err(Error::Fusion { .. })));
}

#[test]
fn every_fusion_and_one_analyser_serve_many_clips() {
    let clips = Clips::new();
    let clip = clips.video("clip.mp4", 30, true, Some(&voice(1.2)));
    for fusion in [Fusion::Mean, Fusion::Weighted { face: 0.8 }, Fusion::Quality, Fusion::Product, Fusion::Max] {
        let mut analyzer = builder().fusion(fusion).build().unwrap();
        let first = analyzer.analyze(&clip).unwrap();
        let second = analyzer.analyze(&clip).unwrap();
        assert_eq!(first.settings.fusion, fusion.to_string());
        assert_eq!((&first.tracks, &first.fused), (&second.tracks, &second.fused), "{fusion}");
        assert_eq!(first.verdict.fused.unwrap().by, fusion.to_string());
    }
}

/// The astronaut (NASA's public-domain portrait of Eileen Collins), moved a little from frame to frame.
fn portrait(index: u32) -> RgbImage {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../face-prep/tests/data/opencv-4.14.0/astronaut.png");
    let portrait = image::open(path).unwrap().to_rgb8();
    let (width, height) = (portrait.width() - 16, portrait.height() - 16);
    image::imageops::crop_imm(&portrait, index % 16, index / 2 % 16, width, height).to_image()
}

#[test]
fn a_real_face_is_found_followed_and_read_by_the_shipped_models() {
    let clips = Clips::new();
    write_wav(&clips.path("voice.wav"), &voice(2.0));
    let (width, height) = portrait(0).dimensions();
    let audio_from = Some(clips.path("voice.wav"));
    let config = VideoWriterConfig { width, height, frame_rate: RATE, audio_from, ..VideoWriterConfig::default() };
    let mut writer = VideoWriter::create(clips.path("clip.mp4"), config).unwrap();
    for index in 0..50 {
        writer.write(&portrait(index), f64::from(index) / RATE).unwrap();
    }
    writer.finish().unwrap();

    let mut analyzer = Analyzer::builder().stride(5).threads(1).build().unwrap();
    let timeline = analyzer.analyze_to(clips.path("clip.mp4"), clips.out()).unwrap();
    assert_eq!(timeline.tracks.len(), 1);
    assert_eq!(timeline.tracks[0].moments.len(), 10);
    assert!(timeline.statistics.decoded_frames_with_face >= 49, "{:?}", timeline.statistics);
    assert!(timeline.tracks[0].moments.iter().all(|moment| moment.quality > 0.0));
    assert!(!timeline.speech.is_empty());
    assert!(timeline.verdict.face.is_some() && timeline.verdict.voice.is_some() && timeline.verdict.fused.is_some());
    assert_eq!(timeline.settings.detector, "cascade");
    assert_eq!(clips.outputs(), ["annotated.mp4", "chart.png", "timeline.csv", "timeline.json"]);

    portrait(0).save(clips.path("portrait.png")).unwrap();
    let timeline = analyzer.analyze(clips.path("portrait.png")).unwrap();
    assert_eq!(timeline.tracks.len(), 1, "one sight of a face is enough in a still picture");
}

/// Real clips, where `EMOTION_DATA` names a folder that holds `video/talking_head.mp4` and its neighbours.
#[test]
fn real_clips_are_read_as_expected() {
    let Some(data) = std::env::var_os("EMOTION_DATA") else {
        println!("skipped: EMOTION_DATA is not set");
        return;
    };
    let clip = |name| PathBuf::from(&data).join("video").join(name);
    let mut analyzer = Analyzer::builder().build().unwrap();

    let timeline = analyzer.analyze(clip("talking_head.mp4")).unwrap();
    let statistics = &timeline.statistics;
    assert_eq!((timeline.tracks.len(), statistics.decoded_frames), (1, 200));
    assert!(statistics.decoded_frames_with_face >= 198, "{statistics:?}");
    assert_eq!(timeline.tracks[0].moments.len(), 20);
    assert_eq!(timeline.speech.len(), 7);

    let timeline = analyzer.analyze(clip("no_face.mp4")).unwrap();
    assert!(timeline.tracks.is_empty() && timeline.verdict.face.is_none());
    note(&timeline, "the voice stands alone");
}

#[test]
fn progress_runs_through_both_stages() {
    let clips = Clips::new();
    let clip = clips.video("clip.mp4", 30, true, Some(&voice(1.2)));
    let (sender, receiver) = std::sync::mpsc::channel();
    let mut analyzer = builder().progress(move |progress| sender.send(progress).unwrap()).build().unwrap();
    analyzer.analyze(&clip).unwrap();
    drop(analyzer);
    let stages: Vec<_> = receiver.iter().collect();
    assert_eq!(stages.first().unwrap().stage, emotion::Stage::Sound);
    let last = stages.last().unwrap();
    assert_eq!((last.stage, last.frames), (emotion::Stage::Video, 30));
    assert!((last.seconds - 29.0 / RATE).abs() < 1e-3);
}
