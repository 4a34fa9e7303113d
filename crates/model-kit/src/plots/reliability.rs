//! Confidence against accuracy, as a picture.

use plotters::prelude::DrawingBackend;
use plotters::style::RGBColor;

use super::canvas::{Align, Canvas, GREY, GRID, INK, SERIES, Type, percent, thousands};
use super::{Chart, Content};
use crate::Result;
use crate::metrics::Reliability;

const LEFT: f64 = 86.0;
const TOP: f64 = 92.0;
const SIDE: f64 = 420.0;
/// The strip of sample counts below the diagram.
const STRIP: f64 = 84.0;
const BETWEEN: f64 = 22.0;
/// What is missing to the diagonal, or beyond it.
const SHORTFALL: RGBColor = RGBColor(0xf2, 0xc7, 0xa5);

#[derive(Debug, Clone)]
pub(super) struct Diagram {
    reliability: Reliability,
    title: String,
}

/// A reliability diagram: for each range of confidence, how often the model was right and how far that is from what it
/// said (pale); below, the share of the samples in each range. On the diagonal, a model knows how sure it may be.
pub fn reliability_diagram(reliability: &Reliability, title: &str) -> Chart {
    Chart {
        width: (LEFT + SIDE + 44.0) as u32,
        height: (TOP + SIDE + BETWEEN + STRIP + 66.0) as u32,
        content: Content::Reliability(Diagram { reliability: reliability.clone(), title: title.to_owned() }),
    }
}

impl Diagram {
    pub(super) fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Result<()> {
        let bins = &self.reliability.bins;
        let samples: u64 = bins.iter().map(|bin| bin.samples).sum();
        let summary =
            format!("{} samples, expected calibration error {}", thousands(samples), percent(self.reliability.ece()));
        canvas.on_baseline(&self.title, (LEFT, 40.0), Align::Left, Type::bold(20.0, INK))?;
        canvas.on_baseline(&summary, (LEFT, 64.0), Align::Left, Type::plain(13.0, GREY))?;

        let across = |share: f64| LEFT + SIDE * share;
        let up = |share: f64| TOP + SIDE * (1.0 - share);
        let strip_bottom = TOP + SIDE + BETWEEN + STRIP;
        for tick in 0..=5 {
            let share = f64::from(tick) / 5.0;
            canvas.line(&[(LEFT, up(share)), (LEFT + SIDE, up(share))], GRID, 1.0)?;
            let text = format!("{:.0} %", 100.0 * share);
            canvas.text(&text, (LEFT - 8.0, up(share)), Align::Right, Type::plain(11.0, GREY))?;
            canvas.text(&text, (across(share), strip_bottom + 13.0), Align::Centre, Type::plain(11.0, GREY))?;
        }

        let most = bins.iter().map(|bin| bin.samples).max().unwrap_or(0).max(1);
        for bin in bins.iter().filter(|bin| bin.samples > 0) {
            let (x, width) = (across(bin.lower) + 1.0, SIDE * (bin.upper - bin.lower) - 2.0);
            let bar = |from: f64, to: f64, color| canvas.rectangle((x, up(to)), (width, up(from) - up(to)), color);
            bar(0.0, bin.accuracy.min(bin.confidence), SERIES[0])?;
            let gap = if bin.accuracy < bin.confidence { SHORTFALL } else { SERIES[5] };
            bar(bin.accuracy.min(bin.confidence), bin.accuracy.max(bin.confidence), gap)?;
            let height = STRIP * bin.samples as f64 / most as f64;
            canvas.rectangle((x, strip_bottom - height), (width, height), GREY)?;
        }
        canvas.dashes(&[(across(0.0), up(0.0)), (across(1.0), up(1.0))], INK, 1.25)?;
        canvas.line(&[(LEFT, strip_bottom), (LEFT + SIDE, strip_bottom)], GREY, 1.0)?;

        // The upper left is free: no model is far surer of itself than it says.
        let mut y = TOP + 18.0;
        let key = [
            (SERIES[0], "right"),
            (SHORTFALL, "right less often than it says"),
            (SERIES[5], "right more often than it says"),
        ];
        for (color, text) in key {
            canvas.rectangle((LEFT + 14.0, y - 5.5), (11.0, 11.0), color)?;
            canvas.text(text, (LEFT + 31.0, y), Align::Left, Type::plain(12.0, INK))?;
            y += 20.0;
        }

        canvas.upright("accuracy", (26.0, TOP + SIDE / 2.0), Type::bold(13.0, GREY))?;
        canvas.upright("samples", (26.0, strip_bottom - STRIP / 2.0), Type::bold(13.0, GREY))?;
        let most_share = percent(most as f64 / samples.max(1) as f64);
        canvas.text(&most_share, (LEFT - 8.0, strip_bottom - STRIP + 4.0), Align::Right, Type::plain(11.0, GREY))?;
        canvas.text("confidence", (LEFT + SIDE / 2.0, strip_bottom + 40.0), Align::Centre, Type::bold(13.0, GREY))
    }
}
