//! The predictor: any size of picture, any size of batch, with bad files told apart.

#![allow(clippy::unwrap_used, reason = "a failed step of a test's preparation fails the test")]

use emotion_core::{EmotionModel, LabelSet};
use fer_model::arch::{Arch, CompactConfig};
use fer_model::config::{ModelConfig, Normalisation};
use fer_model::{Error, FerModel, predict_ten_crop, ten_crop};
use image::{GrayImage, Luma};
use model_kit::device::Device;
use model_kit::weights::Weights;
use tch::nn::VarStore;
use tch::{Kind, Tensor};

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
fn crops_are_seen_at_their_own_size_or_resized() {
    let (model, face) = (FerModel::from_weights(&weights(), Device::Cpu).unwrap(), face(48, 5));
    let resized = predict_ten_crop(&model, std::slice::from_ref(&face), 40).unwrap();
    let small = model.at_size(40).unwrap();
    let seen = predict_ten_crop(&small, std::slice::from_ref(&face), 40).unwrap();
    assert_ne!(resized, seen);
    // At its own size a crop is given to the network as it is: the mean of the ten answers is theirs.
    let answers = small.predict_batch(&ten_crop(&face, 40).unwrap()).unwrap();
    for (place, value) in seen[0].values().iter().enumerate() {
        let mean = answers.iter().map(|scores| scores.values()[place]).sum::<f32>() / 10.0;
        assert!((mean - value).abs() < 1e-6);
    }
    assert!(matches!(small.at_size(15), Err(Error::InvalidConfig { field: "side", .. })));

    let mut flat = ModelConfig::from_weights(&weights()).unwrap();
    flat.arch = Arch::Mlp;
    let store = VarStore::new(tch::Device::Cpu);
    flat.arch.build(&store.root(), 7).unwrap();
    let mut own = Weights::from_store(&store).unwrap();
    own.metadata.insert("fer_model".into(), serde_json::to_string(&flat).unwrap());
    let model = FerModel::from_weights(&own, Device::Cpu).unwrap().at_size(40).unwrap();
    assert!(matches!(model.predict(&face), Err(Error::Model { .. })), "a network for one size says so");
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

#[test]
fn threads_share_one_model() {
    let model = FerModel::from_weights(&weights(), Device::Cpu).unwrap();
    let faces: Vec<GrayImage> = (0..40).map(|seed| face(48, seed)).collect();
    let alone = model.predict_batch(&faces).unwrap();
    let clone = model.clone();
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            [&model, &model, &clone, &clone].map(|model| scope.spawn(|| model.predict_batch(&faces).unwrap())).into();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), alone);
        }
    });
}

#[test]
fn embeddings_are_what_the_last_layer_sees() {
    let weights = weights();
    let model = FerModel::from_weights(&weights, Device::Cpu).unwrap();
    let faces: Vec<GrayImage> = (0..3).map(|seed| face(48, seed)).collect();
    let rows = model.embed(&faces).unwrap();
    assert_eq!(rows.iter().map(Vec::len).collect::<Vec<_>>(), [16; 3]);
    for (row, scores) in rows.iter().zip(model.predict_batch(&faces).unwrap()) {
        let logits =
            Tensor::from_slice(row).linear(&weights.tensors["head.weight"], Some(&weights.tensors["head.bias"]));
        let expected = Vec::<f32>::try_from(logits.softmax(-1, Kind::Float)).unwrap();
        for (got, want) in scores.values().iter().zip(expected) {
            assert!((got - want).abs() < 1e-6);
        }
    }
    assert!(model.embed(&[]).unwrap().is_empty());
}

/// Two TorchScript files that PyTorch wrote (`data/torchscript/generate.py`).
fn script(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/torchscript").join(name)
}

#[test]
fn torchscript_files_load() {
    // One that takes grey pictures of 48×48, and one that takes three channels of 64×64.
    for name in ["grey.pt", "colour.pt"] {
        let model = FerModel::load(script(name)).unwrap();
        assert_eq!(*model.labels(), LabelSet::face7());
        // Its logits are the mean of the standardised pixels times 0, 1, …, 6.
        let pixel = |value: u8| (f32::from(value) / 255.0 - 0.5) / 0.25;
        let faces = [GrayImage::from_pixel(48, 48, Luma([200])), GrayImage::from_pixel(90, 90, Luma([20]))];
        for (scores, value) in model.predict_batch(&faces).unwrap().iter().zip([200, 20]) {
            let expected: Vec<f32> = (0..7).map(|class| (class as f32 * pixel(value)).exp()).collect();
            let sum: f32 = expected.iter().sum();
            for (got, want) in scores.values().iter().zip(expected) {
                assert!((got - want / sum).abs() < 1e-5, "{name}: {scores:?}");
            }
        }
    }
}

#[test]
fn torchscript_files_that_do_not_fit_are_told_apart() {
    let reason = |result: Result<FerModel, Error>| match result {
        Err(Error::NoModel { reason, .. }) => reason,
        other => panic!("expected no model, got {other:?}"),
    };
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.pt");
    std::fs::copy(script("grey.pt"), &copy).unwrap();
    assert!(reason(FerModel::load(&copy)).contains("copy.pt.json"));

    let beside = folder.path().join("copy.pt.json");
    std::fs::write(
        &beside,
        r#"{"name": "x", "labels": ["happy", "sad"], "normalisation": {"mean": 0, "deviation": 1}}"#,
    )
    .unwrap();
    assert!(reason(FerModel::load(&copy)).contains("[2, 7]"));
    std::fs::write(&beside, r#"{"name": "x", "labels": ["happy"], "normalisation": {"mean": 0, "deviation": 0}}"#)
        .unwrap();
    assert!(reason(FerModel::load(&copy)).contains("above 0"));
    let text = std::fs::read_to_string(script("grey.pt.json")).unwrap();
    std::fs::write(&beside, text.replace("\"batch\", 1, 48, 48", "\"batch\", 2304")).unwrap();
    assert!(reason(FerModel::load(&copy)).contains("side, side"));

    std::fs::write(&beside, &text).unwrap();
    std::fs::write(&copy, b"PK\x03\x04 and then nothing of use").unwrap();
    assert!(reason(FerModel::load(&copy)).contains("LibTorch"));
}
