//! The metrics against scikit-learn's and SciPy's (`data/sklearn-1.9.1/generate.py`).
//!
//! Tolerances: 1e-12 for what is sums and quotients of whole numbers, or sums of exact float32 probabilities in f64;
//! 1e-6 for the log loss, which scikit-learn sums in float32; 1e-4 of the fitted temperature, whose minimum is flat; 1e-6
//! for the loss there.

use emotion_core::{Emotion, LabelSet, Scores};
use model_kit::metrics::{Evaluation, EvaluationContext, McNemar, apply_temperature, fit_temperature, log_loss};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
    mcnemar: Vec<McNemar>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    unit: f32,
    truth: Vec<usize>,
    counts: Vec<Vec<u16>>,
    confusion: Vec<Vec<u64>>,
    accuracy: f64,
    uar: f64,
    precision: Vec<f64>,
    recall: Vec<f64>,
    f1: Vec<f64>,
    support: Vec<u64>,
    #[serde(rename = "macro")]
    macro_average: Means,
    weighted: Means,
    log_loss: f64,
    brier: f64,
    ece: f64,
    temperature: f64,
    tempered_log_loss: f64,
    wilson: [f64; 2],
}

#[derive(Deserialize)]
struct Means {
    precision: f64,
    recall: f64,
    f1: f64,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("data/sklearn-1.9.1/metrics.json")).expect("the golden file is read")
}

impl Case {
    fn samples(&self) -> (Vec<Emotion>, Vec<Scores>) {
        let labels = LabelSet::new(&Emotion::ALL[..self.confusion.len()]).expect("labels differ");
        let scores = self.counts.iter().map(|counts| {
            let values: Vec<f32> = counts.iter().map(|&count| f32::from(count) / self.unit).collect();
            Scores::new(&labels, &values).expect("counts sum to the unit")
        });
        (self.truth.iter().map(|&truth| Emotion::ALL[truth]).collect(), scores.collect())
    }
}

#[test]
fn evaluation_matches_scikit_learn() {
    for case in golden().cases {
        let (truth, scores) = case.samples();
        let got = Evaluation::new(&EvaluationContext::default(), &truth, &scores).unwrap();
        let close = |what: &str, got: f64, want: f64, tolerance: f64| {
            assert!((got - want).abs() <= tolerance, "{}: {what} is {got}, expected {want}", case.name);
        };
        let rows: Vec<Vec<u64>> = got.confusion.rows().map(<[u64]>::to_vec).collect();
        assert_eq!(rows, case.confusion, "{}", case.name);
        close("accuracy", got.accuracy, case.accuracy, 1e-12);
        close("UAR", got.uar, case.uar, 1e-12);
        close("ECE", got.ece, case.ece, 1e-12);
        close("Brier score", got.brier, case.brier, 1e-12);
        close("log loss", got.log_loss, case.log_loss, 1e-6);
        for (index, (label, class)) in got.per_class.0.iter().enumerate() {
            close(&format!("precision of {label}"), class.precision, case.precision[index], 1e-12);
            close(&format!("recall of {label}"), class.recall, case.recall[index], 1e-12);
            close(&format!("F1 of {label}"), class.f1, case.f1[index], 1e-12);
            assert_eq!(class.support, case.support[index], "{}: support of {label}", case.name);
        }
        for (name, got, want) in
            [("macro", got.macro_average, case.macro_average), ("weighted", got.weighted_average, case.weighted)]
        {
            close(&format!("{name} precision"), got.precision, want.precision, 1e-12);
            close(&format!("{name} recall"), got.recall, want.recall, 1e-12);
            close(&format!("{name} F1"), got.f1, want.f1, 1e-12);
        }
        close("Wilson's lower bound", got.confidence_interval.accuracy[0], case.wilson[0], 1e-12);
        close("Wilson's upper bound", got.confidence_interval.accuracy[1], case.wilson[1], 1e-12);
    }
}

#[test]
fn temperature_matches_a_general_minimiser() {
    for case in golden().cases {
        let (truth, scores) = case.samples();
        let temperature = fit_temperature(&truth, &scores).unwrap();
        let error = (f64::from(temperature) - case.temperature).abs();
        assert!(error <= 1e-4 * case.temperature, "{}: {temperature}, expected {}", case.name, case.temperature);
        let tempered: Vec<Scores> =
            scores.iter().map(|scores| apply_temperature(scores, temperature).unwrap()).collect();
        let loss = log_loss(&truth, &tempered).unwrap();
        // The tempered probabilities are rounded to f32, the reference's are not.
        assert!(
            (loss - case.tempered_log_loss).abs() <= 1e-6,
            "{}: {loss}, expected {}",
            case.name,
            case.tempered_log_loss
        );
    }
}

#[test]
fn mcnemar_matches_scipy_binomtest() {
    for want in golden().mcnemar {
        let got = McNemar::from_counts(want.only_first, want.only_second);
        let error = (got.p_value - want.p_value).abs();
        // Logarithms of 2,700 throws lose three digits.
        assert!(error <= 1e-11 * want.p_value, "{got:?}, expected {want:?}");
    }
}
