//! Accuracy against coverage, as a picture.

use plotters::prelude::DrawingBackend;

use super::canvas::{Align, Canvas, GREY, GRID, INK, SERIES, Type, percent};
use super::{Chart, Content};
use crate::Result;
use crate::metrics::RiskCoverage;

const LEFT: f64 = 86.0;
const TOP: f64 = 92.0;
const SIDE: f64 = 420.0;
/// The most points of a line that can be told apart.
const MOST_POINTS: usize = 210;

#[derive(Debug, Clone)]
pub(super) struct Coverage {
    curves: Vec<(String, RiskCoverage)>,
    title: String,
}

/// How accurate one or more models are on the answers that they are surest of: `(name, curve)`, at most six.
pub fn risk_coverage(curves: &[(String, RiskCoverage)], title: &str) -> Chart {
    Chart {
        width: (LEFT + SIDE + 44.0) as u32,
        height: (TOP + SIDE + 64.0) as u32,
        content: Content::Coverage(Coverage { curves: curves.to_vec(), title: title.to_owned() }),
    }
}

impl Coverage {
    pub(super) fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Result<()> {
        canvas.on_baseline(&self.title, (LEFT, 40.0), Align::Left, Type::bold(20.0, INK))?;
        let summary = "accuracy among the answers that the model is surest of";
        canvas.on_baseline(summary, (LEFT, 64.0), Align::Left, Type::plain(13.0, GREY))?;

        let at_tenths = |curve: &RiskCoverage| {
            (1..=10).map(|tenth| curve.at_coverage(f64::from(tenth) / 10.0).accuracy).fold(1.0, f64::min)
        };
        // The axis starts at the last tenth below every curve, apart from its first few answers, whose share jumps about.
        let least = self.curves.iter().map(|(_, curve)| at_tenths(curve)).fold(1.0, f64::min);
        let least = ((least * 10.0).floor() / 10.0).min(0.9);
        let across = |share: f64| LEFT + SIDE * share;
        let up = |share: f64| TOP + SIDE * (1.0 - (share.max(least) - least) / (1.0 - least));
        let tenths = ((1.0 - least) * 10.0).round() as u32;
        for tick in 0..=tenths {
            let share = least + f64::from(tick) / 10.0;
            canvas.line(&[(LEFT, up(share)), (LEFT + SIDE, up(share))], GRID, 1.0)?;
            let text = format!("{:.0} %", 100.0 * share);
            canvas.text(&text, (LEFT - 8.0, up(share)), Align::Right, Type::plain(11.0, GREY))?;
        }
        for tick in 0..=5 {
            let share = f64::from(tick) / 5.0;
            let text = format!("{:.0} %", 100.0 * share);
            canvas.text(&text, (across(share), TOP + SIDE + 14.0), Align::Centre, Type::plain(11.0, GREY))?;
        }

        for (place, (name, curve)) in self.curves.iter().enumerate() {
            let color = SERIES[place % SERIES.len()];
            let step = curve.points.len().div_ceil(MOST_POINTS).max(1);
            // One point in so many, and always the last: all samples.
            let last = curve.points.len() - 1;
            let kept = curve.points.iter().enumerate().filter(|(index, _)| index % step == 0 || *index == last);
            let line: Vec<_> = kept.map(|(_, point)| (across(point.coverage), up(point.accuracy))).collect();
            canvas.line(&line, color, 2.0)?;
            let all = curve.points[last];
            canvas.dot((across(all.coverage), up(all.accuracy)), 4.0, color)?;
            let y = TOP + SIDE - 18.0 - 20.0 * (self.curves.len() - 1 - place) as f64;
            canvas.rectangle((LEFT + 14.0, y - 5.5), (11.0, 11.0), color)?;
            let text = format!("{name}: {} of all, area of risk {:.4}", percent(all.accuracy), curve.area);
            canvas.text(&text, (LEFT + 31.0, y), Align::Left, Type::plain(12.0, INK))?;
        }
        canvas.line(&[(LEFT, TOP + SIDE), (LEFT + SIDE, TOP + SIDE)], GREY, 1.0)?;
        canvas.upright("accuracy", (26.0, TOP + SIDE / 2.0), Type::bold(13.0, GREY))?;
        canvas.text(
            "share of samples answered",
            (LEFT + SIDE / 2.0, TOP + SIDE + 40.0),
            Align::Centre,
            Type::bold(13.0, GREY),
        )
    }
}
