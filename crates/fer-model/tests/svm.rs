//! The SVM baseline: histograms beside scikit-image's, learning, saving, and files that do not fit.

#![allow(clippy::unwrap_used, reason = "a failed step of a test's preparation fails the test")]

use emotion_core::LabelSet;
use fer_model::dataset::{FaceSet, SIDE};
use fer_model::{Error, FaceFeatures, Hog, SvmBaseline, SvmData};
use model_kit::svm::SvmConfig;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    hog: Hog,
    descriptor: Vec<f32>,
}

#[test]
fn histograms_are_those_of_scikit_image() {
    let golden: Vec<Golden> = serde_json::from_str(include_str!("data/hog/hog-skimage-0.26.0.json")).unwrap();
    let picture: Vec<u8> = (0..SIDE * SIDE)
        .map(|place| (place % SIDE, place / SIDE))
        .map(|(x, y)| ((x * x + 3 * x * y + 7 * y) % 256) as u8)
        .collect();
    for Golden { hog, descriptor } in golden {
        let got = hog.describe(&picture, SIDE).unwrap();
        assert_eq!(got.len(), descriptor.len());
        for (place, (got, want)) in got.iter().zip(&descriptor).enumerate() {
            assert!((got - want).abs() < 1e-6, "{hog:?} at {place}: got {got}, want {want}");
        }
    }
}

/// Stripes that lie for happy and stand for sad, each picture with its own noise.
fn stripes(count: usize) -> FaceSet {
    let mut faces = FaceSet::new(LabelSet::face7());
    for index in 0..count {
        let class = if index % 2 == 0 { 3 } else { 4 };
        let mut state = index as u32 + 1;
        let pixels: Vec<u8> = (0..SIDE * SIDE)
            .map(|place| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let place = if class == 3 { place / SIDE } else { place % SIDE } + index;
                (state >> 25) as u8 + if place % 8 < 4 { 100 } else { 0 }
            })
            .collect();
        faces.push(&pixels, class).unwrap();
    }
    faces
}

#[test]
fn it_learns_is_saved_and_says_the_same_again() {
    let (training, held_out) = (stripes(60), stripes(80));
    let images: Vec<_> = (60..80).map(|index| held_out.image(index)).collect();
    let features = FaceFeatures::Hog(Hog::default());
    let data = SvmData::new(&features, &training).unwrap();
    let (svm, fit) = SvmBaseline::fit(&features, &data, &SvmConfig { c: 0.01, ..SvmConfig::default() }, None).unwrap();
    assert!(fit.converged && fit.objective.len() == 7, "{fit:?}");
    let svm = svm.with_temperature(0.5).unwrap();
    let scores = svm.predict_batch(&images).unwrap();
    for (index, scores) in scores.iter().enumerate() {
        assert_eq!(scores.top().0, held_out.emotion(60 + index));
    }

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("svm.safetensors");
    svm.save(&path).unwrap();
    assert_eq!(SvmBaseline::load(&path, None).unwrap().predict_batch(&images).unwrap(), scores);
    assert!(svm.with_temperature(0.0).is_err());
}

#[cfg(feature = "pretrained")]
#[test]
fn one_on_a_networks_features_asks_for_that_network() {
    let features = FaceFeatures::Cnn(Box::new(fer_model::FerModel::pretrained().unwrap()));
    let data = SvmData::new(&features, &stripes(20)).unwrap();
    let (svm, _) = SvmBaseline::fit(&features, &data, &SvmConfig::default(), None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("svm.safetensors");
    svm.save(&path).unwrap();
    assert!(matches!(SvmBaseline::load(&path, None), Err(Error::NoModel { .. })));
    assert!(SvmBaseline::load(&path, Some(fer_model::FerModel::pretrained().unwrap())).is_ok());
    assert!(fer_model::FerModel::load(&path).is_err());
}
