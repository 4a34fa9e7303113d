//! Makes a talking-head clip out of a portrait and a recording: the picture moves as in a hand-held camera, the sound is
//! the recording. The lips do not move; it is a clip to try programs with, not to fool anybody.
//!
//! ```text
//! cargo run --release --example make_demo_clip -- --portrait astronaut.png --speech speech.wav --out clip.mp4
//! ```
//!
//! The defaults of `--centre` and `--view` frame the head in `astronaut.png`, NASA's portrait of Eileen Collins as
//! scikit-image packages it (512 x 512 pixels, public domain).

#![allow(clippy::print_stdout)]

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};
use video_io::{AudioReader, AudioSource, FrameSource, VideoReader, VideoWriter, VideoWriterConfig};

/// Make a clip of a portrait, moved as by hand, with a recording as its sound.
#[derive(Parser)]
struct Arguments {
    /// The picture of a person.
    #[arg(long)]
    portrait: PathBuf,
    /// The recording; the clip is as long.
    #[arg(long)]
    speech: PathBuf,
    /// The clip to write, an MP4.
    #[arg(long)]
    out: PathBuf,
    /// The point of the portrait to look at, in its pixels.
    #[arg(long, default_value = "225,130", value_parser = point)]
    centre: (f64, f64),
    /// The side of the square to show, in pixels of the portrait.
    #[arg(long, default_value_t = 240.0)]
    view: f64,
    /// The side of the clip in pixels.
    #[arg(long, default_value_t = 512)]
    size: u32,
    /// Frames a second.
    #[arg(long, default_value_t = 25.0)]
    frame_rate: f64,
    /// Another seed moves the camera in another way.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    ensure!(arguments.view > 0.0, "--view must be above 0, got {}", arguments.view);
    let started = Instant::now();

    let portrait = VideoReader::open(&arguments.portrait)?.next_frame()?.context("a picture has one frame")?.image;
    // The view is a few times smaller than the clip: enlarge once and well, then sample quickly.
    let enlargement = (f64::from(arguments.size) / arguments.view).ceil().clamp(1.0, 4.0);
    let side = |pixels: u32| pixels * enlargement as u32;
    let portrait = imageops::resize(&portrait, side(portrait.width()), side(portrait.height()), FilterType::CatmullRom);

    // Read through, because not every file knows its length.
    let mut speech = AudioReader::open(&arguments.speech, 16_000)?;
    let seconds = speech.start_time() + speech.read_to_end()?.len() as f64 / 16_000.0;
    let frames = (seconds * arguments.frame_rate).ceil() as u32;

    let config = VideoWriterConfig {
        width: arguments.size,
        height: arguments.size,
        frame_rate: arguments.frame_rate,
        audio_from: Some(arguments.speech.clone()),
        ..VideoWriterConfig::default()
    };
    let mut clip = VideoWriter::create(&arguments.out, config)?;
    let mut camera = Camera::new(arguments.seed);
    for n in 0..frames {
        let pose = camera.step(1.0 / arguments.frame_rate);
        let picture = look(&portrait, enlargement, arguments.centre, arguments.view, &pose, arguments.size);
        clip.write(&picture, f64::from(n) / arguments.frame_rate)?;
    }
    clip.finish()?;
    let (out, took) = (arguments.out.display(), started.elapsed().as_secs_f64());
    println!("{out}: {frames} frames, {seconds:.2} s, made in {took:.1} s");
    Ok(())
}

/// Where the camera points, relative to where it should.
struct Pose {
    /// To the right and down, in parts of the view's side.
    shift: (f64, f64),
    /// Above 1 is closer.
    zoom: f64,
    /// In radians, clockwise.
    roll: f64,
}

/// A hand that drifts: each of its four freedoms follows a target that jumps at random, through a damped spring.
struct Camera {
    freedoms: [Spring; 4],
    random: SplitMix64,
}

impl Camera {
    fn new(seed: u64) -> Self {
        Camera { freedoms: Default::default(), random: SplitMix64(seed) }
    }

    fn step(&mut self, seconds: f64) -> Pose {
        let [x, y, zoom, roll] = self.freedoms.each_mut().map(|spring| spring.step(seconds, &mut self.random));
        // At most 6 % of the view aside, 8 % closer or farther, 3 degrees askew.
        Pose { shift: (0.06 * x, 0.06 * y), zoom: 1.0 + 0.08 * zoom, roll: 3f64.to_radians() * roll }
    }
}

/// A critically damped spring after a target in -1..1; it never overshoots by much, so its place stays there too.
#[derive(Default)]
struct Spring {
    place: f64,
    speed: f64,
    target: f64,
    seconds_left: f64,
}

impl Spring {
    fn step(&mut self, seconds: f64, random: &mut SplitMix64) -> f64 {
        // The spring's angular frequency: it reaches a new target in about a second.
        const STIFFNESS: f64 = 4.0;
        self.seconds_left -= seconds;
        if self.seconds_left <= 0.0 {
            self.seconds_left = 0.5 + random.unit();
            self.target = 2.0 * random.unit() - 1.0;
        }
        let acceleration = STIFFNESS * STIFFNESS * (self.target - self.place) - 2.0 * STIFFNESS * self.speed;
        self.speed += acceleration * seconds;
        self.place += self.speed * seconds;
        self.place
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014): the same numbers from the same seed everywhere.
struct SplitMix64(u64);

impl SplitMix64 {
    /// A number in 0..1.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// What the camera sees: a square of `size` pixels. The portrait's edge goes on for ever where the camera looks past it.
fn look(portrait: &RgbImage, enlargement: f64, centre: (f64, f64), view: f64, pose: &Pose, size: u32) -> RgbImage {
    let (sin, cos) = pose.roll.sin_cos();
    let scale = enlargement * view / pose.zoom / f64::from(size);
    let x0 = enlargement * (centre.0 + pose.shift.0 * view);
    let y0 = enlargement * (centre.1 + pose.shift.1 * view);
    let half = f64::from(size) / 2.0;
    RgbImage::from_fn(size, size, |x, y| {
        let (dx, dy) = (f64::from(x) + 0.5 - half, f64::from(y) + 0.5 - half);
        let px = x0 + scale * (cos * dx - sin * dy) - 0.5;
        let py = y0 + scale * (sin * dx + cos * dy) - 0.5;
        bilinear(portrait, px, py)
    })
}

fn bilinear(image: &RgbImage, x: f64, y: f64) -> Rgb<u8> {
    let x = x.clamp(0.0, f64::from(image.width() - 1));
    let y = y.clamp(0.0, f64::from(image.height() - 1));
    let (left, top) = (x as u32, y as u32);
    let (right, bottom) = ((left + 1).min(image.width() - 1), (top + 1).min(image.height() - 1));
    let (fx, fy) = (x.fract(), y.fract());
    let corners = [(left, top), (right, top), (left, bottom), (right, bottom)].map(|(x, y)| image.get_pixel(x, y).0);
    let weights = [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy];
    Rgb(std::array::from_fn(|channel| {
        let sum: f64 = corners.iter().zip(weights).map(|(corner, weight)| weight * f64::from(corner[channel])).sum();
        sum.round() as u8
    }))
}

fn point(text: &str) -> Result<(f64, f64), String> {
    let numbers = text.split_once(',').and_then(|(x, y)| Some((x.trim().parse().ok()?, y.trim().parse().ok()?)));
    numbers.ok_or_else(|| format!("expected X,Y, got {text:?}"))
}
