//! The predictor: any size of picture, any size of batch, with bad files told apart.

#![allow(clippy::unwrap_used, reason = "a failed step of a test's preparation fails the test")]

use emotion_core::{EmotionModel, LabelSet};
use fer_model::arch::{Arch, CompactConfig};
use fer_model::config::{ModelConfig, Normalisation};
use fer_model::{Error, FerModel};
use image::{GrayImage, Luma};
use model_kit::device::Device;
use model_kit::weights::Weights;
use tch::nn::VarStore;

/// Weights of a small network as it comes out of its initialisation.
fn weights() -> Weights {
    let config = ModelConfig {
        name: "test 1".into(),
        arch: Arch::Compact(CompactConfig { widths: [8, 8, 16, 16], ..CompactConfig::default() }),
        labels: LabelSet::face7(),
        normalisation: Normalisation { mean: 0.5, deviation: 0.25 },
        temperature: 1.0,
        training: None,
    };
    tch::manual_seed(4);
    let store = VarStore::new(tch::Device::Cpu);
    config.arch.build(&store.root(), 7).unwrap();
    let mut weights = Weights::from_store(&store).unwrap();
    weights.metadata.insert("fer_model".into(), serde_json::to_string(&config).unwrap());
    weights
}

fn face(side: u32, seed: u32) -> GrayImage {
    GrayImage::from_fn(side, side, |x, y| Luma([(x * x * (seed + 1) + y * 7 * seed) as u8]))
}

#[test]
fn answers_do_not_depend_on_the_batch() {
    let model = FerModel::from_weights(&weights(), Device::Cpu).unwrap();
    let faces: Vec<GrayImage> = (0..70).map(|seed| face(if seed % 2 == 0 { 48 } else { 113 }, seed)).collect();
    let all = model.predict_batch(&faces).unwrap();
    assert_eq!(all.len(), 70);
    for index in [0, 1, 63, 64, 69] {
        let alone = model.predict(&faces[index]).unwrap();
        for (first, second) in alone.values().iter().zip(all[index].values()) {
            assert!((first - second).abs() < 1e-5, "face {index}: {alone:?} alone, {:?} among others", all[index]);
        }
    }
    assert!(model.predict_batch(&[]).unwrap().is_empty());
    assert_eq!(EmotionModel::name(&model), "test 1");
    assert!(matches!(model.predict(&GrayImage::new(0, 0)), Err(Error::Picture { .. })));
}

#[test]
fn mirrored_answers_are_symmetric() {
    let model = FerModel::from_weights(&weights(), Device::Cpu).unwrap().mirrored(true);
    let face = face(48, 3);
    let there = model.predict(&face).unwrap();
    let back = model.predict(&image::imageops::flip_horizontal(&face)).unwrap();
    for (first, second) in there.values().iter().zip(back.values()) {
        assert!((first - second).abs() < 1e-6);
    }
}

#[test]
fn files_that_are_no_face_model_are_told_apart() {
    let mut nameless = weights();
    nameless.metadata.clear();
    assert!(matches!(FerModel::from_weights(&nameless, Device::Cpu), Err(Error::NoModel { .. })));

    let mut garbled = weights();
    garbled.metadata.insert("fer_model".into(), "{}".into());
    assert!(matches!(FerModel::from_weights(&garbled, Device::Cpu), Err(Error::NoModel { .. })));

    let mut incomplete = weights();
    incomplete.tensors.remove("head.bias");
    let error = FerModel::from_weights(&incomplete, Device::Cpu).unwrap_err();
    assert!(matches!(error, Error::Model { source: model_kit::Error::Weights { .. } }), "{error:?}");

    assert!(FerModel::load("/nowhere/model.safetensors").is_err());
}

#[cfg(feature = "pretrained")]
#[test]
fn the_shipped_model_loads_and_is_small() {
    let model = FerModel::pretrained().unwrap();
    assert_eq!(*model.labels(), LabelSet::face7());
    let scores = model.predict(&face(48, 1)).unwrap();
    assert_eq!(scores.values().len(), 7);
    assert!(std::fs::metadata("weights/compact.safetensors").unwrap().len() < 6_000_000);
}
