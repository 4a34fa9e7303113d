//! The default network: it first tells the speaker from everything else that sounds, then listens to both.

use model_kit::export::{Attribute, INT64, Value};
use model_kit::layers::{Network, Result};
use tch::Tensor;
use tch::nn::Path;

use super::endpoints::{STEP, cut, cut_onnx};
use super::log_mel_cnn::{LogMelCnn, LogMelCnnConfig, parted, parted_onnx};
use super::memory::{places, places_onnx};
use super::speech_mask::SpeechMask;

/// What the mask leaves at least of anything: 20 dB below it.
const LEAST: f64 = 0.01;

/// [`LogMelCnn`] on two images: the sound as it is, and what an estimated ratio mask leaves of it, the speaker's part. How
/// probable it is that the speaker speaks at all weighs each moment, in what the memory reads and in the attention.
///
/// Outside of training it listens twice: first for where the speaker begins and ends, then to that stretch alone, with the
/// loud frames at the level that those of the whole had.
///
/// Mask and speaking are [auxiliary tasks](model_kit::data::Dataset::auxiliary) of the training: mixed from speech and noise
/// that are known apart, a clip tells for every band and moment what the network should have taken for the speaker. In
/// training mode their logits stand behind those of the classes: `n_mels · ⌈frames/2⌉` of the mask, band by band, then
/// `⌈frames/2⌉` of speaking.
#[derive(Debug)]
pub struct MaskedCnn {
    n_mels: i64,
    speech: SpeechMask,
    network: LogMelCnn,
}

impl MaskedCnn {
    /// Fresh weights in the store of `path`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn new(path: &Path, config: &LogMelCnnConfig) -> Result<Self> {
        let network = LogMelCnn::of_images(&path.sub("network"), config, 2)?;
        Ok(Self { n_mels: config.n_mels, speech: SpeechMask::new(&path.sub("speech"), config.n_mels)?, network })
    }

    /// The sound as it is and the speaker's part of it by the logits of the mask.
    ///
    /// # Shapes
    /// `image` `[batch, 1, n_mels, frames]`, `mask` `[batch, 1, 1, frames]`, `logits` `[batch, ⌈frames/2⌉, n_mels]` →
    /// `[batch, 2, n_mels, frames]`
    fn images(&self, image: &Tensor, mask: &Tensor, logits: &Tensor) -> Result<Tensor> {
        // Two frames of the image for each of the mask.
        let halves = places(&mask.f_squeeze_dim(1)?.f_transpose(1, 2)?)?.f_floor_divide_scalar(2)?;
        let halves = halves.f_expand([-1, -1, self.n_mels], false)?;
        let share = logits.f_sigmoid()?.f_gather(1, &halves, false)?.f_transpose(1, 2)?.f_unsqueeze(1)?;
        let speaker = image.f_add(&share.f_add_scalar(LEAST)?.f_log()?.f_mul_scalar(STEP)?)?;
        Tensor::f_cat(&[image, &speaker], 1)
    }

    /// How many numbers the auxiliary tasks have for an image of that many frames: the mask, speaking.
    pub fn auxiliary(n_mels: usize, frames: usize) -> [usize; 2] {
        [n_mels * frames.div_ceil(2), frames.div_ceil(2)]
    }
}

impl Network for MaskedCnn {
    /// # Shapes
    /// `[batch, n_mels + 1, frames]`, the last row the mask (above 0 where there is sound) → `[batch, classes]`, in training
    /// mode `[batch, classes + (n_mels + 1) · ⌈frames/2⌉]`
    fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        let (mut image, mut mask) = parted(input, self.n_mels)?;
        if !train {
            let speaking = self.speech.forward(&image, &mask, false)?.f_narrow(2, self.n_mels, 1)?;
            (image, mask) = cut(&image, &mask, &speaking)?;
        }
        let logits = self.speech.forward(&image, &mask, train)?;
        let images = self.images(&image, &mask, &logits.f_narrow(2, 0, self.n_mels)?)?;
        let speaking = logits.f_narrow(2, self.n_mels, 1)?.f_log_sigmoid()?;
        let classes = self.network.read(&images, mask, Some(&speaking), train)?;
        if !train {
            return Ok(classes);
        }
        Tensor::f_cat(&[classes, logits.f_transpose(1, 2)?.f_flatten(1, 2)?], 1)
    }

    fn export<'g>(&self, input: Value<'g>) -> model_kit::Result<Value<'g>> {
        let (image, mask) = parted_onnx(input, self.n_mels);
        let speaking = self.speech.export(image, mask)?.slice(2, self.n_mels, self.n_mels + 1, 1);
        let (image, mask) = cut_onnx(image, mask, speaking);
        let logits = self.speech.export(image, mask)?;
        let speaking = logits.slice(2, self.n_mels, self.n_mels + 1, 1).node("Neg", &[], &[]);
        let speaking = speaking.node("Softplus", &[], &[]).node("Neg", &[], &[]);
        let shares = logits.slice(2, 0, self.n_mels, 1).sigmoid();
        let halves = places_onnx(mask.squeeze(1).permute(&[0, 2, 1])).times_number(0.5);
        // Whole numbers are cut, not rounded.
        let halves = halves.node("Cast", &[], &[("to", Attribute::Int(INT64))]).expand(&[1, 1, self.n_mels]);
        let shares = shares.node("GatherElements", &[halves], &[("axis", Attribute::Int(1))]);
        let shares = shares.permute(&[0, 2, 1]).unsqueeze(1);
        let speaker = image.plus(shares.plus_number(LEAST).node("Log", &[], &[]).times_number(STEP));
        self.network.read_onnx(image.cat(speaker, 1), mask, Some(speaking))
    }

    fn fold(&mut self) -> Result<()> {
        self.speech.fold()?;
        self.network.fold()
    }
}

#[cfg(test)]
mod tests {
    use tch::nn::VarStore;
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn the_mask_moves_the_second_image_alone() {
        tch::manual_seed(7);
        let store = VarStore::new(Device::Cpu);
        let network = MaskedCnn::new(&store.root(), &LogMelCnnConfig::default()).unwrap();
        let image = Tensor::randn([1, 1, 64, 31], (Kind::Float, Device::Cpu));
        let mask = Tensor::ones([1, 1, 1, 31], (Kind::Float, Device::Cpu));
        let speaker = |logit: f64| {
            let logits = Tensor::full([1, 16, 64], logit, (Kind::Float, Device::Cpu));
            let images = network.images(&image, &mask, &logits).unwrap();
            assert_eq!(images.narrow(1, 0, 1), image);
            (images.narrow(1, 1, 1) - &image) * f64::from(crate::input::SCALE)
        };
        for (logit, decibels) in [(40.0, 10.0 * 1.01f64.log10()), (0.0, 10.0 * 0.51f64.log10()), (-40.0, -20.0)] {
            let change = speaker(logit);
            assert!((change - decibels).abs().max().double_value(&[]) < 1e-4, "{decibels}");
        }
    }
}
