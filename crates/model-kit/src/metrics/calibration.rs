//! Whether a model that says 80 % is right in 80 of 100 cases, and how to bring it there.

use emotion_core::{Emotion, LabelSet, Scores};
use serde::{Deserialize, Serialize};

use super::matched;
use crate::split::stratified;
use crate::{Error, Result};

/// The mean negative logarithm of the true label's probability, in nats; 0 is perfect, ln(classes) is a uniform guess.
///
/// Probabilities below [`f32::EPSILON`] count as that, so that one sure and wrong answer costs 15.9 and not infinity.
///
/// # Errors
/// As [`Confusion::from_scores`](super::Confusion::from_scores).
pub fn log_loss(truth: &[Emotion], scores: &[Scores]) -> Result<f64> {
    matched(truth, scores)?;
    let total: f64 = truth.iter().zip(scores).map(|(&truth, scores)| -floored(scores.get(truth)).ln()).sum();
    Ok(total / scores.len() as f64)
}

/// Brier's score for several classes: the mean over the samples of the squared distance between the probabilities and
/// the truth (1 for the true label, 0 for the others). From 0 (perfect) to 2.
///
/// # Errors
/// As [`Confusion::from_scores`](super::Confusion::from_scores).
pub fn brier(truth: &[Emotion], scores: &[Scores]) -> Result<f64> {
    matched(truth, scores)?;
    let distance = |truth: Emotion, scores: &Scores| -> f64 {
        scores.iter().map(|(label, value)| (f64::from(value) - f64::from(u8::from(label == truth))).powi(2)).sum()
    };
    Ok(truth.iter().zip(scores).map(|(&truth, scores)| distance(truth, scores)).sum::<f64>() / scores.len() as f64)
}

/// The samples whose most probable label has a probability in one range.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// The range's lower bound, outside it (but 0 is inside the first).
    pub lower: f64,
    /// The range's upper bound, inside it.
    pub upper: f64,
    /// The number of samples.
    pub samples: u64,
    /// Their mean probability of the most probable label; 0 without samples.
    pub confidence: f64,
    /// The share of them whose most probable label is the true one; 0 without samples.
    pub accuracy: f64,
}

/// Confidence against accuracy, over ranges of equal width: what a reliability diagram shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    /// The ranges, from 0 to 1.
    pub bins: Vec<ReliabilityBin>,
}

impl Reliability {
    /// The number of ranges that Guo et al. use, "On Calibration of Modern Neural Networks", ICML 2017.
    pub const DEFAULT_BINS: usize = 15;

    /// Sorts the samples into `bins` ranges of equal width by the probability of their most probable label.
    ///
    /// # Errors
    /// As [`Confusion::from_scores`](super::Confusion::from_scores), and [`Error::InvalidConfig`] for no bins.
    pub fn new(truth: &[Emotion], scores: &[Scores], bins: usize) -> Result<Self> {
        matched(truth, scores)?;
        if bins == 0 {
            return Err(Error::InvalidConfig { field: "bins", expected: "at least 1".to_owned(), got: "0".to_owned() });
        }
        let width = 1.0 / bins as f64;
        let mut bins: Vec<ReliabilityBin> = (0..bins)
            .map(|bin| ReliabilityBin {
                lower: bin as f64 * width,
                upper: (bin + 1) as f64 * width,
                samples: 0,
                confidence: 0.0,
                accuracy: 0.0,
            })
            .collect();
        let last = bins.len() - 1;
        for (&truth, scores) in truth.iter().zip(scores) {
            let (label, confidence) = scores.top();
            let confidence = f64::from(confidence);
            let place = ((confidence / width).ceil() as usize).saturating_sub(1).min(last);
            let bin = &mut bins[place];
            bin.samples += 1;
            bin.confidence += confidence;
            bin.accuracy += f64::from(u8::from(label == truth));
        }
        for bin in bins.iter_mut().filter(|bin| bin.samples > 0) {
            bin.confidence /= bin.samples as f64;
            bin.accuracy /= bin.samples as f64;
        }
        Ok(Self { bins })
    }

    /// Expected calibration error: the mean distance between confidence and accuracy, each range weighted by its
    /// samples. 0 is perfect.
    pub fn ece(&self) -> f64 {
        let samples: u64 = self.bins.iter().map(|bin| bin.samples).sum();
        let total: f64 = self.bins.iter().map(|bin| bin.samples as f64 * (bin.confidence - bin.accuracy).abs()).sum();
        if samples == 0 { 0.0 } else { total / samples as f64 }
    }
}

/// The range in which [`fit_temperature`] looks.
const TEMPERATURES: (f64, f64) = (0.05, 20.0);

/// The temperature that makes the scores' [`log_loss`] on these samples smallest, within 0.05 to 20: above 1 for a model
/// that is too sure of itself, below 1 for one that is not sure enough.
///
/// Fit it on samples that neither trained the model nor measure it afterwards. Guo et al. 2017, section 4.2.
///
/// # Errors
/// As [`Confusion::from_scores`](super::Confusion::from_scores).
pub fn fit_temperature(truth: &[Emotion], scores: &[Scores]) -> Result<f32> {
    let labels = matched(truth, scores)?;
    let logits: Vec<(Vec<f64>, usize)> = truth
        .iter()
        .zip(scores)
        .map(|(&truth, scores)| (logits(scores), labels.index_of(truth).unwrap_or_default()))
        .collect();
    // The loss is convex in the inverse temperature, so its slope has one zero: halve the range around it.
    let slope = |inverse: f64| -> f64 {
        logits.iter().map(|(logits, truth)| expected_logit(logits, inverse) - logits[*truth]).sum()
    };
    let (mut low, mut high) = (1.0 / TEMPERATURES.1, 1.0 / TEMPERATURES.0);
    for _ in 0..50 {
        let middle = (low + high) / 2.0;
        if slope(middle) < 0.0 { low = middle } else { high = middle }
    }
    Ok((2.0 / (low + high)) as f32)
}

/// The scores as the model would give them at another temperature: the softmax of its logits divided by it.
///
/// # Errors
/// [`Error::InvalidConfig`] for a temperature that is not finite and above 0.
pub fn apply_temperature(scores: &Scores, temperature: f32) -> Result<Scores> {
    if !(temperature.is_finite() && temperature > 0.0) {
        return Err(Error::InvalidConfig {
            field: "temperature",
            expected: "finite and above 0".to_owned(),
            got: temperature.to_string(),
        });
    }
    let labels: &LabelSet = scores.labels();
    let logits: Vec<f32> = logits(scores).iter().map(|logit| (logit / f64::from(temperature)) as f32).collect();
    Ok(Scores::from_logits(labels, &logits)?)
}

/// How well temperature scaling does on samples that it was not fitted on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CrossFit {
    /// The temperature fitted on each half.
    pub temperatures: [f32; 2],
    /// The expected calibration error of each half under the other's temperature. Halves are small, which alone makes
    /// this error larger.
    pub ece_of_halves: [f64; 2],
    /// The expected calibration error of all samples together, each under the temperature of the half it is not in.
    pub ece: f64,
    /// The [`log_loss`] of the same.
    pub log_loss: f64,
}

impl CrossFit {
    /// Splits the samples into two halves, the classes spread over them alike, by the seed; fits a temperature on each and
    /// measures it on the other, over [`Reliability::DEFAULT_BINS`] ranges.
    ///
    /// # Errors
    /// As [`Confusion::from_scores`](super::Confusion::from_scores), and [`Error::InvalidInput`] for fewer samples than two.
    pub fn new(truth: &[Emotion], scores: &[Scores], seed: u64) -> Result<Self> {
        matched(truth, scores)?;
        if scores.len() < 2 {
            return Err(Error::input("scores", "those of at least two samples", scores.len()));
        }
        let halves = stratified(truth, &[0.5, 0.5], seed)?;
        let pick = |half: &[usize]| -> (Vec<Emotion>, Vec<Scores>) {
            half.iter().map(|&index| (truth[index], scores[index].clone())).unzip()
        };
        let halves = [pick(&halves[0]), pick(&halves[1])];
        let mut temperatures = [1.0; 2];
        for (temperature, (truth, scores)) in temperatures.iter_mut().zip(&halves) {
            *temperature = fit_temperature(truth, scores)?;
        }
        let (mut all_truth, mut all_scores, mut ece_of_halves) = (Vec::new(), Vec::new(), [0.0; 2]);
        for (half, (truth, scores)) in halves.iter().enumerate() {
            let other = temperatures[1 - half];
            let cooled = scores.iter().map(|scores| apply_temperature(scores, other)).collect::<Result<Vec<_>>>()?;
            ece_of_halves[half] = Reliability::new(truth, &cooled, Reliability::DEFAULT_BINS)?.ece();
            all_truth.extend_from_slice(truth);
            all_scores.extend(cooled);
        }
        Ok(Self {
            temperatures,
            ece_of_halves,
            ece: Reliability::new(&all_truth, &all_scores, Reliability::DEFAULT_BINS)?.ece(),
            log_loss: log_loss(&all_truth, &all_scores)?,
        })
    }
}

/// Logits up to a constant, which no softmax sees.
fn logits(scores: &Scores) -> Vec<f64> {
    scores.values().iter().map(|&value| floored(value).ln()).collect()
}

fn floored(probability: f32) -> f64 {
    f64::from(probability.max(f32::EPSILON))
}

/// The mean of the logits under their own softmax, after they are multiplied by `inverse`.
fn expected_logit(logits: &[f64], inverse: f64) -> f64 {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (mut total, mut weighted) = (0.0, 0.0);
    for &logit in logits {
        let weight = ((logit - largest) * inverse).exp();
        total += weight;
        weighted += weight * logit;
    }
    weighted / total
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> LabelSet {
        LabelSet::new(&[Emotion::Happy, Emotion::Sad]).unwrap()
    }

    /// `wrong` of ten samples carry another label than the one the model gives with `confidence`.
    fn ten(confidence: f32, wrong: usize) -> (Vec<Emotion>, Vec<Scores>) {
        let scores = vec![Scores::new(&labels(), &[confidence, 1.0 - confidence]).unwrap(); 10];
        let truth = (0..10).map(|index| if index < wrong { Emotion::Sad } else { Emotion::Happy }).collect();
        (truth, scores)
    }

    #[test]
    fn a_model_that_knows_how_sure_it_is_has_no_calibration_error() {
        let (truth, scores) = ten(0.8, 2);
        let reliability = Reliability::new(&truth, &scores, 15).unwrap();
        assert!(reliability.ece() < 1e-6);
        // 0.8 as an f32 lies a little above 12/15.
        assert_eq!(reliability.bins[12].samples, 10);
        assert!((fit_temperature(&truth, &scores).unwrap() - 1.0).abs() < 1e-4);
    }

    #[test]
    fn the_temperature_takes_away_what_is_too_sure() {
        let (truth, scores) = ten(0.98, 2);
        let temperature = fit_temperature(&truth, &scores).unwrap();
        let cooled: Vec<_> = scores.iter().map(|scores| apply_temperature(scores, temperature).unwrap()).collect();
        assert!((cooled[0].get(Emotion::Happy) - 0.8).abs() < 1e-4);
        assert!(log_loss(&truth, &cooled).unwrap() < log_loss(&truth, &scores).unwrap());
        assert!(apply_temperature(&scores[0], 0.0).is_err() && apply_temperature(&scores[0], f32::NAN).is_err());
    }

    #[test]
    fn each_half_is_measured_under_the_others_temperature() {
        // 400 answers that are too sure, all alike: both halves ask for nearly the same temperature.
        let (truth, scores): (Vec<_>, Vec<_>) = (0..40)
            .flat_map(|_| {
                let (truth, scores) = ten(0.98, 2);
                truth.into_iter().zip(scores)
            })
            .unzip();
        let fit = CrossFit::new(&truth, &scores, 1).unwrap();
        let whole = fit_temperature(&truth, &scores).unwrap();
        assert!(fit.temperatures.iter().all(|temperature| (temperature / whole - 1.0).abs() < 0.05), "{fit:?}");
        assert!(fit.ece < 0.01 && fit.ece_of_halves.iter().all(|&ece| ece < 0.01), "{fit:?}");
        assert_eq!(fit, CrossFit::new(&truth, &scores, 1).unwrap());

        // Halves that contradict each other: what fits the one does not fit the other, and that must show.
        let truth = [Emotion::Happy, Emotion::Happy];
        let odd = [0.9f32, 0.1].map(|happy| Scores::new(&labels(), &[happy, 1.0 - happy]).unwrap());
        assert!(CrossFit::new(&truth, &odd, 0).unwrap().ece > 0.5);
        assert!(CrossFit::new(&truth[..1], &odd[..1], 0).is_err());
    }

    #[test]
    fn full_confidence_falls_into_the_last_bin_and_costs_a_finite_loss() {
        let (truth, scores) = ten(1.0, 10);
        let reliability = Reliability::new(&truth, &scores, 4).unwrap();
        assert_eq!((reliability.bins[3].samples, reliability.ece()), (10, 1.0));
        assert!((log_loss(&truth, &scores).unwrap() - 15.94).abs() < 0.01);
        assert_eq!(brier(&truth, &scores).unwrap(), 2.0);
        assert!(Reliability::new(&truth, &scores, 0).is_err());
    }
}
