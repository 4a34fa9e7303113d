//! When somebody speaks in front, and which parts of a log-mel image are that voice's.

use model_kit::export::Value;
use model_kit::layers::{ConvBn, Linear, Result, channels_last};
use tch::Tensor;
use tch::nn::Path;

use super::memory::Memory;

/// Filters of the three stages.
const FILTERS: [i64; 3] = [24, 48, 64];

/// Units of the memory, in each direction.
const MEMORY: i64 = 64;

/// By how much the first stage divides bands and frames; the two pools after it halve the bands.
const STRIDE: i64 = 2;

/// Estimates the **ideal ratio mask** (Narayanan & Wang 2013): which share of the power of each band and moment is that of the
/// person who speaks in front, and not of the others or of noise; and whether that person speaks at all just then. Three stages of convolution, batch norm and ReLU
/// (5×5 with stride 2, then max pool over two bands and 3×3, twice), an LSTM in each direction, one dense layer.
///
/// Frames of the mask are two frames of the image long.
#[derive(Debug)]
pub(super) struct SpeechMask {
    stem: ConvBn,
    stages: [ConvBn; 2],
    memory: Memory,
    output: Linear,
}

impl SpeechMask {
    pub(super) fn new(path: &Path, n_mels: i64) -> Result<Self> {
        let sequence = FILTERS[2] * (n_mels / 8);
        Ok(Self {
            stem: ConvBn::new(&path.sub("stem"), 1, FILTERS[0], 5, STRIDE)?,
            stages: [
                ConvBn::new(&path.sub("stage1"), FILTERS[0], FILTERS[1], 3, 1)?,
                ConvBn::new(&path.sub("stage2"), FILTERS[1], FILTERS[2], 3, 1)?,
            ],
            memory: Memory::new(path, sequence, MEMORY)?,
            output: Linear::new(&path.sub("output"), sequence + 2 * MEMORY, n_mels + 1)?,
        })
    }

    /// # Shapes
    /// `image` `[batch, 1, n_mels, frames]`, `mask` `[batch, 1, 1, frames]` of 0 and 1 → logits
    /// `[batch, ⌈frames/2⌉, n_mels + 1]`, the last those of speaking at all
    pub(super) fn forward(&self, image: &Tensor, mask: &Tensor, train: bool) -> Result<Tensor> {
        let image = channels_last(image)?.f_mul(mask)?;
        let mask = mask.f_slice(3, 0, None, STRIDE)?;
        let mut hidden = self.stem.forward(&image, train)?;
        for stage in &self.stages {
            // Pool, ReLU and mask give the same in any order; behind the pool there is less to do.
            hidden = hidden.f_max_pool2d([2, 1], [2, 1], [0, 0], [1, 1], false)?.f_relu_()?.f_mul(&mask)?;
            hidden = stage.forward(&hidden, train)?;
        }
        let hidden = hidden.f_relu_()?.f_mul(&mask)?;
        let sequence = hidden.f_permute([0, 3, 1, 2])?.f_flatten(2, 3)?;
        let mask = mask.f_squeeze_dim(1)?.f_transpose(1, 2)?;
        let remembered = self.memory.forward(&sequence, &mask, train)?;
        self.output.forward(&Tensor::f_cat(&[&sequence, &remembered], 2)?)
    }

    /// [`forward`](Self::forward) in an ONNX graph.
    pub(super) fn export<'g>(&self, image: Value<'g>, mask: Value<'g>) -> model_kit::Result<Value<'g>> {
        let image = image.times(mask);
        let mask = mask.slice(3, 0, i64::MAX, STRIDE);
        let mut hidden = self.stem.export(image)?.relu().times(mask);
        for stage in &self.stages {
            hidden = stage.export(hidden.max_pool(&[2, 1], &[2, 1], &[0, 0], false))?.relu().times(mask);
        }
        let sequence = hidden.permute(&[0, 3, 1, 2]).reshape(&[0, 0, -1]);
        let mask = mask.squeeze(1).permute(&[0, 2, 1]);
        let remembered = self.memory.export(sequence, mask)?;
        self.output.export(sequence.cat(remembered, 2))
    }

    pub(super) fn fold(&mut self) -> Result<()> {
        self.stem.fold()?;
        self.stages.iter_mut().try_for_each(ConvBn::fold)
    }
}
