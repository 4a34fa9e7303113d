//! Precision, recall and F1 of each class, as a picture.

use plotters::prelude::DrawingBackend;

use super::canvas::{Align, Canvas, GREY, GRID, INK, SERIES, Type, WHITE, percent, thousands};
use super::{Chart, Content};
use crate::Result;
use crate::metrics::Confusion;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 112.0;
const RIGHT: f64 = 76.0;
const TOP: f64 = 104.0;
const BOTTOM: f64 = 40.0;
/// The height of a bar, and the room between classes.
const BAR: f64 = 13.0;
const APART: f64 = 14.0;
const NAMES: [&str; 3] = ["precision", "recall", "F1"];

#[derive(Debug, Clone)]
pub(super) struct Bars {
    confusion: Confusion,
    title: String,
}

/// Precision, recall and F1 of each class as bars, with the number of samples of the class, and their plain mean over
/// the classes below.
pub fn class_metrics(confusion: &Confusion, title: &str) -> Chart {
    let rows = confusion.labels().len() as f64 + 1.0;
    Chart {
        width: WIDTH as u32,
        height: (TOP + rows * (3.0 * BAR + APART) + BOTTOM) as u32,
        content: Content::PerClass(Bars { confusion: confusion.clone(), title: title.to_owned() }),
    }
}

impl Bars {
    pub(super) fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Result<()> {
        let confusion = &self.confusion;
        let summary = format!("{} samples, accuracy {}", thousands(confusion.samples()), percent(confusion.accuracy()));
        canvas.on_baseline(&self.title, (LEFT, 36.0), Align::Left, Type::bold(20.0, INK))?;
        canvas.on_baseline(&summary, (LEFT, 58.0), Align::Left, Type::plain(13.0, GREY))?;
        let mut x = LEFT;
        for (place, name) in NAMES.iter().enumerate() {
            let look = Type::plain(13.0, INK);
            canvas.rectangle((x, 72.0), (11.0, 11.0), SERIES[place])?;
            canvas.text(name, (x + 17.0, 77.5), Align::Left, look)?;
            x += 17.0 + canvas.width(name, look)? + 24.0;
        }

        let across = |share: f64| LEFT + (WIDTH - LEFT - RIGHT) * share;
        let height = 3.0 * BAR + APART;
        let classes = confusion.per_class();
        let mean = confusion.macro_average();
        let named = confusion.labels().iter().zip(&classes).map(|(label, class)| {
            let samples = format!("{} samples", thousands(class.support));
            (label.name(), samples, [class.precision, class.recall, class.f1])
        });
        let rows: Vec<_> =
            named.chain([("mean", "over the classes".to_owned(), [mean.precision, mean.recall, mean.f1])]).collect();
        let bottom = TOP + height * rows.len() as f64 - APART;
        for tick in 0..=5 {
            let share = f64::from(tick) / 5.0;
            canvas.line(&[(across(share), TOP - 6.0), (across(share), bottom + 4.0)], GRID, 1.0)?;
            let text = format!("{:.0} %", 100.0 * share);
            canvas.text(&text, (across(share), bottom + 17.0), Align::Centre, Type::plain(11.0, GREY))?;
        }
        for (row, (name, samples, shares)) in rows.iter().enumerate() {
            let y = TOP + height * row as f64;
            let middle = y + 1.5 * BAR;
            canvas.text(name, (LEFT - 12.0, middle - 7.0), Align::Right, Type::plain(14.0, INK))?;
            canvas.text(samples, (LEFT - 12.0, middle + 10.0), Align::Right, Type::plain(10.0, GREY))?;
            for (place, &share) in shares.iter().enumerate() {
                let y = y + BAR * place as f64;
                canvas.rectangle((LEFT, y), (across(share) - LEFT, BAR - 2.0), SERIES[place])?;
                let (text, look) = (percent(share), Type::plain(10.0, GREY));
                // No grid behind the numbers.
                let width = canvas.width(&text, look)?;
                canvas.rectangle((across(share) + 4.0, y), (width + 6.0, BAR - 2.0), WHITE)?;
                canvas.text(&text, (across(share) + 7.0, y + BAR / 2.0 - 1.0), Align::Left, look)?;
            }
        }
        Ok(())
    }
}
