//! How far a figure may lie from the truth by the luck of the draw alone.

use super::Confusion;
use crate::random::{below, seeded};

/// The normal distribution's 97.5 % quantile, for intervals that hold the truth in 95 of 100 cases.
const Z: f64 = 1.959_963_984_540_054;

/// The 95 % interval of a share of which `correct` of `samples` were counted; `[0, 1]` without samples.
///
/// E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22 (1927), 209–212, without
/// continuity correction. It takes the samples as independent, which pictures of one person or clips of one speaker are not.
pub fn wilson_interval(correct: u64, samples: u64) -> [f64; 2] {
    if samples == 0 {
        return [0.0, 1.0];
    }
    let n = samples as f64;
    let p = correct as f64 / n;
    let spread = 1.0 + Z * Z / n;
    let centre = (p + Z * Z / (2.0 * n)) / spread;
    let half = Z / spread * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    // Rounding must not leave the share itself outside.
    [(centre - half).clamp(0.0, p), (centre + half).clamp(p, 1.0)]
}

/// The 95 % interval of the [unweighted average recall](Confusion::uar) by the percentile bootstrap: the samples are drawn
/// again with replacement `resamples` times (1,000 are plenty), and the middle 95 % of the figures kept.
///
/// The same seed gives the same interval. `[0, 1]` without samples or resamples.
///
/// B. Efron, "Bootstrap Methods: Another Look at the Jackknife", Annals of Statistics 7 (1979), 1–26.
pub fn bootstrap_uar(confusion: &Confusion, resamples: usize, seed: u64) -> [f64; 2] {
    let size = confusion.labels().len();
    // One (true label, hit or miss) for each sample: all that recall asks for.
    let mut samples = Vec::with_capacity(confusion.samples() as usize);
    for (class, row) in confusion.rows().enumerate() {
        for (predicted, &count) in row.iter().enumerate() {
            samples.extend(std::iter::repeat_n((class, u64::from(predicted == class)), count as usize));
        }
    }
    if samples.is_empty() || resamples == 0 {
        return [0.0, 1.0];
    }

    let mut rng = seeded(seed);
    let mut drawn = vec![(0, 0); size];
    middle((0..resamples).map(|_| {
        drawn.fill((0, 0));
        for _ in 0..samples.len() {
            let (class, hit) = samples[below(&mut rng, samples.len())];
            drawn[class].0 += 1;
            drawn[class].1 += hit;
        }
        mean_recall(&drawn)
    }))
}

/// As [`bootstrap_uar`], but whole groups are drawn again: `groups` holds the confusion of each speaker or person. This is
/// the interval for people a model has not met, and mostly a wider one: the clips of a speaker resemble each other, so 60
/// of them say less than 60 clips of 60 speakers. With few groups it is a rough one.
///
/// `[0, 1]` for fewer than two groups with samples (one says nothing of others) or without resamples.
pub fn bootstrap_uar_by_group(groups: &[Confusion], resamples: usize, seed: u64) -> [f64; 2] {
    // Of each group: the samples of each class, and how many of them were recognised.
    let tallies: Vec<Vec<(u64, u64)>> = groups
        .iter()
        .filter(|group| group.samples() > 0)
        .map(|group| group.rows().enumerate().map(|(class, row)| (row.iter().sum(), row[class])).collect())
        .collect();
    if tallies.len() < 2 || resamples == 0 {
        return [0.0, 1.0];
    }
    let classes = tallies.iter().map(Vec::len).max().unwrap_or(0);
    let mut rng = seeded(seed);
    let mut drawn = vec![(0, 0); classes];
    middle((0..resamples).map(|_| {
        drawn.fill((0, 0));
        for _ in 0..tallies.len() {
            let tally = &tallies[below(&mut rng, tallies.len())];
            for ((support, hits), (samples, right)) in drawn.iter_mut().zip(tally) {
                *support += samples;
                *hits += right;
            }
        }
        mean_recall(&drawn)
    }))
}

/// The mean share of hits over the classes that occur, of (support, hits).
fn mean_recall(classes: &[(u64, u64)]) -> f64 {
    let occurring = classes.iter().filter(|(support, _)| *support > 0);
    let (sum, count) =
        occurring.fold((0.0, 0.0), |(sum, count), &(support, hits)| (sum + hits as f64 / support as f64, count + 1.0));
    sum / count
}

/// The bounds of the middle 95 % of some figures.
fn middle(figures: impl Iterator<Item = f64>) -> [f64; 2] {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_unstable_by(f64::total_cmp);
    let quantile = |share: f64| figures[(share * (figures.len() - 1) as f64).round() as usize];
    [quantile(0.025), quantile(0.975)]
}

#[cfg(test)]
mod tests {
    use emotion_core::{Emotion, LabelSet};

    use super::*;

    #[test]
    fn wilson_stays_within_bounds() {
        assert_eq!(wilson_interval(0, 0), [0.0, 1.0]);
        let [low, high] = wilson_interval(0, 10);
        assert!(low == 0.0 && (high - 0.2775).abs() < 1e-4);
        assert!((wilson_interval(10, 10)[0] - 0.7225).abs() < 1e-4);
    }

    #[test]
    fn the_bootstrap_agrees_with_theory_and_with_itself() {
        // Two classes of 500 samples with a recall of 0.8 each: the standard error of the mean recall is 0.01265.
        let labels = LabelSet::new(&[Emotion::Happy, Emotion::Sad]).unwrap();
        let confusion = Confusion::from_rows(&labels, &[vec![400, 100], vec![100, 400]]).unwrap();
        let [low, high] = bootstrap_uar(&confusion, 1000, 1);
        assert!((low - (0.8 - Z * 0.01265)).abs() < 0.004, "{low}");
        assert!((high - (0.8 + Z * 0.01265)).abs() < 0.004, "{high}");
        assert_eq!(bootstrap_uar(&confusion, 1000, 1), [low, high]);
        assert_ne!(bootstrap_uar(&confusion, 1000, 2), [low, high]);
        assert_eq!(bootstrap_uar(&Confusion::new(&labels), 1000, 1), [0.0, 1.0]);
    }

    #[test]
    fn speakers_that_differ_widen_the_interval() {
        let labels = LabelSet::new(&[Emotion::Happy, Emotion::Sad]).unwrap();
        let speaker =
            |right: u64| Confusion::from_rows(&labels, &[vec![right, 50 - right], vec![50 - right, right]]).unwrap();
        // Eight speakers with a recall of 0.6 or of 1: the deviation is 0.2, its standard error over 8 is 0.0707.
        let differ: Vec<Confusion> = (0..8).map(|index| speaker(if index % 2 == 0 { 30 } else { 50 })).collect();
        let [low, high] = bootstrap_uar_by_group(&differ, 1000, 1);
        assert!((low - (0.8 - Z * 0.0707)).abs() < 0.03 && (high - (0.8 + Z * 0.0707)).abs() < 0.03, "{low} {high}");
        assert_eq!(bootstrap_uar_by_group(&differ, 1000, 1), [low, high]);

        let alike: Vec<Confusion> = (0..8).map(|_| speaker(40)).collect();
        assert_eq!(bootstrap_uar_by_group(&alike, 1000, 1), [0.8, 0.8]);
        assert_eq!(bootstrap_uar_by_group(&alike[..1], 1000, 1), [0.0, 1.0]);
        assert_eq!(bootstrap_uar_by_group(&[speaker(40), Confusion::new(&labels)], 1000, 1), [0.0, 1.0]);
    }
}
