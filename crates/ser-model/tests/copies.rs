//! The audit's fingerprint on RAVDESS itself: which changed copies of a clip it finds, and which clips it takes for copies of
//! others, where the environment variable `EMOTION_DATA` names a folder that has them.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests that say when they are skipped")]

use std::path::PathBuf;

use audio_features::augment::{Noise, add_noise, gain, pitch_shift, time_shift, time_stretch};
use model_kit::audit::{AuditConfig, SoundHash};
use ser_model::corpus::Corpus;
use ser_model::sound_hash;

/// What is done to the samples of a copy.
type Change<'a> = &'a dyn Fn(&[f32]) -> Vec<f32>;

#[test]
fn changed_copies_are_found_and_other_clips_are_not() {
    let Some(root) = std::env::var_os("EMOTION_DATA").map(|root| PathBuf::from(root).join("ravdess")) else {
        eprintln!("skipped: EMOTION_DATA is not set");
        return;
    };
    let clips = "ravdess".parse::<Corpus>().unwrap().scan(&root).unwrap().clips;
    // Every eighth clip: all actors, sentences and emotions among them.
    let sounds: Vec<Vec<f32>> =
        clips.iter().step_by(8).map(|clip| ser_model::input::load(&clip.path).unwrap()).collect();
    let hash = |samples: &[f32]| sound_hash(samples, 16_000).unwrap();
    let hashes: Vec<SoundHash> = sounds.iter().map(|samples| hash(samples)).collect();
    let least = AuditConfig::default().min_sound_correlation;
    let found = |change: Change<'_>| {
        let near =
            |(samples, original): (&Vec<f32>, &SoundHash)| original.correlation(&hash(&change(samples))) >= least;
        sounds.iter().zip(&hashes).filter(|pair| near(*pair)).count() as f64 / sounds.len() as f64
    };
    let changes: [(&str, f64, Change<'_>); 8] = [
        ("12 dB quieter", 0.99, &|samples| gain(samples, -12.0)),
        ("moved by 0.3 s", 0.95, &|samples| time_shift(samples, 4800)),
        ("stretched by 0.9", 0.2, &|samples| time_stretch(samples, 0.9).unwrap()),
        ("stretched by 1.25", 0.0, &|samples| time_stretch(samples, 1.25).unwrap()),
        ("white noise at 30 dB", 0.85, &|samples| add_noise(samples, 30.0, Noise::White, 1).unwrap()),
        ("white noise at 20 dB", 0.1, &|samples| add_noise(samples, 20.0, Noise::White, 1).unwrap()),
        ("white noise at 10 dB", 0.0, &|samples| add_noise(samples, 10.0, Noise::White, 1).unwrap()),
        ("a semitone higher", 0.0, &|samples| pitch_shift(samples, 16_000.0, 1.0).unwrap()),
    ];
    let mut told = Vec::new();
    for (name, wanted, change) in changes {
        let share = found(change);
        eprintln!("{name}: {:.1} % found", 100.0 * share);
        told.push((name, share, wanted));
    }
    let mut pairs = Vec::new();
    for (first, one) in hashes.iter().enumerate() {
        pairs.extend(hashes[first + 1..].iter().map(|other| one.correlation(other)));
    }
    pairs.sort_unstable_by(f32::total_cmp);
    let taken = pairs.iter().filter(|&&correlation| correlation >= least).count();
    let most = &pairs[pairs.len() - 5..];
    eprintln!(
        "{} clips, {taken} of {} pairs taken for copies; the largest correlations {most:?}",
        sounds.len(),
        pairs.len()
    );
    for (name, share, wanted) in told {
        assert!(share >= wanted, "{name}: {share} found, {wanted} wanted");
    }
    assert!(taken * 10_000 <= pairs.len(), "{taken} of {}", pairs.len());
}
