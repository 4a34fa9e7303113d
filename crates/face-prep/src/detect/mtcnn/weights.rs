//! The weights: which there are, and their file.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use crate::Error;

/// The name and shape of every weight.
const WEIGHTS: &[(&str, &[usize])] = &[
    ("pnet.conv1", &[10, 3, 3, 3]),
    ("pnet.prelu1", &[10]),
    ("pnet.conv2", &[16, 10, 3, 3]),
    ("pnet.prelu2", &[16]),
    ("pnet.conv3", &[32, 16, 3, 3]),
    ("pnet.prelu3", &[32]),
    ("pnet.score", &[2, 32, 1, 1]),
    ("pnet.box", &[4, 32, 1, 1]),
    ("rnet.conv1", &[28, 3, 3, 3]),
    ("rnet.prelu1", &[28]),
    ("rnet.conv2", &[48, 28, 3, 3]),
    ("rnet.prelu2", &[48]),
    ("rnet.conv3", &[64, 48, 2, 2]),
    ("rnet.prelu3", &[64]),
    ("rnet.dense1", &[128, 576]),
    ("rnet.prelu4", &[128]),
    ("rnet.score", &[2, 128]),
    ("rnet.box", &[4, 128]),
    ("onet.conv1", &[32, 3, 3, 3]),
    ("onet.prelu1", &[32]),
    ("onet.conv2", &[64, 32, 3, 3]),
    ("onet.prelu2", &[64]),
    ("onet.conv3", &[64, 64, 3, 3]),
    ("onet.prelu3", &[64]),
    ("onet.conv4", &[128, 64, 2, 2]),
    ("onet.prelu4", &[128]),
    ("onet.dense1", &[256, 1152]),
    ("onet.prelu5", &[256]),
    ("onet.score", &[2, 256]),
    ("onet.box", &[4, 256]),
    ("onet.landmarks", &[10, 256]),
];

/// A weight's shape and numbers, by its name.
pub(super) type Weights = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// Reads the file, and names all that is missing, unexpected or of another shape.
pub(super) fn read(path: &Path) -> Result<Weights, Error> {
    let bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.into(), source })?;
    let refused = |problem: String| Error::Weights { path: path.into(), problem };
    let file = SafeTensors::deserialize(&bytes).map_err(|error| refused(format!("not a safetensors file: {error}")))?;
    let mut expected = BTreeMap::new();
    for &(layer, shape) in WEIGHTS {
        expected.insert(format!("{layer}.weight"), shape.to_vec());
        if !layer.contains("prelu") {
            expected.insert(format!("{layer}.bias"), vec![shape[0]]);
        }
    }
    let mut problems: Vec<String> = file
        .names()
        .iter()
        .filter(|name| !expected.contains_key(**name))
        .map(|name| format!("unexpected {name}"))
        .collect();
    let mut weights = BTreeMap::new();
    for (name, shape) in expected {
        let Ok(view) = file.tensor(&name) else {
            problems.push(format!("missing {name}"));
            continue;
        };
        if view.shape() != shape || view.dtype() != Dtype::F32 {
            problems.push(format!("{name}: expected f32 {shape:?}, got {:?} {:?}", view.dtype(), view.shape()));
            continue;
        }
        let numbers: Vec<f32> =
            view.data().chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect();
        if numbers.iter().any(|number| !number.is_finite()) {
            problems.push(format!("{name}: not all numbers are finite"));
        }
        weights.insert(name, (shape, numbers));
    }
    if problems.is_empty() { Ok(weights) } else { Err(refused(problems.join("; "))) }
}
