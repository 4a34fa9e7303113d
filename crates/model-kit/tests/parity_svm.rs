//! The linear SVM beside scikit-learn's `LinearSVC` (liblinear's primal solver at a tolerance of 1e-12).

#![allow(clippy::unwrap_used, reason = "a failed step of a test's preparation fails the test")]

use model_kit::svm::{LinearSvm, SvmConfig};
use serde::Deserialize;
use tch::{Kind, Tensor};

const SAMPLES: usize = 300;
const FEATURES: usize = 20;
const CLASSES: usize = 4;

#[derive(Deserialize)]
struct Golden {
    c: f64,
    objective: Vec<f64>,
    margins: Vec<f64>,
    right: usize,
}

/// SplitMix64 as numbers of [-1, 1), `noise` of `generate.py`.
fn noise(place: u64) -> f64 {
    let mut z = place.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    (z >> 11) as f64 / (1u64 << 53) as f64 * 2.0 - 1.0
}

fn problem() -> (Tensor, Vec<usize>) {
    let classes: Vec<usize> = (0..SAMPLES).map(|sample| sample * 7 % CLASSES).collect();
    let mut features = Vec::new();
    for (sample, class) in classes.iter().enumerate() {
        for feature in 0..FEATURES {
            let centre = noise(1_000_000 + (class * FEATURES + feature) as u64);
            features.push(2.0 * noise((sample * FEATURES + feature) as u64) + 0.5 * centre);
        }
    }
    (Tensor::from_slice(&features).view([SAMPLES as i64, FEATURES as i64]), classes)
}

#[test]
fn objectives_and_margins_are_those_of_linear_svc() {
    let golden: Vec<Golden> = serde_json::from_str(include_str!("data/svm/linear_svc-sklearn-1.9.1.json")).unwrap();
    let (features, classes) = problem();
    let mut start = None;
    for Golden { c, objective, margins, right } in golden {
        let config = SvmConfig { c, tolerance: 1e-9, ..SvmConfig::default() };
        let (svm, fit) = LinearSvm::fit(&features, &classes, CLASSES, &config, start.as_ref()).unwrap();
        assert!(fit.converged, "C = {c}: {fit:?}");
        for (got, want) in fit.objective.iter().zip(&objective) {
            assert!((got - want).abs() <= 1e-9 * want, "C = {c}: objective {got}, want {want}");
        }
        let got = Vec::<f64>::try_from(svm.margins(&features.narrow(0, 0, 5)).unwrap().flatten(0, -1)).unwrap();
        for (got, want) in got.iter().zip(&margins) {
            assert!((got - want).abs() <= 1e-6, "C = {c}: margin {got}, want {want}");
        }
        let hits = svm.predict(&features).unwrap().iter().zip(&classes).filter(|(got, want)| got == want).count();
        assert_eq!(hits, right);
        // In single precision and by scikit-learn's own tolerance it is the same to what that allows.
        let single = SvmConfig { tolerance: 1e-4, ..config };
        let (_, fit) = LinearSvm::fit(&features.to_kind(Kind::Float), &classes, CLASSES, &single, None).unwrap();
        for (got, want) in fit.objective.iter().zip(&objective) {
            assert!(
                fit.converged && (got - want).abs() <= 1e-5 * want,
                "C = {c}: {got} in single precision, want {want}"
            );
        }
        start = Some(svm);
    }
}
