//! A compact convolutional and recurrent network on log-mel images of any length.

use model_kit::export::Value;
use model_kit::layers::{BatchNorm, ConvBn, Linear, Network, Result, channels_last, dropout};
use tch::nn::Path;
use tch::{Kind, Tensor};

use super::is_sound;
use super::memory::Memory;

/// Widths of a [`LogMelCnn`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogMelCnnConfig {
    /// Mel bands of the image, a multiple of 16. Default 64.
    pub n_mels: i64,
    /// Classes of the output. Default 8.
    pub classes: i64,
    /// Filters of the stem and of the three stages. Default 32, 64, 128, 160.
    pub filters: [i64; 4],
    /// Units of the memory, in each direction. Default 64.
    pub memory: i64,
    /// Units between pooling and output. Default 128.
    pub embedding: i64,
    /// Dropout before the memory, and before and after the embedding. Default 0.3.
    pub dropout: f64,
    /// Dropout of whole feature maps after the last two stages. Default 0.05.
    pub map_dropout: f64,
}

impl Default for LogMelCnnConfig {
    fn default() -> Self {
        Self {
            n_mels: 64,
            classes: 8,
            filters: [32, 64, 128, 160],
            memory: 64,
            embedding: 128,
            dropout: 0.3,
            map_dropout: 0.05,
        }
    }
}

/// Hidden units of the attention.
const ATTENTION: i64 = 64;

/// By how much the stem divides both bands and frames: at full size it would take as long as all the rest.
const STEM_STRIDE: i64 = 2;

/// By how much each stage's pool divides `(bands, frames)`.
const POOLS: [(i64, i64); 3] = [(2, 2), (2, 1), (2, 1)];

/// A stem (5×5, stride 2) and three stages (max pool, 3×3 convolution), each with batch norm and ReLU; an LSTM in each
/// direction, whose outputs stand beside what it read; then **attentive statistics pooling** (Okabe et al. 2018): attention
/// decides how much each moment counts, and the weighted mean and deviation of every feature over time go through one
/// dense layer to the classes.
///
/// The last row of the input is a mask that says which frames are sound and which are padding; the mask follows the image
/// through every stage, and the backward LSTM begins where the sound ends, so a padded clip gets exactly the answer of the
/// same clip without padding.
#[derive(Debug)]
pub struct LogMelCnn {
    n_mels: i64,
    stem: ConvBn,
    stages: Vec<ConvBn>,
    memory: Memory,
    attention: (Linear, Linear),
    norm: BatchNorm,
    embedding: Linear,
    output: Linear,
    dropout: f64,
    map_dropout: f64,
}

impl LogMelCnn {
    /// Fresh weights in the store of `path`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn new(path: &Path, config: &LogMelCnnConfig) -> Result<Self> {
        Self::of_images(path, config, 1)
    }

    /// The same for so many images of one sound, [`read`](Self::read) at once.
    pub(super) fn of_images(path: &Path, config: &LogMelCnnConfig, images: i64) -> Result<Self> {
        let filters = config.filters;
        let stages = (0..POOLS.len())
            .map(|stage| {
                ConvBn::new(&path.sub(format!("stage{}", stage + 1)), filters[stage], filters[stage + 1], 3, 1)
            })
            .collect::<Result<_>>()?;
        let image = filters[POOLS.len()] * (config.n_mels / 16);
        let memory = Memory::new(path, image, config.memory)?;
        let features = image + 2 * config.memory;
        let attention = path.sub("attention");
        Ok(Self {
            n_mels: config.n_mels,
            stem: ConvBn::new(&path.sub("stem"), images, filters[0], 5, STEM_STRIDE)?,
            stages,
            memory,
            attention: (
                Linear::new(&attention.sub("hidden"), features, ATTENTION)?,
                Linear::new(&attention.sub("score"), ATTENTION, 1)?,
            ),
            norm: BatchNorm::new(&path.sub("norm"), 2 * features)?,
            embedding: Linear::new(&path.sub("embedding"), 2 * features, config.embedding)?,
            output: Linear::new(&path.sub("output"), config.embedding, config.classes)?,
            dropout: config.dropout,
            map_dropout: config.map_dropout,
        })
    }

    /// # Shapes
    /// `images` `[batch, images, n_mels, frames]`, `mask` `[batch, 1, 1, frames]` of 0 and 1, `speaking`
    /// `[batch, ⌈frames/2⌉, 1]`, the logarithm of how probable it is that somebody speaks → `[batch, classes]`
    pub(super) fn read(
        &self,
        images: &Tensor,
        mut mask: Tensor,
        speaking: Option<&Tensor>,
        train: bool,
    ) -> Result<Tensor> {
        let images = channels_last(images)?.f_mul(&mask)?;
        mask = mask.f_slice(3, 0, None, STEM_STRIDE)?;
        // Max pool, ReLU and factors from 0 upwards give the same in any order, and behind a pool there is least to do. Only
        // the first pool is over time: there padding must be 0 before, which then wins over nothing that the ReLU leaves.
        let mut hidden = self.stem.forward(&images, train)?.f_mul_(&mask)?;
        for (index, (stage, (bands, frames))) in self.stages.iter().zip(POOLS).enumerate() {
            hidden = hidden.f_max_pool2d([bands, frames], [bands, frames], [0, 0], [1, 1], true)?.f_relu_()?;
            mask = mask.f_slice(3, 0, None, frames)?;
            if index > 0 {
                hidden = hidden.f_mul(&self.factors(&hidden, &mask, train && index > 1)?)?;
            }
            hidden = stage.forward(&hidden, train)?;
        }
        let hidden = hidden.f_relu_()?;
        let hidden = hidden.f_mul(&self.factors(&hidden, &mask, train)?)?;
        // [batch, filters, bands, frames] → [batch, frames, filters · bands]
        let sequence = hidden.f_permute([0, 3, 1, 2])?.f_flatten(2, 3)?;
        let mask = mask.f_squeeze_dim(1)?.f_transpose(1, 2)?;
        // Half as often as it is told.
        let speaking = speaking.map(|speaking| speaking.f_slice(1, 0, None, POOLS[0].1)).transpose()?;
        let spoken = match &speaking {
            Some(speaking) => &sequence.f_mul(&speaking.f_exp()?)?,
            None => &sequence,
        };
        let remembered = self.memory.forward(&dropout(spoken, self.dropout, train)?, &mask, train)?;
        let pooled = self.pool(&Tensor::f_cat(&[&sequence, &remembered], 2)?, &mask, speaking.as_ref())?;
        let pooled = dropout(&self.norm.forward(&pooled, train)?, self.dropout, train)?;
        let embedding = dropout(&self.embedding.forward(&pooled)?.f_relu()?, self.dropout, train)?;
        self.output.forward(&embedding)
    }

    /// [`read`](Self::read) in an ONNX graph.
    pub(super) fn read_onnx<'g>(
        &self,
        images: Value<'g>,
        mut mask: Value<'g>,
        speaking: Option<Value<'g>>,
    ) -> model_kit::Result<Value<'g>> {
        let images = images.times(mask);
        mask = mask.slice(3, 0, i64::MAX, STEM_STRIDE);
        let mut hidden = self.stem.export(images)?.relu().times(mask);
        for (stage, (bands, frames)) in self.stages.iter().zip(POOLS) {
            hidden = hidden.max_pool(&[bands, frames], &[bands, frames], &[0, 0], true);
            mask = mask.slice(3, 0, i64::MAX, frames);
            hidden = stage.export(hidden)?.relu().times(mask);
        }
        let sequence = hidden.permute(&[0, 3, 1, 2]).reshape(&[0, 0, -1]);
        let mask = mask.squeeze(1).permute(&[0, 2, 1]);
        let speaking = speaking.map(|speaking| speaking.slice(1, 0, i64::MAX, POOLS[0].1));
        let spoken = speaking.map_or(sequence, |speaking| sequence.times(speaking.node("Exp", &[], &[])));
        let remembered = self.memory.export(spoken, mask)?;
        let pooled = self.norm.export(self.pool_onnx(sequence.cat(remembered, 2), mask, speaking)?)?;
        self.output.export(self.embedding.export(pooled)?.relu())
    }

    /// What feature maps are multiplied by: the mask, and with `drop` also what leaves out whole maps.
    ///
    /// # Shapes
    /// `maps` `[batch, filters, bands, frames]`, `mask` `[batch, 1, 1, frames]` → `[batch, filters or 1, 1, frames]`
    fn factors(&self, maps: &Tensor, mask: &Tensor, drop: bool) -> Result<Tensor> {
        if !drop {
            return Ok(mask.shallow_clone());
        }
        let one_each = maps.f_narrow(2, 0, 1)?.f_narrow(3, 0, 1)?.f_ones_like()?;
        let kept = one_each.f_feature_dropout(self.map_dropout, true)?;
        // Laid out as the maps are.
        let last = |tensor: &Tensor| tensor.f_permute([0, 2, 3, 1]);
        last(mask)?.f_mul(&last(&kept)?)?.f_permute([0, 3, 1, 2])
    }

    /// # Shapes
    /// `features` `[batch, frames, features]`, `mask` `[batch, frames, 1]` of 0 and 1 → `[batch, 2 · features]`
    fn pool(&self, features: &Tensor, mask: &Tensor, speaking: Option<&Tensor>) -> Result<Tensor> {
        let mut scores = self.attention.1.forward(&self.attention.0.forward(features)?.f_tanh()?)?;
        if let Some(speaking) = speaking {
            // A moment counts in proportion to the probability.
            scores = scores.f_add(speaking)?;
        }
        // The deviation is the small difference of two larger numbers, and right only where the shares sum up to 1: not for
        // half precision.
        let kind = features.kind();
        let single = |tensor: &Tensor| match kind {
            Kind::Half | Kind::BFloat16 => tensor.f_to_kind(Kind::Float),
            _ => Ok(tensor.shallow_clone()),
        };
        let (features, scores, mask) = (single(features)?, single(&scores)?, single(mask)?);
        // Padding gets a score so low that its share is 0 exactly.
        let scores = scores.f_add(&mask.f_sub_scalar(1.0)?.f_mul_scalar(1e9)?)?;
        let shares = scores.f_softmax(1, scores.kind())?.f_transpose(1, 2)?;
        let weighted = |values: &Tensor| shares.f_bmm(values)?.f_squeeze_dim(1);
        let mean = weighted(&features)?;
        let square = weighted(&features.f_square()?)?;
        // Below this the deviation is rounding, and its gradient would have no bound.
        let deviation = square.f_sub(&mean.f_square()?)?.f_clamp_min(1e-5)?.f_sqrt()?;
        Tensor::f_cat(&[mean, deviation], 1)?.f_to_kind(kind)
    }

    /// [`pool`](Self::pool) in an ONNX graph.
    fn pool_onnx<'g>(
        &self,
        features: Value<'g>,
        mask: Value<'g>,
        speaking: Option<Value<'g>>,
    ) -> model_kit::Result<Value<'g>> {
        let mut scores = self.attention.1.export(self.attention.0.export(features)?.tanh())?;
        if let Some(speaking) = speaking {
            scores = scores.plus(speaking);
        }
        let shares = scores.plus(mask.plus_number(-1.0).times_number(1e9)).softmax(1);
        let mean = features.times(shares).sum(1);
        let square = features.times(features).times(shares).sum(1);
        let variance = square.minus(mean.times(mean)).at_least(1e-5);
        Ok(mean.cat(variance.sqrt(), 1))
    }
}

/// The image `[batch, 1, n_mels, frames]` and the mask `[batch, 1, 1, frames]`, of 0 and 1, of an input
/// `[batch, n_mels + 1, frames]`.
pub(super) fn parted(input: &Tensor, n_mels: i64) -> Result<(Tensor, Tensor)> {
    let image = input.f_narrow(1, 0, n_mels)?.f_unsqueeze(1)?;
    let mask = input.f_narrow(1, n_mels, 1)?.f_unsqueeze(1)?.f_gt(0.0)?.f_to_kind(input.kind())?;
    Ok((image, mask))
}

/// [`parted`] in an ONNX graph.
pub(super) fn parted_onnx(input: Value<'_>, n_mels: i64) -> (Value<'_>, Value<'_>) {
    (input.slice(1, 0, n_mels, 1).unsqueeze(1), is_sound(input.slice(1, n_mels, n_mels + 1, 1).unsqueeze(1)))
}

impl Network for LogMelCnn {
    /// # Shapes
    /// `[batch, n_mels + 1, frames]`, the last row the mask (above 0 where there is sound) → `[batch, classes]`
    fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        let (image, mask) = parted(input, self.n_mels)?;
        self.read(&image, mask, None, train)
    }

    fn export<'g>(&self, input: Value<'g>) -> model_kit::Result<Value<'g>> {
        let (image, mask) = parted_onnx(input, self.n_mels);
        self.read_onnx(image, mask, None)
    }

    fn fold(&mut self) -> Result<()> {
        self.stem.fold()?;
        self.stages.iter_mut().try_for_each(ConvBn::fold)
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;
    use tch::nn::VarStore;

    use super::*;

    #[test]
    fn half_precision_tells_small_deviations_too() {
        tch::manual_seed(3);
        let mut store = VarStore::new(Device::Cpu);
        let config = LogMelCnnConfig::default();
        let network = LogMelCnn::new(&store.root(), &config).unwrap();
        let count = config.filters[3] * config.n_mels / 16 + 2 * config.memory;
        let features = Tensor::randn([2, 40, count], (Kind::Float, Device::Cpu)) * 0.05 + 3.0;
        let features = features.to_kind(Kind::BFloat16);
        let mask = Tensor::ones([2, 40, 1], (Kind::Float, Device::Cpu));
        let deviations = |pooled: Tensor| pooled.narrow(1, count, count).to_kind(Kind::Float);
        let single = deviations(network.pool(&features.to_kind(Kind::Float), &mask, None).unwrap());
        store.bfloat16();
        let half = network.pool(&features, &mask.to_kind(Kind::BFloat16), None).unwrap();
        assert_eq!(half.kind(), Kind::BFloat16);
        let worst = (deviations(half) / single - 1.0).abs().max().double_value(&[]);
        assert!(worst < 0.05, "{worst}");
    }
}
