//! Every network becomes an ONNX file that holds together and a TorchScript file that answers alike, for other batch sizes
//! too. That onnxruntime and PyTorch agree is seen by `cargo xtask check-exports`.

// What cannot be set up fails the test.
#![allow(clippy::unwrap_used)]

#[path = "../../model-kit/tests/common/onnx.rs"]
mod onnx;

use std::fs;

use emotion_core::LabelSet;
use fer_model::FerModel;
use fer_model::arch::{Arch, InceptionConfig, ResNetConfig, ResNetDepth, VggConfig};
use fer_model::config::{ModelConfig, Normalisation};
use model_kit::device::Device;
use model_kit::export::{Format, OPSET};
use model_kit::generator::seeded;
use model_kit::weights::Weights;
use tch::nn::VarStore;
use tch::{CModule, Tensor, no_grad};

fn untrained(arch: Arch) -> FerModel {
    let store = VarStore::new(tch::Device::Cpu);
    seeded(5, || arch.build(&store.root(), 7)).unwrap();
    let mut weights = Weights::from_store(&store).unwrap();
    let config = ModelConfig {
        name: format!("untrained {arch}"),
        arch,
        labels: LabelSet::face7(),
        normalisation: Normalisation { mean: 0.5, deviation: 0.25 },
        temperature: 1.5,
        training: None,
    };
    weights.metadata.extend([config.to_metadata()]);
    FerModel::from_weights(&weights, Device::Cpu).unwrap()
}

fn networks() -> Vec<Arch> {
    // ResNet's other kind of blocks too.
    let bottlenecks = ResNetConfig { depth: ResNetDepth::Layers50, ..ResNetConfig::default() };
    let all = Arch::all().into_iter().chain([Arch::ResNet(bottlenecks)]);
    // The networks for large pictures on small ones: their operations are the same.
    all.map(|arch| match arch {
        Arch::InceptionV3(config) => Arch::InceptionV3(InceptionConfig { side: 75, ..config }),
        Arch::ResNet(config) => Arch::ResNet(ResNetConfig { side: 40, ..config }),
        Arch::Vgg(config) => Arch::Vgg(VggConfig { side: 40, ..config }),
        other => other,
    })
    .collect()
}

/// The largest difference, as a share of the largest value.
fn difference(got: &Tensor, wanted: &Tensor) -> f64 {
    assert_eq!(got.size(), wanted.size());
    (got - wanted).abs().max().double_value(&[]) / wanted.abs().max().double_value(&[])
}

#[test]
fn onnx_files_hold_together_and_describe_themselves() {
    let folder = tempfile::tempdir().unwrap();
    for arch in networks() {
        let path = folder.path().join(format!("{arch}.onnx"));
        untrained(arch.clone()).export(&path, Format::Onnx).unwrap();
        let file = onnx::read(&fs::read(&path).unwrap());
        assert_eq!(file.opset, OPSET as u64);
        let shape = |dims: &[&str]| dims.iter().map(|dim| (*dim).to_owned()).collect::<Vec<_>>();
        assert_eq!(file.inputs, [("input".to_owned(), shape(&["batch", "1", "48", "48"]))], "{arch}");
        assert_eq!(file.outputs, [("logits".to_owned(), shape(&["batch", "7"]))], "{arch}");
        assert_eq!(file.metadata["name"], format!("untrained {arch}"));
        assert_eq!(file.metadata["temperature"], "1.5");
        let labels: Vec<String> = serde_json::from_str(&file.metadata["labels"]).unwrap();
        assert_eq!(labels, ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]);
        let normalisation: serde_json::Value = serde_json::from_str(&file.metadata["normalisation"]).unwrap();
        assert_eq!((&normalisation["mean"], &normalisation["deviation"]), (&0.5.into(), &0.25.into()));
    }
}

#[test]
fn the_graph_of_a_small_network_is_what_it_should_be() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mlp.onnx");
    let model = untrained(Arch::Mlp);
    model.export(&path, Format::Onnx).unwrap();
    let file = onnx::read(&fs::read(&path).unwrap());
    let operations: Vec<&str> = file.nodes.iter().map(|node| node.0.as_str()).collect();
    let layer = ["MatMul", "Add", "Relu"];
    assert_eq!(operations, [&["Flatten"][..], &layer, &layer, &layer, &layer[..2], &["Identity"]].concat());
    assert_eq!(file.initialisers["MatMul_1.weight"].0, [48 * 48, 1024]);
    assert_eq!(file.initialisers["Add_11.bias"].0, [7]);
    let parameters: usize = file.initialisers.values().map(|(_, bytes)| bytes.len() / 4).sum();
    assert_eq!(parameters, 3_018_247);
}

#[test]
fn torchscript_files_answer_alike_for_every_batch_size() {
    let folder = tempfile::tempdir().unwrap();
    for arch in networks() {
        let model = untrained(arch.clone());
        let path = folder.path().join(format!("{arch}.pt"));
        model.export(&path, Format::TorchScript).unwrap();
        let module = CModule::load(&path).unwrap();
        for batch in [1, 7] {
            let input = model.description().sample((batch, 64), tch::Device::Cpu).unwrap();
            let got = no_grad(|| module.forward_ts(&[&input])).unwrap();
            let worst = difference(&got, &model.forward(&input).unwrap());
            assert!(worst < 1e-5, "{arch}, batch of {batch}: {worst}");
        }
        let beside = fs::read(path.with_extension("pt.json")).unwrap();
        let description: serde_json::Value = serde_json::from_slice(&beside).unwrap();
        assert_eq!(description["labels"][3], "happy");
        assert_eq!(description["input"], serde_json::json!(["batch", 1, 48, 48]));
        let face = image::GrayImage::from_fn(48, 48, |x, y| image::Luma([(5 * x + 3 * y * y) as u8]));
        let (read, wanted) = (FerModel::load(&path).unwrap().predict(&face).unwrap(), model.predict(&face).unwrap());
        assert!(read.values().iter().zip(wanted.values()).all(|(got, want)| (got - want).abs() < 1e-5), "{arch}");
    }
}

#[test]
fn a_place_that_cannot_be_written_is_an_error() {
    let model = untrained(Arch::Mlp);
    for format in Format::ALL {
        assert!(model.export("/nowhere/at/all", format).is_err());
    }
}
