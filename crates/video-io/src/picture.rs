//! From FFmpeg's pictures to upright RGB images, and back.

use std::cell::RefCell;

use ffmpeg_next as ffmpeg;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::software::scaling;
use ffmpeg_next::{color, frame};
use image::RgbImage;

use crate::ffi::set_source_colours;

/// The scalers that a thread keeps: enough for a reader and a writer of two clips each.
const SCALERS_PER_THREAD: usize = 4;

thread_local! {
    // FFmpeg's scaler cannot move between threads, a reader should. So each thread that converts pictures has its own
    // few scalers, which cost a table or two, and readers and writers hold none.
    static SCALERS: RefCell<Vec<(Conversion, scaling::Context)>> = const { RefCell::new(Vec::new()) };
}

/// What a scaler is made for.
#[derive(Clone, Copy, PartialEq)]
struct Conversion {
    from: (Pixel, u32, u32),
    space: color::Space,
    range: color::Range,
    to: (Pixel, u32, u32),
}

/// Converts a picture to the pixel format and size of `output`.
///
/// The flags are OpenCV's: plain bilinear, no "accurate rounding", so that frames equal `cv2.VideoCapture`'s bit for bit.
pub(crate) fn convert(input: &frame::Video, output: &mut frame::Video) -> Result<(), ffmpeg::Error> {
    let picture = |f: &frame::Video| (f.format(), f.width(), f.height());
    let (space, range) = (input.color_space(), input.color_range());
    let conversion = Conversion { from: picture(input), space, range, to: picture(output) };
    SCALERS.with_borrow_mut(|scalers| {
        let position = match scalers.iter().position(|(made_for, _)| *made_for == conversion) {
            Some(position) => position,
            None => {
                scalers.truncate(SCALERS_PER_THREAD - 1);
                scalers.push((conversion, conversion.scaler()?));
                scalers.len() - 1
            }
        };
        // Used last, thrown away last.
        scalers[..=position].rotate_right(1);
        scalers[0].1.run(input, output)
    })
}

impl Conversion {
    fn scaler(self) -> Result<scaling::Context, ffmpeg::Error> {
        let (from, to) = (self.from, self.to);
        let mut scaler = scaling::Context::get(from.0, from.1, from.2, to.0, to.1, to.2, scaling::Flags::BILINEAR)?;
        let is_default = matches!(
            self.space,
            color::Space::Unspecified | color::Space::BT470BG | color::Space::SMPTE170M | color::Space::RGB
        );
        if !is_default || self.range == color::Range::JPEG {
            set_source_colours(&mut scaler, self.space, self.range);
        }
        Ok(scaler)
    }
}

/// How the stored picture must be turned to stand upright: rows and columns swapped or not, then mirrored or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Orientation {
    transpose: bool,
    mirror_x: bool,
    mirror_y: bool,
}

impl Orientation {
    /// Reads a display matrix: nine native-endian 32-bit numbers `a b u c d v x y w`, which take the stored point (p, q)
    /// to (a·p + c·q, b·p + d·q), y downwards (FFmpeg's `libavutil/display.h`). Rounded to quarter turns.
    pub(crate) fn from_display_matrix(bytes: &[u8]) -> Option<Self> {
        let (numbers, _) = bytes.as_chunks::<4>();
        let &[a, b, _, c, d, ..] = numbers else { return None };
        let [a, b, c, d] = [a, b, c, d].map(i32::from_ne_bytes);
        let transpose = b.unsigned_abs() > a.unsigned_abs();
        let (x, y) = if transpose { (c, b) } else { (a, d) };
        Some(Orientation { transpose, mirror_x: x < 0, mirror_y: y < 0 })
    }

    /// The width and height of the upright picture.
    pub(crate) fn upright(self, width: u32, height: u32) -> (u32, u32) {
        if self.transpose { (height, width) } else { (width, height) }
    }
}

/// Copies a picture in RGB24 into an image that stands upright.
pub(crate) fn to_image(rgb: &frame::Video, orientation: Orientation) -> RgbImage {
    let (width, height) = (rgb.width() as usize, rgb.height() as usize);
    let (out_width, out_height) = orientation.upright(rgb.width(), rgb.height());
    let mut image = RgbImage::new(out_width, out_height);
    // Rows are padded: the stride is not width · 3.
    let rows = rgb.data(0).chunks(rgb.stride(0)).map(|row| &row[..3 * width]).take(height);
    if orientation == Orientation::default() {
        for (target, row) in image.chunks_exact_mut(3 * width).zip(rows) {
            target.copy_from_slice(row);
        }
        return image;
    }
    for (q, row) in (0..).zip(rows) {
        for (p, pixel) in (0..).zip(row.as_chunks::<3>().0) {
            let (mut x, mut y): (u32, u32) = if orientation.transpose { (q, p) } else { (p, q) };
            if orientation.mirror_x {
                x = out_width - 1 - x;
            }
            if orientation.mirror_y {
                y = out_height - 1 - y;
            }
            image.put_pixel(x, y, image::Rgb(*pixel));
        }
    }
    image
}

/// Copies an image into a new picture in RGB24 with even sides, which 4:2:0 video needs: an odd last row or column is
/// doubled.
pub(crate) fn from_image(image: &RgbImage) -> frame::Video {
    let (width, height) = (image.width().next_multiple_of(2), image.height().next_multiple_of(2));
    let mut rgb = frame::Video::new(Pixel::RGB24, width, height);
    let stride = rgb.stride(0);
    let row_bytes = 3 * image.width() as usize;
    let rows = image.chunks_exact(row_bytes);
    let rows = rows.clone().chain(rows.last());
    for (target, row) in rgb.data_mut(0).chunks_mut(stride).zip(rows) {
        target[..row_bytes].copy_from_slice(row);
        target.copy_within(row_bytes - 3..row_bytes, row_bytes.min(stride - 3));
    }
    rgb
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A display matrix as the files store it, with 1.0 as 1 << 16.
    fn matrix(a: i32, b: i32, c: i32, d: i32) -> Vec<u8> {
        let one = 1 << 16;
        [a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30].iter().flat_map(|n| n.to_ne_bytes()).collect()
    }

    /// 2 x 3 pixels whose red channel counts 1..=6 row by row.
    fn stored() -> frame::Video {
        let mut picture = frame::Video::new(Pixel::RGB24, 2, 3);
        let stride = picture.stride(0);
        for (y, row) in picture.data_mut(0).chunks_mut(stride).enumerate() {
            row[0] = 2 * y as u8 + 1;
            row[3] = 2 * y as u8 + 2;
        }
        picture
    }

    fn reds(matrix: &[u8]) -> (u32, u32, Vec<u8>) {
        let orientation = Orientation::from_display_matrix(matrix).unwrap();
        let image = to_image(&stored(), orientation);
        (image.width(), image.height(), image.pixels().map(|p| p.0[0]).collect())
    }

    #[test]
    fn every_quarter_turn_and_mirror_lands_where_the_matrix_says() {
        assert_eq!(reds(&matrix(1, 0, 0, 1)), (2, 3, vec![1, 2, 3, 4, 5, 6]));
        // A telephone held upright stores its pictures lying and asks for a quarter turn clockwise.
        assert_eq!(reds(&matrix(0, 1, -1, 0)), (3, 2, vec![5, 3, 1, 6, 4, 2]));
        assert_eq!(reds(&matrix(-1, 0, 0, -1)), (2, 3, vec![6, 5, 4, 3, 2, 1]));
        assert_eq!(reds(&matrix(0, -1, 1, 0)), (3, 2, vec![2, 4, 6, 1, 3, 5]));
        assert_eq!(reds(&matrix(-1, 0, 0, 1)), (2, 3, vec![2, 1, 4, 3, 6, 5]));
        assert_eq!(reds(&matrix(1, 0, 0, -1)), (2, 3, vec![5, 6, 3, 4, 1, 2]));
        assert_eq!(reds(&matrix(0, 1, 1, 0)), (3, 2, vec![1, 3, 5, 2, 4, 6]));
        assert_eq!(reds(&matrix(0, -1, -1, 0)), (3, 2, vec![6, 4, 2, 5, 3, 1]));
        assert_eq!(Orientation::from_display_matrix(&[0; 8]), None);
    }

    #[test]
    fn odd_sides_are_padded_with_the_edge() {
        let image = RgbImage::from_fn(3, 1, |x, _| image::Rgb([10 * (x as u8 + 1); 3]));
        let picture = from_image(&image);
        assert_eq!((picture.width(), picture.height()), (4, 2));
        let (stride, data) = (picture.stride(0), picture.data(0));
        for row in [&data[..12], &data[stride..stride + 12]] {
            assert_eq!(row, [10, 10, 10, 20, 20, 20, 30, 30, 30, 30, 30, 30]);
        }
    }
}
