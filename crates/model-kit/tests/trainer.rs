//! A tiny network on made pictures: it learns, a cut training resumes to the same bits, a runaway one stops.

#![allow(clippy::unwrap_used, reason = "a failed step of a test fails the test")]

use std::path::Path;
use std::sync::{Arc, Mutex};

use emotion_core::BoxError;
use model_kit::Error;
use model_kit::callback::{Callback, CsvLog, Flow, StepInfo};
use model_kit::data::{Dataset, mix_seed};
use model_kit::device::{Device, set_threads};
use model_kit::layers::{ConvBn, Linear, Network, Residual, Result as TorchResult, global_average};
use model_kit::optim::OptimizerConfig;
use model_kit::schedule::Schedule;
use model_kit::trainer::{Report, SmallPictures, TrainConfig, Trainer};
use model_kit::weights::Weights;
use tch::{Tensor, nn};

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
    let plateau = Schedule::Plateau { factor: 0.5, patience: 1, least: 1e-4 };
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
