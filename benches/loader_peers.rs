//! This workspace's side of the comparison with PyTorch's `DataLoader`: `cargo xtask bench-loader` builds it and asks it.
//!
//! A contestant `workers/N` prepares 20 batches of 128 pictures, changed at random by the default recipe, on so many loader
//! threads (0: in turn with the one that takes them); `resident/N` the same of pictures that lie ready as tensors, a batch at a
//! time (`ResidentFaces`, here on the processor). The process goes on through an epoch from call to call only in its
//! seeds: each call starts its threads anew.

#[path = "peers/serve.rs"]
mod serve;

use std::hint::black_box;

use emotion_core::LabelSet;
use face_prep::augment::Augmenter;
use fer_model::config::Normalisation;
use fer_model::dataset::{FaceSet, PIXELS};
use fer_model::train::{FaceSamples, Recipe, ResidentFaces};
use model_kit::data::{Dataset, mix_seed, training_batches};
use model_kit::device::{Device, set_threads};
use serve::Contestant;

/// As many pictures as FER-2013 has for training.
const PICTURES: usize = 28_709;
const BATCH: usize = 128;
const BATCHES: usize = 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    set_threads(1)?;
    let mut faces = FaceSet::new(LabelSet::face7());
    for picture in 0..PICTURES {
        let shades = mix_seed(1, &[picture as u64]).to_le_bytes();
        let pixels: Vec<u8> = (0..PIXELS).map(|place| shades[place / 7 % 8].wrapping_add(place as u8)).collect();
        faces.push(&pixels, picture % 7)?;
    }
    let normalisation = Normalisation { mean: 0.5, deviation: 0.25 };
    let augmenter = Augmenter::new(Recipe::default().augment)?;
    let samples = FaceSamples::new(&faces, normalisation).augmented(augmenter.clone());
    let resident = ResidentFaces::new(&faces, normalisation, Device::Cpu)?.augmented(augmenter)?;
    let mut contestants = Vec::new();
    for workers in [0, 1] {
        contestants.push(contestant(format!("workers/{workers}"), &samples, workers));
        contestants.push(contestant(format!("resident/{workers}"), &resident, workers));
    }
    Ok(serve::serve(contestants)?)
}

fn contestant<'a>(name: String, samples: &'a impl Dataset, workers: usize) -> Contestant<'a> {
    let mut epoch = 0;
    Contestant::new(name, move || {
        epoch += 1;
        let mut left = BATCHES;
        let read = training_batches(samples, BATCH, (0, epoch), workers, tch::Device::Cpu, |inputs, targets| {
            drop(black_box((inputs, targets)));
            left -= 1;
            Ok(left > 0)
        });
        assert!(read.is_ok() && left == 0, "{read:?}");
    })
}
