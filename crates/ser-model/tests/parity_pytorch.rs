//! Every speech network beside the same network in plain PyTorch: logits, loss, the gradient of every parameter and of the
//! input, batch norm statistics after a step, in training mode without dropout and in evaluation mode.
//!
//! `data/pytorch-2.11.0/generate.py` says how both sides come to the same weights with none committed.

#![allow(clippy::unwrap_used, reason = "a failed step of a test's preparation fails the test")]
#![allow(clippy::print_stdout, reason = "measured errors, for who runs it with --nocapture")]

#[path = "../../model-kit/tests/common/golden.rs"]
mod golden;

use std::collections::BTreeMap;
use std::path::Path;

use model_kit::device::set_threads;
use model_kit::layers::{Cell, Network, Result};
use ser_model::arch::{
    Architecture, CnnLstm, DeepCnn1d, FourConvCnn, LogMelCnn, LogMelCnnConfig, MaskedCnn, MfccCnn, MfccSequence, Mlp,
};
use serde::Deserialize;
use tch::nn::{self, VarStore};
use tch::{Device, Kind, Tensor, no_grad};

/// Of the largest magnitude of each tensor. Measured: up to 4e-6, as much as PyTorch's own single precision loses.
const TOLERANCE: f64 = 1e-5;
const CLASSES: i64 = 8;
const MFCCS: i64 = 40;

#[derive(Deserialize)]
struct Golden {
    parameters: i64,
    seed: usize,
    shape: Vec<i64>,
    train: Mode,
    eval: Mode,
}

#[derive(Deserialize)]
struct Mode {
    /// How far PyTorch's own single precision is from what stands here.
    single_precision_error: f64,
    loss: f64,
    logits: Vec<f64>,
    gradients: BTreeMap<String, [f64; 13]>,
    statistics: BTreeMap<String, [f64; 13]>,
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/pytorch-2.11.0"))
}

/// The values of a tensor by its name, `fill` of `generate.py`.
fn fill(name: &str, shape: &[i64]) -> Tensor {
    let count = shape.iter().product::<i64>();
    let (scale, shift) = match shape {
        _ if name.ends_with("running_var") => (0.5, 1.0),
        [_] if name.ends_with("weight") => (0.25, 1.0),
        _ if name == "speech.output.bias" => (0.125, 2.3),
        [_] => (0.125, 0.0),
        _ => {
            let power = if name.contains("weight_hh") || name.contains("weight_ih") { 1.0 } else { 3.0 };
            ((power / (count / shape[0]) as f64).sqrt(), 0.0)
        }
    };
    let values: Vec<f32> =
        golden::noise(name, count as usize).iter().map(|value| (value * scale + shift) as f32).collect();
    Tensor::from_slice(&values).view(shape)
}

/// `sound` of `generate.py`.
fn sound(seed: usize, shape: &[i64]) -> Tensor {
    let values: Vec<f32> = golden::noise(&format!("input {seed}"), shape.iter().product::<i64>() as usize)
        .iter()
        .map(|&value| (f64::from(value as f32) * 1.75) as f32)
        .collect();
    let input = Tensor::from_slice(&values).view(shape);
    if let [batch, rows, frames] = *shape {
        for clip in 0..batch {
            let input = input.select(0, clip);
            let _ = input.select(0, rows - 1).fill_(1.0);
            let _ = input.narrow(1, frames - 7 * clip, 7 * clip).zero_();
        }
    }
    input
}

/// Compares a tensor with what is known of PyTorch's. `scale` is what errors are measured on. Returns the worst error of a
/// single element among the eight that are known.
fn compare(what: &str, tensor: &Tensor, golden: &[f64; 13], scale: f64) -> f64 {
    let values: Vec<f64> = Vec::try_from(tensor.flatten(0, -1).to_kind(Kind::Double)).unwrap();
    let [largest, norm, sum, rest @ ..] = golden;
    let mut digest = [*largest, *norm, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    digest[2..].copy_from_slice(rest);
    let (allowed, got) = (TOLERANCE * scale, values.iter().sum::<f64>());
    // Where errors do not conspire.
    let spread = 4.0 * allowed * (values.len() as f64).sqrt();
    assert!((got - sum).abs() <= spread, "{what}, sum: got {got}, want {sum} ± {spread}");
    golden::compare(what, &values, &digest, allowed, 4.0) / scale
}

fn parity<N: Network + 'static>(arch: Architecture, build: impl Fn(&nn::Path) -> Result<N>) {
    parity_in(Kind::Float, arch, build);
}

fn parity_in<N: Network + 'static>(kind: Kind, arch: Architecture, build: impl Fn(&nn::Path) -> Result<N>) {
    // Sums are rounded by how they are shared out: the inputs were drawn where one thread is far from every edge.
    set_threads(1).unwrap();
    let text = std::fs::read_to_string(folder().join(format!("{arch}.json"))).unwrap();
    let golden: Golden = serde_json::from_str(&text).unwrap();
    let mut store = VarStore::new(Device::Cpu);
    let network = build(&store.root()).unwrap();
    store.set_kind(kind);
    let trainable: i64 = store.trainable_variables().iter().map(|tensor| tensor.numel() as i64).sum();
    assert_eq!(trainable, golden.parameters);
    for (training, mode) in [(true, &golden.train), (false, &golden.eval)] {
        let [logits, gradients] = compare_mode(&store, &network, &golden, training);
        // Visible with `--nocapture`.
        println!(
            "{arch}, {}: logits off by {logits:.1e}, gradients by {gradients:.1e} of the largest (PyTorch's in single precision: {:.1e})",
            if training { "training" } else { "evaluation" },
            mode.single_precision_error
        );
    }
}

/// The worst errors of the logits and of the gradients, of the largest magnitude.
fn compare_mode(store: &VarStore, network: &dyn Network, golden: &Golden, training: bool) -> [f64; 2] {
    let mode = if training { &golden.train } else { &golden.eval };
    no_grad(|| {
        for (name, mut variable) in store.variables() {
            variable.f_copy_(&fill(&name, &variable.size())).unwrap();
            variable.zero_grad();
        }
    });
    let input = sound(golden.seed, &golden.shape).to_kind(store.root().kind()).set_requires_grad(true);
    let logits = network.forward(&input, training).unwrap();
    let targets: Vec<i64> = (0..golden.shape[0]).map(|index| index * 3 % CLASSES).collect();
    let none: Option<Tensor> = None;
    let loss = logits.cross_entropy_loss(&Tensor::from_slice(&targets), none, tch::Reduction::Mean, -100, 0.0);
    loss.backward();

    // What stands behind the classes tells in the loss and the gradients.
    let classes = logits.narrow(1, 0, CLASSES);
    let got: Vec<f64> = Vec::try_from(classes.flatten(0, -1).to_kind(Kind::Double)).unwrap();
    assert_eq!(got.len(), mode.logits.len());
    let largest = mode.logits.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
    let errors = got.iter().zip(&mode.logits).map(|(got, want)| (got - want).abs() / largest);
    let forward = errors.fold(0.0, f64::max);
    assert!(forward <= TOLERANCE, "logits are off by {forward} of the largest");
    let error = (loss.double_value(&[]) - mode.loss).abs();
    assert!(error <= TOLERANCE * mode.loss, "the loss is off by {error}");

    let mut gradients: BTreeMap<String, Tensor> = BTreeMap::from([("input".to_owned(), input.grad())]);
    for (name, tensor) in store.variables().into_iter().filter(|(_, tensor)| tensor.requires_grad()) {
        gradients.insert(name, tensor.grad());
    }
    assert_eq!(gradients.keys().collect::<Vec<_>>(), mode.gradients.keys().collect::<Vec<_>>());
    let parameters = mode.gradients.iter().filter(|(name, _)| *name != "input");
    let most = parameters.fold(0.0, |most: f64, (_, golden)| most.max(golden[0]));
    let mut backward: f64 = 0.0;
    for (name, gradient) in &gradients {
        let golden = &mode.gradients[name];
        // A bias before a batch norm has no gradient but rounding, which has no scale of its own.
        let scale = if golden[0] > 1e-9 * most { golden[0] } else { most };
        backward = backward.max(compare(name, gradient, golden, scale));
    }
    if training {
        let variables = store.variables();
        for (name, golden) in &mode.statistics {
            compare(name, &variables[name], golden, golden[0]);
        }
    }
    [forward, backward]
}

/// In double precision. In single, LibTorch's batch norm sums the values of channels that lie side by side one after another: in
/// training mode that alone puts the logits off by 7e-5, while the same network with its channels one behind the other is off
/// by 1e-6.
#[test]
fn log_mel_cnn() {
    let config = LogMelCnnConfig { dropout: 0.0, map_dropout: 0.0, ..LogMelCnnConfig::default() };
    parity_in(Kind::Double, Architecture::LogMelCnn, |path| LogMelCnn::new(path, &config));
}

/// In double precision, as [`log_mel_cnn`].
#[test]
fn masked_cnn() {
    let config = LogMelCnnConfig { dropout: 0.0, map_dropout: 0.0, ..LogMelCnnConfig::default() };
    parity_in(Kind::Double, Architecture::MaskedCnn, |path| MaskedCnn::new(path, &config));
}

#[test]
fn deep_cnn_1d() {
    parity(Architecture::DeepCnn1d, |path| Ok(DeepCnn1d::new(path, CLASSES)?.without_dropout()));
}

#[test]
fn four_conv_cnn() {
    parity(Architecture::FourConvCnn, |path| Ok(FourConvCnn::new(path, CLASSES)?.without_dropout()));
}

#[test]
fn cnn_lstm() {
    parity(Architecture::CnnLstm, |path| CnnLstm::new(path, CLASSES));
}

#[test]
fn mlp() {
    parity(Architecture::Mlp, |path| Ok(Mlp::new(path, CLASSES)?.without_dropout()));
}

#[test]
fn recurrent() {
    parity(Architecture::Rnn, |path| Ok(MfccSequence::new(path, Cell::Tanh, MFCCS, CLASSES)?.without_dropout()));
    parity(Architecture::Lstm, |path| Ok(MfccSequence::new(path, Cell::Lstm, MFCCS, CLASSES)?.without_dropout()));
}

#[test]
fn mfcc_cnn() {
    parity(Architecture::MfccCnn, |path| Ok(MfccCnn::new(path, MFCCS, CLASSES)?.without_dropout()));
}
