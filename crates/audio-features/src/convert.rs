//! Frequency scales: Hz, mel, octaves.

/// Where Slaney's scale turns from linear to logarithmic, in Hz.
const SLANEY_BREAK_HZ: f64 = 1000.0;
/// Width of a mel below the break, in Hz (M. Slaney, "Auditory Toolbox", 1998).
const SLANEY_HZ_PER_MEL: f64 = 200.0 / 3.0;
/// Ratio of 6.4 in 27 steps above the break.
const SLANEY_STEPS: f64 = 27.0;

/// Mels of a frequency in Hz: Slaney's scale, or HTK's `2595·log10(1 + f/700)` (librosa: `hz_to_mel`).
pub fn hz_to_mel(frequency: f64, htk: bool) -> f64 {
    if htk {
        return 2595.0 * (1.0 + frequency / 700.0).log10();
    }
    if frequency >= SLANEY_BREAK_HZ {
        SLANEY_BREAK_HZ / SLANEY_HZ_PER_MEL + (frequency / SLANEY_BREAK_HZ).ln() * (SLANEY_STEPS / 6.4_f64.ln())
    } else {
        frequency / SLANEY_HZ_PER_MEL
    }
}

/// The frequency in Hz of mels (librosa: `mel_to_hz`).
pub fn mel_to_hz(mel: f64, htk: bool) -> f64 {
    if htk {
        return 700.0 * (10.0_f64.powf(mel / 2595.0) - 1.0);
    }
    let break_mel = SLANEY_BREAK_HZ / SLANEY_HZ_PER_MEL;
    if mel >= break_mel {
        SLANEY_BREAK_HZ * ((mel - break_mel) * (6.4_f64.ln() / SLANEY_STEPS)).exp()
    } else {
        mel * SLANEY_HZ_PER_MEL
    }
}

/// Octaves above the A four octaves below concert pitch (27.5 Hz), shifted by `tuning` in fractions of a bin
/// (librosa: `hz_to_octs`).
pub fn hz_to_octs(frequency: f64, tuning: f64, bins_per_octave: usize) -> f64 {
    (frequency / (440.0 * (tuning / bins_per_octave as f64).exp2() / 16.0)).log2()
}

/// The frequency in Hz of octaves; undoes [`hz_to_octs`] (librosa: `octs_to_hz`).
pub fn octs_to_hz(octaves: f64, tuning: f64, bins_per_octave: usize) -> f64 {
    440.0 * (tuning / bins_per_octave as f64).exp2() / 16.0 * octaves.exp2()
}

/// The frequency of every bin of a transform, `1 + n_fft / 2` of them, in Hz (librosa: `fft_frequencies`).
pub fn fft_frequencies(sr: f64, n_fft: usize) -> Vec<f64> {
    // numpy divides by n·d with d = 1/sr; so do we, to the last bit.
    let step = 1.0 / (n_fft as f64 * (1.0 / sr));
    (0..=n_fft / 2).map(|k| k as f64 * step).collect()
}

/// `n_mels` frequencies in Hz that are evenly spaced in mels, both ends included (librosa: `mel_frequencies`).
pub fn mel_frequencies(n_mels: usize, fmin: f64, fmax: f64, htk: bool) -> Vec<f64> {
    let (low, high) = (hz_to_mel(fmin, htk), hz_to_mel(fmax, htk));
    let step = (high - low) / n_mels.saturating_sub(1).max(1) as f64;
    (0..n_mels).map(|m| mel_to_hz(if m > 0 && m == n_mels - 1 { high } else { low + m as f64 * step }, htk)).collect()
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    #[test]
    fn scales_undo_themselves() {
        for htk in [false, true] {
            for hz in [0.0, 60.0, 440.0, 999.9, 1000.0, 8000.0, 20_000.0] {
                assert_relative_eq!(mel_to_hz(hz_to_mel(hz, htk), htk), hz, max_relative = 1e-12, epsilon = 1e-12);
            }
        }
        assert_relative_eq!(octs_to_hz(hz_to_octs(440.0, 0.3, 12), 0.3, 12), 440.0, max_relative = 1e-12);
    }

    #[test]
    fn literal_values() {
        // Values that librosa's documentation gives.
        assert_relative_eq!(hz_to_mel(60.0, false), 0.9, max_relative = 1e-12);
        assert_relative_eq!(hz_to_mel(1000.0, false), 15.0, max_relative = 1e-12);
        assert_relative_eq!(hz_to_octs(440.0, 0.0, 12), 4.0, max_relative = 1e-12);
        assert_relative_eq!(fft_frequencies(22_050.0, 16)[8], 11_025.0, max_relative = 1e-12);
    }
}
