//! How many samples each class has, as a picture.

use emotion_core::Emotion;
use plotters::prelude::DrawingBackend;
use plotters::style::RGBColor;

use super::canvas::{Align, Canvas, GREY, GRID, INK, SERIES, Type, WHITE, percent, thousands};
use super::{Chart, Content};
use crate::Result;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 112.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 96.0;
const BOTTOM: f64 = 48.0;
/// The height of a bar, and the room between classes.
const BAR: f64 = 17.0;
const APART: f64 = 13.0;

#[derive(Debug, Clone)]
pub(super) struct Distribution {
    title: String,
    parts: Vec<(String, Vec<(Emotion, u64)>)>,
    classes: Vec<Emotion>,
}

/// The classes of each part of a data set: the bars show each class's share of its part, the numbers how many samples it
/// has. Parts are `(name, counts)`; classes stand in the order in which they first occur.
pub fn class_distribution(parts: &[(String, Vec<(Emotion, u64)>)], title: &str) -> Chart {
    let mut classes = Vec::new();
    for (emotion, _) in parts.iter().flat_map(|(_, counts)| counts) {
        if !classes.contains(emotion) {
            classes.push(*emotion);
        }
    }
    let class_height = BAR * parts.len() as f64 + APART;
    Chart {
        width: WIDTH as u32,
        height: (TOP + class_height * classes.len() as f64 + BOTTOM) as u32,
        content: Content::Distribution(Distribution { title: title.to_owned(), parts: parts.to_vec(), classes }),
    }
}

impl Distribution {
    pub(super) fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Result<()> {
        canvas.on_baseline(&self.title, (LEFT, 40.0), Align::Left, Type::bold(20.0, INK))?;
        let mut x = LEFT;
        for (part, (name, counts)) in self.parts.iter().enumerate() {
            let total: u64 = counts.iter().map(|(_, count)| count).sum();
            let text = format!("{name}, {} samples", thousands(total));
            let look = Type::plain(13.0, INK);
            canvas.rectangle((x, 58.0), (11.0, 11.0), color(part))?;
            canvas.text(&text, (x + 17.0, 63.5), Align::Left, look)?;
            x += 17.0 + canvas.width(&text, look)? + 24.0;
        }

        let shares: Vec<Vec<f64>> = self.parts.iter().map(|(_, counts)| self.shares(counts)).collect();
        let largest = shares.iter().flatten().copied().fold(0.0, f64::max);
        // Steps of 5 % while few are needed, else of 10 or 20.
        let step = [0.05, 0.1, 0.2].into_iter().find(|step| largest / step <= 8.0).unwrap_or(0.2);
        let end = ((largest / step).ceil() * step).max(step);
        let across = |share: f64| LEFT + (WIDTH - LEFT - RIGHT) * share / end;
        let class_height = BAR * self.parts.len() as f64 + APART;
        let bottom = TOP + class_height * self.classes.len() as f64;

        for tick in 0..=(end / step).round() as u32 {
            let x = across(f64::from(tick) * step);
            canvas.line(&[(x, TOP - 6.0), (x, bottom)], GRID, 1.0)?;
            let text = format!("{:.0} %", 100.0 * f64::from(tick) * step);
            canvas.text(&text, (x, bottom + 14.0), Align::Centre, Type::plain(11.0, GREY))?;
        }
        for (row, class) in self.classes.iter().enumerate() {
            let y = TOP + class_height * row as f64;
            let middle = y + (class_height - APART) / 2.0;
            canvas.text(class.name(), (LEFT - 12.0, middle), Align::Right, Type::plain(14.0, INK))?;
            for (part, (_, counts)) in self.parts.iter().enumerate() {
                let share = shares[part][row];
                let y = y + BAR * part as f64;
                canvas.rectangle((LEFT, y), (across(share) - LEFT, BAR - 2.0), color(part))?;
                let count = counts.iter().find(|(label, _)| label == class).map_or(0, |(_, count)| *count);
                let text = format!("{}  ({})", thousands(count), percent(share));
                let (x, look) = (across(share) + 8.0, Type::plain(11.0, GREY));
                // No grid behind the numbers.
                canvas.rectangle((x - 4.0, y), (canvas.width(&text, look)? + 8.0, BAR - 2.0), WHITE)?;
                canvas.text(&text, (x, y + BAR / 2.0 - 1.0), Align::Left, look)?;
            }
        }
        Ok(())
    }

    /// Each class's share of a part, in the order of the classes.
    fn shares(&self, counts: &[(Emotion, u64)]) -> Vec<f64> {
        let total: u64 = counts.iter().map(|(_, count)| count).sum();
        let count = |class| counts.iter().filter(|(label, _)| *label == class).map(|(_, count)| count).sum::<u64>();
        self.classes.iter().map(|&class| if total > 0 { count(class) as f64 / total as f64 } else { 0.0 }).collect()
    }
}

fn color(part: usize) -> RGBColor {
    SERIES[part % SERIES.len()]
}
