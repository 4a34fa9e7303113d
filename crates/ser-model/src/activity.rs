//! Is there speech at all? A small gate in front of the networks, so that silence and noise get no emotion.

use crate::input::SAMPLE_RATE;

/// Settings of the gate. The defaults pass quiet and noisy speech and stop silence, hum and steady noise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ActivityConfig {
    /// Frames below this level are silence, in dB against full scale (RMS). Default −65.
    pub least_level: f32,
    /// How far voiced frames must rise above the floor, in dB. Default 4.
    pub rise: f32,
    /// How periodic a voiced frame is at least: the normalised autocorrelation at its pitch, 0 to 1. Default 0.5.
    pub periodicity: f32,
    /// How much voiced sound makes speech, in seconds. Default 0.1.
    pub least_voiced: f32,
}

impl Default for ActivityConfig {
    fn default() -> Self {
        Self { least_level: -65.0, rise: 4.0, periodicity: 0.5, least_voiced: 0.1 }
    }
}

/// Sound is judged at 4 kHz, which holds the pitch and the lower formants.
const DECIMATION: usize = 4;
const RATE: usize = SAMPLE_RATE as usize / DECIMATION;

/// Frames of 40 ms, so that the lowest pitch fits more than twice, every 10 ms.
const FRAME: usize = RATE / 25;
const HOP: usize = RATE / 100;

/// The range of pitch that is searched, 70 to 500 Hz, as lags in samples.
const SHORTEST_LAG: usize = RATE / 500;
const LONGEST_LAG: usize = RATE / 70;

/// The share of the quietest frames that tells the floor.
const FLOOR_QUANTILE: f32 = 0.05;

/// How many seconds of voiced sound there are in mono sound at [`SAMPLE_RATE`].
///
/// A frame is voiced when it is louder than the settings' least level, rises above the floor (the level that the
/// quietest twentieth of the frames stays below, so it adapts to the recording) and is periodic at a pitch between 70
/// and 500 Hz. Speech is voiced more than half of the time and pauses or weakens between syllables; noise is not
/// periodic, and hum is periodic but never rises above its own floor. Whispers are not voiced and do not count; singing
/// and some music do.
pub fn voiced_seconds(samples: &[f32], config: &ActivityConfig) -> f32 {
    // The mean of four samples is a coarse low-pass, and enough to find a pitch.
    let sound: Vec<f32> =
        samples.chunks_exact(DECIMATION).map(|chunk| chunk.iter().sum::<f32>() / DECIMATION as f32).collect();
    if sound.len() < FRAME {
        return 0.0;
    }
    let frames: Vec<&[f32]> =
        (0..=sound.len() - FRAME).step_by(HOP).map(|start| &sound[start..start + FRAME]).collect();
    let levels: Vec<f32> = frames.iter().map(|frame| level(frame)).collect();
    let mut sorted = levels.clone();
    sorted.sort_by(f32::total_cmp);
    let floor = sorted[(FLOOR_QUANTILE * sorted.len() as f32) as usize];
    let least = config.least_level.max(floor + config.rise);
    let voiced = frames
        .iter()
        .zip(&levels)
        .filter(|&(frame, &level)| level >= least && periodicity(frame) >= config.periodicity)
        .count();
    voiced as f32 * HOP as f32 / RATE as f32
}

/// Whether there is enough voiced sound, see [`voiced_seconds`].
pub fn has_speech(samples: &[f32], config: &ActivityConfig) -> bool {
    voiced_seconds(samples, config) >= config.least_voiced
}

/// The RMS level without the mean, in dB against full scale.
fn level(frame: &[f32]) -> f32 {
    let mean = frame.iter().sum::<f32>() / frame.len() as f32;
    let power = frame.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / frame.len() as f32;
    10.0 * power.max(1e-12).log10()
}

/// The largest normalised autocorrelation within the range of pitch, 0 to 1.
///
/// Differences are taken first: low rumble, which is similar to itself a little later without any pitch, turns into
/// something close to white noise, while the harmonics of a voice stay periodic.
fn periodicity(frame: &[f32]) -> f32 {
    let frame: Vec<f32> = frame.windows(2).map(|pair| pair[1] - 0.95 * pair[0]).collect();
    let mean = frame.iter().sum::<f32>() / frame.len() as f32;
    let frame: Vec<f32> = frame.iter().map(|x| x - mean).collect();
    let energy = |part: &[f32]| part.iter().map(|x| x * x).sum::<f32>();
    (SHORTEST_LAG..=LONGEST_LAG)
        .map(|lag| {
            let (early, late) = (&frame[..frame.len() - lag], &frame[lag..]);
            let product: f32 = early.iter().zip(late).map(|(a, b)| a * b).sum();
            product / (energy(early) * energy(late)).sqrt().max(1e-12)
        })
        .fold(0.0, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATE: ActivityConfig = ActivityConfig { least_level: -65.0, rise: 4.0, periodicity: 0.5, least_voiced: 0.1 };

    fn noise(count: usize, level: f32) -> Vec<f32> {
        let mut state = 7u64;
        (0..count)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                level * ((state >> 40) as f32 / (1u64 << 23) as f32 - 1.0)
            })
            .collect()
    }

    /// Harmonics of a gliding pitch, in four syllables a second, at the given peak level.
    fn voice(seconds: f32, level: f32) -> Vec<f32> {
        let mut phase = 0.0f32;
        (0..(seconds * SAMPLE_RATE as f32) as usize)
            .map(|i| {
                let time = i as f32 / SAMPLE_RATE as f32;
                phase += (140.0 + 30.0 * (time * 5.0).sin()) / SAMPLE_RATE as f32;
                let wave: f32 = (1..8).map(|k| (phase * k as f32 * std::f32::consts::TAU).sin() / k as f32).sum();
                level * 0.5 * wave * (time * 4.0 * std::f32::consts::PI).sin().powi(2)
            })
            .collect()
    }

    #[test]
    fn silence_noise_hum_and_offset_are_no_speech() {
        assert_eq!(GATE, ActivityConfig::default());
        let hum: Vec<f32> = (0..32_000).map(|i| 0.1 * (i as f32 * 0.1178).sin()).collect();
        let mut pink = 0.0;
        let pink: Vec<f32> = noise(48_000, 0.2)
            .iter()
            .map(|x| {
                pink = 0.98 * pink + 0.1 * x;
                pink
            })
            .collect();
        let cases: [(&str, Vec<f32>); 7] = [
            ("nothing", vec![]),
            ("silence", vec![0.0; 32_000]),
            ("offset", vec![0.4; 32_000]),
            ("faint noise", noise(32_000, 1e-4)),
            ("loud noise", noise(48_000, 0.5)),
            ("low noise", pink),
            ("hum", hum),
        ];
        for (name, samples) in cases {
            assert!(!has_speech(&samples, &GATE), "{name}: {} s voiced", voiced_seconds(&samples, &GATE));
        }
    }

    #[test]
    fn a_voice_is_speech_when_quiet_or_noisy() {
        assert!(voiced_seconds(&voice(2.0, 0.3), &GATE) > 0.8);
        assert!(has_speech(&voice(2.0, 0.005), &GATE));
        let noisy: Vec<f32> = voice(2.0, 0.3).iter().zip(noise(32_000, 0.1)).map(|(v, n)| v + n).collect();
        assert!(has_speech(&noisy, &GATE));
        assert!(has_speech(&voice(0.4, 0.3), &GATE));
    }
}
