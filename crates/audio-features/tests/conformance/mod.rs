//! Runs a conformance suite: what librosa computed, against what this crate computes.
//!
//! A suite is a folder with `cases.json`, `inputs.safetensors` and a safetensors file for every group of cases. The parity test
//! and the `conformance` example share this module.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a damaged suite may stop the run")]

mod call;
mod compare;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use ndarray::{ArrayD, IxDyn};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value};

/// An array of a suite.
#[derive(Debug, Clone)]
pub(crate) enum Data {
    F32(ArrayD<f32>),
    F64(ArrayD<f64>),
    /// Integers, which no function takes; only their presence matters.
    Integers(Vec<i64>, Vec<usize>),
}

/// One thing that librosa computed.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) group: String,
    pub(crate) function: String,
    pub(crate) inputs: Vec<String>,
    pub(crate) params: Map<String, Value>,
    pub(crate) expected: Expected,
    pub(crate) ill_conditioned: bool,
}

/// Functions that turn the rounding of a single-precision transform into something visible: spectra that are almost one
/// line, phases or logarithms of bins that hold nothing but rounding, samples that windows hardly reach. The crate's
/// documentation names them.
const ILL_CONDITIONED_IN_SINGLE_PRECISION: [&str; 7] = [
    "istft",
    "spectral_bandwidth",
    "spectral_contrast",
    "spectral_flatness",
    "time_stretch",
    "pitch_shift",
    "phase_vocoder",
];

impl Case {
    /// Whether the answer hangs on rounding, so that it is reported apart.
    pub(crate) fn is_ill_conditioned(&self, fast: bool) -> bool {
        let name = self.function.rsplit('.').next().unwrap_or("").trim_end_matches("[S]");
        self.ill_conditioned
            || (fast && ILL_CONDITIONED_IN_SINGLE_PRECISION.contains(&name))
            // A root makes large what is small.
            || (fast && self.params.get("power").and_then(Value::as_f64).is_some_and(|power| power < 1.0))
            || (name == "istft" && self.hangs_on_the_fft())
    }

    /// Whether the inverse transform of this length and precision is one that scipy and numpy round differently, so that
    /// librosa's samples are those of its FFT library: single precision, and a length with a large prime factor.
    fn hangs_on_the_fft(&self) -> bool {
        let n_fft = self.params.get("n_fft").and_then(Value::as_u64).unwrap_or(2048);
        let mut rest = n_fft;
        let mut largest = 1;
        for factor in 2..=n_fft {
            while rest.is_multiple_of(factor) && rest > 0 {
                (rest, largest) = (rest / factor, factor);
            }
        }
        let single = matches!(&self.expected, Expected::Arrays(arrays) if arrays.iter().any(|a| a.dtype == "float32"));
        single && (largest >= 135 || (n_fft > 1000 && n_fft.is_multiple_of(2) && largest > 5))
    }
}

/// What it computed: arrays, or an error.
#[derive(Debug)]
pub(crate) enum Expected {
    Arrays(Vec<ExpectedArray>),
    Error(String),
}

/// An array that was computed; a complex one has a last axis of 2.
#[derive(Debug)]
pub(crate) struct ExpectedArray {
    pub(crate) key: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: String,
    pub(crate) complex: bool,
}

/// A suite in memory.
pub(crate) struct Suite {
    pub(crate) librosa: String,
    pub(crate) cases: Vec<Case>,
    inputs: HashMap<String, Data>,
    arrays: HashMap<String, Data>,
}

/// How a case ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// Equal within the gate; the error is in units of the gate's own measure.
    Passed { error: f64 },
    /// Not equal, with what differs.
    Failed { error: f64, reason: String },
    /// The function or a parameter is not known here.
    Unsupported { what: String },
}

/// The verdicts of a group.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally {
    pub(crate) cases: usize,
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) unsupported: usize,
    /// Cases that librosa itself answers differently at another precision; they count nowhere else.
    pub(crate) ill_conditioned: usize,
    /// The case with the largest error, as a multiple of what its gate allows.
    pub(crate) worst: Option<(String, f64)>,
}

impl Suite {
    /// Reads a folder.
    pub(crate) fn load(folder: &Path) -> Result<Self> {
        let path = folder.join("cases.json");
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let json: Value = serde_json::from_str(&text).with_context(|| format!("cannot parse {}", path.display()))?;
        let cases: Vec<Case> =
            json["cases"].as_array().context("cases.json has no cases")?.iter().map(case).collect::<Result<_>>()?;
        let inputs = read_arrays(&folder.join("inputs.safetensors"))?;
        let mut arrays = HashMap::new();
        let groups: std::collections::BTreeSet<&str> = cases.iter().map(|case| case.group.as_str()).collect();
        for group in groups {
            let path = folder.join(format!("{group}.safetensors"));
            if path.exists() {
                arrays.extend(read_arrays(&path)?);
            }
        }
        let librosa = json["librosa"].as_str().unwrap_or("of an unknown version").to_owned();
        Ok(Self { librosa, cases, inputs, arrays })
    }

    /// Runs a case.
    pub(crate) fn run(&self, case: &Case, fast: bool) -> Result<Verdict> {
        let inputs: Vec<Data> = case.inputs.iter().map(|name| self.input(name)).collect::<Result<_>>()?;
        let outcome = call::call(&case.function, &inputs, &case.params, fast);
        Ok(match (outcome, &case.expected) {
            (Err(call::Stop::Unsupported(what)), _) => Verdict::Unsupported { what },
            (Err(call::Stop::Error(_)), Expected::Error(_)) => Verdict::Passed { error: 0.0 },
            (Err(call::Stop::Error(error)), Expected::Arrays(_)) => {
                Verdict::Failed { error: f64::INFINITY, reason: format!("unexpected error: {error}") }
            }
            (Ok(_), Expected::Error(kind)) => {
                Verdict::Failed { error: f64::INFINITY, reason: format!("no error where librosa raises {kind}") }
            }
            (Ok(outputs), Expected::Arrays(expected)) => {
                if outputs.len() != expected.len() {
                    bail!("{}: {} outputs instead of {}", case.id, outputs.len(), expected.len());
                }
                let mut error = 0.0_f64;
                for (output, expected) in outputs.iter().zip(expected) {
                    let want = self.arrays.get(&expected.key).with_context(|| format!("no array {}", expected.key))?;
                    match compare::compare(case, output, expected, want, fast) {
                        Ok(measured) => error = error.max(measured),
                        Err((measured, reason)) => return Ok(Verdict::Failed { error: measured, reason }),
                    }
                }
                Verdict::Passed { error }
            }
        })
    }

    /// Runs every case whose id contains `filter`, and calls `report` with each verdict.
    pub(crate) fn run_all(
        &self,
        fast: bool,
        filter: &str,
        mut report: impl FnMut(&Case, &Verdict),
    ) -> Result<BTreeMap<String, Tally>> {
        let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
        for case in self.cases.iter().filter(|case| case.id.contains(filter)) {
            let verdict = self.run(case, fast)?;
            report(case, &verdict);
            let tally = tallies.entry(case.group.clone()).or_default();
            tally.cases += 1;
            if case.is_ill_conditioned(fast) && !matches!(verdict, Verdict::Unsupported { .. }) {
                tally.ill_conditioned += 1;
                continue;
            }
            match &verdict {
                Verdict::Passed { .. } => tally.passed += 1,
                Verdict::Failed { .. } => tally.failed += 1,
                Verdict::Unsupported { .. } => tally.unsupported += 1,
            }
            if let Verdict::Passed { error } | Verdict::Failed { error, .. } = verdict
                && tally.worst.as_ref().is_none_or(|worst| error > worst.1)
            {
                tally.worst = Some((case.id.clone(), error));
            }
        }
        Ok(tallies)
    }

    /// An input by name, which may end in a slice of the last axis: `freqs[1:]`, `speech[..., :800]`.
    fn input(&self, name: &str) -> Result<Data> {
        let (base, slice) = name.split_once('[').unwrap_or((name, ""));
        let data = self.inputs.get(base).with_context(|| format!("no input {base}"))?;
        if slice.is_empty() {
            return Ok(data.clone());
        }
        let range = slice.trim_end_matches(']').trim_start_matches("...,").trim();
        let (from, to) = range.split_once(':').with_context(|| format!("{name} is no slice this runner knows"))?;
        let bound = |text: &str| -> Result<Option<usize>> {
            let text = text.trim();
            if text.is_empty() { Ok(None) } else { Ok(Some(text.parse().with_context(|| format!("in {name}"))?)) }
        };
        let (from, to) = (bound(from)?.unwrap_or(0), bound(to)?);
        Ok(match data {
            Data::F32(array) => Data::F32(cut(array, from, to)),
            Data::F64(array) => Data::F64(cut(array, from, to)),
            Data::Integers(values, shape) => Data::Integers(values.clone(), shape.clone()),
        })
    }
}

fn cut<T: Clone>(array: &ArrayD<T>, from: usize, to: Option<usize>) -> ArrayD<T> {
    let axis = ndarray::Axis(array.ndim() - 1);
    let length = array.len_of(axis);
    let to = to.unwrap_or(length).min(length);
    array.slice_axis(axis, ndarray::Slice::from(from.min(to)..to)).to_owned()
}

fn case(json: &Value) -> Result<Case> {
    let text =
        |key: &str| json[key].as_str().map(str::to_owned).with_context(|| format!("a case without {key}: {json}"));
    let expected = if json["error"].is_object() {
        Expected::Error(json["error"]["kind"].as_str().unwrap_or("an error").to_owned())
    } else {
        let arrays = json["expect"].as_array().with_context(|| format!("a case that expects nothing: {json}"))?;
        Expected::Arrays(
            arrays
                .iter()
                .map(|entry| {
                    Ok(ExpectedArray {
                        key: entry["key"].as_str().context("an array without key")?.to_owned(),
                        shape: serde_json::from_value(entry["shape"].clone())?,
                        dtype: entry["dtype"].as_str().unwrap_or("").to_owned(),
                        complex: entry["complex"].as_bool().unwrap_or(false),
                    })
                })
                .collect::<Result<_>>()?,
        )
    };
    Ok(Case {
        id: text("id")?,
        group: text("group")?,
        function: text("fn")?,
        inputs: serde_json::from_value(json["inputs"].clone()).unwrap_or_default(),
        params: json["params"].as_object().cloned().unwrap_or_default(),
        expected,
        ill_conditioned: json["ill_conditioned"].as_bool().unwrap_or(false),
    })
}

fn read_arrays(path: &Path) -> Result<HashMap<String, Data>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let tensors = SafeTensors::deserialize(&bytes).with_context(|| format!("cannot parse {}", path.display()))?;
    tensors
        .iter()
        .map(|(name, tensor)| {
            let (shape, bytes) = (tensor.shape().to_vec(), tensor.data());
            let data = match tensor.dtype() {
                Dtype::F32 => Data::F32(array(&shape, bytes, f32::from_le_bytes)?),
                Dtype::F64 => Data::F64(array(&shape, bytes, f64::from_le_bytes)?),
                Dtype::I64 => integers(shape, bytes, i64::from_le_bytes)?,
                Dtype::I32 => integers(shape, bytes, |b| i64::from(i32::from_le_bytes(b)))?,
                Dtype::I16 => integers(shape, bytes, |b| i64::from(i16::from_le_bytes(b)))?,
                Dtype::U8 | Dtype::BOOL => integers(shape, bytes, |b: [u8; 1]| i64::from(b[0]))?,
                other => bail!("{name} in {} has dtype {other:?}", path.display()),
            };
            Ok((name.to_owned(), data))
        })
        .collect()
}

fn values<T, const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.chunks_exact(N).map(|chunk| read(chunk.try_into().unwrap())).collect()
}

fn array<T, const N: usize>(shape: &[usize], bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Result<ArrayD<T>> {
    Ok(ArrayD::from_shape_vec(IxDyn(shape), values(bytes, read))?)
}

fn integers<const N: usize>(shape: Vec<usize>, bytes: &[u8], read: impl Fn([u8; N]) -> i64) -> Result<Data> {
    let values = values(bytes, read);
    ensure!(values.len() == shape.iter().product::<usize>(), "an array of another size than its shape");
    Ok(Data::Integers(values, shape))
}
