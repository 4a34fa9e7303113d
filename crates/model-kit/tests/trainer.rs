//! A tiny network on made pictures: it learns, a cut training resumes to the same bits, a runaway one stops.

#![allow(clippy::unwrap_used, reason = "a failed step of a test fails the test")]

use std::path::Path;
use std::sync::{Arc, Mutex};

use emotion_core::BoxError;
use model_kit::Error;
use model_kit::callback::{Callback, CsvLog, Flow, StepInfo};
use model_kit::cross_validation::{Round, cross_validate};
use model_kit::data::{Dataset, mix_seed};
use model_kit::device::{Device, set_threads};
use model_kit::layers::{ConvBn, Linear, Network, Residual, Result as TorchResult, global_average};
use model_kit::loss::{Distillation, Loss};
use model_kit::optim::OptimizerConfig;
use model_kit::schedule::Schedule;
use model_kit::split::stratified_k_fold;
use model_kit::trainer::{Criterion, EarlyStop, Precision, Report, SmallPictures, TrainConfig, Trainer, evaluate};
use model_kit::weights::Weights;
use tch::{Kind, Tensor, nn};

/// 8×8 pictures with a bright bar, lying (class 0) or standing (class 1), under noise.
struct Bars(usize);

impl Dataset for Bars {
    fn len(&self) -> usize {
        self.0
    }
    fn input_shape(&self) -> &[i64] {
        &[1, 8, 8]
    }
    fn classes(&self) -> usize {
        2
    }
    fn sample(&self, index: usize, seed: u64, input: &mut [f32], target: &mut [f32]) -> Result<(), BoxError> {
        let (class, line) = (index % 2, index / 2 % 8);
        for (place, value) in input.iter_mut().enumerate() {
            let noise = (mix_seed(seed, &[index as u64, place as u64]) % 1000) as f32 / 1000.0;
            let bar = if class == 0 { place / 8 == line } else { place % 8 == line };
            *value = noise * 0.5 + f32::from(u8::from(bar));
        }
        target[class] = 1.0;
        Ok(())
    }
}

#[derive(Debug)]
struct Tiny {
    stem: ConvBn,
    block: Residual,
    head: Linear,
}

impl Tiny {
    fn new(path: &nn::Path) -> TorchResult<Self> {
        Ok(Self {
            stem: ConvBn::new(&path.sub("stem"), 1, 8, 3, 1)?,
            block: Residual::new(&path.sub("block"), 8, 16, 2)?,
            head: Linear::new(&path.sub("head"), 16, 2)?,
        })
    }
}

impl Network for Tiny {
    fn forward(&self, input: &Tensor, train: bool) -> TorchResult<Tensor> {
        let hidden = self.stem.forward(input, train)?.f_relu()?;
        let hidden = global_average(&self.block.forward(&hidden, train)?)?;
        self.head.forward(&hidden.f_dropout(0.1, train)?)
    }
}

struct StopAt(usize, u64);

impl Callback for StopAt {
    fn on_step(&mut self, step: &StepInfo) -> Result<Flow, BoxError> {
        Ok(if (step.epoch, step.step) == (self.0, self.1) { Flow::Stop } else { Flow::Continue })
    }
}

fn config(optimizer: OptimizerConfig, learning_rate: f64) -> TrainConfig {
    TrainConfig {
        epochs: 4,
        batch_size: 16,
        seed: 9,
        learning_rate,
        optimizer,
        label_smoothing: 0.05,
        mixup: 0.2,
        ema_decay: 0.9,
        clip_norm: 5.0,
        ..TrainConfig::default()
    }
}

fn train(config: &TrainConfig, folder: &Path, callback: &mut dyn Callback) -> Result<Report, Error> {
    set_threads(1)?;
    let mut trainer = Trainer::new(config.clone(), Device::Cpu, Tiny::new)?.save_to(folder)?.loader_threads(2);
    trainer.resume_if_there()?;
    trainer.fit(&Bars(256), Some(&Bars(64)), &mut [callback, &mut CsvLog::new(folder.join("metrics.csv"))])
}

#[test]
fn a_cut_training_resumes_to_the_same_bits() {
    let plateau = Schedule::plateau(0.5, 1, 1e-4);
    for (optimizer, rate, schedule) in [
        (OptimizerConfig::default(), 0.05, Schedule::default()),
        (OptimizerConfig::adam_w(0.01), 0.003, Schedule::default()),
        (OptimizerConfig::rms_prop(), 0.003, plateau),
    ] {
        let config = TrainConfig { schedule, ..config(optimizer, rate) };
        let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let report = train(&config, whole.path(), &mut StopAt(99, 0)).unwrap();
        assert!(report.complete);
        assert!(report.best.unwrap().score.accuracy > 0.9, "{:?}", report.history);

        assert!(!train(&config, cut.path(), &mut StopAt(2, 5)).unwrap().complete);
        assert!(!train(&config, cut.path(), &mut StopAt(3, 16)).unwrap().complete);
        let resumed = train(&config, cut.path(), &mut StopAt(99, 0)).unwrap();

        for (first, second) in report.history.iter().zip(&resumed.history) {
            assert_eq!(first.train_loss.to_bits(), second.train_loss.to_bits());
            assert_eq!(first.learning_rate, second.learning_rate);
            assert_eq!((first.validation, first.averaged), (second.validation, second.averaged));
        }
        for name in ["last.safetensors", "best.safetensors"] {
            let first = Weights::open(&whole.path().join(name)).unwrap();
            let second = Weights::open(&cut.path().join(name)).unwrap();
            assert_eq!(first.tensors.len(), second.tensors.len());
            for (name, tensor) in &first.tensors {
                assert_eq!(tensor, &second.tensors[name], "{name} differs");
            }
        }
        let log = std::fs::read_to_string(cut.path().join("metrics.csv")).unwrap();
        assert_eq!(log.lines().count(), 5);
    }
}

#[test]
fn other_settings_do_not_resume() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(OptimizerConfig::default(), 0.05);
    train(&config, folder.path(), &mut StopAt(1, 2)).unwrap();
    config.learning_rate = 0.01;
    assert!(matches!(train(&config, folder.path(), &mut StopAt(1, 2)), Err(Error::InvalidConfig { .. })));
}

#[test]
fn patience_ends_a_training_for_good() {
    let folder = tempfile::tempdir().unwrap();
    // Without a step to speak of no epoch is better than the first.
    let config = TrainConfig { epochs: 9, patience: 2, ema_decay: 0.0, ..config(OptimizerConfig::default(), 1e-12) };
    for _ in 0..2 {
        let report = train(&config, folder.path(), &mut StopAt(99, 0)).unwrap();
        assert!(report.complete);
        assert_eq!(report.history.len(), report.best.unwrap().epoch + 2);
    }
}

/// Notes the sides of the pictures that it is trained on.
#[derive(Debug)]
struct Watched(Tiny, Arc<Mutex<Vec<i64>>>);

impl Network for Watched {
    fn forward(&self, input: &Tensor, train: bool) -> TorchResult<Tensor> {
        assert!(train || input.size()[2..] == [8, 8], "validation sees whole pictures");
        if train {
            self.1.lock().unwrap().extend(&input.size()[2..]);
        }
        self.0.forward(input, train)
    }
}

#[test]
fn early_epochs_see_small_pictures() {
    let small_pictures = vec![SmallPictures { until: 2, side: 4 }, SmallPictures { until: 3, side: 6 }];
    let config = TrainConfig { small_pictures, ..config(OptimizerConfig::default(), 0.05) };
    let sides = Arc::default();
    let build = |path: &nn::Path| Ok(Watched(Tiny::new(path)?, Arc::clone(&sides)));
    let mut trainer = Trainer::new(config.clone(), Device::Cpu, build).unwrap();
    // Two steps an epoch, two sides a step.
    trainer.fit(&Bars(32), Some(&Bars(8)), &mut []).unwrap();
    assert_eq!(*sides.lock().unwrap(), [4, 4, 4, 4, 4, 4, 4, 4, 6, 6, 6, 6, 8, 8, 8, 8]);

    for [until, side] in [[2, 0], [3, 4]] {
        let stages = vec![SmallPictures { until: 3, side: 4 }, SmallPictures { until, side: side as i64 }];
        let config = TrainConfig { small_pictures: stages, ..config.clone() };
        assert!(matches!(config.validate(), Err(Error::InvalidConfig { field: "small_pictures", .. })));
    }
}

#[test]
fn a_penalty_shrinks_the_named_layer() {
    let norm = |penalty: f64| {
        let config =
            TrainConfig { penalty, penalised: vec!["head".into()], ..config(OptimizerConfig::adam_w(0.0), 0.05) };
        let mut trainer = Trainer::new(config, Device::Cpu, Tiny::new).unwrap();
        trainer.fit(&Bars(64), None::<&Bars>, &mut []).unwrap();
        trainer.store().variables()["head.weight"].norm().double_value(&[])
    };
    assert!(norm(1.0) < 0.8 * norm(0.0));
    let wrong = TrainConfig { penalised: vec!["tail".into()], ..TrainConfig::default() };
    assert!(matches!(Trainer::new(wrong, Device::Cpu, Tiny::new), Err(Error::InvalidConfig { .. })));
}

#[test]
fn half_precision_learns_what_single_does() {
    set_threads(1).unwrap();
    let losses: Vec<f64> = [Precision::F32, Precision::Bf16, Precision::F16]
        .map(|precision| {
            let config = TrainConfig { precision, ..config(OptimizerConfig::default(), 0.05) };
            let mut trainer = Trainer::new(config, Device::Cpu, Tiny::new).unwrap();
            let report = trainer.fit(&Bars(256), Some(&Bars(64)), &mut []).unwrap();
            assert!(trainer.store().variables().values().all(|tensor| tensor.kind() == Kind::Float));
            assert!(report.best.unwrap().score.accuracy > 0.9, "{precision:?}: {:?}", report.history);
            report.history[3].train_loss
        })
        .to_vec();
    // Eight bits of precision: the course differs, but not where it leads.
    assert!(losses.iter().all(|loss| (loss - losses[0]).abs() < 0.05), "{losses:?}");
    assert!(losses[1] != losses[0] && losses[2] != losses[0]);
}

#[test]
fn frozen_layers_stay_as_they_are_in_every_precision() {
    set_threads(1).unwrap();
    for precision in [Precision::F32, Precision::Bf16, Precision::F16] {
        let build = |path: &nn::Path| {
            let network = Tiny::new(path)?;
            let frozen = path.sub("block").sub("first").sub("conv").get("weight").unwrap();
            let _ = frozen.set_requires_grad(false);
            Ok(network)
        };
        let config = TrainConfig { epochs: 1, precision, sam: 0.05, ..config(OptimizerConfig::default(), 0.05) };
        let mut trainer = Trainer::new(config, Device::Cpu, build).unwrap();
        let names = ["block.first.conv.weight", "head.weight"];
        let weights = |trainer: &Trainer<Tiny>| names.map(|name| trainer.store().variables()[name].copy());
        let before = weights(&trainer);
        trainer.fit(&Bars(64), None::<&Bars>, &mut []).unwrap();
        let after = weights(&trainer);
        assert_eq!((before[0] == after[0], before[1] == after[1]), (true, false), "{precision:?}");
    }
}

#[test]
fn sharpness_aware_steps_take_two_passes_and_note_one() {
    let statistics = |sam: f64| {
        let config = TrainConfig { epochs: 1, sam, mixup: 0.0, ..config(OptimizerConfig::default(), 1e-12) };
        let passes = Arc::default();
        let build = |path: &nn::Path| Ok(Watched(Tiny::new(path)?, Arc::clone(&passes)));
        let mut trainer = Trainer::new(config, Device::Cpu, build).unwrap();
        trainer.fit(&Bars(64), None::<&Bars>, &mut []).unwrap();
        let seen = passes.lock().unwrap().len();
        (seen / 2, trainer.store().variables()["stem.norm.running_mean"].copy())
    };
    let ((once, without), (twice, with)) = (statistics(0.0), statistics(0.5));
    assert_eq!((once, twice), (4, 8));
    // Weights move by next to nothing here, so the first passes see the same numbers.
    assert!((without - with).abs().max().double_value(&[]) < 1e-6);
}

#[test]
fn a_teacher_sees_the_very_batch_and_is_followed() {
    let config = TrainConfig {
        distillation: Some(Distillation { temperature: 2.0, alpha: 1.0 }),
        small_pictures: vec![SmallPictures { until: 1, side: 4 }],
        cutmix: 1.0,
        ema_decay: 0.0,
        ..config(OptimizerConfig::default(), 0.05)
    };
    assert!(
        Trainer::new(config.clone(), Device::Cpu, Tiny::new).unwrap().fit(&Bars(64), None::<&Bars>, &mut []).is_err()
    );
    // A teacher that is wrong on purpose: what it calls lying, stands.
    let rows =
        |input: &Tensor| input.f_mean_dim([3i64].as_slice(), false, None::<Kind>)?.f_amax([1i64, 2].as_slice(), false);
    let columns =
        |input: &Tensor| input.f_mean_dim([2i64].as_slice(), false, None::<Kind>)?.f_amax([1i64, 2].as_slice(), false);
    let teacher = move |input: &Tensor| {
        assert_eq!(input.size()[1..], [1, 8, 8], "it sees whole pictures");
        Tensor::f_stack(&[columns(input)?, rows(input)?], 1)?.f_mul_scalar(20.0)
    };
    let mut trainer = Trainer::new(config, Device::Cpu, Tiny::new).unwrap().teacher(teacher);
    let report = trainer.fit(&Bars(256), Some(&Bars(64)), &mut []).unwrap();
    assert!(report.history[3].validation.unwrap().accuracy < 0.1, "{:?}", report.history);
    let without = TrainConfig { distillation: None, ..TrainConfig::default() };
    let mut trainer = Trainer::new(without, Device::Cpu, Tiny::new).unwrap().teacher(|input| Ok(input.shallow_clone()));
    assert!(matches!(trainer.fit(&Bars(64), None::<&Bars>, &mut []), Err(Error::InvalidConfig { .. })));
}

#[test]
fn early_stopping_restores_the_best_weights() {
    let folder = tempfile::tempdir().unwrap();
    let config = TrainConfig {
        epochs: 40,
        schedule: Schedule::Constant,
        early_stop: Some(EarlyStop { patience: 2, ..EarlyStop::default() }),
        select_by: Criterion::Loss,
        restore_best: true,
        ema_decay: 0.0,
        ..config(OptimizerConfig::default(), 0.3)
    };
    set_threads(1).unwrap();
    let mut trainer = Trainer::new(config.clone(), Device::Cpu, Tiny::new).unwrap().save_to(folder.path()).unwrap();
    let report = trainer.fit(&Bars(256), Some(&Bars(64)), &mut []).unwrap();
    let best = report.best.unwrap();
    assert_eq!(report.history.len(), best.epoch + 2);
    let score = evaluate(trainer.network(), &Bars(64), 16, tch::Device::Cpu, 0).unwrap();
    assert_eq!(score, best.score);
    // A finished training that is opened again has them too.
    let mut again = Trainer::new(config, Device::Cpu, Tiny::new).unwrap().save_to(folder.path()).unwrap();
    assert!(again.resume_if_there().unwrap());
    assert_eq!(again.fit(&Bars(256), Some(&Bars(64)), &mut []).unwrap().history.len(), report.history.len());
    assert_eq!(evaluate(again.network(), &Bars(64), 16, tch::Device::Cpu, 0).unwrap(), best.score);
}

#[test]
fn every_setting_out_of_its_range_is_named() {
    type Change = fn(&mut TrainConfig);
    let wrong: [(&str, Change); 13] = [
        ("cutmix", |config| config.cutmix = 2.1),
        ("sam", |config| config.sam = -0.1),
        ("sampling_weights", |config| config.sampling_weights = vec![1.0, 0.0]),
        ("class_weights", |config| config.class_weights = vec![f32::NAN]),
        ("gamma", |config| config.loss = Loss::Focal { gamma: -1.0 }),
        ("temperature", |config| config.distillation = Some(Distillation { temperature: 0.0, alpha: 0.5 })),
        ("alpha", |config| config.distillation = Some(Distillation { temperature: 2.0, alpha: 1.5 })),
        ("early_stop.patience", |config| config.early_stop = Some(EarlyStop { patience: 0, ..EarlyStop::default() })),
        ("momentum", |config| {
            config.optimizer = OptimizerConfig::rms_prop();
            config.schedule = cycle(0.3, Some([0.8, 0.9]));
        }),
        ("momentum", |config| config.schedule = cycle(0.3, Some([0.9, 0.8]))),
        ("pct_start", |config| config.schedule = cycle(1.0, None)),
        ("factor", |config| config.schedule = Schedule::plateau(1.0, 1, 0.0)),
        ("eps", |config| {
            config.optimizer = OptimizerConfig::Adam { beta1: 0.9, beta2: 0.999, eps: 0.0, weight_decay: 0.0 };
        }),
    ];
    for (name, change) in wrong {
        let mut config = TrainConfig::default();
        change(&mut config);
        match config.validate() {
            Err(Error::InvalidConfig { field, .. }) => assert_eq!(field, name),
            other => panic!("{name}: {other:?}"),
        }
    }
}

fn cycle(pct_start: f64, momentum: Option<[f64; 2]>) -> Schedule {
    match Schedule::one_cycle() {
        Schedule::OneCycle { div_factor, final_div_factor, anneal, three_phase, .. } => {
            Schedule::OneCycle { pct_start, div_factor, final_div_factor, anneal, three_phase, momentum }
        }
        other => other,
    }
}

#[test]
fn a_runaway_training_stops_with_the_step_and_the_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(OptimizerConfig::default(), 1e30);
    config.clip_norm = 0.0;
    match train(&config, folder.path(), &mut StopAt(99, 0)) {
        Err(Error::NonFiniteLoss { learning_rate, checkpoint, .. }) => {
            assert!(learning_rate > 0.0);
            assert!(checkpoint.is_none_or(|path| path.exists()));
        }
        other => panic!("expected a stop, got {other:?}"),
    }
}

#[test]
fn cross_validation_trains_a_network_per_fold() {
    set_threads(1).unwrap();
    let classes: Vec<usize> = (0..192).map(|index| index % 2).collect();
    let folds = stratified_k_fold(&classes, 3, 5).unwrap();
    let rounds: Vec<Round> = folds.into_iter().map(|fold| Round::choosing(fold, &classes, 0.25, 5).unwrap()).collect();
    let config = TrainConfig { epochs: 8, restore_best: true, ..config(OptimizerConfig::default(), 0.05) };
    let trainer = |round| Trainer::new(TrainConfig { seed: round, ..config.clone() }, Device::Cpu, Tiny::new);
    let result = cross_validate(&rounds, (&Bars(192), &Bars(192)), trainer, &mut []).unwrap();
    assert_eq!(result.outcomes.len(), 3);
    let spread = result.spread(Criterion::Accuracy);
    assert!(spread.mean > 0.9 && spread.deviation < 0.1, "{spread}");
    let first = result.outcomes[0].score.accuracy + result.outcomes[1].score.accuracy;
    assert!((spread.mean - (first + result.outcomes[2].score.accuracy) / 3.0).abs() < 1e-12);

    let outside = [Round { train: vec![0, 1, 2], select: vec![], test: vec![192] }];
    assert!(matches!(
        cross_validate(&outside, (&Bars(192), &Bars(192)), trainer, &mut []),
        Err(Error::InvalidInput { .. })
    ));
}

/// [`Bars`] that also tell, in training, which of the eight lines the bar is on (and of every fifth nothing).
struct ToldBars(Bars);

impl Dataset for ToldBars {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn input_shape(&self) -> &[i64] {
        self.0.input_shape()
    }
    fn classes(&self) -> usize {
        2
    }
    fn auxiliary(&self) -> &[usize] {
        &[8]
    }
    fn sample(&self, index: usize, seed: u64, input: &mut [f32], target: &mut [f32]) -> Result<(), BoxError> {
        let (classes, lines) = target.split_at_mut(2);
        match index % 5 {
            0 => lines.fill(-1.0),
            _ => lines[index / 2 % 8] = 1.0,
        }
        self.0.sample(index, seed, input, classes)
    }
}

/// A dense layer for the classes and one for the lines.
#[derive(Debug)]
struct Both(Linear, Linear);

impl Network for Both {
    fn forward(&self, input: &Tensor, train: bool) -> TorchResult<Tensor> {
        let input = input.f_flatten(1, -1)?;
        let classes = self.0.forward(&input)?;
        if train { Tensor::f_cat(&[classes, self.1.forward(&input)?], 1) } else { Ok(classes) }
    }
}

#[test]
fn an_auxiliary_task_is_learnt_beside_the_classes_and_not_asked_for_later() {
    set_threads(1).unwrap();
    let build =
        |path: &nn::Path| Ok(Both(Linear::new(&path.sub("classes"), 64, 2)?, Linear::new(&path.sub("lines"), 64, 8)?));
    let config = |auxiliary| TrainConfig {
        mixup: 0.0,
        ema_decay: 0.0,
        epochs: 12,
        auxiliary,
        ..config(OptimizerConfig::adam(0.0), 0.01)
    };
    let (train, valid) = (ToldBars(Bars(160)), Bars(64));
    let lines_right = |auxiliary: f64| {
        let mut trainer = Trainer::new(config(auxiliary), Device::Cpu, build).unwrap().loader_threads(0);
        let report = trainer.fit(&train, Some(&valid), &mut []).unwrap();
        assert!(report.history.last().unwrap().validation.is_some());
        assert!(trainer.measure(&train).unwrap().accuracy > 0.4);
        let (mut input, mut target) = (vec![0.0; 64], vec![0.0; 10]);
        let right = |index: &usize| {
            train.sample(*index, 77, &mut input, &mut target).unwrap();
            let picture = Tensor::from_slice(&input).view([1, 1, 8, 8]);
            let line = trainer.network().forward(&picture, true).unwrap().narrow(1, 2, 8).argmax(1, false);
            line.int64_value(&[0]) as usize == index / 2 % 8
        };
        (0..160).filter(right).count()
    };
    let (learnt, ignored) = (lines_right(1.0), lines_right(0.0));
    assert!(learnt > 120 && ignored < 60, "{learnt} {ignored}");

    let mixed = TrainConfig { mixup: 0.2, ..config(1.0) };
    let mut trainer = Trainer::new(mixed, Device::Cpu, build).unwrap();
    assert!(matches!(trainer.fit(&train, Some(&valid), &mut []), Err(Error::InvalidConfig { .. })));
}
