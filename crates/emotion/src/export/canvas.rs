//! Drawing with soft edges on an [`RgbImage`]: rounded boxes, columns and text.
//!
//! Places and sizes are pixels as fractions; (0, 0) is the outer corner of the first pixel. Whatever lies outside the
//! picture is cut off.

use ab_glyph::{Font, FontRef, GlyphId, PxScale, ScaleFont, point};
use image::{Rgb, RgbImage};

use crate::Error;

/// A colour: red, green, blue.
pub(crate) type Colour = [u8; 3];

/// A rectangle by its left upper corner and size, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rect {
    pub(crate) x: f32,
    pub(crate) y: f32,
    pub(crate) width: f32,
    pub(crate) height: f32,
}

impl Rect {
    pub(crate) fn new(x: f32, y: f32, width: f32, height: f32) -> Self {
        Self { x, y, width, height }
    }

    pub(crate) fn right(&self) -> f32 {
        self.x + self.width
    }

    pub(crate) fn bottom(&self) -> f32 {
        self.y + self.height
    }
}

/// The two weights of the typeface.
#[derive(Debug)]
pub(crate) struct Typeface {
    regular: FontRef<'static>,
    semibold: FontRef<'static>,
}

/// How a text is set: its size (the height of a line in pixels), weight, colour and opacity.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) size: f32,
    pub(crate) bold: bool,
    pub(crate) colour: Colour,
    pub(crate) opacity: f32,
}

impl Style {
    pub(crate) fn regular(size: f32, colour: Colour) -> Self {
        Self { size, bold: false, colour, opacity: 1.0 }
    }

    pub(crate) fn bold(size: f32, colour: Colour) -> Self {
        Self { size, bold: true, colour, opacity: 1.0 }
    }
}

impl Typeface {
    /// The embedded typeface.
    pub(crate) fn load() -> Result<Self, Error> {
        let font = |bytes| FontRef::try_from_slice(bytes).map_err(|source| Error::Drawing { source: source.into() });
        Ok(Self { regular: font(model_kit::font_bytes())?, semibold: font(model_kit::font_bytes_semibold())? })
    }

    fn font(&self, bold: bool) -> &FontRef<'static> {
        if bold { &self.semibold } else { &self.regular }
    }

    /// The width of a text in pixels.
    pub(crate) fn width(&self, text: &str, style: Style) -> f32 {
        self.layout(text, style).1
    }

    /// Each glyph with its distance from the start of the text, and the whole width.
    fn layout(&self, text: &str, style: Style) -> (Vec<(GlyphId, f32)>, f32) {
        let font = self.font(style.bold).as_scaled(PxScale::from(style.size));
        let mut glyphs = Vec::with_capacity(text.len());
        let (mut x, mut last) = (0.0, None);
        for character in text.chars() {
            let glyph = font.glyph_id(character);
            if let Some(last) = last {
                x += font.kern(last, glyph);
            }
            glyphs.push((glyph, x));
            x += font.h_advance(glyph);
            last = Some(glyph);
        }
        (glyphs, x)
    }

    /// The text, or as much of its beginning as fits into `width` pixels, with an ellipsis.
    pub(crate) fn fitted(&self, text: &str, style: Style, width: f32) -> String {
        if self.width(text, style) <= width {
            return text.to_owned();
        }
        let mut kept: Vec<char> = text.chars().collect();
        while kept.pop().is_some() {
            let shorter: String = kept.iter().collect::<String>() + "…";
            if self.width(&shorter, style) <= width {
                return shorter;
            }
        }
        String::new()
    }
}

/// A picture that is drawn on.
#[derive(Debug)]
pub(crate) struct Canvas<'a> {
    image: &'a mut RgbImage,
}

impl<'a> Canvas<'a> {
    pub(crate) fn new(image: &'a mut RgbImage) -> Self {
        Self { image }
    }

    pub(crate) fn width(&self) -> f32 {
        self.image.width() as f32
    }

    pub(crate) fn height(&self) -> f32 {
        self.image.height() as f32
    }

    /// A filled box whose corners are rounded with `radius`.
    pub(crate) fn fill(&mut self, rect: Rect, radius: f32, colour: Colour, opacity: f32) {
        self.paint(rect, 1.0, colour, opacity, |x, y| 0.5 - distance_to_rounded(rect, radius, x, y));
    }

    /// The outline of a box with rounded corners; the line's middle runs along the edge.
    pub(crate) fn stroke(&mut self, rect: Rect, radius: f32, width: f32, colour: Colour, opacity: f32) {
        let coverage = |x, y| (width / 2.0 + 0.5) - distance_to_rounded(rect, radius, x, y).abs();
        let reach = width / 2.0 + 1.0;
        // Only a frame about the edge can be covered: four strips that share no pixel.
        let inset = (radius + width).max(1.0);
        let (left, right) = ((rect.x + inset).floor(), (rect.right() - inset).ceil());
        let (top, bottom) = ((rect.y + inset).floor(), (rect.bottom() - inset).ceil());
        if left >= right || top >= bottom {
            self.paint(rect, reach, colour, opacity, coverage);
            return;
        }
        let outer = Rect::new(rect.x - reach, rect.y - reach, rect.width + 2.0 * reach, rect.height + 2.0 * reach);
        let strips = [
            Rect::new(outer.x, outer.y, outer.width, top - outer.y),
            Rect::new(outer.x, bottom, outer.width, outer.bottom() - bottom),
            Rect::new(outer.x, top, left - outer.x, bottom - top),
            Rect::new(right, top, outer.right() - right, bottom - top),
        ];
        for strip in strips {
            self.paint(strip, 0.0, colour, opacity, coverage);
        }
    }

    /// One pixel column of colour from `top` to `bottom`, with soft ends.
    pub(crate) fn column(&mut self, x: u32, top: f32, bottom: f32, colour: Colour, opacity: f32) {
        let first = top.floor().max(0.0) as u32;
        let last = (bottom.ceil().max(0.0) as u32).min(self.image.height());
        for y in first..last {
            let covered = (bottom.min(y as f32 + 1.0) - top.max(y as f32)).clamp(0.0, 1.0);
            self.blend(x, y, colour, covered * opacity);
        }
    }

    /// A line of text whose left end is at `x` and whose line is centred about `middle`; gives the right end.
    pub(crate) fn text(&mut self, typeface: &Typeface, text: &str, x: f32, middle: f32, style: Style) -> f32 {
        let (glyphs, width) = typeface.layout(text, style);
        let font = typeface.font(style.bold);
        // Centred about the middle of the capitals, which is where the eye puts the middle of a label.
        let baseline = (middle + 0.26 * style.size).round();
        for (glyph, offset) in glyphs {
            let glyph = glyph.with_scale_and_position(PxScale::from(style.size), point(x + offset, baseline));
            let Some(outline) = font.outline_glyph(glyph) else { continue };
            let bounds = outline.px_bounds();
            outline.draw(|dx, dy, coverage| {
                let (px, py) = (bounds.min.x + dx as f32, bounds.min.y + dy as f32);
                if px >= 0.0 && py >= 0.0 {
                    self.blend(px as u32, py as u32, style.colour, coverage.min(1.0) * style.opacity);
                }
            });
        }
        x + width
    }

    /// Paints every pixel within `reach` of `bounds` by the coverage at its middle, cut to 0..1.
    fn paint(&mut self, bounds: Rect, reach: f32, colour: Colour, opacity: f32, coverage: impl Fn(f32, f32) -> f32) {
        let (width, height) = self.image.dimensions();
        let from = |low: f32| (low - reach).floor().max(0.0) as u32;
        let to = |high: f32, limit: u32| ((high + reach).ceil().max(0.0) as u32).min(limit);
        for y in from(bounds.y)..to(bounds.bottom(), height) {
            for x in from(bounds.x)..to(bounds.right(), width) {
                let covered = coverage(x as f32 + 0.5, y as f32 + 0.5).clamp(0.0, 1.0);
                if covered > 0.0 {
                    self.blend(x, y, colour, covered * opacity);
                }
            }
        }
    }

    fn blend(&mut self, x: u32, y: u32, colour: Colour, alpha: f32) {
        if let Some(Rgb(pixel)) = self.image.get_pixel_mut_checked(x, y) {
            for (under, over) in pixel.iter_mut().zip(colour) {
                let mixed = f32::from(*under) + (f32::from(over) - f32::from(*under)) * alpha;
                *under = (mixed + 0.5) as u8;
            }
        }
    }
}

/// How far a point lies outside a box with rounded corners, in pixels; negative inside.
fn distance_to_rounded(rect: Rect, radius: f32, x: f32, y: f32) -> f32 {
    let radius = radius.min(rect.width / 2.0).min(rect.height / 2.0).max(0.0);
    let dx = (x - (rect.x + rect.width / 2.0)).abs() - rect.width / 2.0 + radius;
    let dy = (y - (rect.y + rect.height / 2.0)).abs() - rect.height / 2.0 + radius;
    // Away from the corners, which is almost everywhere, no root is needed.
    let outside = if dx > 0.0 && dy > 0.0 { (dx * dx + dy * dy).sqrt() } else { dx.max(dy) };
    outside - radius
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_on_whole_pixels_is_filled_exactly() {
        let mut image = RgbImage::new(8, 8);
        Canvas::new(&mut image).fill(Rect::new(2.0, 2.0, 4.0, 3.0), 0.0, [200, 100, 50], 1.0);
        let painted = image.pixels().filter(|pixel| pixel.0 == [200, 100, 50]).count();
        assert_eq!(painted, 12);
        assert_eq!(image.pixels().filter(|pixel| pixel.0 != [0, 0, 0]).count(), 12);
    }

    #[test]
    fn an_outline_is_drawn_once_and_only_about_the_edge() {
        let mut image = RgbImage::new(60, 50);
        let rect = Rect::new(5.3, 6.1, 43.0, 33.5);
        Canvas::new(&mut image).stroke(rect, 6.0, 2.5, [200, 200, 200], 0.5);
        for (x, y, pixel) in image.enumerate_pixels() {
            let distance = distance_to_rounded(rect, 6.0, x as f32 + 0.5, y as f32 + 0.5).abs();
            let expected = (200.0 * 0.5 * (1.75 - distance).clamp(0.0, 1.0) + 0.5) as u8;
            assert_eq!(pixel.0[0], expected, "({x}, {y})");
        }
    }

    #[test]
    fn half_a_pixel_is_half_the_colour() {
        let mut image = RgbImage::new(3, 3);
        Canvas::new(&mut image).column(1, 0.5, 2.0, [200, 200, 200], 1.0);
        assert_eq!([image.get_pixel(1, 0).0[0], image.get_pixel(1, 1).0[0], image.get_pixel(1, 2).0[0]], [100, 200, 0]);
    }

    #[test]
    fn what_lies_outside_is_cut_off() {
        let mut image = RgbImage::new(4, 4);
        let typeface = Typeface::load().unwrap();
        let mut canvas = Canvas::new(&mut image);
        canvas.fill(Rect::new(-10.0, -10.0, 100.0, 12.0), 3.0, [255; 3], 0.5);
        canvas.stroke(Rect::new(-3.0, 50.0, 2.0, 2.0), 1.0, 2.0, [255; 3], 1.0);
        canvas.column(9, -3.0, 90.0, [255; 3], 1.0);
        canvas.text(&typeface, "far outside", -300.0, 2.0, Style::bold(12.0, [255; 3]));
        assert_eq!(image.get_pixel(0, 3).0, [0; 3]);
        assert_ne!(image.get_pixel(3, 0).0, [0; 3]);
    }

    #[test]
    fn long_names_end_in_an_ellipsis() {
        let typeface = Typeface::load().unwrap();
        let style = Style::regular(16.0, [0; 3]);
        let name = "a very long file name.mp4";
        let fitted = typeface.fitted(name, style, 100.0);
        assert!(fitted.ends_with('…') && typeface.width(&fitted, style) <= 100.0, "{fitted}");
        assert_eq!(typeface.fitted(name, style, 1000.0), name);
    }
}
