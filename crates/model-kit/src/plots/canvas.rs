//! A sheet to draw on in logical pixels, with text set on its baseline: the one place that knows plotters' coordinates.

use std::sync::OnceLock;

use plotters::coord::Shift;
use plotters::drawing::DrawingAreaErrorKind;
use plotters::element::{Circle, PathElement, Rectangle, Text};
use plotters::prelude::{DrawingArea, DrawingBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontDesc, FontFamily, FontStyle, FontTransform, RGBColor, ShapeStyle, register_font};

use crate::{Error, Result, font_bytes, font_bytes_semibold};

/// Black enough to read, softer than black.
pub(super) const INK: RGBColor = RGBColor(0x1f, 0x24, 0x2b);
/// For what matters less.
pub(super) const GREY: RGBColor = RGBColor(0x6a, 0x73, 0x7d);
/// For lines to read values off.
pub(super) const GRID: RGBColor = RGBColor(0xe4, 0xe7, 0xeb);
pub(super) const WHITE: RGBColor = RGBColor(0xff, 0xff, 0xff);

/// Okabe and Ito's colours that stand out on white, most different first.
pub(super) const SERIES: [RGBColor; 6] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
];

/// Registered under the list that SVG viewers shall look through.
const FAMILY: &str = "Open Sans, sans-serif";

/// How a backend of plotters turns a font size into letters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Typesetting {
    /// plotters' size of a font of one pixel per em.
    size_per_em: f64,
    /// How far the baseline lies below the point given for text anchored at its top, as a share of plotters' size.
    baseline: f64,
}

/// plotters scales a bitmap font by its height, 2789 of Open Sans' 2048 units per em, and sets it on half the size.
pub(super) const BITMAP_TYPE: Typesetting = Typesetting { size_per_em: 2789.0 / 2048.0, baseline: 0.5 };
/// It writes 1/1.24 of the size into SVG files, with a shift of 0.76 em.
pub(super) const SVG_TYPE: Typesetting = Typesetting { size_per_em: 1.24, baseline: 0.76 / 1.24 };

/// Which end of a text stands at its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Centre,
    Right,
}

/// How a text looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Type {
    /// Pixels per em.
    pub(super) size: f64,
    pub(super) color: RGBColor,
    pub(super) bold: bool,
}

impl Type {
    pub(super) const fn plain(size: f64, color: RGBColor) -> Self {
        Self { size, color, bold: false }
    }

    pub(super) const fn bold(size: f64, color: RGBColor) -> Self {
        Self { size, color, bold: true }
    }
}

/// The height of a capital letter or figure of Open Sans, in em: half of it is what centres a line of text.
const CAP_HEIGHT: f64 = 0.714;

pub(super) struct Canvas<B: DrawingBackend> {
    area: DrawingArea<B, Shift>,
    scale: f64,
    typesetting: Typesetting,
}

impl<B: DrawingBackend> Canvas<B> {
    /// A white sheet.
    pub(super) fn new(area: DrawingArea<B, Shift>, scale: f64, typesetting: Typesetting) -> Result<Self> {
        register_fonts()?;
        area.fill(&WHITE).map_err(drawing)?;
        Ok(Self { area, scale, typesetting })
    }

    pub(super) fn finish(self) -> Result<()> {
        self.area.present().map_err(drawing)
    }

    fn place(&self, (x, y): (f64, f64)) -> (i32, i32) {
        ((x * self.scale).round() as i32, (y * self.scale).round() as i32)
    }

    fn stroke(&self, color: RGBColor, width: f64) -> ShapeStyle {
        color.stroke_width((width * self.scale).round().max(1.0) as u32)
    }

    /// A filled rectangle from its upper left corner.
    pub(super) fn rectangle(&self, (x, y): (f64, f64), (width, height): (f64, f64), color: RGBColor) -> Result<()> {
        let corners = [self.place((x, y)), self.place((x + width, y + height))];
        self.area.draw(&Rectangle::new(corners, color.filled())).map_err(drawing)
    }

    pub(super) fn line(&self, points: &[(f64, f64)], color: RGBColor, width: f64) -> Result<()> {
        let points: Vec<_> = points.iter().map(|&point| self.place(point)).collect();
        self.area.draw(&PathElement::new(points, self.stroke(color, width))).map_err(drawing)
    }

    /// A line of dashes and gaps.
    pub(super) fn dashes(&self, points: &[(f64, f64)], color: RGBColor, width: f64) -> Result<()> {
        const DASH: f64 = 5.0;
        const GAP: f64 = 3.5;
        // How much of the dash or gap at hand is left, and the corners that the dash at hand has passed.
        let (mut left, mut dashing) = (DASH, true);
        let mut dash: Vec<(f64, f64)> = points.first().copied().into_iter().collect();
        for pair in points.windows(2) {
            let (mut from, to) = (pair[0], pair[1]);
            loop {
                let length = (to.0 - from.0).hypot(to.1 - from.1);
                if length <= left {
                    left -= length;
                    dash.push(to);
                    break;
                }
                let share = left / length;
                from = (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share);
                dash.push(from);
                if dashing {
                    self.line(&dash, color, width)?;
                }
                dashing = !dashing;
                left = if dashing { DASH } else { GAP };
                dash = vec![from];
            }
        }
        if dashing && dash.len() > 1 { self.line(&dash, color, width) } else { Ok(()) }
    }

    /// A dot with a white rim.
    pub(super) fn dot(&self, centre: (f64, f64), radius: f64, color: RGBColor) -> Result<()> {
        for (radius, color) in [(radius + 1.5, WHITE), (radius, color)] {
            let circle = Circle::new(self.place(centre), (radius * self.scale).round() as u32, color.filled());
            self.area.draw(&circle).map_err(drawing)?;
        }
        Ok(())
    }

    /// A line of text whose capitals are centred on the point's height.
    pub(super) fn text(&self, text: &str, (x, y): (f64, f64), align: Align, look: Type) -> Result<()> {
        self.on_baseline(text, (x, y + look.size * CAP_HEIGHT / 2.0), align, look)
    }

    /// A line of text whose baseline goes through the point.
    pub(super) fn on_baseline(&self, text: &str, (x, y): (f64, f64), align: Align, look: Type) -> Result<()> {
        let lift = self.typesetting.baseline * self.typesetting.size_per_em * look.size;
        self.letters(text, (x, y - lift), align, look, FontTransform::None)
    }

    /// A line of text read from below upwards, centred on the point.
    pub(super) fn upright(&self, text: &str, (x, y): (f64, f64), look: Type) -> Result<()> {
        let lift = self.typesetting.baseline * self.typesetting.size_per_em * look.size;
        self.letters(text, (x + look.size * CAP_HEIGHT / 2.0 - lift, y), Align::Centre, look, FontTransform::Rotate270)
    }

    /// How wide a text is set.
    pub(super) fn width(&self, text: &str, look: Type) -> Result<f64> {
        // Always by the bitmap's rule: plotters knows no other way to measure.
        let font = font(look.size * self.scale * BITMAP_TYPE.size_per_em, look);
        let (width, _) = font.box_size(text).map_err(|source| Error::Drawing { source: Box::new(source) })?;
        Ok(f64::from(width) / self.scale)
    }

    fn letters(&self, text: &str, point: (f64, f64), align: Align, look: Type, transform: FontTransform) -> Result<()> {
        let horizontal = match align {
            Align::Left => HPos::Left,
            Align::Centre => HPos::Center,
            Align::Right => HPos::Right,
        };
        let font = font(look.size * self.scale * self.typesetting.size_per_em, look).transform(transform);
        let style = font.color(&look.color).pos(Pos::new(horizontal, VPos::Top));
        self.area.draw(&Text::new(text.to_owned(), self.place(point), style)).map_err(drawing)
    }
}

fn font(size: f64, look: Type) -> FontDesc<'static> {
    FontDesc::new(FontFamily::Name(FAMILY), size, if look.bold { FontStyle::Bold } else { FontStyle::Normal })
}

fn register_fonts() -> Result<()> {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    let registered = *REGISTERED.get_or_init(|| {
        register_font(FAMILY, FontStyle::Normal, font_bytes()).is_ok()
            && register_font(FAMILY, FontStyle::Bold, font_bytes_semibold()).is_ok()
    });
    if registered { Ok(()) } else { Err(Error::Drawing { source: "the embedded typeface cannot be read".into() }) }
}

/// A backend's error may borrow the backend, so its words are kept and not the error itself.
fn drawing<E: std::error::Error + Send + Sync>(source: DrawingAreaErrorKind<E>) -> Error {
    Error::Drawing { source: source.to_string().into() }
}

/// A share in per cent, with one decimal.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// A whole number with its thousands apart.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A colour between two, `share` of the way.
pub(super) fn between(from: RGBColor, to: RGBColor, share: f64) -> RGBColor {
    let mix = |from: u8, to: u8| (f64::from(from) + (f64::from(to) - f64::from(from)) * share).round() as u8;
    RGBColor(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}
