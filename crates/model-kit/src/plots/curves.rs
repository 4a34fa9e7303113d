//! How a training went, as a picture.

use std::fs;
use std::path::Path;

use plotters::prelude::DrawingBackend;
use plotters::style::RGBColor;

use super::canvas::{Align, Canvas, GREY, GRID, INK, SERIES, Type, percent};
use super::{Chart, Content};
use crate::{Error, Result};

const PANEL: (f64, f64) = (430.0, 300.0);
const LEFT: f64 = 78.0;
const TOP: f64 = 118.0;
const BETWEEN: f64 = 84.0;
const RIGHT: f64 = 36.0;
const BOTTOM: f64 = 64.0;

/// The columns of a training's `metrics.csv`: a name and a value for each epoch, `None` where there is none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrainingLog {
    columns: Vec<(String, Vec<Option<f64>>)>,
}

impl TrainingLog {
    /// Reads the file that [`CsvLog`](crate::callback::CsvLog) writes, or any CSV file of numbers with a heading line and
    /// a column `epoch`.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Decode`] for a file without that column, without rows, with rows of another length than the
    /// heading, or with what is no number.
    pub fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(Error::io(path))?;
        Self::parse(&text).map_err(|reason| Error::Decode {
            path: path.to_owned(),
            expected: "a training's metrics as CSV".to_owned(),
            source: reason.into(),
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let heading = lines.next().ok_or("it is empty")?;
        let mut columns: Vec<(String, Vec<Option<f64>>)> =
            heading.split(',').map(|name| (name.trim().to_owned(), Vec::new())).collect();
        if !columns.iter().any(|(name, _)| name == "epoch") {
            return Err(format!("there is no column `epoch` among {heading}"));
        }
        for (number, line) in lines.enumerate() {
            let cells: Vec<&str> = line.split(',').map(str::trim).collect();
            if cells.len() != columns.len() {
                return Err(format!("row {} has {} cells, the heading {}", number + 1, cells.len(), columns.len()));
            }
            for ((name, values), cell) in columns.iter_mut().zip(cells) {
                let value = if cell.is_empty() {
                    None
                } else {
                    Some(cell.parse::<f64>().map_err(|_| format!("{name} of row {} is {cell:?}", number + 1))?)
                };
                values.push(value.filter(|value| value.is_finite()));
            }
        }
        if columns.iter().all(|(_, values)| values.is_empty()) {
            return Err("it has no rows".to_owned());
        }
        Ok(Self { columns })
    }

    /// The values of a column, one for each epoch.
    pub fn column(&self, name: &str) -> Option<&[Option<f64>]> {
        self.columns.iter().find(|(column, _)| column == name).map(|(_, values)| values.as_slice())
    }

    /// The points of a column over the epochs; none where it is missing.
    fn points(&self, name: &str) -> Vec<(f64, f64)> {
        let (Some(epochs), Some(values)) = (self.column("epoch"), self.column(name)) else { return Vec::new() };
        epochs.iter().zip(values).filter_map(|(epoch, value)| Some(((*epoch)?, (*value)?))).collect()
    }
}

#[derive(Debug, Clone)]
pub(super) struct Curves {
    title: String,
    summary: String,
    panels: Vec<Panel>,
}

#[derive(Debug, Clone)]
struct Panel {
    name: &'static str,
    curves: Vec<Curve>,
    /// What colours and strokes mean, in rows from below: text, colour, whether dashed.
    key: [Vec<(&'static str, RGBColor, bool)>; 2],
    /// Whether values are shares, to be written in per cent.
    shares: bool,
    /// The point to mark, with its colour.
    best: Option<((f64, f64), RGBColor)>,
}

#[derive(Debug, Clone)]
struct Curve {
    color: RGBColor,
    dashed: bool,
    points: Vec<(f64, f64)>,
}

const TRAINING: RGBColor = GREY;
const NETWORK: RGBColor = SERIES[0];
const AVERAGED: RGBColor = SERIES[1];

/// The curves of a training: left the losses, right the accuracies and, on the validation set, mean recall; of the network and,
/// if they were kept, of its averaged weights. The best accuracy on the validation set is marked.
pub fn training_curves(log: &TrainingLog, title: &str) -> Chart {
    let curve = |column, color, dashed| Curve { color, dashed, points: log.points(column) };
    let losses =
        [curve("train_loss", TRAINING, false), curve("loss", NETWORK, false), curve("ema_loss", AVERAGED, false)];
    let accuracies = [curve("accuracy", NETWORK, false), curve("ema_accuracy", AVERAGED, false)];
    let learnt = curve("train_accuracy", TRAINING, false);
    let recalls = [curve("uar", NETWORK, true), curve("ema_uar", AVERAGED, true)];

    let best = accuracies
        .iter()
        .flat_map(|curve| curve.points.iter().map(|&point| (point, curve.color)))
        .reduce(|best, other| if other.0.1 > best.0.1 { other } else { best });
    let epochs = log.column("epoch").map_or(0, <[_]>::len);
    let epochs = if epochs == 1 { "1 epoch".to_owned() } else { format!("{epochs} epochs") };
    let summary = match best {
        Some(((epoch, accuracy), _)) => format!("{epochs}, best accuracy {} in epoch {epoch}", percent(accuracy)),
        None => epochs,
    };

    let mut strokes = Vec::new();
    if best.is_some() {
        strokes.push(("accuracy", INK, false));
    }
    if recalls.iter().any(|curve| !curve.points.is_empty()) {
        strokes.push(("mean recall", INK, true));
    }
    // What was validated last, on top.
    let shares: Vec<Curve> = [learnt].into_iter().chain(recalls).chain(accuracies).collect();
    let colors = |curves: &[Curve]| {
        let named = [("training", TRAINING), ("validation", NETWORK), ("validation, averaged weights", AVERAGED)];
        let drawn = |color| curves.iter().any(|curve| curve.color == color && !curve.points.is_empty());
        named.into_iter().filter(|&(_, color)| drawn(color)).map(|(text, color)| (text, color, false)).collect()
    };
    let panels = vec![
        Panel { name: "loss", key: [colors(&losses), Vec::new()], curves: losses.into(), shares: false, best: None },
        Panel { name: "right answers", key: [colors(&shares), strokes], curves: shares, shares: true, best },
    ];
    Chart {
        width: (LEFT + 2.0 * PANEL.0 + BETWEEN + RIGHT) as u32,
        height: (TOP + PANEL.1 + BOTTOM) as u32,
        content: Content::Curves(Curves { title: title.to_owned(), summary, panels }),
    }
}

impl Curves {
    pub(super) fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> Result<()> {
        canvas.on_baseline(&self.title, (LEFT, 40.0), Align::Left, Type::bold(20.0, INK))?;
        canvas.on_baseline(&self.summary, (LEFT, 64.0), Align::Left, Type::plain(13.0, GREY))?;
        for (place, panel) in self.panels.iter().enumerate() {
            panel.draw(canvas, LEFT + (PANEL.0 + BETWEEN) * place as f64)?;
        }
        Ok(())
    }
}

impl Panel {
    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<B>, left: f64) -> Result<()> {
        for (row, entries) in self.key.iter().enumerate() {
            let (mut x, y) = (left, TOP - 22.0 - 20.0 * row as f64);
            for &(text, color, dashed) in entries {
                let look = Type::plain(12.0, INK);
                stroke(canvas, &[(x, y), (x + 22.0, y)], color, dashed)?;
                canvas.text(text, (x + 28.0, y), Align::Left, look)?;
                x += 28.0 + canvas.width(text, look)? + 18.0;
            }
        }

        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let range = |value: fn(&(f64, f64)) -> f64| {
            points()
                .map(value)
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
        };
        if points().next().is_none() {
            let middle = (left + PANEL.0 / 2.0, TOP + PANEL.1 / 2.0);
            return canvas.text("nothing recorded", middle, Align::Centre, Type::plain(13.0, GREY));
        }
        let (first, last) = range(|point| point.0);
        let (low, high) = range(|point| point.1);
        let ticks = ticks(low, high, 6);
        let (bottom, top) = (ticks[0], ticks[ticks.len() - 1]);
        let across = |epoch: f64| left + PANEL.0 * if last > first { (epoch - first) / (last - first) } else { 0.5 };
        let up = |value: f64| TOP + PANEL.1 * (1.0 - (value - bottom) / (top - bottom));

        let step = ticks[1] - ticks[0];
        for &tick in &ticks {
            canvas.line(&[(left, up(tick)), (left + PANEL.0, up(tick))], GRID, 1.0)?;
            canvas.text(&self.written(tick, step), (left - 8.0, up(tick)), Align::Right, Type::plain(11.0, GREY))?;
        }
        for epoch in self::ticks(first, last, 8)
            .into_iter()
            .filter(|epoch| (first..=last).contains(epoch) && epoch.fract() == 0.0)
        {
            canvas.text(
                &format!("{epoch}"),
                (across(epoch), TOP + PANEL.1 + 15.0),
                Align::Centre,
                Type::plain(11.0, GREY),
            )?;
        }
        canvas.text("epoch", (left + PANEL.0 / 2.0, TOP + PANEL.1 + 40.0), Align::Centre, Type::bold(13.0, GREY))?;
        canvas.upright(self.name, (left - 56.0, TOP + PANEL.1 / 2.0), Type::bold(13.0, GREY))?;

        for curve in &self.curves {
            let points: Vec<_> = curve.points.iter().map(|&(epoch, value)| (across(epoch), up(value))).collect();
            match points.as_slice() {
                &[point] => canvas.dot(point, 3.0, curve.color)?,
                points => stroke(canvas, points, curve.color, curve.dashed)?,
            }
        }
        if let Some(((epoch, value), color)) = self.best {
            canvas.dot((across(epoch), up(value)), 4.5, color)?;
        }
        Ok(())
    }

    fn written(&self, value: f64, step: f64) -> String {
        let (value, step, unit) = if self.shares { (100.0 * value, 100.0 * step, " %") } else { (value, step, "") };
        let decimals = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
        format!("{value:.decimals$}{unit}")
    }
}

fn stroke<B: DrawingBackend>(canvas: &Canvas<B>, points: &[(f64, f64)], color: RGBColor, dashed: bool) -> Result<()> {
    match points {
        [] => Ok(()),
        points if dashed => canvas.dashes(points, color, 1.75),
        points => canvas.line(points, color, 2.25),
    }
}

/// About `count` round numbers, evenly apart, of which the first is at most `low` and the last at least `high`; never fewer
/// than two.
fn ticks(low: f64, high: f64, count: u32) -> Vec<f64> {
    let span = if high > low { high - low } else { low.abs().max(1.0) * 0.1 };
    let raw = span / f64::from(count);
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|&step| step >= raw * 0.999)
        .unwrap_or(10.0 * power);
    let first = (low / step + 1e-9).floor() as i64;
    let last = ((high / step - 1e-9).ceil() as i64).max(first + 1);
    (first..=last).map(|tick| tick as f64 * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_enclose_the_values() {
        assert_eq!(ticks(0.0, 1.0, 5), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(ticks(1.0, 30.0, 8), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0]);
        assert!(ticks(3.0, 3.0, 5).len() >= 2);
        assert!(ticks(0.0, 0.0, 5).len() >= 2);
    }

    #[test]
    fn a_log_is_read_with_its_gaps_and_a_bad_one_is_refused() {
        let log = TrainingLog::parse("epoch,loss,accuracy\n1,1.5,\n2,1.25,0.5\n").unwrap();
        assert_eq!(log.column("accuracy").unwrap(), [None, Some(0.5)]);
        assert_eq!(log.points("accuracy"), [(2.0, 0.5)]);
        assert_eq!(log.points("uar"), []);
        for (bad, reason) in [
            ("", "it is empty"),
            ("loss\n1\n", "no column `epoch`"),
            ("epoch,loss\n", "no rows"),
            ("epoch,loss\n1\n", "row 1 has 1 cells"),
            ("epoch,loss\n1,high\n", "\"high\""),
        ] {
            let error = TrainingLog::parse(bad).unwrap_err();
            assert!(error.contains(reason), "{bad:?}: {error}");
        }
    }
}
