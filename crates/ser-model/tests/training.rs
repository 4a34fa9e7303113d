//! From a folder of sound files to a model that answers, for every network.

#![allow(clippy::unwrap_used, reason = "what cannot be read fails the test")]

use std::f32::consts::TAU;
use std::path::Path;
use std::sync::Arc;

use emotion_core::{Emotion, LabelSet};
use hound::{SampleFormat, WavSpec, WavWriter};
use model_kit::device::Device;
use model_kit::weights::Weights;
use ser_model::arch::Architecture;
use ser_model::cache::Cache;
use ser_model::corpus::{Corpus, held_out};
use ser_model::dataset::{Sound, decode};
use ser_model::prepared::Progress;
use ser_model::train::{Recipe, Run, answers, train, train_leaky};
use ser_model::{SAMPLE_RATE, SerModel};

/// Writes syllables of a voice at this pitch, in stereo at 22,050 Hz between half seconds of silence.
fn write_voice(path: &Path, pitch: f32) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let spec = WavSpec { channels: 2, sample_rate: 22_050, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let mut file = WavWriter::create(path, spec).unwrap();
    for index in 0..44_100 {
        let time = index as f32 / 22_050.0 - 0.5;
        let wave: f32 = (1..10).map(|k| (time * pitch * k as f32 * TAU).sin() / k as f32).sum();
        let loud = if (0.0..1.0).contains(&time) { 0.2 * (time * 9.0).sin().powi(2) } else { 0.0 };
        let sample = (wave * loud * 32_767.0) as i16;
        file.write_sample(sample).unwrap();
        file.write_sample(sample).unwrap();
    }
    file.finalize().unwrap();
}

/// Two emotions, two speakers, told apart by pitch.
fn corpus(root: &Path) -> (Vec<Sound>, Vec<Sound>) {
    for (emotion, pitch) in [("happy", 240.0), ("sad", 110.0)] {
        for speaker in ["anna", "ben"] {
            for take in 0..3 {
                let path = root.join(format!("{emotion}/{speaker}/{take}.wav"));
                write_voice(&path, pitch + 5.0 * take as f32);
            }
        }
    }
    std::fs::write(root.join("sad/anna/broken.wav"), b"RIFF").unwrap();
    let scan = Corpus::Folders.scan(root).unwrap();
    assert_eq!(scan.clips.len(), 13);
    let (training, validation) = held_out(scan.clips, Corpus::Folders, &["ben".into()]);
    let cache = Cache::in_memory();
    let (sounds, skipped) = decode(&training, 35.0, &cache, &|| ());
    assert_eq!((sounds.len(), skipped.len()), (6, 1));
    assert!(skipped[0].reason.contains("broken.wav"), "{}", skipped[0].reason);
    // Mono at 16 kHz, with the silence gone.
    assert!(sounds.iter().all(|sound| (14_000..19_000).contains(&sound.samples.len())));
    (sounds, decode(&validation, 35.0, &cache, &|| ()).0)
}

fn recipe(architecture: Architecture) -> Recipe {
    let mut recipe = Recipe { steps_per_epoch: 4, seconds: 1.0, copies: 1, ..Recipe::of(architecture) };
    recipe.train.batch_size = 4;
    recipe.train.epochs = 2;
    recipe.train.seed = 7;
    recipe
}

fn run(folder: &Path) -> Run {
    Run {
        name: "test".into(),
        device: Device::Cpu,
        loader_threads: 1,
        folder: folder.into(),
        resume: true,
        start_from: None,
        temperature: 1.0,
        cache: Arc::new(Cache::in_memory()),
        progress: Progress::default(),
    }
}

#[test]
fn every_network_trains_reproduces_and_loads() {
    model_kit::device::set_threads(1).unwrap();
    let root = tempfile::tempdir().unwrap();
    let (training, validation) = corpus(&root.path().join("data"));
    for architecture in Architecture::ALL {
        let folder = |name: &str| root.path().join(format!("{architecture}-{name}"));
        let recipe = recipe(architecture);
        let trained = train(&recipe, &run(&folder("a")), &training, &validation, &mut []).unwrap();
        assert_eq!(trained.report.history.len(), 2, "{architecture}");
        assert!(trained.model.config().temperature > 0.0);
        let (truth, scores) = answers(&trained.model, &validation).unwrap();
        assert_eq!((truth.len(), scores.len()), (6, 6), "{architecture}");

        train(&recipe, &run(&folder("b")), &training, &validation, &mut []).unwrap();
        let bytes = |name: &str| std::fs::read(folder(name).join("model.safetensors")).unwrap();
        assert!(bytes("a") == bytes("b"), "{architecture}: the same seed gave other weights");

        let loaded = SerModel::load(folder("a").join("model.safetensors")).unwrap();
        assert_eq!(loaded.config(), trained.model.config());
        let sound = &validation[0].samples;
        let predict = |model: &SerModel| model.predict(sound, SAMPLE_RATE).unwrap();
        assert_eq!(predict(&loaded), predict(&trained.model), "{architecture}");
    }
}

#[test]
fn a_training_starts_from_another_model() {
    model_kit::device::set_threads(1).unwrap();
    let root = tempfile::tempdir().unwrap();
    let (training, _) = corpus(&root.path().join("data"));
    let weights = |name: &str| Weights::open(&root.path().join(name).join("model.safetensors")).unwrap().tensors;
    for (architecture, last) in [(Architecture::MaskedCnn, "network.output."), (Architecture::Mlp, "output.")] {
        let [first, same, other] = ["first", "same", "other"].map(|name| format!("{architecture}-{name}"));
        let recipe = recipe(architecture);
        train(&recipe, &run(&root.path().join(&first)), &training, &[], &mut []).unwrap();

        // Steps too small to be seen: what the training starts from is what it ends with, but for the statistics of the norms.
        let mut still = recipe.clone();
        (still.train.learning_rate, still.train.seed) = (1e-12, 8);
        let start_from = Some(root.path().join(&first).join("model.safetensors"));
        let started = |name: &str| Run { start_from: start_from.clone(), ..run(&root.path().join(name)) };
        train(&still, &started(&same), &training, &[], &mut []).unwrap();
        still.labels = LabelSet::new(&[Emotion::Sad, Emotion::Happy]).unwrap();
        train(&still, &started(&other), &training, &[], &mut []).unwrap();
        for (name, tensor) in weights(&first).iter().filter(|(name, _)| !name.contains("running")) {
            assert_eq!(tensor, &weights(&same)[name], "{architecture}: {name}");
            let kept = tensor.size() == weights(&other)[name].size() && tensor == &weights(&other)[name];
            assert_eq!(kept, !name.starts_with(last), "{architecture}: {name}");
        }

        let another = self::recipe(Architecture::LogMelCnn);
        let error = train(&another, &started("another"), &training, &[], &mut []).unwrap_err().to_string();
        assert!(error.contains(&format!("{architecture} instead of LogMelCnn")), "{error}");
    }
}

#[test]
fn the_leaky_procedure_says_what_leaks() {
    model_kit::device::set_threads(1).unwrap();
    let root = tempfile::tempdir().unwrap();
    let (training, _) = corpus(&root.path().join("data"));
    let recipe = Recipe { copies: 2, ..recipe(Architecture::Mlp) };
    let leaky = train_leaky(&recipe, &run(&root.path().join("leaky")), &training, 0.34, &mut []).unwrap();
    // Six clips, three versions each, a third of the 18 held out: of most of them another version was heard.
    assert_eq!((leaky.confusion.samples(), leaky.report.history.len()), (6, 2));
    let leaked = leaky.audit.exact.across.iter().find(|crossing| crossing.split == "test").unwrap();
    assert!(leaked.samples >= 4, "{leaked:?}");
    assert!(train_leaky(&self::recipe(Architecture::LogMelCnn), &run(root.path()), &training, 0.2, &mut []).is_err());

    // Without clips to watch, the plateaus are those of the training loss.
    let trained = train(&recipe, &run(&root.path().join("unwatched")), &training, &[], &mut []).unwrap();
    assert!(trained.report.history.iter().all(|record| record.validation.is_none()));
}

#[test]
fn settings_that_cannot_work_are_errors() {
    let root = tempfile::tempdir().unwrap();
    let (training, _) = corpus(&root.path().join("data"));
    let unheard = Recipe { shares: vec![], ..recipe(Architecture::LogMelCnn) };
    assert!(train(&unheard, &run(root.path()), &training, &[], &mut []).is_err());
    let mut odd = recipe(Architecture::LogMelCnn);
    odd.log_mel.n_mels = 10;
    assert!(train(&odd, &run(root.path()), &training, &[], &mut []).is_err());
    assert!(SerModel::load(root.path().join("none.safetensors")).is_err());
}
