//! The gates: how far a result may be from librosa's.

use ndarray::ArrayD;

use super::{Case, Data, ExpectedArray};

/// What a function returned, as `f64` whatever it was; complex numbers have a last axis of 2.
pub(crate) struct Output {
    pub(crate) values: ArrayD<f64>,
    pub(crate) dtype: &'static str,
}

/// How an error is measured, and how large it may be.
enum Gate {
    /// Every |d| ≤ 1e-8 + 1e-5·|ref|.
    Elementwise,
    /// Every |d| ≤ this·max|ref|.
    OfLargest(f64),
    /// ‖d‖ ≤ this·‖ref‖.
    Relative(f64),
    /// As `Relative`, channel by channel, without the ends, which a resampler's filter sees beyond; and at most 0.01 sample too
    /// late or early.
    Resampled(f64),
    /// The same values.
    Exact,
    /// Frequencies within 0.1 cent where both are voiced; the same voicing in 99.5 % of the frames.
    Pitch,
}

fn gate(case: &Case, fast: bool) -> Gate {
    let resampled_with = case.params.get("res_type").and_then(|name| name.as_str()).unwrap_or("soxr_hq");
    let name = case.function.rsplit('.').next().unwrap_or("");
    if ["zero_crossings", "trim", "split"].contains(&name.split('[').next().unwrap_or("")) {
        return Gate::Exact;
    }
    match (name, fast) {
        ("zero_crossing_rate", _) => Gate::Exact,
        ("yin" | "pyin", _) => Gate::Pitch,
        ("pitch_shift", _) => Gate::Resampled(5e-3),
        ("resample", _) if resampled_with.starts_with("soxr") => Gate::Resampled(5e-3),
        ("resample", _) => Gate::OfLargest(1e-6),
        ("time_stretch" | "phase_vocoder", _) => Gate::Relative(1e-4),
        (_, true) => Gate::OfLargest(1e-5),
        ("mfcc" | "mfcc[S]" | "power_to_db" | "power_to_db[ref=max]" | "amplitude_to_db", false) => {
            Gate::OfLargest(2e-6)
        }
        (_, false) => Gate::Elementwise,
    }
}

/// The largest error as a multiple of what the gate allows, or what is wrong.
pub(crate) fn compare(
    case: &Case,
    got: &Output,
    expected: &ExpectedArray,
    want: &Data,
    fast: bool,
) -> Result<f64, (f64, String)> {
    let broken = |reason: String| Err((f64::INFINITY, reason));
    let want = match want {
        Data::F32(array) => array.mapv(f64::from),
        Data::F64(array) => array.clone(),
        Data::Integers(values, shape) => {
            ArrayD::from_shape_vec(shape.clone(), values.iter().map(|&x| x as f64).collect()).unwrap()
        }
    };
    let mut shape = got.values.shape().to_vec();
    if expected.complex {
        shape.pop();
    }
    if shape != expected.shape {
        return broken(format!("shape {shape:?} instead of {:?}", expected.shape));
    }
    if got.dtype != expected.dtype {
        return broken(format!("dtype {} instead of {}", got.dtype, expected.dtype));
    }
    let (got, want): (Vec<f64>, Vec<f64>) = (got.values.iter().copied().collect(), want.iter().copied().collect());
    let largest = want.iter().filter(|x| x.is_finite()).fold(0.0_f64, |most, x| most.max(x.abs()));
    let gate = gate(case, fast);
    // The largest of all errors, each in multiples of what is allowed there. Two NaN are equal, and so are two infinities.
    let worst = |allowed: &dyn Fn(f64) -> f64| {
        let equal = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan());
        let error = |a: f64, b: f64| if equal(a, b) { 0.0 } else { (a - b).abs() / allowed(b) };
        got.iter().zip(&want).enumerate().map(|(i, (&a, &b))| (error(a, b), i)).fold((0.0, 0), most)
    };

    let (error, index) = match gate {
        Gate::Exact => worst(&|_| 0.0),
        Gate::Elementwise => worst(&|want| 1e-8 + 1e-5 * want.abs()),
        Gate::OfLargest(share) => worst(&|_| (share * largest).max(f64::MIN_POSITIVE)),
        Gate::Relative(share) => (relative(&got, &want) / share, 0),
        Gate::Resampled(share) => {
            let n = expected.shape.last().copied().unwrap_or(0).max(1);
            let margin = (n / 10).max(200).min(n / 3);
            let of_channel = |(index, (got, want)): (usize, (&[f64], &[f64]))| {
                let (got, want) = (&got[margin..n - margin], &want[margin..n - margin]);
                ((relative(got, want) / share).max(delay(got, want).abs() / 0.01), index * n + margin)
            };
            got.chunks_exact(n).zip(want.chunks_exact(n)).enumerate().map(of_channel).fold((0.0, 0), most)
        }
        Gate::Pitch => return pitch(expected, &got, &want),
    };
    if error <= 1.0 {
        return Ok(error);
    }
    let place = unravel(index, &expected.shape, expected.complex);
    let values = match (got.get(index), want.get(index)) {
        (Some(got), Some(want)) => format!("got {got}, want {want}"),
        _ => "no values".to_owned(),
    };
    Err((error, format!("{error:.3e} times the gate at {place:?}: {values} (largest {largest:.3e})")))
}

/// Keeps the larger error; NaN is the largest.
fn most(a: (f64, usize), b: (f64, usize)) -> (f64, usize) {
    if b.0 > a.0 || b.0.is_nan() { (if b.0.is_nan() { f64::INFINITY } else { b.0 }, b.1) } else { a }
}

fn relative(got: &[f64], want: &[f64]) -> f64 {
    let distance: f64 = got.iter().zip(want).map(|(a, b)| (a - b).powi(2)).sum();
    let length: f64 = want.iter().map(|x| x * x).sum();
    if length == 0.0 { distance.sqrt() } else { (distance / length).sqrt() }
}

/// By how many samples `got` comes too late: what explains the difference best, to first order.
fn delay(got: &[f64], want: &[f64]) -> f64 {
    let (mut product, mut square) = (0.0, 0.0);
    for (i, around) in want.windows(3).enumerate() {
        let slope = (around[2] - around[0]) / 2.0;
        product += slope * (around[1] - got[i + 1]);
        square += slope * slope;
    }
    if square == 0.0 { 0.0 } else { product / square }
}

fn pitch(expected: &ExpectedArray, got: &[f64], want: &[f64]) -> Result<f64, (f64, String)> {
    // `pyin` returns frequencies, voicing, and the probability of voicing; `yin` frequencies only.
    let is_frequencies = expected.key.ends_with("/0");
    let mut error = 0.0_f64;
    let mut disagreements = 0;
    for (&got, &want) in got.iter().zip(want) {
        if is_frequencies && got.is_nan() == want.is_nan() {
            if !got.is_nan() {
                error = error.max((1200.0 * (got / want).log2()).abs() / 0.1);
            }
        } else if !is_frequencies && expected.dtype == "float64" {
            error = error.max((got - want).abs() / 1e-5);
        } else if got != want {
            disagreements += 1;
        }
    }
    error = error.max(disagreements as f64 / (0.005 * got.len() as f64));
    if error <= 1.0 {
        Ok(error)
    } else {
        Err((error, format!("{error:.3e} times the gate, voicing differs in {disagreements} of {} frames", got.len())))
    }
}

fn unravel(index: usize, shape: &[usize], complex: bool) -> Vec<usize> {
    let mut shape = shape.to_vec();
    if complex {
        shape.push(2);
    }
    let mut rest = index;
    let mut place: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&n| {
            let here = rest % n.max(1);
            rest /= n.max(1);
            here
        })
        .collect();
    place.reverse();
    place
}
