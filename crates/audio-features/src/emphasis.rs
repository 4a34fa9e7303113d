//! Lifting the treble, and lowering it again.

use crate::error::{Error, Result};
use crate::sample::{Sample, check_finite};

fn check<T: Sample>(samples: &[T], coef: f64) -> Result<()> {
    if !coef.is_finite() {
        return Err(Error::config("coef", "a finite number", coef));
    }
    if samples.len() < 2 {
        return Err(Error::input("the signal", "at least 2 samples long", samples.len()));
    }
    check_finite(samples)
}

/// `y[n] = x[n] − coef·x[n−1]` (librosa: `effects.preemphasis`; its default `coef` is 0.97). Before its start the signal is
/// taken to go on in a straight line, by the state `2·x[0] − x[1]` that librosa gives its filter.
///
/// # Errors
/// [`Error::InvalidInput`] for fewer than 2 samples, [`Error::NotFinite`] for NaN or infinite ones, [`Error::InvalidConfig`]
/// when `coef` is not finite.
pub fn preemphasis<T: Sample>(samples: &[T], coef: f64) -> Result<Vec<T>> {
    check(samples, coef)?;
    let coef = T::narrow(coef);
    let first = samples[0] + (T::narrow(2.0) * samples[0] - samples[1]);
    Ok(std::iter::once(first).chain(samples.windows(2).map(|pair| pair[1] - coef * pair[0])).collect())
}

/// Undoes [`preemphasis`] of the same `coef` (librosa: `effects.deemphasis`).
///
/// # Errors
/// As [`preemphasis`], and [`Error::InvalidConfig`] when `coef` is 3, for which the start of the signal is lost.
pub fn deemphasis<T: Sample>(samples: &[T], coef: f64) -> Result<Vec<T>> {
    check(samples, coef)?;
    if coef == 3.0 {
        return Err(Error::config("coef", "any number but 3", coef));
    }
    let feedback = T::narrow(coef);
    let mut state = T::zero();
    // What the state that `preemphasis` began with has left behind, fading with every sample.
    let start = ((2.0 - coef) * samples[0].widen() - samples[1].widen()) / (3.0 - coef);
    let mut fade = 1.0;
    Ok(samples
        .iter()
        .map(|&x| {
            state = x + feedback * state;
            let value = state.widen() - start * fade;
            fade *= coef;
            T::narrow(value)
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deemphasis_undoes_preemphasis() {
        let samples: Vec<f64> = (0..500).map(|n| (f64::from(n) * 0.1).sin()).collect();
        let back = deemphasis(&preemphasis(&samples, 0.97).unwrap(), 0.97).unwrap();
        assert!(samples.iter().zip(&back).all(|(a, b)| (a - b).abs() < 1e-12));
        assert!(preemphasis(&[1.0_f32], 0.97).is_err());
    }
}
