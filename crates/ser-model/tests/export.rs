//! Every network becomes an ONNX file that holds together and a TorchScript file that answers alike, for other batch sizes
//! and lengths too. That onnxruntime and PyTorch agree is seen by `cargo xtask check-exports`.

// What cannot be set up fails the test.
#![allow(clippy::unwrap_used)]

#[path = "../../model-kit/tests/common/onnx.rs"]
mod onnx;

use std::collections::HashSet;
use std::fs;

use emotion_core::LabelSet;
use model_kit::device::Device;
use model_kit::export::{Format, OPSET};
use model_kit::generator::seeded;
use model_kit::weights::Weights;
use ser_model::arch::Architecture;
use ser_model::features::TrackConfig;
use ser_model::input::LogMelConfig;
use ser_model::{Features, ModelConfig, SequenceConfig, SerModel, Statistics};
use tch::nn::VarStore;
use tch::{CModule, no_grad};

fn untrained(architecture: Architecture) -> SerModel {
    let standard = |rows| Statistics { mean: vec![0.0; rows], deviation: vec![1.0; rows] };
    let (features, rows) = if architecture.reads_log_mel() {
        (Features::LogMel(LogMelConfig::default()), 64)
    } else if architecture.reads_mfcc() {
        let tracks = TrackConfig { pitch: false, energy: false, ..TrackConfig::default() };
        (Features::Mfcc(SequenceConfig { tracks, statistics: standard(40) }), 40)
    } else {
        (Features::Vector(standard(162)), 162)
    };
    let store = VarStore::new(tch::Device::Cpu);
    seeded(5, || architecture.build(&store.root(), rows, 8)).unwrap();
    let mut weights = Weights::from_store(&store).unwrap();
    let name = format!("untrained {architecture}");
    let config = ModelConfig { name, architecture, labels: LabelSet::speech8(), features, temperature: 1.5 };
    weights.metadata.extend([config.to_metadata()]);
    SerModel::from_weights(&weights, Device::Cpu).unwrap()
}

fn shape(architecture: Architecture) -> Vec<&'static str> {
    match architecture {
        Architecture::MaskedCnn | Architecture::LogMelCnn => vec!["batch", "65", "frames"],
        Architecture::Rnn | Architecture::Lstm => vec!["batch", "41", "frames"],
        Architecture::MfccCnn => vec!["batch", "41", "128"],
        _ => vec!["batch", "162"],
    }
}

#[test]
fn onnx_files_hold_together_and_describe_themselves() {
    let folder = tempfile::tempdir().unwrap();
    for architecture in Architecture::ALL {
        let path = folder.path().join(format!("{architecture}.onnx"));
        untrained(architecture).export(&path, Format::Onnx).unwrap();
        let file = onnx::read(&fs::read(&path).unwrap());
        assert_eq!(file.opset, OPSET as u64);
        assert_eq!(file.inputs[0].1, shape(architecture), "{architecture}");
        assert_eq!(file.outputs[0].1, ["batch", "8"], "{architecture}");
        let labels: Vec<String> = serde_json::from_str(&file.metadata["labels"]).unwrap();
        assert_eq!(labels.last().map(String::as_str), Some("calm"));
        let normalisation: serde_json::Value = serde_json::from_str(&file.metadata["normalisation"]).unwrap();
        assert_eq!(normalisation["sample_rate"], 16_000);
        assert!(normalisation["steps"].is_array());
        // What works twice, the mask of a network that listens twice, lies in the file once.
        let weights = || file.initialisers.values().filter(|(shape, _)| shape.len() > 1);
        assert_eq!(weights().collect::<HashSet<_>>().len(), weights().count(), "{architecture}");
    }
}

#[test]
fn an_lstm_has_its_gates_in_the_order_of_onnx() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lstm.onnx");
    let (architecture, store) = (Architecture::CnnLstm, VarStore::new(tch::Device::Cpu));
    seeded(5, || architecture.build(&store.root(), 162, 8)).unwrap();
    let model = untrained(architecture);
    model.export(&path, Format::Onnx).unwrap();
    let file = onnx::read(&fs::read(&path).unwrap());
    let (name, (shape, bytes)) = file.initialisers.iter().find(|(name, _)| name.ends_with(".R")).unwrap();
    assert_eq!(shape, &[1, 512, 128], "{name}");
    let floats: Vec<f32> = bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect();
    // Input, output, forget, cell there; input, forget, cell, output here.
    let ours: Vec<f32> = Vec::try_from(store.variables()["lstm.weight_hh_l0"].detach().flatten(0, -1)).unwrap();
    let gate = 128 * 128;
    for (theirs, ours_at) in [0, 3, 1, 2].into_iter().enumerate() {
        assert_eq!(floats[theirs * gate..(theirs + 1) * gate], ours[ours_at * gate..(ours_at + 1) * gate], "{theirs}");
    }
}

#[test]
fn torchscript_files_answer_alike_for_every_batch_size_and_length() {
    let folder = tempfile::tempdir().unwrap();
    for architecture in Architecture::ALL {
        let model = untrained(architecture);
        let path = folder.path().join(format!("{architecture}.pt"));
        model.export(&path, Format::TorchScript).unwrap();
        let module = CModule::load(&path).unwrap();
        for sizes in [(1, 64), (7, 64), (2, 16), (3, 501)] {
            let input = model.description().sample(sizes, tch::Device::Cpu).unwrap();
            let wanted = model.forward(&input).unwrap();
            let got = no_grad(|| module.forward_ts(&[&input])).unwrap();
            let worst = (&got - &wanted).abs().max().double_value(&[]) / wanted.abs().max().double_value(&[]);
            assert!(worst < 1e-5, "{architecture}, batch and frames {sizes:?}: {worst}");
        }
        assert!(path.with_extension("pt.json").exists());
    }
}
