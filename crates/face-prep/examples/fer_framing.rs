//! Measures how FER-2013 frames its faces in terms of the cascade's boxes: `fer_framing fer2013.csv [--pictures N]`.
//!
//! Each picture is enlarged four times and laid on a wide margin of its own edge pixels, so that the cascade finds faces that
//! reach the edge; then the place of the surest box is written down as a share of the picture. The medians are the constants of
//! `face_gray48`.

#![allow(clippy::print_stdout, reason = "a program")]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Parser;
use face_prep::{Border, BoundingBox, Cascade, CascadeConfig, CascadeDetector, Filter, crop, resize};
use image::GrayImage;

/// The side of FER-2013's pictures.
const SIDE: u32 = 48;
const ENLARGED: u32 = 4;

#[derive(Parser)]
struct Arguments {
    /// FER-2013 as published: emotion, pixels, Usage.
    csv: PathBuf,
    /// How many of the Training pictures to look at, evenly spread.
    #[arg(long, default_value_t = 3000)]
    pictures: usize,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let pictures = read(&arguments)?;
    let config = CascadeConfig { min_size: Some([SIDE * ENLARGED / 3; 2]), ..CascadeConfig::default() };
    let mut detector = CascadeDetector::new(Cascade::frontal_default(), config)?;
    let (side, margin) = ((SIDE * ENLARGED) as f32, (SIDE * ENLARGED / 2) as f32);
    let (mut sides, mut across, mut down) = (Vec::new(), Vec::new(), Vec::new());
    for picture in &pictures {
        let large = resize(picture, SIDE * ENLARGED, SIDE * ENLARGED, Filter::Linear)?;
        let area = BoundingBox::new(-margin, -margin, side + 2.0 * margin, side + 2.0 * margin);
        let hits = detector.detect_multi_scale(&crop(&large, &area, Border::Replicate)?)?;
        if let Some(best) = hits.iter().max_by_key(|hit| hit.neighbors) {
            let half = best.width as f32 / 2.0;
            sides.push(side / best.width as f32);
            // Where the picture's centre lies in the box's own measure, from its centre.
            across.push((margin + side / 2.0 - (best.x as f32 + half)) / best.width as f32);
            down.push((margin + side / 2.0 - (best.y as f32 + half)) / best.width as f32);
        }
    }
    println!("{} of {} pictures with a face", sides.len(), pictures.len());
    for (what, values) in [
        ("side of the picture / side of the box", &mut sides),
        ("centre of the picture, boxes to the right", &mut across),
        ("centre of the picture, boxes down", &mut down),
    ] {
        if values.is_empty() {
            bail!("no face found");
        }
        values.sort_by(f32::total_cmp);
        let at = |share: f32| values[((values.len() - 1) as f32 * share) as usize];
        println!("{what}: median {:.3}, middle half {:.3} to {:.3}", at(0.5), at(0.25), at(0.75));
    }
    Ok(())
}

fn read(arguments: &Arguments) -> anyhow::Result<Vec<GrayImage>> {
    let file = File::open(&arguments.csv).with_context(|| format!("cannot read {}", arguments.csv.display()))?;
    let mut training = Vec::new();
    for line in BufReader::new(file).lines().skip(1) {
        let line = line?;
        let mut fields = line.split(',');
        if let (Some(_), Some(pixels), Some("Training")) = (fields.next(), fields.next(), fields.next().map(str::trim))
        {
            let pixels: Vec<u8> = pixels.trim_matches('"').split(' ').map(str::parse).collect::<Result<_, _>>()?;
            training.push(GrayImage::from_raw(SIDE, SIDE, pixels).context("a row is not 48x48 pixels")?);
        }
    }
    let step = (training.len() / arguments.pictures.max(1)).max(1);
    Ok(training.into_iter().step_by(step).take(arguments.pictures).collect())
}
