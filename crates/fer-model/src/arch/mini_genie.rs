//! The plain deep CNN for faces of the "miniGENIE" line of work, a Keras network, with Keras' layer settings.

use model_kit::Parameter;
use model_kit::export::Value;
use model_kit::layers::{BatchNorm, Conv2d, Linear, Network, Result, ShiftedConv2d, channels_last, glorot};
use tch::Tensor;
use tch::nn::Path;

use super::{KERAS_EPS, KERAS_MOMENTUM};
use crate::dataset::SIDE;

const WIDTHS: [i64; 4] = [64, 128, 256, 512];
const DENSE: [i64; 3] = [256, 128, 64];
/// Behind each block, behind each dense layer.
const DROPOUT: [f64; 2] = [0.2, 0.5];

/// Four blocks of two [3×3 convolution, ELU, batch norm], each block with a 2×2 max pool and dropout 0.2 behind it
/// (64, 128, 256, 512 filters), then dense layers of 256, 128 and 64 units, each with ELU, batch norm and dropout 0.5.
/// 5,910,471 trainable parameters for seven classes.
#[derive(Debug)]
pub struct MiniGenieCnn {
    convolutions: Vec<(Conv2d, BatchNorm)>,
    dense: Vec<(Linear, BatchNorm)>,
    head: Linear,
    dropout: [f64; 2],
    folded: Option<Folded>,
}

/// The layers up to the last batch norm, for inference. Each batch norm is merged into the layer *behind* it, as an ELU
/// keeps it from the one before.
#[derive(Debug)]
struct Folded {
    /// All but the first.
    convolutions: Vec<ShiftedConv2d>,
    /// Of each block, the signs of the last batch norm's factors where some are negative: there the pool, which comes
    /// before that norm, looks for the least.
    signs: Vec<Option<Parameter>>,
    dense: Vec<Linear>,
}

impl MiniGenieCnn {
    /// # Errors
    /// LibTorch's.
    pub fn new(path: &Path, classes: i64) -> Result<Self> {
        let norm = |path: &Path, channels| BatchNorm::with(&path.sub("norm"), channels, KERAS_MOMENTUM, KERAS_EPS);
        let mut convolutions = Vec::new();
        let mut inputs = 1;
        for (block, &outputs) in WIDTHS.iter().enumerate() {
            for layer in 1..=2 {
                let path = path.sub(format!("block{}", block + 1)).sub(format!("layer{layer}"));
                let init = glorot(&[outputs, inputs, 3, 3]);
                let conv = Conv2d::with_init(&path.sub("conv"), inputs, outputs, 3, 1, true, init)?;
                convolutions.push((conv, norm(&path, outputs)?));
                inputs = outputs;
            }
        }
        let mut dense = Vec::new();
        let mut inputs = 512 * 3 * 3;
        for (layer, &outputs) in DENSE.iter().enumerate() {
            let path = path.sub(format!("dense{}", layer + 1));
            let linear = Linear::with_init(&path.sub("linear"), inputs, outputs, glorot(&[outputs, inputs]))?;
            dense.push((linear, norm(&path, outputs)?));
            inputs = outputs;
        }
        let head = Linear::with_init(&path.sub("head"), inputs, classes, glorot(&[classes, inputs]))?;
        Ok(Self { convolutions, dense, head, dropout: DROPOUT, folded: None })
    }

    /// The same network with nothing left out in training, for comparison with other implementations.
    #[must_use]
    pub fn without_dropout(mut self) -> Self {
        self.dropout = [0.0; 2];
        self
    }

    /// What [`features`](Network::features) gives, by the folded layers.
    fn folded_features(&self, folded: &Folded, input: &Tensor) -> Result<Tensor> {
        let [(first, _), ..] = &*self.convolutions else { unreachable!("there are eight convolutions") };
        let mut hidden = channels_last(&first.forward(input)?)?.f_elu_()?;
        for (index, conv) in (1..).zip(&folded.convolutions) {
            hidden = conv.forward(&hidden)?;
            let signs = folded.signs.get(index / 2).and_then(Option::as_ref);
            hidden = match signs.filter(|_| index % 2 == 1) {
                Some(signs) => pool(&hidden.f_elu_()?.f_mul_(signs)?)?,
                // The ELU of the largest is the largest of the ELUs, and a quarter of the work.
                None if index % 2 == 1 => pool(&hidden)?.f_elu_()?,
                None => hidden.f_elu_()?,
            };
        }
        hidden = hidden.f_flatten(1, -1)?;
        for linear in &folded.dense {
            hidden = linear.forward(&hidden)?.f_elu_()?;
        }
        match self.dense.last() {
            Some((_, norm)) => norm.forward(&hidden, false),
            None => Ok(hidden),
        }
    }
}

fn pool(pictures: &Tensor) -> Result<Tensor> {
    pictures.f_max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)
}

impl Network for MiniGenieCnn {
    /// # Shapes
    /// `[batch, 1, 48, 48]` → `[batch, classes]`
    fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        self.head.forward(&self.features(input, train)?)
    }

    /// # Shapes
    /// `[batch, 1, 48, 48]` → `[batch, 64]`
    fn features(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        if let (Some(folded), false) = (&self.folded, train) {
            return self.folded_features(folded, input);
        }
        let mut hidden = input.shallow_clone();
        for (index, (conv, norm)) in self.convolutions.iter().enumerate() {
            hidden = norm.forward(&conv.forward(&hidden)?.f_elu()?, train)?;
            if index % 2 == 1 {
                hidden = pool(&hidden)?.f_dropout(self.dropout[0], train)?;
            }
        }
        hidden = hidden.f_flatten(1, -1)?;
        for (linear, norm) in &self.dense {
            hidden = norm.forward(&linear.forward(&hidden)?.f_elu()?, train)?.f_dropout(self.dropout[1], train)?;
        }
        Ok(hidden)
    }

    fn fold(&mut self) -> Result<()> {
        let mut folded = Folded { convolutions: Vec::new(), signs: Vec::new(), dense: Vec::new() };
        let mut side = SIDE as i64;
        let mut before = None;
        for (index, (conv, norm)) in self.convolutions.iter().enumerate() {
            if let Some((scale, shift)) = &before {
                folded.convolutions.push(conv.behind(scale, shift, side)?);
            }
            let (mut scale, shift) = norm.affine()?;
            if index % 2 == 1 {
                side /= 2;
                let turned = scale.f_lt(0.0)?.f_any()?.f_int64_value(&[])? != 0;
                let signs = if turned { Some(scale.f_sign()?.f_view([1, -1, 1, 1])?.into()) } else { None };
                folded.signs.push(signs);
                scale = scale.f_abs()?;
            }
            before = Some((scale, shift));
        }
        // Each channel is so many places of the flat vector.
        let places = side * side;
        for (linear, norm) in &self.dense {
            if let Some((scale, shift)) = &before {
                let spread = |values: &Tensor| match folded.dense.len() {
                    0 => values.f_repeat_interleave_self_int(places, None, None),
                    _ => Ok(values.shallow_clone()),
                };
                folded.dense.push(linear.behind(&spread(scale)?, &spread(shift)?)?);
            }
            before = Some(norm.affine()?);
        }
        self.folded = Some(folded);
        Ok(())
    }

    fn export<'g>(&self, input: Value<'g>) -> model_kit::Result<Value<'g>> {
        let mut hidden = input;
        for (index, (conv, norm)) in self.convolutions.iter().enumerate() {
            hidden = norm.export(conv.export(hidden)?.elu())?;
            if index % 2 == 1 {
                hidden = hidden.max_pool(&[2, 2], &[2, 2], &[0, 0], false);
            }
        }
        hidden = hidden.flatten();
        for (linear, norm) in &self.dense {
            hidden = norm.export(linear.export(hidden)?.elu())?;
        }
        self.head.export(hidden)
    }
}

#[cfg(test)]
mod tests {
    use model_kit::layers::Network;
    use tch::nn::VarStore;
    use tch::{Device, Kind, Tensor, no_grad};

    use super::super::{Arch, parameters};
    use super::MiniGenieCnn;

    #[test]
    fn folding_keeps_the_answers() {
        tch::manual_seed(6);
        let store = VarStore::new(Device::Cpu);
        let mut network = MiniGenieCnn::new(&store.root(), 7).unwrap();
        let pictures = Tensor::randn([4, 1, 48, 48], (Kind::Float, Device::Cpu));
        // Statistics that matter, and factors of both signs in two of the blocks.
        for _ in 0..20 {
            let _ = no_grad(|| network.forward(&pictures, true).unwrap());
        }
        for (name, mut weight) in store.variables() {
            if name.ends_with("layer2.norm.weight") && !name.starts_with("block1") {
                let _ = no_grad(|| weight.normal_(if name.starts_with("block2") { 5.0 } else { 0.0 }, 1.0));
            }
        }
        let before = no_grad(|| network.forward(&pictures, false).unwrap());
        network.fold().unwrap();
        // A single picture takes another way through some of the layers.
        for count in [4, 1] {
            let (before, pictures) = (before.narrow(0, 0, count), pictures.narrow(0, 0, count));
            let after = no_grad(|| network.forward(&pictures, false).unwrap());
            let worst = (&before - &after).abs().max().double_value(&[]) / before.abs().max().double_value(&[]);
            assert!(worst < 1e-5, "folded outputs of {count} differ by {worst} of the largest");
        }
    }

    #[test]
    fn has_the_counted_parameters() {
        assert_eq!(parameters(&Arch::MiniGenieCnn, 7), 5_910_471);
    }
}
