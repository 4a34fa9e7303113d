//! Every chart is drawn in both forms, whatever its data. With `PLOTS_OUT` set to a folder, the pictures are kept there to be
//! looked at.

#![cfg(feature = "plots")]

use std::path::PathBuf;

use emotion_core::{Emotion, LabelSet, Scores};
use model_kit::metrics::{Confusion, Reliability, RiskCoverage};
use model_kit::plots::{self, Chart, TrainingLog};

fn check(name: &str, chart: &Chart) {
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let folder = std::env::var_os("PLOTS_OUT").map_or(temporary.path().to_owned(), PathBuf::from);
    let (width, height) = chart.size();

    let path = folder.join(format!("{name}.png"));
    chart.save(&path).expect("the picture is drawn");
    let image = image::open(&path).expect("the picture is read").into_rgb8();
    assert_eq!((image.width(), image.height()), (2 * width, 2 * height));
    let dark = image.pixels().filter(|pixel| pixel.0.iter().all(|&value| value < 128)).count();
    assert!(dark > 200, "{name}: only {dark} dark pixels");
    let at_edge = |x, y| x == 0 || y == 0 || x + 1 == image.width() || y + 1 == image.height();
    let mut edge = image.enumerate_pixels().filter(|(x, y, _)| at_edge(*x, *y));
    assert!(edge.all(|(_, _, pixel)| pixel.0 == [255; 3]), "{name}: something runs over the edge");

    let path = folder.join(format!("{name}.svg"));
    chart.save(&path).expect("the drawing is written");
    let svg = std::fs::read_to_string(&path).expect("the drawing is read");
    assert!(svg.starts_with(&format!("<svg width=\"{width}\" height=\"{height}\"")), "{name}: {}", &svg[..120]);

    assert!(chart.save(&folder.join("chart.gif")).is_err());
}

#[test]
fn confusion_matrices() {
    let rows = [
        [268, 6, 46, 20, 62, 12, 53],
        [14, 35, 2, 1, 3, 0, 1],
        [55, 2, 241, 16, 93, 52, 37],
        [12, 0, 8, 802, 20, 15, 38],
        [48, 2, 58, 28, 391, 6, 120],
        [6, 0, 26, 16, 8, 343, 16],
        [29, 1, 27, 37, 92, 9, 412],
    ];
    let rows = rows.map(|row| row.to_vec());
    let confusion = Confusion::from_rows(&LabelSet::face7(), &rows).unwrap();
    check("confusion_face7", &plots::confusion_matrix(&confusion, "Compact network on FER-2013, public"));
    check("per_class", &plots::class_metrics(&confusion, "Compact network on FER-2013, public"));
    check("confusion_empty", &plots::confusion_matrix(&Confusion::new(&LabelSet::speech8()), "No samples"));
}

#[test]
fn training_curves() {
    let mut csv = String::from(
        "epoch,learning_rate,train_loss,samples_per_second,seconds,loss,accuracy,uar,ema_loss,ema_accuracy,ema_uar,train_accuracy\n",
    );
    for epoch in 1..=30u32 {
        let done = f64::from(epoch) / 30.0;
        let noise = f64::from(epoch * 7919 % 13) / 13.0 - 0.5;
        csv += &format!(
            "{epoch},{:.5},{:.4},300,95,{:.4},{:.4},{:.4},{:.4},{:.4},{:.4},{:.4}\n",
            0.1 * (1.0 - done),
            0.95 + 0.95 * (-3.0 * done).exp(),
            0.98 + 0.75 * (-4.0 * done).exp() + 0.05 * noise,
            0.66 - 0.40 * (-4.0 * done).exp() - 0.02 * noise,
            0.62 - 0.45 * (-4.0 * done).exp() - 0.03 * noise,
            0.96 + 0.80 * (-5.0 * done).exp(),
            0.68 - 0.45 * (-5.0 * done).exp(),
            0.65 - 0.50 * (-5.0 * done).exp(),
            0.64 - 0.40 * (-2.5 * done).exp(),
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.csv");
    std::fs::write(&path, csv).unwrap();
    check("curves", &plots::training_curves(&TrainingLog::load(&path).unwrap(), "Compact network on FER-2013"));

    std::fs::write(&path, "epoch,train_loss,train_accuracy\n1,1.5,0.3\n2,1.2,0.45\n3,1.1,0.5\n").unwrap();
    check("curves_unwatched", &plots::training_curves(&TrainingLog::load(&path).unwrap(), "No validation"));
    std::fs::write(&path, "epoch,train_loss\n1,1.5\n").unwrap();
    check("curves_one_epoch", &plots::training_curves(&TrainingLog::load(&path).unwrap(), "One epoch, no validation"));
    assert!(TrainingLog::load(&folder.path().join("none.csv")).is_err());
}

#[test]
fn class_distributions() {
    let part =
        |name: &str, counts: [u64; 7]| (name.to_owned(), LabelSet::face7().iter().zip(counts).collect::<Vec<_>>());
    let training = part("training", [3995, 436, 4097, 7215, 4830, 3171, 4965]);
    let public = part("public", [467, 56, 496, 895, 653, 415, 607]);
    check("distribution", &plots::class_distribution(&[training.clone(), public], "Classes of FER-2013"));
    check("distribution_one", &plots::class_distribution(&[training], "Classes of FER-2013's training split"));
    check("distribution_lone", &plots::class_distribution(&[("all".into(), vec![(Emotion::Happy, 3)])], "One class"));
}

#[test]
fn reliability_diagrams() {
    let labels = LabelSet::new(&[Emotion::Happy, Emotion::Sad]).unwrap();
    let mut truth = Vec::new();
    let mut scores = Vec::new();
    for sample in 0..3000u32 {
        let confidence = 0.5 + 0.5 * f64::from(sample * 37 % 1000) / 1000.0;
        let right = f64::from(sample * 7907 % 1000) / 1000.0 < confidence.powf(1.3);
        truth.push(if right { Emotion::Happy } else { Emotion::Sad });
        scores.push(Scores::new(&labels, &[confidence as f32, 1.0 - confidence as f32]).unwrap());
    }
    let reliability = Reliability::new(&truth, &scores, Reliability::DEFAULT_BINS).unwrap();
    check("reliability", &plots::reliability_diagram(&reliability, "Compact network on FER-2013, public"));
    let curve = RiskCoverage::new(&truth, &scores).unwrap();
    let all_right =
        RiskCoverage::new(&[truth[0]; 3], &[(); 3].map(|()| Scores::new(&labels, &[1.0, 0.0]).unwrap())).unwrap();
    let both = [("compact".to_owned(), curve.clone()), ("a lookup table".to_owned(), all_right)];
    check("coverage", &plots::risk_coverage(&both[..1], "Compact network on FER-2013, public"));
    check("coverage_two", &plots::risk_coverage(&both, "Two models on FER-2013, public"));
}
