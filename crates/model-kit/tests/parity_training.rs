//! Losses, optimisers and schedules against PyTorch 2.11.0 (`data/torch-2.11.0/generate.py`) and Keras 3.15.1
//! (`data/keras-3.15.1/generate.py`).
//!
//! Tolerances: 2e-6 of the largest magnitude for losses, gradients and six optimiser steps, which are computed in single
//! precision here and in double there (9e-7 was seen); 1e-12 for PyTorch's rates; 1e-6 of its value for Keras' rates, which
//! are single numbers there.

#![allow(clippy::unwrap_used, reason = "a failed step of a test fails the test")]

use model_kit::loss::{self, Loss};
use model_kit::optim::{Optimizer, OptimizerConfig};
use model_kit::schedule::{Anneal, Plateau, Schedule};
use model_kit::trainer::{Criterion, EarlyStop, Waiting};
use serde::Deserialize;
use tch::nn::{Init, VarStore};
use tch::{Device, Kind, Tensor, no_grad};

#[derive(Deserialize)]
struct Torch {
    losses: Losses,
    cycles: Vec<Cycle>,
    optimizers: Vec<Stepped>,
}

#[derive(Deserialize)]
struct Losses {
    logits: Vec<f32>,
    teacher: Vec<f32>,
    cases: Vec<LossCase>,
}

#[derive(Deserialize)]
struct LossCase {
    loss: String,
    targets: Vec<f32>,
    weights: Vec<f32>,
    value: f64,
    gradient: Vec<f64>,
}

#[derive(Deserialize)]
struct Cycle {
    total: u64,
    settings: CycleSettings,
    rates: Vec<f64>,
    momenta: Vec<f64>,
}

#[derive(Deserialize)]
struct CycleSettings {
    #[serde(default = "third")]
    pct_start: f64,
    #[serde(default = "twenty_five")]
    div_factor: f64,
    #[serde(default = "ten_thousand")]
    final_div_factor: f64,
    anneal_strategy: Option<Anneal>,
    #[serde(default)]
    three_phase: bool,
    base_momentum: Option<f64>,
    max_momentum: Option<f64>,
}

fn third() -> f64 {
    0.3
}

fn twenty_five() -> f64 {
    25.0
}

fn ten_thousand() -> f64 {
    1e4
}

#[derive(Deserialize)]
struct Stepped {
    optimizer: String,
    sam: f64,
    weight: Vec<f64>,
    bias: Vec<f64>,
}

#[derive(Deserialize)]
struct Keras {
    plateaus: Vec<PlateauCase>,
    stops: Vec<StopCase>,
}

#[derive(Deserialize)]
struct PlateauCase {
    metric: Criterion,
    settings: PlateauSettings,
    values: Vec<f64>,
    rates: Vec<f64>,
}

#[derive(Deserialize)]
struct PlateauSettings {
    factor: f64,
    patience: usize,
    #[serde(default)]
    min_lr: f64,
    min_delta: Option<f64>,
    #[serde(default)]
    cooldown: usize,
}

#[derive(Deserialize)]
struct StopCase {
    metric: Criterion,
    settings: StopSettings,
    values: Vec<f64>,
    stopped_after: Option<usize>,
}

#[derive(Deserialize)]
struct StopSettings {
    patience: usize,
    #[serde(default)]
    min_delta: f64,
    #[serde(default)]
    start_from_epoch: usize,
    baseline: Option<f64>,
}

fn torch() -> Torch {
    serde_json::from_str(include_str!("data/torch-2.11.0/training.json")).unwrap()
}

fn keras() -> Keras {
    serde_json::from_str(include_str!("data/keras-3.15.1/callbacks.json")).unwrap()
}

/// Fails with the worst place where two lists differ by more than `tolerance` of the largest magnitude.
fn assert_close(what: &str, got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    let largest = want.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
    for (index, (got, want)) in got.iter().zip(want).enumerate() {
        assert!((got - want).abs() <= tolerance * largest, "{what}[{index}]: got {got}, want {want}");
    }
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.detach().flatten(0, -1).to_kind(Kind::Double)).unwrap()
}

#[test]
fn losses_and_gradients_equal_pytorchs() {
    let golden = torch().losses;
    let rows = |values: &[f32]| Tensor::from_slice(values).view([6, 4]);
    let teacher = rows(&golden.teacher);
    assert_eq!(golden.cases.len(), 20);
    for case in &golden.cases {
        let logits = rows(&golden.logits).set_requires_grad(true);
        let targets = rows(&case.targets);
        let weights = (!case.weights.is_empty()).then(|| Tensor::from_slice(&case.weights));
        let of = |loss: Loss| loss.of(&logits, &targets, weights.as_ref()).unwrap();
        let value = match case.loss.as_str() {
            "cross_entropy" => of(Loss::CrossEntropy),
            "focal_0.5" => of(Loss::Focal { gamma: 0.5 }),
            "focal_2" => of(Loss::Focal { gamma: 2.0 }),
            "squared_hinge" => of(Loss::SquaredHinge),
            "distillation" => of(Loss::CrossEntropy) * 0.4 + loss::distillation(&logits, &teacher, 3.0).unwrap() * 0.6,
            other => panic!("unknown loss {other}"),
        };
        value.backward();
        assert_close(&case.loss, &numbers(&value), &[case.value], 2e-6);
        assert_close(&case.loss, &numbers(&logits.grad()), &case.gradient, 2e-6);
    }
}

#[test]
fn a_focal_loss_has_finite_slopes_where_the_network_is_sure() {
    let logits = Tensor::from_slice(&[200f32, 0.0, -200.0]).view([1, 3]).set_requires_grad(true);
    let targets = Tensor::from_slice(&[1f32, 0.0, 0.0]).view([1, 3]);
    loss::focal(&logits, &targets, 0.5, None).unwrap().backward();
    assert!(numbers(&logits.grad()).iter().all(|slope| slope.is_finite()));
}

#[test]
fn one_cycle_equals_pytorchs() {
    for Cycle { total, settings, rates, momenta } in torch().cycles {
        let schedule = Schedule::OneCycle {
            pct_start: settings.pct_start,
            div_factor: settings.div_factor,
            final_div_factor: settings.final_div_factor,
            anneal: settings.anneal_strategy.unwrap_or_default(),
            three_phase: settings.three_phase,
            momentum: Some([settings.base_momentum.unwrap_or(0.85), settings.max_momentum.unwrap_or(0.95)]),
        };
        schedule.validate().unwrap();
        let got: Vec<f64> = (0..total).map(|step| schedule.factor(step, total, 10)).collect();
        assert_close("rate", &got, &rates, 1e-12);
        let got: Vec<f64> = (0..total).map(|step| schedule.momentum(step, total).unwrap()).collect();
        assert_close("momentum", &got, &momenta, 1e-12);
    }
}

#[test]
fn optimisers_step_as_pytorchs_with_and_without_sharpness() {
    for case in torch().optimizers {
        let config = match case.optimizer.as_str() {
            "sgd" => OptimizerConfig::Sgd { momentum: 0.9, weight_decay: 0.1 },
            "adam" => OptimizerConfig::adam(0.1),
            "adam_w" => OptimizerConfig::adam_w(0.1),
            "rms_prop" => OptimizerConfig::RmsProp { rho: 0.9, eps: 1e-7, weight_decay: 0.1 },
            other => panic!("unknown optimiser {other}"),
        };
        let store = VarStore::new(Device::Cpu);
        let mut weight = store.root().var("weight", &[2, 3], Init::Const(0.0));
        let mut bias = store.root().var("bias", &[2], Init::Const(0.0));
        no_grad(|| {
            weight.copy_(&Tensor::linspace(-0.5, 0.7, 6, (Kind::Double, Device::Cpu)).view([2, 3]));
            bias.copy_(&Tensor::from_slice(&[0.1f32, -0.2]));
        });
        let mut optimizer = Optimizer::new(config, &store).unwrap();
        for step in 0..6 {
            let backward = |optimizer: &mut Optimizer| {
                optimizer.zero_grad();
                let x = Tensor::linspace(-1, 1, 12, (Kind::Float, Device::Cpu)).view([4, 3]) * f64::from(1 + step);
                let loss = ((x.matmul(&weight.tr()) + &bias).tanh() - Tensor::from_slice(&[0.3f32, -0.8])).square();
                loss.sum(Kind::Float).backward();
            };
            backward(&mut optimizer);
            if case.sam > 0.0 {
                let ascent = optimizer.ascend(case.sam).unwrap();
                backward(&mut optimizer);
                optimizer.descend(&ascent).unwrap();
            }
            optimizer.step(0.05).unwrap();
        }
        let what = format!("{} with radius {}", case.optimizer, case.sam);
        assert_close(&what, &numbers(&weight), &case.weight, 2e-6);
        assert_close(&what, &numbers(&bias), &case.bias, 2e-6);
    }
}

#[test]
fn plateaus_lower_the_rate_as_keras_does() {
    for PlateauCase { metric, settings, values, rates } in keras().plateaus {
        let PlateauSettings { factor, patience, min_lr: least, min_delta, cooldown } = settings;
        let min_delta = min_delta.unwrap_or(1e-4);
        let schedule = Schedule::Plateau { factor, patience, least, min_delta, cooldown, metric };
        let mut plateau = Plateau::default();
        for (epoch, (value, want)) in values.into_iter().zip(rates).enumerate() {
            plateau.observe(&schedule, 0.01, value);
            let got = plateau.rate(0.01);
            assert!((got - want).abs() <= 1e-6 * want, "{schedule:?}, epoch {}: got {got}, want {want}", epoch + 1);
        }
    }
}

#[test]
fn early_stopping_stops_when_keras_does() {
    for StopCase { metric, settings, values, stopped_after } in keras().stops {
        let StopSettings { patience, min_delta, start_from_epoch: start_from, baseline } = settings;
        let rule = EarlyStop { metric, patience, min_delta, start_from, baseline };
        let mut waiting = Waiting::default();
        let stopped = (1..).zip(&values).find(|&(epoch, &value)| waiting.observe(&rule, epoch, value));
        assert_eq!(stopped.map(|(epoch, _)| epoch), stopped_after, "{rule:?}");
        assert_eq!(waiting.is_over(), stopped_after.is_some());
    }
}
