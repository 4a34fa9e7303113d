//! Features over time as a PNG picture: a panel for each, heat maps with a colour bar for what has many rows, else a curve.

use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};
use audio_features::{DbConfig, Reference, amplitude_to_db, hz_to_mel, power_to_db};
use image::imageops::{FilterType, resize};
use image::{Rgb, RgbImage};
use ndarray::{Array2, ArrayView1};
use plotters::coord::Shift;
use plotters::element::{PathElement, Polygon, Rectangle, Text};
use plotters::prelude::{BitMapBackend, DrawingArea, IntoDrawingArea};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontDesc, FontFamily, FontStyle, FontTransform, RGBColor, register_font};

use crate::features::Feature;
use crate::settings::Settings;

/// A feature of one file.
#[derive(Debug, Clone)]
pub(crate) struct Panel {
    pub(crate) feature: Feature,
    pub(crate) settings: Settings,
    /// `[n_rows, n_frames]`.
    pub(crate) values: Array2<f32>,
    /// Sampling rate in Hz.
    pub(crate) sr: f64,
    /// Length of the sound in seconds.
    pub(crate) duration: f64,
}

const INK: RGBColor = RGBColor(0x1f, 0x24, 0x2b);
const GREY: RGBColor = RGBColor(0x6a, 0x73, 0x7d);
const GRID: RGBColor = RGBColor(0xe4, 0xe7, 0xeb);
const CURVE: RGBColor = RGBColor(0x00, 0x72, 0xb2);

/// Dark to bright, for amounts: lightness rises evenly, so that it reads in grey, too.
const AMOUNT: [[u8; 3]; 6] = [[8, 6, 28], [62, 18, 98], [138, 36, 112], [213, 66, 88], [250, 142, 80], [253, 240, 190]];
/// Blue over white to red, for what has a sign.
const SIGNED: [[u8; 3]; 5] = [[26, 66, 138], [120, 166, 212], [247, 247, 245], [226, 138, 104], [150, 28, 40]];

// The sheet in logical pixels; the picture has twice as many, and is drawn four times as large and scaled down.
const WIDTH: f64 = 960.0;
const LEFT: f64 = 82.0;
const RIGHT: f64 = 104.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 52.0;
/// Room above each panel for its name.
const NAME: f64 = 30.0;
const GAP: f64 = 22.0;
const FINENESS: u32 = 4;
const PNG_SCALE: u32 = 2;

/// A row of ticks: places on an axis from 0 (lower end) to 1, and what stands there.
type Ticks = Vec<(f64, String)>;

enum Content {
    Heat {
        values: Array2<f32>,
        low: f64,
        high: f64,
        signed: bool,
        clipped: [bool; 2],
        unit: &'static str,
        ticks: Ticks,
    },
    Curve {
        values: Vec<f32>,
        low: f64,
        high: f64,
        ticks: Ticks,
    },
}

/// A panel ready to draw.
struct Drawn {
    name: String,
    axis: String,
    content: Content,
    /// Seconds from one frame to the next.
    step: f64,
}

/// Draws the features of a file under each other.
pub(crate) fn save(path: &Path, file: &str, panels: &[Panel]) -> Result<()> {
    let is_png = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png"));
    ensure!(is_png, "a plot is a .png file, not {}", path.display());
    let mut drawn = Vec::new();
    for panel in panels {
        drawn.extend(panel.drawn()?);
    }
    let duration = panels.first().map_or(0.0, |panel| panel.duration).max(1e-9);
    let height = TOP + BOTTOM - GAP + drawn.iter().map(|panel| NAME + panel.height() + GAP).sum::<f64>();
    let (width, height) = (WIDTH as u32, height.ceil() as u32);
    let mut large = RgbImage::from_pixel(width * FINENESS, height * FINENESS, Rgb([255; 3]));

    // Cells of heat maps are pixels; letters and lines are drawn over them.
    let tops: Vec<f64> = drawn
        .iter()
        .scan(TOP, |y, panel| {
            let top = *y + NAME;
            *y = top + panel.height() + GAP;
            Some(top)
        })
        .collect();
    for (panel, &top) in drawn.iter().zip(&tops) {
        panel.paint(&mut large, top, duration);
    }
    let size = (large.width(), large.height());
    let sheet = Sheet::new(BitMapBackend::with_buffer(&mut large, size).into_drawing_area())?;
    sheet.text(file, (LEFT, TOP / 2.0 + 4.0), HPos::Left, 17.0, INK, true)?;
    for (index, (panel, &top)) in drawn.iter().zip(&tops).enumerate() {
        panel.draw(&sheet, top, duration, index + 1 == drawn.len())?;
    }
    sheet.finish()?;
    let picture = resize(&large, width * PNG_SCALE, height * PNG_SCALE, FilterType::Triangle);
    picture.save(path).with_context(|| format!("cannot write {}", path.display()))
}

impl Panel {
    fn drawn(&self) -> Result<Vec<Drawn>> {
        let rows = self.values.nrows();
        ensure!(rows > 0 && self.values.ncols() > 0, "{} has no values to draw", self.feature.name());
        let step = self.settings.get::<usize>("hop_length")? as f64 / self.sr;
        let one = |name: &str, axis: &str, content| vec![Drawn { name: name.into(), axis: axis.into(), content, step }];
        let loudest = DbConfig { reference: Reference::Max, ..DbConfig::default() };
        Ok(match self.feature {
            Feature::Stft => {
                let decibels =
                    amplitude_to_db(&self.values, &DbConfig { reference: Reference::Max, ..DbConfig::amplitude() })?;
                let ticks = round_ticks(0.0, self.sr / 2.0, 6).into_iter();
                let ticks = ticks.map(|(place, hz)| (centred(place * (rows - 1) as f64, rows), hz)).collect();
                one("STFT magnitude", "frequency (Hz)", amounts(decibels, "dB", ticks))
            }
            Feature::Mel => {
                let decibels = power_to_db(&self.values, &loudest)?;
                one(
                    &format!("mel spectrogram, {rows} bands"),
                    "frequency (Hz)",
                    amounts(decibels, "dB", self.mel_ticks()?),
                )
            }
            Feature::LogMel => {
                let content = amounts(self.values.clone(), "dB", self.mel_ticks()?);
                one(&format!("log mel spectrogram, {rows} bands"), "frequency (Hz)", content)
            }
            Feature::Mfcc => one(&format!("MFCC, {rows} coefficients"), "coefficient", self.signed(index_ticks(rows))),
            Feature::MfccDelta => {
                let name = format!("slopes of {rows} MFCCs (delta)");
                one(&name, "coefficient", self.signed(index_ticks(rows)))
            }
            Feature::Chroma => {
                let ticks = if rows == 12 { self.pitch_classes() } else { index_ticks(rows) };
                one("chroma", "pitch class", amounts(self.values.clone(), "", ticks))
            }
            Feature::Contrast => {
                let fmin: f64 = self.settings.get("fmin")?;
                let edge = |band: usize| if band == 0 { 0.0 } else { fmin * 2f64.powi(band as i32 - 1) };
                let ticks = (0..rows).map(|band| (centred(band as f64, rows), edge(band).round().to_string()));
                let unit = if self.settings.get("linear")? { "" } else { "dB" };
                one("spectral contrast", "octave from (Hz)", amounts(self.values.clone(), unit, ticks.collect()))
            }
            Feature::Tonnetz => {
                let names = ["fifths x", "fifths y", "minor x", "minor y", "major x", "major y"];
                let ticks = names.iter().enumerate().map(|(row, name)| (centred(row as f64, rows), (*name).to_owned()));
                one("tonal centroids", "", self.signed(ticks.collect()))
            }
            Feature::Poly => {
                let of = |row: usize| {
                    let name = format!("polynomial, coefficient of frequency to the power of {}", rows - 1 - row);
                    Drawn { name, axis: String::new(), content: curve(self.values.row(row), false), step }
                };
                (0..rows).map(of).collect()
            }
            Feature::Zcr => one("zero-crossing rate", "share", self.curve()),
            Feature::Rms => one("RMS", "amplitude", self.curve()),
            Feature::Centroid => one("spectral centroid", "frequency (Hz)", self.curve()),
            Feature::Bandwidth => one("spectral bandwidth", "width (Hz)", self.curve()),
            Feature::Rolloff => one("spectral rolloff", "frequency (Hz)", self.curve()),
            Feature::Flatness => one("spectral flatness", "share", self.curve()),
            Feature::Pitch => one("pitch (pYIN)", "frequency (Hz)", curve(self.values.row(0), false)),
        })
    }

    fn curve(&self) -> Content {
        curve(self.values.row(0), true)
    }

    /// 0, 512, 1024, … at the heights of the bands around them.
    fn mel_ticks(&self) -> Result<Ticks> {
        let (rows, htk) = (self.values.nrows(), self.settings.get("htk")?);
        let fmin: f64 = self.settings.get("fmin")?;
        let fmax = self.settings.maybe("fmax")?.unwrap_or(self.sr / 2.0);
        let [low, high] = [fmin, fmax].map(|hz| hz_to_mel(hz, htk));
        // The bands' centres divide the scale evenly, without its two ends.
        let place = |hz: f64| centred((hz_to_mel(hz, htk) - low) / (high - low) * (rows + 1) as f64 - 1.0, rows);
        let ticks = [0.0, 512.0].into_iter().chain((10..).map(|power| 2f64.powi(power)).take_while(|&hz| hz <= fmax));
        Ok(ticks.map(|hz| (place(hz).max(0.0), format!("{hz}"))).filter(|(at, _)| (0.0..=1.0).contains(at)).collect())
    }

    fn pitch_classes(&self) -> Ticks {
        const NAMES: [&str; 12] = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"];
        let first = if self.settings.word("base_c") == "true" { 0 } else { 9 };
        (0..12).map(|class| (centred(class as f64, 12), NAMES[(first + class) % 12].to_owned())).collect()
    }

    /// A heat map around zero. Coefficient 0 of MFCCs is loudness, far from the others: it may go beyond the colours.
    fn signed(&self, ticks: Ticks) -> Content {
        let cepstral = matches!(self.feature, Feature::Mfcc | Feature::MfccDelta);
        let skipped = usize::from(cepstral && self.values.nrows() > 1);
        let mut sizes: Vec<f32> = self.values.rows().into_iter().skip(skipped).flatten().map(|x| x.abs()).collect();
        sizes.sort_by(f32::total_cmp);
        let limit = f64::from(sizes.get(sizes.len().saturating_sub(1) * 199 / 200).copied().unwrap_or(0.0)).max(1e-12);
        let clipped =
            [self.values.iter().any(|&x| f64::from(x) < -limit), self.values.iter().any(|&x| f64::from(x) > limit)];
        Content::Heat { values: self.values.clone(), low: -limit, high: limit, signed: true, clipped, unit: "", ticks }
    }
}

/// A heat map from the smallest value to the largest.
fn amounts(values: Array2<f32>, unit: &'static str, ticks: Ticks) -> Content {
    let (low, high) = extent(values.iter());
    Content::Heat { values, low, high, signed: false, clipped: [false; 2], unit, ticks }
}

/// A curve, from zero where that says something.
fn curve(values: ArrayView1<'_, f32>, from_zero: bool) -> Content {
    let (low, high) = extent(values.iter());
    let low = if from_zero { low.min(0.0) } else { low };
    let room = 0.06 * (high - low);
    let (low, high) = (if from_zero && low == 0.0 { low } else { low - room }, high + room);
    Content::Curve { values: values.to_vec(), low, high, ticks: round_ticks(low, high, 5) }
}

/// The smallest and the largest of the finite values, a little apart at least.
fn extent<'a>(values: impl Iterator<Item = &'a f32>) -> (f64, f64) {
    let finite = values.filter(|x| x.is_finite()).map(|&x| f64::from(x));
    let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
    match high - low {
        width if width > 1e-9 * high.abs() => (low, high),
        _ if low.is_finite() => (low, low + low.abs().max(1.0)),
        _ => (0.0, 1.0),
    }
}

/// The height of the middle of a row.
fn centred(row: f64, rows: usize) -> f64 {
    (row + 0.5) / rows as f64
}

/// About ten row numbers.
fn index_ticks(rows: usize) -> Ticks {
    let step = [1, 2, 5, 10, 20, 50, 100].into_iter().find(|step| rows / step <= 11).unwrap_or(rows);
    (0..rows).step_by(step).map(|row| (centred(row as f64, rows), row.to_string())).collect()
}

/// About `count` round numbers between two.
fn round_ticks(low: f64, high: f64, count: usize) -> Ticks {
    let rough = (high - low) / count as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].into_iter().map(|digit| digit * power).find(|&step| step >= rough).unwrap_or(rough);
    let digits = (-step.log10().floor()).max(0.0) as usize;
    let write = |x: f64| match x {
        0.0 => "0".to_owned(),
        _ if digits > 5 || step >= 1e6 => format!("{x:.1e}").replace('-', "−"),
        _ => format!("{x:.digits$}").replace('-', "−"),
    };
    let first = (low / step - 1e-9).ceil() as i64;
    let numbers = (first..).map(|n| n as f64 * step).take_while(|&x| x <= high + 1e-9 * step);
    numbers.map(|x| ((x - low) / (high - low), write(x))).collect()
}

/// The colour of a share from 0 to 1.
fn shade(share: f64, signed: bool) -> Rgb<u8> {
    let stops: &[[u8; 3]] = if signed { &SIGNED } else { &AMOUNT };
    let place = share.clamp(0.0, 1.0) * (stops.len() - 1) as f64;
    let below = (place as usize).min(stops.len() - 2);
    let part = place - below as f64;
    let mix = |channel: usize| {
        let (from, to) = (f64::from(stops[below][channel]), f64::from(stops[below + 1][channel]));
        (from + (to - from) * part).round() as u8
    };
    Rgb([mix(0), mix(1), mix(2)])
}

impl Drawn {
    fn height(&self) -> f64 {
        match self.content {
            Content::Heat { .. } => 250.0,
            Content::Curve { .. } => 150.0,
        }
    }

    /// The cells of a heat map: frame t reaches half a step to both sides of its time.
    fn paint(&self, image: &mut RgbImage, top: f64, duration: f64) {
        let Content::Heat { values, low, high, signed, .. } = &self.content else { return };
        let fine = f64::from(FINENESS);
        let (left, right) = ((LEFT * fine) as u32, ((WIDTH - RIGHT) * fine) as u32);
        let (top, height) = ((top * fine) as u32, (self.height() * fine) as u32);
        for x in left..right {
            let time = (f64::from(x - left) + 0.5) / f64::from(right - left) * duration;
            let frame = (time / self.step).round() as usize;
            let Some(column) = (frame < values.ncols()).then(|| values.column(frame)) else { continue };
            for y in 0..height {
                let row = ((f64::from(height - 1 - y) + 0.5) / f64::from(height) * column.len() as f64) as usize;
                let value = f64::from(column[row.min(column.len() - 1)]);
                if value.is_finite() {
                    image.put_pixel(x, top + y, shade((value - low) / (high - low), *signed));
                }
            }
        }
    }

    fn draw(&self, sheet: &Sheet<'_>, top: f64, duration: f64, last: bool) -> Result<()> {
        let (left, right, bottom) = (LEFT, WIDTH - RIGHT, top + self.height());
        let height_of = |place: f64| bottom - place * (bottom - top);
        let time_at = |seconds: f64| left + seconds / duration * (right - left);
        let times = round_ticks(0.0, duration, 10);
        sheet.text(&self.name, (left, top - 13.0), HPos::Left, 14.0, INK, true)?;
        let (Content::Heat { ticks, .. } | Content::Curve { ticks, .. }) = &self.content;
        if let Content::Curve { values, low, high, .. } = &self.content {
            for (place, _) in ticks {
                sheet.line(&[(left, height_of(*place)), (right, height_of(*place))], GRID, 1.0)?;
            }
            for (place, _) in &times {
                let x = left + place * (right - left);
                sheet.line(&[(x, top), (x, bottom)], GRID, 1.0)?;
            }
            let within = (0..values.len()).filter(|&frame| frame as f64 * self.step <= duration);
            let points: Vec<Option<(f64, f64)>> = within
                .map(|frame| (f64::from(values[frame]), time_at(frame as f64 * self.step)))
                .map(|(value, x)| value.is_finite().then(|| (x, height_of((value - low) / (high - low)))))
                .collect();
            // Frames without a value (unvoiced ones) leave a gap.
            for run in points.split(Option::is_none) {
                let mut run: Vec<(f64, f64)> = run.iter().flatten().copied().collect();
                if let [(x, y)] = run[..] {
                    run = vec![(x - 1.0, y), (x + 1.0, y)];
                }
                sheet.line(&run, CURVE, 2.0)?;
            }
        }
        sheet.line(&[(left, top), (left, bottom), (right, bottom), (right, top), (left, top)], GREY, 1.0)?;

        for (place, label) in ticks {
            sheet.line(&[(left - 5.0, height_of(*place)), (left, height_of(*place))], GREY, 1.0)?;
            sheet.text(label, (left - 9.0, height_of(*place)), HPos::Right, 12.0, INK, false)?;
        }
        sheet.upright(&self.axis, (18.0, (top + bottom) / 2.0), 12.5, GREY)?;
        for (place, label) in &times {
            let x = left + place * (right - left);
            sheet.line(&[(x, bottom), (x, bottom + 5.0)], GREY, 1.0)?;
            if last {
                sheet.text(label, (x, bottom + 14.0), HPos::Center, 12.0, INK, false)?;
            }
        }
        if last {
            sheet.text("time (s)", ((left + right) / 2.0, bottom + 35.0), HPos::Center, 12.5, GREY, false)?;
        }
        if let Content::Heat { low, high, signed, clipped, unit, .. } = self.content {
            colour_bar(sheet, [top, bottom], [low, high], signed, clipped, unit)?;
        }
        Ok(())
    }
}

/// What the colours mean; an end beyond which there are values is pointed.
fn colour_bar(
    sheet: &Sheet<'_>,
    [top, bottom]: [f64; 2],
    [low, high]: [f64; 2],
    signed: bool,
    clipped: [bool; 2],
    unit: &str,
) -> Result<()> {
    const POINT: f64 = 12.0;
    let (left, right) = (WIDTH - RIGHT + 18.0, WIDTH - RIGHT + 32.0);
    let color = |share| {
        let Rgb([r, g, b]) = shade(share, signed);
        RGBColor(r, g, b)
    };
    let [lower, upper] = [bottom - if clipped[0] { POINT } else { 0.0 }, top + if clipped[1] { POINT } else { 0.0 }];
    const STEPS: usize = 200;
    for step in 0..STEPS {
        let edge = |step: usize| lower - (lower - upper) * step as f64 / STEPS as f64;
        sheet.rectangle((left, edge(step + 1)), (right, edge(step)), color((step as f64 + 0.5) / STEPS as f64))?;
    }
    let middle = (left + right) / 2.0;
    for (is_clipped, end, tip, share) in [(clipped[0], lower, bottom, 0.0), (clipped[1], upper, top, 1.0)] {
        if is_clipped {
            sheet.polygon(&[(left, end), (right, end), (middle, tip)], color(share))?;
        }
    }
    for (place, label) in round_ticks(low, high, 5) {
        let y = lower - place * (lower - upper);
        sheet.line(&[(right, y), (right + 4.0, y)], GREY, 1.0)?;
        sheet.text(&label, (right + 8.0, y), HPos::Left, 12.0, INK, false)?;
    }
    sheet.text(unit, (middle, top - 13.0), HPos::Center, 12.5, GREY, false)
}

/// A sheet in logical pixels, with text centred on its point's height.
struct Sheet<'a>(DrawingArea<BitMapBackend<'a>, Shift>);

const FAMILY: &str = "Open Sans";
/// plotters scales a font by its height, 2789 of Open Sans' 2048 units per em, and sets the baseline at half of that.
const SIZE_PER_EM: f64 = 2789.0 / 2048.0;
/// The height of a capital letter of Open Sans, in em.
const CAP_HEIGHT: f64 = 0.714;

impl<'a> Sheet<'a> {
    fn new(area: DrawingArea<BitMapBackend<'a>, Shift>) -> Result<Self> {
        static REGISTERED: OnceLock<bool> = OnceLock::new();
        let register = || {
            let regular = include_bytes!("../../crates/model-kit/assets/OpenSans-Regular.ttf");
            let semibold = include_bytes!("../../crates/model-kit/assets/OpenSans-Semibold.ttf");
            register_font(FAMILY, FontStyle::Normal, regular).is_ok()
                && register_font(FAMILY, FontStyle::Bold, semibold).is_ok()
        };
        ensure!(*REGISTERED.get_or_init(register), "the embedded typeface cannot be read");
        Ok(Self(area))
    }

    fn finish(self) -> Result<()> {
        self.0.present().map_err(|error| anyhow!("{error}"))
    }

    fn place((x, y): (f64, f64)) -> (i32, i32) {
        ((x * f64::from(FINENESS)).round() as i32, (y * f64::from(FINENESS)).round() as i32)
    }

    fn line(&self, points: &[(f64, f64)], color: RGBColor, width: f64) -> Result<()> {
        let points: Vec<_> = points.iter().map(|&point| Self::place(point)).collect();
        let style = color.stroke_width((width * f64::from(FINENESS)) as u32);
        self.0.draw(&PathElement::new(points, style)).map_err(|error| anyhow!("{error}"))
    }

    fn rectangle(&self, from: (f64, f64), to: (f64, f64), color: RGBColor) -> Result<()> {
        let element = Rectangle::new([Self::place(from), Self::place(to)], color.filled());
        self.0.draw(&element).map_err(|error| anyhow!("{error}"))
    }

    fn polygon(&self, points: &[(f64, f64)], color: RGBColor) -> Result<()> {
        let points: Vec<_> = points.iter().map(|&point| Self::place(point)).collect();
        self.0.draw(&Polygon::new(points, color.filled())).map_err(|error| anyhow!("{error}"))
    }

    fn text(&self, text: &str, (x, y): (f64, f64), at: HPos, size: f64, color: RGBColor, bold: bool) -> Result<()> {
        let style = if bold { FontStyle::Bold } else { FontStyle::Normal };
        let font = FontDesc::new(FontFamily::Name(FAMILY), size * SIZE_PER_EM * f64::from(FINENESS), style);
        self.letters(text, (x, y - lift(size)), font, at, color)
    }

    /// Read from below upwards, centred on the point.
    fn upright(&self, text: &str, (x, y): (f64, f64), size: f64, color: RGBColor) -> Result<()> {
        let size_here = size * SIZE_PER_EM * f64::from(FINENESS);
        let font = FontDesc::new(FontFamily::Name(FAMILY), size_here, FontStyle::Normal);
        self.letters(text, (x - lift(size), y), font.transform(FontTransform::Rotate270), HPos::Center, color)
    }

    fn letters(&self, text: &str, point: (f64, f64), font: FontDesc<'_>, at: HPos, color: RGBColor) -> Result<()> {
        let style = font.color(&color).pos(Pos::new(at, VPos::Top));
        self.0.draw(&Text::new(text.to_owned(), Self::place(point), style)).map_err(|error| anyhow!("{error}"))
    }
}

/// How far above the middle of its capitals a text's upper edge lies.
fn lift(size: f64) -> f64 {
    size * (SIZE_PER_EM - CAP_HEIGHT) / 2.0
}
