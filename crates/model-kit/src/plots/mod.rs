//! Charts as PNG and SVG pictures: confusion matrices, training curves, class distributions, reliability
//! diagrams, the figures of each class, accuracy against coverage.
//!
//! Each function makes a [`Chart`]; [`Chart::save`] writes it in the form that the file's name asks for. Colours are those
//! of Okabe and Ito ("Color Universal Design", 2008) and one-hue scales, which colour-blind readers can tell apart. SVG text
//! names Open Sans and falls back to the reader's sans-serif.
//!
//! ```
//! use emotion_core::{Emotion, LabelSet};
//! use model_kit::metrics::Confusion;
//! use model_kit::plots;
//!
//! let labels = LabelSet::new(&[Emotion::Happy, Emotion::Sad])?;
//! let confusion = Confusion::from_rows(&labels, &[vec![41, 9], vec![12, 38]])?;
//! let svg = plots::confusion_matrix(&confusion, "Two classes").to_svg()?;
//! assert!(svg.contains("happy"));
//! # Ok::<(), model_kit::Error>(())
//! ```

mod canvas;
mod confusion;
mod coverage;
mod curves;
mod distribution;
mod per_class;
mod reliability;

use std::io::Cursor;
use std::path::Path;

use image::imageops::{FilterType, resize};
use image::{ImageFormat, RgbImage};
use plotters::prelude::{BitMapBackend, DrawingBackend, IntoDrawingArea, SVGBackend};

pub use confusion::confusion_matrix;
pub use coverage::risk_coverage;
pub use curves::{TrainingLog, training_curves};
pub use distribution::class_distribution;
pub use per_class::class_metrics;
pub use reliability::reliability_diagram;

use crate::weights::write_atomically;
use crate::{Error, Result};
use canvas::{BITMAP_TYPE, Canvas, SVG_TYPE, Typesetting};

/// Device units in one logical pixel while drawing: what PNG pictures are scaled down from, and how fine SVG coordinates,
/// which are whole numbers, can be.
const FINENESS: u32 = 4;

/// Pixels of a PNG picture in one logical pixel: sharp on dense screens too.
const PNG_SCALE: u32 = 2;

/// A picture not yet drawn.
#[derive(Debug, Clone)]
pub struct Chart {
    width: u32,
    height: u32,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Confusion(confusion::Matrix),
    Coverage(coverage::Coverage),
    Curves(curves::Curves),
    Distribution(distribution::Distribution),
    PerClass(per_class::Bars),
    Reliability(reliability::Diagram),
}

impl Chart {
    /// Width and height in logical pixels: SVG units, half the pixels of a PNG.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Writes a `.png` or `.svg` file, whole or not at all.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for another ending, [`Error::Io`], [`Error::Drawing`].
    pub fn save(&self, path: &Path) -> Result<()> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
        match ending.as_str() {
            "png" => write_atomically(path, &self.to_png()?),
            "svg" => write_atomically(path, self.to_svg()?.as_bytes()),
            _ => Err(Error::input("file name of a chart", "one that ends in .png or .svg", path.display())),
        }
    }

    /// The chart as pixels, twice [`size`](Self::size) in each direction.
    ///
    /// # Errors
    /// [`Error::Drawing`].
    pub fn to_image(&self) -> Result<RgbImage> {
        let (width, height) = (self.width * FINENESS, self.height * FINENESS);
        let mut large = RgbImage::new(width, height);
        self.draw(BitMapBackend::with_buffer(&mut large, (width, height)), BITMAP_TYPE)?;
        Ok(resize(&large, self.width * PNG_SCALE, self.height * PNG_SCALE, FilterType::Triangle))
    }

    /// The chart as a PNG file.
    ///
    /// # Errors
    /// [`Error::Drawing`].
    pub fn to_png(&self) -> Result<Vec<u8>> {
        let mut bytes = Cursor::new(Vec::new());
        let written = self.to_image()?.write_to(&mut bytes, ImageFormat::Png);
        written.map_err(|source| Error::Drawing { source: source.into() })?;
        Ok(bytes.into_inner())
    }

    /// The chart as an SVG file.
    ///
    /// # Errors
    /// [`Error::Drawing`].
    pub fn to_svg(&self) -> Result<String> {
        let (width, height) = (self.width * FINENESS, self.height * FINENESS);
        let mut svg = String::new();
        self.draw(SVGBackend::with_string(&mut svg, (width, height)), SVG_TYPE)?;
        // Fine coordinates inside, the chart's own size outside.
        let fine = format!("width=\"{width}\" height=\"{height}\"");
        Ok(svg.replacen(&fine, &format!("width=\"{}\" height=\"{}\"", self.width, self.height), 1))
    }

    fn draw<B: DrawingBackend>(&self, backend: B, typesetting: Typesetting) -> Result<()> {
        let canvas = Canvas::new(backend.into_drawing_area(), f64::from(FINENESS), typesetting)?;
        match &self.content {
            Content::Confusion(matrix) => matrix.draw(&canvas)?,
            Content::Coverage(coverage) => coverage.draw(&canvas)?,
            Content::Curves(curves) => curves.draw(&canvas)?,
            Content::Distribution(distribution) => distribution.draw(&canvas)?,
            Content::PerClass(bars) => bars.draw(&canvas)?,
            Content::Reliability(diagram) => diagram.draw(&canvas)?,
        }
        canvas.finish()
    }
}
