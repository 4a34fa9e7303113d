//! Frequency scales: Hz, mel, octaves, notes.

use crate::error::{Error, Result};
use crate::sample::Sample;

/// Where Slaney's scale turns from linear to logarithmic, in Hz.
const SLANEY_BREAK_HZ: f64 = 1000.0;
/// Width of a mel below the break, in Hz (M. Slaney, "Auditory Toolbox", 1998).
const SLANEY_HZ_PER_MEL: f64 = 200.0 / 3.0;
/// Ratio of 6.4 in 27 steps above the break.
const SLANEY_STEPS: f64 = 27.0;

/// Mels of a frequency in Hz: Slaney's scale, or HTK's `2595·log10(1 + f/700)` (librosa: `hz_to_mel`). HTK's formula rounds in
/// the type of the frequency, as in numpy; in `f32` few digits are left of a low one.
pub fn hz_to_mel<T: Sample>(frequency: T, htk: bool) -> T {
    if htk {
        let ratio = T::one() + frequency / T::narrow(700.0);
        return T::narrow(2595.0) * T::narrow(ratio.widen().log10());
    }
    let frequency = frequency.widen();
    T::narrow(if frequency >= SLANEY_BREAK_HZ {
        SLANEY_BREAK_HZ / SLANEY_HZ_PER_MEL + (frequency / SLANEY_BREAK_HZ).ln() * (SLANEY_STEPS / 6.4_f64.ln())
    } else {
        frequency / SLANEY_HZ_PER_MEL
    })
}

/// The frequency in Hz of mels (librosa: `mel_to_hz`); rounds as [`hz_to_mel`] does.
pub fn mel_to_hz<T: Sample>(mel: T, htk: bool) -> T {
    if htk {
        let power = 10.0_f64.powf((mel / T::narrow(2595.0)).widen());
        return T::narrow(700.0) * (T::narrow(power) - T::one());
    }
    let (mel, break_mel) = (mel.widen(), SLANEY_BREAK_HZ / SLANEY_HZ_PER_MEL);
    T::narrow(if mel >= break_mel {
        SLANEY_BREAK_HZ * ((mel - break_mel) * (6.4_f64.ln() / SLANEY_STEPS)).exp()
    } else {
        mel * SLANEY_HZ_PER_MEL
    })
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

/// The pitch of a frequency in Hz on the scale of MIDI: 69 is A4, 440 Hz; 1 is a semitone (librosa: `hz_to_midi`).
pub fn hz_to_midi(frequency: f64) -> f64 {
    12.0 * (frequency.log2() - 440.0_f64.log2()) + 69.0
}

/// The frequency in Hz of a MIDI pitch (librosa: `midi_to_hz`).
pub fn midi_to_hz(midi: f64) -> f64 {
    440.0 * ((midi - 69.0) / 12.0).exp2()
}

/// Names of the twelve pitch classes, from C.
const NOTES: [&str; 12] = ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"];

/// The name of the note nearest to a MIDI pitch, such as `C♯4`; A4 is 69 (librosa: `midi_to_note`).
///
/// # Errors
/// [`Error::InvalidInput`] when the pitch is not finite.
pub fn midi_to_note(midi: f64) -> Result<String> {
    if !midi.is_finite() {
        return Err(Error::input("the pitch", "a finite number", midi));
    }
    let number = midi.round_ties_even();
    Ok(format!("{}{}", NOTES[number.rem_euclid(12.0) as usize % 12], (number / 12.0).floor() - 1.0))
}

/// The name of the note nearest to a frequency in Hz (librosa: `hz_to_note`).
///
/// # Errors
/// [`Error::InvalidInput`] when the frequency is not above 0 and finite.
pub fn hz_to_note(frequency: f64) -> Result<String> {
    if !(frequency > 0.0 && frequency.is_finite()) {
        return Err(Error::input("the frequency", "above 0 Hz", frequency));
    }
    midi_to_note(hz_to_midi(frequency))
}

/// The MIDI pitch of a note's name: a letter A to G, any number of accidentals (`#` or `♯` up, `b`, `!` or `♭` down, `𝄪` and `𝄫`
/// twice), an octave (0 without one), and cents with their sign: `C4` is 60, `Db5`, `A♯-1`, `B3+25` (librosa: `note_to_midi`
/// without rounding).
///
/// # Errors
/// [`Error::InvalidInput`] for anything else.
pub fn note_to_midi(note: &str) -> Result<f64> {
    let wrong = || Error::input("the note", "a letter A to G, accidentals, an octave, cents", note);
    let mut rest = note.chars();
    let class = match rest.next().map(|letter| letter.to_ascii_uppercase()) {
        Some('C') => 0.0,
        Some('D') => 2.0,
        Some('E') => 4.0,
        Some('F') => 5.0,
        Some('G') => 7.0,
        Some('A') => 9.0,
        Some('B') => 11.0,
        _ => return Err(wrong()),
    };
    let is_accidental = |c: char| "#♯b!♭𝄪𝄫♮n".contains(c);
    let after = rest.as_str().trim_start_matches(is_accidental);
    let accidentals = &rest.as_str()[..rest.as_str().len() - after.len()];
    let shift: f64 = accidentals
        .chars()
        .map(|c| match c {
            '#' | '♯' => 1.0,
            'b' | '!' | '♭' => -1.0,
            '𝄪' => 2.0,
            '𝄫' => -2.0,
            _ => 0.0,
        })
        .sum();
    // The octave may have a sign of its own; another sign begins the cents.
    let signed = usize::from(after.starts_with(['-', '+']));
    let digits = after[signed..].find(|c: char| !c.is_ascii_digit()).map_or(after.len(), |end| end + signed);
    let (octave, cents) = after.split_at(digits);
    let number = |text: &str| text.parse::<i32>().map_err(|_| wrong());
    let octave = if octave.is_empty() { 0 } else { number(octave)? };
    let cents = if cents.is_empty() { 0 } else { number(cents)? };
    Ok(12.0 * (f64::from(octave) + 1.0) + class + shift + f64::from(cents) * 0.01)
}

/// The frequency in Hz of a note's name (librosa: `note_to_hz`).
///
/// # Errors
/// As [`note_to_midi`].
pub fn note_to_hz(note: &str) -> Result<f64> {
    note_to_midi(note).map(midi_to_hz)
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

    #[test]
    fn notes_have_their_names() {
        for (name, midi) in [("C4", 60.0), ("A♯4", 70.0), ("B3", 59.0), ("C-1", 0.0), ("G♯9", 128.0)] {
            assert_eq!(midi_to_note(midi).unwrap(), name);
            assert_eq!(note_to_midi(name).unwrap(), midi);
        }
        for (name, midi) in [
            ("c", 12.0),
            ("C#3", 49.0),
            ("Bb-1", 10.0),
            ("A!8", 116.0),
            ("F##2", 43.0),
            ("B3+25", 59.25),
            ("A4-10", 68.9),
        ] {
            assert_relative_eq!(note_to_midi(name).unwrap(), midi, max_relative = 1e-12);
        }
        assert_eq!(hz_to_note(440.0).unwrap(), "A4");
        assert_relative_eq!(note_to_hz("A5").unwrap(), 880.0, max_relative = 1e-12);
        assert_relative_eq!(hz_to_midi(midi_to_hz(61.3)), 61.3, max_relative = 1e-12);
        for nonsense in ["", "H2", "C4x", "4", "A99999999999", "é"] {
            assert!(note_to_midi(nonsense).is_err(), "{nonsense}");
        }
        assert!(hz_to_note(0.0).is_err() && midi_to_note(f64::NAN).is_err());
    }
}
