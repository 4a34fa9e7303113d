//! What must hold of every figure, whatever the samples.

use emotion_core::{Emotion, LabelSet, Scores};
use model_kit::metrics::{Evaluation, EvaluationContext, McNemar, apply_temperature, fit_temperature, log_loss};
use proptest::prelude::*;

/// Up to 40 samples over the seven facial classes.
fn samples() -> impl Strategy<Value = (Vec<Emotion>, Vec<Scores>)> {
    let sample = (0..7usize, prop::collection::vec(0.001f32..1.0, 7));
    prop::collection::vec(sample, 1..40).prop_map(|samples| {
        let scores = |weights: &[f32]| Scores::from_weights(&LabelSet::face7(), weights).expect("weights are positive");
        samples.iter().map(|(truth, weights)| (Emotion::ALL[*truth], scores(weights))).unzip()
    })
}

proptest! {
    #[test]
    fn figures_stay_in_their_ranges((truth, scores) in samples()) {
        let got = Evaluation::new(&EvaluationContext::default(), &truth, &scores).unwrap();
        for share in [got.accuracy, got.uar, got.ece, got.macro_average.f1, got.weighted_average.f1] {
            prop_assert!((0.0..=1.0 + 1e-12).contains(&share));
        }
        prop_assert!((0.0..=2.0).contains(&got.brier) && got.log_loss >= 0.0);
        let [low, high] = got.confidence_interval.accuracy;
        prop_assert!(low <= got.accuracy && got.accuracy <= high);
        prop_assert_eq!(got.samples as usize, truth.len());
        prop_assert!((got.weighted_average.recall - got.accuracy).abs() < 1e-12);
    }

    #[test]
    fn the_order_of_samples_does_not_matter((mut truth, mut scores) in samples()) {
        let there = Evaluation::new(&EvaluationContext::default(), &truth, &scores).unwrap();
        truth.reverse();
        scores.reverse();
        let back = Evaluation::new(&EvaluationContext::default(), &truth, &scores).unwrap();
        prop_assert_eq!(&there.confusion, &back.confusion);
        prop_assert_eq!(there.confidence_interval, back.confidence_interval);
        prop_assert!((there.ece - back.ece).abs() < 1e-9 && (there.log_loss - back.log_loss).abs() < 1e-9);
    }

    #[test]
    fn a_fitted_temperature_never_makes_the_loss_worse((truth, scores) in samples()) {
        let temperature = fit_temperature(&truth, &scores).unwrap();
        let tempered: Vec<_> = scores.iter().map(|scores| apply_temperature(scores, temperature).unwrap()).collect();
        prop_assert!(log_loss(&truth, &tempered).unwrap() <= log_loss(&truth, &scores).unwrap() + 1e-5);
        prop_assert!(tempered.iter().zip(&scores).all(|(tempered, scores)| tempered.top().0 == scores.top().0
            || tempered.top().1 - tempered.get(scores.top().0) < 1e-5));
    }

    #[test]
    fn mcnemar_is_even_handed(first in 0u64..200, second in 0u64..200) {
        let test = McNemar::from_counts(first, second);
        prop_assert!((0.0..=1.0).contains(&test.p_value));
        prop_assert_eq!(test.p_value, McNemar::from_counts(second, first).p_value);
    }
}
