//! The chart of scores over time: `chart.png`.

use std::io::Cursor;

use emotion_core::{Emotion, LabelSet, Scores, TimeSpan};
use fusion::Aligner;
use image::{ImageFormat, Rgb, RgbImage};

use super::canvas::{Canvas, Rect, Style, Typeface};
use super::palette::{FAINT, INK, MUTED, colour};
use crate::Error;
use crate::timeline::{Opinion, Timeline, Track};

/// Width of the chart in pixels.
const WIDTH: u32 = 1600;
/// Space to the left and right of everything.
const MARGIN: f32 = 56.0;
/// From the upper edge to the first panel.
const HEADER: f32 = 186.0;
/// From one panel's upper edge to the next one's.
const PANEL: f32 = 292.0;
/// Height of a panel's plot.
const PLOT: f32 = 224.0;
/// Width of the column of verdicts at the right.
const VERDICTS: f32 = 318.0;
/// Below the last panel: the time axis.
const FOOTER: f32 = 62.0;
/// Only so many faces get a panel of their own; the rest is counted in words.
const MOST_FACES: usize = 3;

/// Draws the scores of faces, voice and both over time as stacked areas, each beside its verdict.
///
/// Where a face is not seen or nobody speaks, the panel is empty. With several tracks, the three that hold the most
/// moments have a panel each, and the fused panel shows the first of these. The picture is 1600 pixels wide.
///
/// # Errors
/// [`Error::Drawing`] when the embedded typeface cannot be read.
pub fn chart(timeline: &Timeline) -> Result<RgbImage, Error> {
    let faces = busiest(&timeline.tracks);
    let panels = faces.len().max(1) + 2;
    let height = HEADER + PANEL * panels as f32 + FOOTER - (PANEL - PLOT);
    let mut image = RgbImage::from_pixel(WIDTH, height.round() as u32, Rgb([255; 3]));
    let mut pen =
        Pen { canvas: Canvas::new(&mut image), typeface: Typeface::load()?, end: end_of(timeline), top: HEADER };
    pen.header(timeline);

    let step = step_of(timeline);
    if faces.is_empty() {
        pen.panel("Face", "", None, "no face was seen", |_, _| None);
    }
    for (place, track) in faces.iter().enumerate() {
        let seconds = track.end - track.start;
        let mut about = format!("track {}, seen for {seconds:.1} s", track.id);
        if place + 1 == faces.len() && timeline.tracks.len() > faces.len() {
            about += &format!(" (and {} tracks more)", timeline.tracks.len() - faces.len());
        }
        let points = track.moments.iter().map(|moment| Point::new(moment.time, 1.25 * step, &moment.scores));
        let series = Series::new(points.collect());
        let verdict = if place == 0 { timeline.verdict.face.as_ref() } else { None };
        pen.panel("Face", &about, verdict, "", |from, to| series.between(from, to));
    }

    let spans = timeline.speech.iter().map(|window| TimeSpan { start: window.start, end: window.end });
    let aligner = Aligner::new(spans.collect())?;
    let about = match timeline.speech.len() {
        1 => "1 window of speech".to_owned(),
        windows => format!("{windows} windows of speech"),
    };
    pen.panel("Voice", &about, timeline.verdict.voice.as_ref(), "no speech was heard", |from, to| {
        aligner.find((from + to) / 2.0).map(|index| timeline.speech[index].scores.clone())
    });

    let main = faces.first().map(|track| track.id);
    let points = timeline.fused.iter().filter(|moment| moment.track.is_none() || moment.track == main).map(|moment| {
        let reach = if moment.track.is_some() { 1.25 * step } else { 0.6 * timeline.settings.hop };
        Point::new(moment.time, reach, &moment.scores)
    });
    let series = Series::new(points.collect());
    let about = format!("face and voice, by {}", timeline.settings.fusion);
    pen.panel("Fused", &about, timeline.verdict.fused.as_ref(), "nothing to fuse", |from, to| series.between(from, to));
    pen.axis();
    Ok(image)
}

/// The [`chart`] as the bytes of a PNG file.
///
/// # Errors
/// [`Error::Drawing`] when it cannot be drawn or encoded.
pub fn chart_png(timeline: &Timeline) -> Result<Vec<u8>, Error> {
    let mut png = Cursor::new(Vec::new());
    let image = chart(timeline)?;
    image.write_to(&mut png, ImageFormat::Png).map_err(|source| Error::Drawing { source: source.into() })?;
    Ok(png.into_inner())
}

/// The tracks with the most moments, most first.
fn busiest(tracks: &[Track]) -> Vec<&Track> {
    let mut tracks: Vec<_> = tracks.iter().filter(|track| !track.moments.is_empty()).collect();
    tracks.sort_by_key(|track| std::cmp::Reverse(track.moments.len()));
    tracks.truncate(MOST_FACES);
    tracks
}

/// The last second that the chart shows.
fn end_of(timeline: &Timeline) -> f64 {
    let faces = timeline.tracks.iter().map(|track| track.end);
    let speech = timeline.speech.iter().map(|window| window.end);
    faces.chain(speech).chain(timeline.source.duration).fold(0.04, f64::max)
}

/// Seconds between two analysed frames.
fn step_of(timeline: &Timeline) -> f64 {
    let rate = timeline.source.frame_rate.filter(|rate| *rate > 0.0).unwrap_or(25.0);
    timeline.settings.stride as f64 / rate
}

/// Scores at one moment, valid for `reach` seconds around it where no neighbour is nearer.
struct Point<'a> {
    time: f64,
    reach: f64,
    scores: &'a Scores,
}

impl<'a> Point<'a> {
    fn new(time: f64, reach: f64, scores: &'a Scores) -> Self {
        Self { time, reach, scores }
    }
}

/// Scores over time with gaps.
struct Series<'a> {
    points: Vec<Point<'a>>,
}

impl<'a> Series<'a> {
    fn new(mut points: Vec<Point<'a>>) -> Self {
        points.sort_by(|a, b| a.time.total_cmp(&b.time));
        Self { points }
    }

    /// The mean of the moments from `from` to `to`, or what the neighbours on both sides say of the time between them.
    fn between(&self, from: f64, to: f64) -> Option<Scores> {
        let first = self.points.partition_point(|point| point.time < from);
        let after = self.points.partition_point(|point| point.time < to);
        let inside = &self.points[first..after];
        if !inside.is_empty() {
            let weighted: Vec<_> = inside.iter().map(|point| (point.scores, 1.0)).collect();
            return mix(&weighted);
        }
        let middle = (from + to) / 2.0;
        let before = first.checked_sub(1).map(|index| &self.points[index]);
        match (before, self.points.get(after)) {
            (Some(a), Some(b)) if b.time - a.time <= a.reach + b.reach => {
                let part = ((middle - a.time) / (b.time - a.time)) as f32;
                mix(&[(a.scores, 1.0 - part), (b.scores, part)])
            }
            (Some(a), _) if middle - a.time <= a.reach / 2.0 => Some(a.scores.clone()),
            (_, Some(b)) if b.time - middle <= b.reach / 2.0 => Some(b.scores.clone()),
            _ => None,
        }
    }
}

/// The weighted mean of scores over the labels of the first.
fn mix(parts: &[(&Scores, f32)]) -> Option<Scores> {
    let labels = parts.first()?.0.labels();
    let mut sums = vec![0.0; labels.len()];
    for (scores, weight) in parts {
        for (sum, emotion) in sums.iter_mut().zip(labels.iter()) {
            *sum += weight * scores.get(emotion);
        }
    }
    Scores::from_weights(labels, &sums).ok()
}

struct Pen<'a> {
    canvas: Canvas<'a>,
    typeface: Typeface,
    /// The second at the right edge of the plots.
    end: f64,
    /// Where the next panel begins.
    top: f32,
}

impl Pen<'_> {
    fn text(&mut self, text: &str, x: f32, middle: f32, style: Style) -> f32 {
        self.canvas.text(&self.typeface, text, x, middle, style)
    }

    /// A text that ends at `right`.
    fn text_ending(&mut self, text: &str, right: f32, middle: f32, style: Style) {
        let x = right - self.typeface.width(text, style);
        self.text(text, x, middle, style);
    }

    fn plot_width(&self) -> f32 {
        self.canvas.width() - 2.0 * MARGIN - VERDICTS
    }

    fn header(&mut self, timeline: &Timeline) {
        let name = std::path::Path::new(&timeline.source.path);
        let name = name.file_name().map_or(timeline.source.path.clone(), |name| name.to_string_lossy().into_owned());
        let title = Style::bold(44.0, INK);
        let name = self.typeface.fitted(&name, title, self.plot_width());
        self.text(&name, MARGIN, 58.0, title);

        let mut about = Vec::new();
        if let Some(duration) = timeline.source.duration {
            about.push(format!("{duration:.1} s"));
        }
        if let (Some(width), Some(height)) = (timeline.source.width, timeline.source.height) {
            about.push(format!("{width}×{height}"));
        }
        if let Some(rate) = timeline.source.frame_rate {
            about.push(format!("{} frames a second", (rate * 100.0).round() / 100.0));
            about.push(match timeline.settings.stride {
                1 => "every frame read".to_owned(),
                stride => format!("every {stride}th frame read"),
            });
        }
        about.push("expressed, not felt, emotion".to_owned());
        self.text(&about.join("  ·  "), MARGIN, 98.0, Style::regular(23.0, MUTED));

        if let Some(fused) = &timeline.verdict.fused {
            let right = self.canvas.width() - MARGIN;
            let style = Style::bold(40.0, INK);
            let width = self.typeface.width(fused.label.name(), style);
            self.text(fused.label.name(), right - width, 58.0, style);
            self.dot(right - width - 26.0, 60.0, 11.0, fused.label);
            let by = match (&timeline.verdict.face, &timeline.verdict.voice) {
                (Some(_), Some(_)) => "by face and voice",
                (Some(_), None) => "by the face alone",
                _ => "by the voice alone",
            };
            let (_, share) = fused.scores.top();
            self.text_ending(&format!("{:.0} % {by}", share * 100.0), right, 98.0, Style::regular(23.0, MUTED));
        }
    }

    fn dot(&mut self, x: f32, y: f32, radius: f32, emotion: Emotion) {
        let rect = Rect::new(x - radius, y - radius, 2.0 * radius, 2.0 * radius);
        self.canvas.fill(rect, radius, colour(emotion), 1.0);
    }

    /// One panel: its title, the stacked areas of what `scores` gives for each pixel column's time, and the verdict.
    fn panel(
        &mut self,
        title: &str,
        about: &str,
        verdict: Option<&Opinion>,
        missing: &str,
        scores: impl Fn(f64, f64) -> Option<Scores>,
    ) {
        let title_end = self.text(title, MARGIN, self.top - 22.0, Style::bold(27.0, INK));
        let plot = Rect::new(MARGIN, self.top, self.plot_width(), PLOT);
        self.canvas.fill(plot, 6.0, [246, 248, 250], 1.0);

        let (columns, mut any) = (plot.width as u32, false);
        for column in 0..columns {
            let time = |column: u32| self.end * f64::from(column) / f64::from(columns);
            if let Some(scores) = scores(time(column), time(column + 1)) {
                self.stack(plot, plot.x as u32 + column, &scores);
                any = true;
            }
        }
        for part in [0.25, 0.5, 0.75] {
            let line = Rect::new(plot.x, plot.y + part * plot.height - 0.5, plot.width, 1.0);
            self.canvas.fill(line, 0.0, [255; 3], 0.35);
        }
        if any {
            self.text(about, title_end + 16.0, self.top - 21.0, Style::regular(21.0, MUTED));
        } else {
            let style = Style::regular(24.0, MUTED);
            let width = self.typeface.width(missing, style);
            self.text(missing, plot.x + (plot.width - width) / 2.0, plot.y + plot.height / 2.0, style);
        }
        if let Some(verdict) = verdict {
            self.verdict(verdict, plot.right() + 40.0);
        } else if any {
            self.legend(plot.right() + 40.0);
        }
        self.top += PANEL;
    }

    /// One pixel column of stacked scores, the first label at the top.
    fn stack(&mut self, plot: Rect, x: u32, scores: &Scores) {
        let mut top = plot.y;
        for (emotion, value) in scores.iter() {
            let bottom = top + value * plot.height;
            self.canvas.column(x, top, bottom.min(plot.bottom()), colour(emotion), 1.0);
            top = bottom;
        }
    }

    /// The verdict's bars, one for each label.
    fn verdict(&mut self, verdict: &Opinion, x: f32) {
        let right = self.canvas.width() - MARGIN;
        let row = PLOT / verdict.scores.labels().len() as f32;
        let head = format!("by {}", verdict.by);
        self.text_ending(&head, right, self.top - 21.0, Style::regular(21.0, MUTED));
        self.text(verdict.label.name(), x, self.top - 22.0, Style::bold(27.0, INK));
        for (place, (emotion, value)) in verdict.scores.iter().enumerate() {
            let middle = self.top + (place as f32 + 0.5) * row;
            let top = emotion == verdict.label;
            let style = if top { Style::bold(20.0, INK) } else { Style::regular(20.0, MUTED) };
            self.text(emotion.name(), x, middle, style);
            let bar = Rect::new(x + 92.0, middle - 6.0, right - 62.0 - (x + 92.0), 12.0);
            self.canvas.fill(bar, 6.0, FAINT, 1.0);
            let filled = Rect { width: bar.width * value, ..bar };
            if filled.width >= 1.0 {
                self.canvas.fill(filled, 6.0, colour(emotion), 1.0);
            }
            self.text_ending(&format!("{:.0} %", value * 100.0), right, middle, style);
        }
    }

    /// The colours alone, where a panel has no verdict of its own.
    fn legend(&mut self, x: f32) {
        let row = PLOT / 7.0;
        for (place, emotion) in LabelSet::face7().iter().enumerate() {
            let middle = self.top + (place as f32 + 0.5) * row;
            self.dot(x + 7.0, middle + 1.0, 6.0, emotion);
            self.text(emotion.name(), x + 24.0, middle, Style::regular(20.0, MUTED));
        }
    }

    /// The time axis below the last panel.
    fn axis(&mut self) {
        let y = self.top - PANEL + PLOT;
        let width = self.plot_width();
        let step = nice_step(self.end);
        let style = Style::regular(20.0, MUTED);
        let mut tick = 0;
        while f64::from(tick) * step <= self.end * (1.0 + 1e-9) {
            let time = f64::from(tick) * step;
            let x = MARGIN + (time / self.end) as f32 * width;
            self.canvas.fill(Rect::new(x - 0.75, y + 4.0, 1.5, 7.0), 0.0, MUTED, 0.7);
            let label = time_label(time, step);
            let label_width = self.typeface.width(&label, style);
            self.text(&label, x - label_width / 2.0, y + 28.0, style);
            tick += 1;
        }
    }
}

/// The distance between ticks: a round number of seconds that gives at most ten.
fn nice_step(end: f64) -> f64 {
    const STEPS: [f64; 16] =
        [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0];
    STEPS.into_iter().find(|step| end / step <= 10.0).unwrap_or_else(|| 1800.0 * (end / 18_000.0).ceil())
}

/// A time as `4 s`, `0.25 s` or, where ticks are ten seconds and more apart, `1:05`.
fn time_label(time: f64, step: f64) -> String {
    if step >= 10.0 {
        let seconds = time.round() as u64;
        format!("{}:{:02}", seconds / 60, seconds % 60)
    } else {
        format!("{} s", (time * 100.0).round() / 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::tests::sample;

    fn holds(image: &RgbImage, emotion: Emotion) -> bool {
        image.pixels().any(|pixel| pixel.0 == colour(emotion))
    }

    #[test]
    fn the_top_emotions_colour_is_on_the_chart() {
        let image = chart(&sample()).unwrap();
        assert_eq!(image.width(), WIDTH);
        assert!(holds(&image, Emotion::Happy) && holds(&image, Emotion::Calm));
    }

    #[test]
    fn a_clip_without_anything_still_has_a_chart() {
        let mut timeline = sample();
        timeline.tracks.clear();
        timeline.speech.clear();
        timeline.fused.clear();
        timeline.verdict = crate::timeline::Verdict { face: None, voice: None, fused: None };
        timeline.source.duration = None;
        timeline.source.frame_rate = None;
        let image = chart(&timeline).unwrap();
        assert!(!holds(&image, Emotion::Happy));
        assert!(chart_png(&timeline).unwrap().starts_with(b"\x89PNG"));
    }

    #[test]
    fn gaps_stay_gaps_and_neighbours_are_joined() {
        let scores = Scores::uniform(&LabelSet::face7());
        let at = |time| Point::new(time, 0.5, &scores);
        let series = Series::new(vec![at(1.0), at(2.0), at(5.0)]);
        assert!(series.between(1.4, 1.5).is_some());
        assert!(series.between(3.0, 3.1).is_none());
        assert!(series.between(5.2, 5.22).is_some());
        assert!(series.between(0.0, 0.1).is_none());
        assert!(Series::new(Vec::new()).between(0.0, 1.0).is_none());
    }

    #[test]
    fn ticks_are_round_and_few() {
        for (end, step) in [(0.04, 0.01), (8.0, 1.0), (14.9, 2.0), (160.0, 30.0), (3600.0, 600.0)] {
            assert_eq!(nice_step(end), step, "{end}");
        }
        assert!(nice_step(1e6) >= 1e5);
        assert_eq!(time_label(65.0, 10.0), "1:05");
        assert_eq!(time_label(0.3, 0.1), "0.3 s");
    }
}
