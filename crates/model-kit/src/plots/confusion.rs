//! The confusion matrix as a picture.

use plotters::prelude::DrawingBackend;
use plotters::style::RGBColor;

use super::canvas::{Align, Canvas, GREY, INK, Type, WHITE, between, percent, thousands};
use super::{Chart, Content};
use crate::Result;
use crate::metrics::Confusion;

/// The side of a cell, and the room around the cells.
const CELL: f64 = 74.0;
const LEFT: f64 = 128.0;
const TOP: f64 = 88.0;
const RIGHT: f64 = 96.0;
const BOTTOM: f64 = 70.0;
const GAP: f64 = 2.0;

/// From nothing to all of a row: one hue, ever darker.
const SCALE: [RGBColor; 4] =
    [RGBColor(0xf3, 0xf6, 0xfa), RGBColor(0xa6, 0xcb, 0xe6), RGBColor(0x2f, 0x7f, 0xbc), RGBColor(0x0b, 0x2f, 0x66)];

#[derive(Debug, Clone)]
pub(super) struct Matrix {
    confusion: Confusion,
    title: String,
}

/// A confusion matrix: a row for each true label, a column for each predicted one; each cell says which share of its row
/// it holds, by number and by colour, and how many samples that are.
pub fn confusion_matrix(confusion: &Confusion, title: &str) -> Chart {
    let side = CELL * confusion.labels().len() as f64;
    Chart {
        width: (LEFT + side + RIGHT) as u32,
        height: (TOP + side + BOTTOM) as u32,
        content: Content::Confusion(Matrix { confusion: confusion.clone(), title: title.to_owned() }),
    }
}

impl Matrix {
    pub(super) fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Result<()> {
        let Self { confusion, title } = self;
        let side = CELL * confusion.labels().len() as f64;
        let summary = format!(
            "{} samples, accuracy {}, mean recall {}",
            thousands(confusion.samples()),
            percent(confusion.accuracy()),
            percent(confusion.uar())
        );
        canvas.on_baseline(title, (LEFT, 40.0), Align::Left, Type::bold(20.0, INK))?;
        canvas.on_baseline(&summary, (LEFT, 64.0), Align::Left, Type::plain(13.0, GREY))?;

        for (row, (label, counts)) in confusion.labels().iter().zip(confusion.rows()).enumerate() {
            let y = TOP + CELL * row as f64;
            let support: u64 = counts.iter().sum();
            canvas.text(label.name(), (LEFT - 12.0, y + CELL / 2.0 - 8.0), Align::Right, Type::plain(14.0, INK))?;
            canvas.text(
                &thousands(support),
                (LEFT - 12.0, y + CELL / 2.0 + 10.0),
                Align::Right,
                Type::plain(11.0, GREY),
            )?;
            for (column, &count) in counts.iter().enumerate() {
                let x = LEFT + CELL * column as f64;
                let share = if support > 0 { count as f64 / support as f64 } else { 0.0 };
                canvas.rectangle((x, y), (CELL - GAP, CELL - GAP), shade(share))?;
                // What can be read on the colour.
                let (ink, faint) = match share {
                    0.62.. => (WHITE, shade(0.1)),
                    0.2.. => (INK, INK),
                    _ => (INK, GREY),
                };
                let middle = (x + (CELL - GAP) / 2.0, y + (CELL - GAP) / 2.0);
                let look = if row == column { Type::bold(17.0, ink) } else { Type::plain(15.0, ink) };
                canvas.text(&format!("{:.0} %", 100.0 * share), (middle.0, middle.1 - 8.0), Align::Centre, look)?;
                canvas.text(&thousands(count), (middle.0, middle.1 + 14.0), Align::Centre, Type::plain(11.0, faint))?;
            }
        }
        for (column, label) in confusion.labels().iter().enumerate() {
            let x = LEFT + CELL * column as f64 + (CELL - GAP) / 2.0;
            canvas.text(label.name(), (x, TOP + side + 14.0), Align::Centre, Type::plain(14.0, INK))?;
        }
        canvas.text("predicted", (LEFT + side / 2.0, TOP + side + 44.0), Align::Centre, Type::bold(13.0, GREY))?;
        canvas.upright("true", (34.0, TOP + side / 2.0), Type::bold(13.0, GREY))?;
        self.draw_scale(canvas, side)
    }

    /// The colours and the shares that they stand for, beside the cells.
    fn draw_scale<B: DrawingBackend>(&self, canvas: &Canvas<B>, side: f64) -> Result<()> {
        const STEPS: u32 = 128;
        let (x, width) = (LEFT + side + 22.0, 12.0);
        let height = side - GAP;
        for step in 0..STEPS {
            let share = 1.0 - (f64::from(step) + 0.5) / f64::from(STEPS);
            // Each step reaches down to the end, under those that follow: no seams.
            let above = height * f64::from(step) / f64::from(STEPS);
            canvas.rectangle((x, TOP + above), (width, height - above), shade(share))?;
        }
        for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
            let y = TOP + height * (1.0 - share);
            canvas.text(
                &format!("{:.0} %", 100.0 * share),
                (x + width + 6.0, y),
                Align::Left,
                Type::plain(11.0, GREY),
            )?;
        }
        Ok(())
    }
}

fn shade(share: f64) -> RGBColor {
    let place = share.clamp(0.0, 1.0) * (SCALE.len() - 1) as f64;
    let from = (place as usize).min(SCALE.len() - 2);
    between(SCALE[from], SCALE[from + 1], place - from as f64)
}
