//! Draws found faces: a frame, the score on a tag, landmarks as dots, all as wide as the picture asks for.

use ab_glyph::{Font, FontRef, PxScale, ScaleFont, point};
use face_prep::{BoundingBox, Detection};
use image::{Rgb, RgbImage};

const FONT: &[u8] = include_bytes!("../../crates/model-kit/assets/OpenSans-Semibold.ttf");

const FRAME: Rgb<u8> = Rgb([46, 230, 120]);
const TEXT: Rgb<u8> = Rgb([12, 30, 20]);
const DOT: Rgb<u8> = Rgb([255, 214, 10]);
const SHADE: Rgb<u8> = Rgb([0, 0, 0]);

/// Draws every face, the surest last, so that it lies on top.
pub(crate) fn faces(image: &mut RgbImage, faces: &[Detection]) {
    // On a picture of 1000 pixels, lines of four pixels and letters of 28.
    let unit = (image.width().max(image.height()) as f32 / 1000.0).max(0.5);
    for face in faces.iter().rev() {
        // Small faces in large pictures get thinner lines, so that they can still be seen.
        let line = (4.0 * unit).min(face.bbox.longer_side() / 20.0).max(1.5);
        frame(image, &face.bbox, line);
        for landmark in face.landmarks.iter().flatten() {
            dot(image, landmark.x, landmark.y, 1.2 * line, DOT);
        }
        tag(image, &face.bbox, line, (28.0 * unit).min(face.bbox.longer_side() / 4.0).max(12.0), face.score);
    }
}

/// A frame whose outer edge is the box's, with a thin shade on both sides so that it shows on any ground.
fn frame(image: &mut RgbImage, bbox: &BoundingBox, line: f32) {
    let shade = line / 4.0;
    ring(image, bbox, [-shade, line + shade], SHADE, 0.45);
    ring(image, bbox, [0.0, line], FRAME, 1.0);
}

/// The band between two distances inside a box's edge.
fn ring(image: &mut RgbImage, bbox: &BoundingBox, [outer, inner]: [f32; 2], color: Rgb<u8>, strength: f32) {
    let (left, top, right, bottom) = (bbox.x + outer, bbox.y + outer, bbox.right() - outer, bbox.bottom() - outer);
    let width = inner - outer;
    fill(image, [left, top, right, top + width], color, strength);
    fill(image, [left, bottom - width, right, bottom], color, strength);
    fill(image, [left, top + width, left + width, bottom - width], color, strength);
    fill(image, [right - width, top + width, right, bottom - width], color, strength);
}

/// The score on a tag above the box, or inside it at the picture's upper edge.
fn tag(image: &mut RgbImage, bbox: &BoundingBox, line: f32, size: f32, score: f32) {
    let Ok(font) = FontRef::try_from_slice(FONT) else { return };
    let font = font.as_scaled(PxScale::from(size));
    let text = format!("{score:.2}");
    let width: f32 = text.chars().map(|letter| font.h_advance(font.glyph_id(letter))).sum();
    let (padding, height) = (size / 4.0, size * 1.05);
    let top = if bbox.y >= height { bbox.y - height } else { bbox.y.max(0.0) + line };
    let left = bbox.x.min(image.width() as f32 - width - 2.0 * padding).max(0.0);
    fill(image, [left, top, left + width + 2.0 * padding, top + height], FRAME, 1.0);
    let mut x = left + padding;
    let baseline = top + (height + font.ascent() + font.descent()) / 2.0;
    for letter in text.chars() {
        let glyph = font.glyph_id(letter).with_scale_and_position(size, point(x, baseline));
        if let Some(outline) = font.outline_glyph(glyph) {
            let corner = outline.px_bounds().min;
            outline.draw(|dx, dy, strength| {
                blend(image, corner.x as i64 + i64::from(dx), corner.y as i64 + i64::from(dy), TEXT, strength);
            });
        }
        x += font.h_advance(font.glyph_id(letter));
    }
}

/// A disc with soft edges on a shade.
fn dot(image: &mut RgbImage, x: f32, y: f32, radius: f32, color: Rgb<u8>) {
    for (radius, color, strength) in [(radius * 1.35, SHADE, 0.45), (radius, color, 1.0)] {
        let reach = radius.ceil() as i64 + 1;
        for row in y as i64 - reach..=y as i64 + reach {
            for column in x as i64 - reach..=x as i64 + reach {
                let distance = (column as f32 + 0.5 - x).hypot(row as f32 + 0.5 - y);
                blend(image, column, row, color, strength * (radius + 0.5 - distance).clamp(0.0, 1.0));
            }
        }
    }
}

/// A rectangle `[left, top, right, bottom]`; edges between pixels are soft.
fn fill(image: &mut RgbImage, [left, top, right, bottom]: [f32; 4], color: Rgb<u8>, strength: f32) {
    let (width, height) = (image.width() as f32, image.height() as f32);
    let covered =
        |pixel: i64, first: f32, last: f32| (last.min(pixel as f32 + 1.0) - first.max(pixel as f32)).clamp(0.0, 1.0);
    for y in top.max(0.0).floor() as i64..bottom.min(height).ceil() as i64 {
        for x in left.max(0.0).floor() as i64..right.min(width).ceil() as i64 {
            blend(image, x, y, color, strength * covered(x, left, right) * covered(y, top, bottom));
        }
    }
}

/// Mixes a colour into a pixel, if there is one at this place.
fn blend(image: &mut RgbImage, x: i64, y: i64, color: Rgb<u8>, strength: f32) {
    let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
    if let Some(pixel) = image.get_pixel_mut_checked(x, y) {
        for (value, color) in pixel.0.iter_mut().zip(color.0) {
            *value = (f32::from(*value) + (f32::from(color) - f32::from(*value)) * strength.min(1.0)).round() as u8;
        }
    }
}
