//! A tiny network learns made-up pictures, a cut training resumes to the same bits, and the result becomes a model file.

#![allow(clippy::unwrap_used, reason = "a failed step of a test's preparation fails the test")]

use std::path::Path;

use emotion_core::{BoxError, EmotionModel, LabelSet};
use face_prep::augment::AugmentConfig;
use fer_model::arch::{Arch, CompactConfig};
use fer_model::dataset::{FaceSet, PIXELS, SIDE};
use fer_model::train::{Recipe, Run, balanced_weights, export, train, train_fold};
use fer_model::{Error, FerModel};
use model_kit::callback::{Callback, Flow, StepInfo};
use model_kit::cross_validation::Round;
use model_kit::data::mix_seed;
use model_kit::device::set_threads;
use model_kit::loss::Distillation;
use model_kit::split::stratified_k_fold;
use model_kit::trainer::{Report, TrainConfig};
use model_kit::weights::Weights;

/// Stripes in one of seven directions, one for each class, of a random phase and under noise.
fn stripes(count: usize, seed: u64) -> FaceSet {
    let mut set = FaceSet::new(LabelSet::face7());
    for index in 0..count {
        let class = index % 7;
        let draw = |number: u64| mix_seed(seed, &[index as u64, number]);
        let (sin, cos) = (class as f32 * std::f32::consts::PI / 7.0).sin_cos();
        let phase = (draw(0) % 8) as f32;
        let pixels: Vec<u8> = (0..PIXELS)
            .map(|place| {
                let along = (place % SIDE) as f32 * cos + (place / SIDE) as f32 * sin;
                let wave = ((along + phase) * 0.8).sin();
                (wave * 60.0 + 100.0 + (draw(place as u64 + 9) % 60) as f32) as u8
            })
            .collect();
        set.push(&pixels, class).unwrap();
    }
    set
}

fn recipe() -> Recipe {
    Recipe {
        arch: Arch::Compact(CompactConfig { widths: [8, 16, 16, 32], ..CompactConfig::default() }),
        augment: AugmentConfig { shift: 0.04, brightness: 0.05, contrast: 0.05, ..AugmentConfig::none() },
        train: TrainConfig {
            epochs: 6,
            batch_size: 32,
            mixup: 0.0,
            ema_decay: 0.9,
            seed: 3,
            ..Recipe::default().train
        },
    }
}

/// Stops after a step of an epoch, once.
struct StopAt(usize, u64);

impl Callback for StopAt {
    fn on_step(&mut self, step: &StepInfo) -> Result<Flow, BoxError> {
        Ok(if (step.epoch, step.step) == (self.0, self.1) { Flow::Stop } else { Flow::Continue })
    }
}

fn run(folder: &Path, sets: [&FaceSet; 2], stop: StopAt) -> Report {
    let run = Run { loader_threads: 1, folder: Some(folder.to_owned()), resume: true, ..Run::default() };
    let mut stop = stop;
    train(&recipe(), &run, sets[0], sets[1], &mut [&mut stop]).unwrap()
}

#[test]
fn learns_resumes_and_becomes_a_model() {
    set_threads(1).unwrap();
    let (learn, choose) = (stripes(448, 1), stripes(140, 2));
    let sets = [&learn, &choose];
    let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let report = run(whole.path(), sets, StopAt(0, 0));
    let best = report.best.unwrap();
    assert!(best.score.accuracy > 0.9, "{:?}", report.history);

    assert!(!run(cut.path(), sets, StopAt(2, 7)).complete);
    assert!(run(cut.path(), sets, StopAt(0, 0)).complete);
    let [first, second] = [&whole, &cut].map(|folder| Weights::open(&folder.path().join("last.safetensors")).unwrap());
    for (name, tensor) in &first.tensors {
        assert_eq!(tensor, &second.tensors[name], "{name} differs");
    }

    let file = whole.path().join("model.safetensors");
    let config = export(&recipe(), &report, sets, &whole.path().join("best.safetensors"), "tiny 1", &file).unwrap();
    let model = FerModel::load(&file).unwrap();
    assert_eq!((EmotionModel::name(&model), model.config()), ("tiny 1", &config));
    assert_eq!(config.training.as_ref().unwrap().epoch, best.epoch);
    let pictures: Vec<_> = (0..choose.len()).map(|index| choose.image(index)).collect();
    let scores = model.predict_batch(&pictures).unwrap();
    let right = scores.iter().enumerate().filter(|(index, scores)| scores.top().0 == choose.emotion(*index)).count();
    let accuracy = right as f64 / choose.len() as f64;
    assert!((accuracy - best.score.accuracy).abs() < 0.02, "{accuracy} after export, {} before", best.score.accuracy);

    // All but the last layer of another network of the same make is something to start from.
    let mut still = recipe();
    (still.train.epochs, still.train.learning_rate, still.train.ema_decay) = (1, 1e-12, 0.0);
    let onwards = tempfile::tempdir().unwrap();
    let start = Run { backbone: Some(file.clone()), folder: Some(onwards.path().to_owned()), ..Run::default() };
    train(&still, &start, &learn, &choose, &mut []).unwrap();
    let (own, started) =
        (Weights::open(&file).unwrap(), Weights::open(&onwards.path().join("best.safetensors")).unwrap());
    let apart = |name: &str| (&own.tensors[name] - &started.tensors[name]).abs().max().double_value(&[]);
    assert!(apart("stem.conv.weight") < 1e-6 && apart("head.weight") > 1e-3);

    // The model teaches another one, from pictures whose own labels are no help.
    let mut unlabelled = FaceSet::new(LabelSet::face7());
    for index in 0..learn.len() {
        unlabelled.push_soft(learn.pixels(index), &[1.0 / 7.0; 7]).unwrap();
    }
    let taught = Run { teacher: Some(file.clone()), ..Run::default() };
    let mut pupil = recipe();
    assert!(matches!(train(&pupil, &taught, &unlabelled, &choose, &mut []), Err(Error::Model { .. })));
    pupil.train.distillation = Some(Distillation { temperature: 2.0, alpha: 1.0 });
    let report = train(&pupil, &taught, &unlabelled, &choose, &mut []).unwrap();
    assert!(report.best.unwrap().score.accuracy > 0.8, "{:?}", report.history);
    let mut eight = FaceSet::new(LabelSet::ferplus8());
    (0..14).for_each(|index| eight.push(learn.pixels(index), index % 8).unwrap());
    assert!(matches!(
        train(&pupil, &taught, &eight, &eight, &mut []),
        Err(Error::InvalidInput { what: "teacher", .. })
    ));
}

#[test]
fn pictures_that_lie_on_the_device_teach_as_well_and_resume_to_the_same_bits() {
    set_threads(1).unwrap();
    let (learn, choose) = (stripes(448, 1), stripes(140, 2));
    let mut recipe = recipe();
    recipe.augment = AugmentConfig { rotation: 4.0, noise: 0.3, erasing: 0.2, ..recipe.augment };
    let run = |folder: &Path, loader_threads, stop: StopAt| {
        let folder = Some(folder.to_owned());
        let run = Run { resident: true, loader_threads, folder, resume: true, ..Run::default() };
        let mut stop = stop;
        train(&recipe, &run, &learn, &choose, &mut [&mut stop]).unwrap()
    };
    let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let report = run(whole.path(), 0, StopAt(0, 0));
    assert!(report.best.unwrap().score.accuracy > 0.8, "{:?}", report.history);
    assert!(!run(cut.path(), 1, StopAt(2, 7)).complete);
    assert!(run(cut.path(), 2, StopAt(0, 0)).complete);
    let [first, second] = [&whole, &cut].map(|folder| Weights::open(&folder.path().join("last.safetensors")).unwrap());
    for (name, tensor) in &first.tensors {
        assert_eq!(tensor, &second.tensors[name], "{name} differs");
    }

    let mut blurred = recipe.clone();
    blurred.augment.blur = 0.1;
    let resident = Run { resident: true, ..Run::default() };
    let refused = train(&blurred, &resident, &learn, &choose, &mut []);
    assert!(matches!(refused, Err(Error::InvalidConfig { field: "blur", .. })));
}

#[test]
fn a_fold_is_measured_on_the_pictures_left_out_and_resumes() {
    set_threads(1).unwrap();
    let faces = stripes(140, 9);
    let classes: Vec<usize> = (0..faces.len()).map(|index| faces.class(index)).collect();
    let folder = tempfile::tempdir().unwrap();
    let run = Run { folder: Some(folder.path().to_owned()), resume: true, ..Run::default() };
    let mut recipe = recipe();
    recipe.train.epochs = 2;
    for (number, fold) in stratified_k_fold(&classes, 2, 1).unwrap().into_iter().enumerate() {
        let round = Round::choosing(fold, &classes, 0.2, 1).unwrap();
        let score = |run: &Run| train_fold(&recipe, run, &faces, (number, &round), &mut []).unwrap().score;
        // The second call finds a finished training and measures its best epoch again, and so does the third.
        assert_eq!(score(&run), score(&run));
        assert_eq!(score(&run), score(&Run { resident: true, ..run.clone() }));
        assert!(folder.path().join(format!("fold-{number}/last.safetensors")).exists());
    }
}

#[test]
fn recipes_go_by_short_names() {
    for (name, arch) in
        [("compact", "compact"), ("minigenie", "mini_genie_cnn"), ("five-conv", "five_conv_cnn"), ("lstm", "lstm")]
    {
        let recipe = Recipe::named(name, &[1; 7]).unwrap();
        assert_eq!(recipe.arch.to_string(), arch);
        assert_eq!(recipe, Recipe::published(recipe.arch.clone(), &[1; 7]));
        recipe.train.validate().unwrap();
    }
    assert!(matches!(Recipe::named("vgg", &[]), Err(Error::InvalidConfig { field: "recipe", .. })));
}

#[test]
fn bad_sets_and_recipes_are_errors() {
    let (learn, empty) = (stripes(14, 1), FaceSet::new(LabelSet::face7()));
    let go = |recipe: &Recipe, learn, choose| train(recipe, &Run::default(), learn, choose, &mut []);
    assert!(matches!(go(&recipe(), &empty, &learn), Err(Error::InvalidInput { .. })));
    assert!(matches!(go(&recipe(), &learn, &empty), Err(Error::Model { .. })));
    let mut wild = recipe();
    wild.augment.flip = 3.0;
    assert!(matches!(go(&wild, &learn, &learn), Err(Error::Picture { .. })));
    let mut none = recipe();
    none.train.epochs = 0;
    assert!(matches!(go(&none, &learn, &learn), Err(Error::Model { .. })));
}

#[test]
fn every_published_recipe_is_valid_and_takes_a_step() {
    set_threads(1).unwrap();
    let learn = stripes(14, 5);
    assert_eq!(balanced_weights(&[10, 30, 0]), [40.0 / 30.0, 40.0 / 90.0, 1.0]);
    for mut arch in Arch::all() {
        match &mut arch {
            Arch::InceptionV3(config) => config.side = 75,
            Arch::ResNet(config) => config.side = 32,
            Arch::Vgg(config) => config.side = 32,
            _ => {}
        }
        let mut recipe = Recipe::published(arch, &learn.class_counts());
        recipe.train.epochs = 1;
        let report = train(&recipe, &Run::default(), &learn, &learn, &mut []).unwrap();
        assert!(report.complete && report.history[0].train_loss.is_finite());
    }
}

#[test]
fn recipes_are_written_and_read_as_toml() {
    let text = toml::to_string(&recipe()).unwrap();
    assert_eq!(toml::from_str::<Recipe>(&text).unwrap(), recipe(), "{text}");
    let short = "[arch]\nname = \"five_conv_cnn\"\n[train]\nepochs = 3\n";
    let read: Recipe = toml::from_str(short).unwrap();
    assert_eq!((read.arch, read.train.epochs), (Arch::FiveConvCnn, 3));
    assert!(toml::from_str::<Recipe>("[train]\nepoch = 3\n").is_err());
}
