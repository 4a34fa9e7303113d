//! A training that is cut after any step and resumed gives the same bits as one that was never cut, whatever its optimiser,
//! schedule, loss and precision, on the processor.

#![allow(clippy::unwrap_used, reason = "a failed step of a test fails the test")]

use std::path::Path;

use emotion_core::BoxError;
use model_kit::callback::{Callback, Flow, StepInfo};
use model_kit::data::{Dataset, mix_seed};
use model_kit::device::{Device, set_threads};
use model_kit::layers::{ConvBn, Linear, Network, Result as TorchResult, global_average};
use model_kit::loss::{Distillation, Loss};
use model_kit::optim::OptimizerConfig;
use model_kit::schedule::Schedule;
use model_kit::trainer::{Criterion, EarlyStop, Precision, Report, TrainConfig, Trainer};
use model_kit::weights::Weights;
use tch::{Tensor, nn};

const EPOCHS: usize = 3;
const STEPS: u64 = 4;

/// 6×6 pictures of noise, brighter on the left (class 0), on the right (class 1) or nowhere (class 2).
struct Sides;

impl Dataset for Sides {
    fn len(&self) -> usize {
        STEPS as usize * 8
    }
    fn input_shape(&self) -> &[i64] {
        &[1, 6, 6]
    }
    fn classes(&self) -> usize {
        3
    }
    fn class(&self, index: usize) -> Option<usize> {
        Some(index % 3)
    }
    fn sample(&self, index: usize, seed: u64, input: &mut [f32], target: &mut [f32]) -> Result<(), BoxError> {
        for (place, value) in input.iter_mut().enumerate() {
            let noise = (mix_seed(seed, &[index as u64, place as u64]) % 1000) as f32 / 1000.0;
            let (class, column) = (index % 3, place % 6);
            let bright = (class == 0 && column < 3) || (class == 1 && column >= 3);
            *value = noise + f32::from(u8::from(bright));
        }
        target[index % 3] = 1.0;
        Ok(())
    }
}

#[derive(Debug)]
struct Tiny(ConvBn, Linear);

impl Tiny {
    fn new(path: &nn::Path) -> TorchResult<Self> {
        Ok(Self(ConvBn::new(&path.sub("stem"), 1, 4, 3, 1)?, Linear::new(&path.sub("head"), 4, 3)?))
    }
}

impl Network for Tiny {
    fn forward(&self, input: &Tensor, train: bool) -> TorchResult<Tensor> {
        let hidden = global_average(&self.0.forward(input, train)?.f_relu()?)?;
        self.1.forward(&hidden.f_dropout(0.2, train)?)
    }
}

/// Stops after a step, counted over all epochs; after none if it is 0.
struct StopAfter(u64);

impl Callback for StopAfter {
    fn on_step(&mut self, step: &StepInfo) -> Result<Flow, BoxError> {
        let taken = (step.epoch as u64 - 1) * step.steps_per_epoch + step.step;
        Ok(if taken == self.0 { Flow::Stop } else { Flow::Continue })
    }
}

fn train(config: &TrainConfig, folder: &Path, stop: u64) -> Report {
    let mut trainer = Trainer::new(config.clone(), Device::Cpu, Tiny::new).unwrap().save_to(folder).unwrap();
    if config.distillation.is_some() {
        // Not a good teacher, but one whose answers depend on the very inputs.
        trainer = trainer.teacher(|inputs| inputs.f_flatten(1, -1)?.f_narrow(1, 0, 3)?.f_mul_scalar(2.0));
    }
    trainer.resume_if_there().unwrap();
    trainer.loader_threads(0).fit(&Sides, Some(&Sides), &mut [&mut StopAfter(stop)]).unwrap()
}

/// Recipes that together hold every setting, in ever other company.
fn recipes() -> Vec<TrainConfig> {
    let optimizers = [
        OptimizerConfig::default(),
        OptimizerConfig::adam(1e-3),
        OptimizerConfig::adam_w(1e-2),
        OptimizerConfig::rms_prop(),
    ];
    let cycle = |momentum| match Schedule::one_cycle() {
        Schedule::OneCycle { pct_start, div_factor, final_div_factor, anneal, three_phase, .. } => {
            Schedule::OneCycle { pct_start, div_factor, final_div_factor, anneal, three_phase, momentum }
        }
        other => other,
    };
    let losses = [Loss::CrossEntropy, Loss::Focal { gamma: 2.0 }, Loss::SquaredHinge];
    let precisions = [Precision::F32, Precision::Bf16, Precision::F32, Precision::F16, Precision::F32];
    let stop = EarlyStop { patience: 1, metric: Criterion::Accuracy, ..EarlyStop::default() };
    (0..20)
        .map(|number| {
            let on = |every: usize| usize::is_multiple_of(number, every);
            let optimizer = optimizers[number % 4];
            let momentum = (number % 4 != 3).then_some([0.8, 0.95]);
            let schedules = [
                Schedule::default(),
                cycle(momentum),
                Schedule::plateau(0.5, 1, 1e-5),
                Schedule::Constant,
                cycle(None),
            ];
            TrainConfig {
                epochs: EPOCHS,
                batch_size: 8,
                seed: number as u64,
                learning_rate: 0.01,
                optimizer,
                schedule: schedules[number / 2 % 5],
                loss: losses[number % 3],
                distillation: on(4).then(Distillation::default),
                label_smoothing: if on(2) { 0.1 } else { 0.0 },
                mixup: if on(3) { 0.4 } else { 0.0 },
                cutmix: if on(2) { 1.0 } else { 0.0 },
                class_weights: if on(5) { vec![1.0, 2.0, 0.5] } else { Vec::new() },
                sampling_weights: if number % 4 == 1 { vec![1.0, 1.0, 3.0] } else { Vec::new() },
                sam: if number % 3 == 1 { 0.05 } else { 0.0 },
                precision: precisions[number % 5],
                channels_last: number % 4 == 2,
                ema_decay: if number % 3 == 2 { 0.0 } else { 0.9 },
                penalty: if on(7) { 1e-3 } else { 0.0 },
                penalised: vec!["head".into()],
                clip_norm: if number % 5 == 3 { 1.0 } else { 0.0 },
                early_stop: (number % 6 == 5).then_some(stop),
                restore_best: number % 4 == 3,
                ..TrainConfig::default()
            }
        })
        .collect()
}

#[test]
fn a_training_cut_after_every_step_gives_the_bits_of_a_whole_one() {
    set_threads(1).unwrap();
    for config in recipes() {
        let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let want = train(&config, whole.path(), 0);
        let steps = want.history.len() as u64 * STEPS;
        assert!((1..steps).all(|step| !train(&config, cut.path(), step).complete));
        let got = train(&config, cut.path(), 0);
        assert_eq!((got.best, got.history.len()), (want.best, want.history.len()));
        for (got, want) in got.history.iter().zip(&want.history) {
            assert_eq!(got.train_loss.to_bits(), want.train_loss.to_bits(), "{config:?}");
            assert_eq!(got.train_accuracy, want.train_accuracy);
            assert_eq!((got.validation, got.averaged), (want.validation, want.averaged));
        }
        let [want, got] = [&whole, &cut].map(|folder| Weights::open(&folder.path().join("last.safetensors")).unwrap());
        assert!(want.tensors.keys().eq(got.tensors.keys()));
        for (name, tensor) in &want.tensors {
            assert_eq!(tensor, &got.tensors[name], "{name} differs for {config:?}");
        }
    }
}
