//! Layers as plain structs, so that a network's parts can be read, tested and folded.
//!
//! Every `forward` returns LibTorch's error instead of panicking, and every constructor takes a [`Path`], the place of
//! the layer's tensors in a [`tch::nn::VarStore`]; tensors have PyTorch's names (`weight`, `bias`, `running_mean`, …).

use std::fmt;

use tch::nn::{Init, Path};
use tch::{Device, Kind, TchError, Tensor};

use crate::Error;
use crate::export::{Attribute, Format, Value};
use crate::parameter::Parameter;

/// The result of building or running a layer.
pub type Result<T, E = TchError> = std::result::Result<T, E>;

/// A network that maps a batch of inputs to a batch of class scores.
///
/// # For implementors
/// Keep tensors as [`Parameter`]s, as the layers here do: a network is shared between threads that predict with it.
pub trait Network: fmt::Debug + Send + Sync {
    /// # Shapes
    /// `input` `[batch, …]` as the network defines it → logits `[batch, classes]`.
    ///
    /// `train` switches dropout on and lets batch norm use (and update from) the batch's own statistics.
    ///
    /// # Errors
    /// LibTorch's, for an input of another shape, kind or device.
    fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor>;

    /// What the last dense layer sees: the network's own description of its input, for other classifiers to work on.
    /// Networks that do not say otherwise give their logits.
    ///
    /// # Shapes
    /// `input` as for [`forward`](Self::forward) → `[batch, features]`
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    fn features(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        self.forward(input, train)
    }

    /// Merges batch norms into the layers before them, for faster inference. The network cannot be trained afterwards.
    /// Networks without batch norm have nothing to do, which is the default.
    ///
    /// # Errors
    /// LibTorch's.
    fn fold(&mut self) -> Result<()> {
        Ok(())
    }

    /// Adds what [`forward`](Self::forward) does after training to an ONNX graph: `input` → logits.
    ///
    /// # Errors
    /// [`Error::NotExportable`] from networks that do not say how, which is the default, and
    /// [`Error::Backend`] when a tensor cannot be read.
    fn export<'g>(&self, input: Value<'g>) -> crate::Result<Value<'g>> {
        let _ = input;
        Err(Error::NotExportable {
            network: std::any::type_name::<Self>().to_owned(),
            format: Format::Onnx,
            reason: "it does not say how".to_owned(),
        })
    }
}

impl<N: Network + ?Sized> Network for Box<N> {
    fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        (**self).forward(input, train)
    }

    fn features(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        (**self).features(input, train)
    }

    fn fold(&mut self) -> Result<()> {
        (**self).fold()
    }

    fn export<'g>(&self, input: Value<'g>) -> crate::Result<Value<'g>> {
        (**self).export(input)
    }
}

/// He et al. 2015, fan-out, for layers followed by a ReLU (what torchvision's residual networks use).
pub const KAIMING: Init = Init::Kaiming {
    dist: tch::nn::init::NormalOrUniform::Normal,
    fan: tch::nn::init::FanInOut::FanOut,
    non_linearity: tch::nn::init::NonLinearity::ReLU,
};

/// Glorot & Bengio 2010, uniform, for a tensor of these dimensions (`[outputs, inputs, …]`): what Keras draws weights from.
pub fn glorot(dims: &[i64]) -> Init {
    let places: i64 = dims.iter().skip(2).product();
    let fans = (dims.iter().take(2).sum::<i64>() * places) as f64;
    let bound = (6.0 / fans).sqrt();
    Init::Uniform { lo: -bound, up: bound }
}

/// A 2-D convolution with a square kernel.
#[derive(Debug)]
pub struct Conv2d {
    weight: Parameter,
    bias: Option<Parameter>,
    stride: i64,
    padding: i64,
}

impl Conv2d {
    /// A convolution that keeps the size at stride 1 ("same" padding for odd kernels), initialised by [`KAIMING`].
    ///
    /// # Errors
    /// LibTorch's.
    pub fn new(path: &Path, inputs: i64, outputs: i64, kernel: i64, stride: i64, bias: bool) -> Result<Self> {
        Self::with_init(path, inputs, outputs, kernel, stride, bias, KAIMING)
    }

    /// The same with other first weights. Biases start at 0.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn with_init(
        path: &Path,
        inputs: i64,
        outputs: i64,
        kernel: i64,
        stride: i64,
        bias: bool,
        init: Init,
    ) -> Result<Self> {
        Ok(Self {
            weight: path.f_var("weight", &[outputs, inputs, kernel, kernel], init)?.into(),
            bias: if bias { Some(path.f_zeros("bias", &[outputs])?.into()) } else { None },
            stride,
            padding: kernel / 2,
        })
    }

    /// The same convolution with `padding` zeros on every side instead of the kernel's half.
    #[must_use]
    pub fn padded(mut self, padding: i64) -> Self {
        self.padding = padding;
        self
    }

    /// # Shapes
    /// `[batch, inputs, height, width]` → `[batch, outputs, ⌈height/stride⌉, ⌈width/stride⌉]` with an odd kernel's own padding
    ///
    /// # Errors
    /// LibTorch's, for an input of another shape.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        input.f_conv2d(&self.weight, self.bias.as_deref(), stride, padding, [1, 1], 1)
    }

    /// [`forward`](Self::forward) as operations of an ONNX graph.
    ///
    /// # Errors
    /// [`Error::Backend`] when a tensor cannot be read.
    pub fn export<'g>(&self, input: Value<'g>) -> crate::Result<Value<'g>> {
        input.convolution(&self.weight, self.bias.as_deref(), &[self.stride; 2], &[self.padding; 2])
    }

    /// Keeps a training from changing the layer.
    pub fn freeze(&self) {
        for tensor in [Some(&self.weight), self.bias.as_ref()].into_iter().flatten() {
            let _ = tensor.set_requires_grad(false);
        }
    }

    /// Lays the weights out as [`channels_last`] lays out pictures, for inference on a processor: pictures then keep that
    /// layout from here on. Nothing changes on other devices, or where there is but one channel to lay out.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn fold(&mut self) -> Result<()> {
        if self.weight.device() == Device::Cpu && self.weight.size()[1] > 1 {
            self.weight = tch::no_grad(|| channels_last(&self.weight)?.f_detach())?.into();
        }
        Ok(())
    }

    /// One layer for inference out of a batch norm's `scale` and `shift` (see [`BatchNorm::affine`]) and this convolution
    /// of its output, for pictures of `side` × `side`.
    ///
    /// # Errors
    /// LibTorch's, for another number of channels.
    pub fn behind(&self, scale: &Tensor, shift: &Tensor, side: i64) -> Result<ShiftedConv2d> {
        tch::no_grad(|| {
            // The padding is not shifted, so at the edges less is added than within.
            let shift = shift.f_view([1, -1, 1, 1])?.f_expand([1, shift.size()[0], side, side], false)?;
            let offset = channels_last(&self.forward(&shift)?)?.f_detach()?.into();
            let weight = self.weight.f_mul(&scale.f_view([1, -1, 1, 1])?)?.f_detach()?.into();
            let mut conv = Self { weight, bias: None, stride: self.stride, padding: self.padding };
            conv.fold()?;
            let by_patches = if conv.weight.device() == Device::Cpu
                && conv.stride == 1
                && conv.weight.size()[1] * side * side <= SMALL_PICTURE
            {
                let (outputs, inputs, height, width) = conv.weight.size4()?;
                let weight = conv.weight.f_permute([2, 3, 1, 0])?.f_reshape([height * width * inputs, outputs])?;
                Some(weight.f_contiguous()?.f_detach()?.into())
            } else {
                None
            };
            Ok(ShiftedConv2d { conv, offset, by_patches })
        })
    }
}

/// How many values a single picture may have for LibTorch to convolve it without oneDNN, which is then the slower of the two.
const SMALL_PICTURE: i64 = 20_480;

/// A convolution and what is added at each place of its output, for inference: [`Conv2d::behind`] makes it.
#[derive(Debug)]
pub struct ShiftedConv2d {
    conv: Conv2d,
    offset: Parameter,
    /// Weights for a single small picture, `[places of the kernel × inputs, outputs]`: one product of matrices takes three
    /// quarters of the time of LibTorch's convolution.
    by_patches: Option<Parameter>,
}

impl ShiftedConv2d {
    /// Shapes as [`Conv2d::forward`], for pictures of the size that it was made for.
    ///
    /// # Errors
    /// LibTorch's, for an input of another shape.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        match &self.by_patches {
            Some(weight) if input.size().first() == Some(&1) => self.forward_patches(input, weight),
            _ => self.conv.forward(input)?.f_add_(&self.offset),
        }
    }

    /// [`forward`](Self::forward) of a single picture.
    fn forward_patches(&self, input: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let (kernel, padding) = (self.conv.weight.size()[2], self.conv.padding);
        let padded = input.f_permute([0, 2, 3, 1])?.f_constant_pad_nd([0, 0, padding, padding, padding, padding])?;
        let patches = padded.f_unfold(1, kernel, 1)?.f_unfold(2, kernel, 1)?.f_permute([0, 1, 2, 4, 5, 3])?;
        let offset = self.offset.f_permute([0, 2, 3, 1])?;
        let output = offset.f_flatten(0, 2)?.f_addmm(&patches.f_reshape([-1, weight.size()[0]])?, weight)?;
        output.f_view_as(&offset)?.f_permute([0, 3, 1, 2])
    }
}

/// A 1-D convolution.
#[derive(Debug)]
pub struct Conv1d {
    weight: Parameter,
    bias: Option<Parameter>,
    stride: i64,
    padding: i64,
}

impl Conv1d {
    /// A convolution that keeps the length at stride 1 ("same" padding for odd kernels), initialised by [`KAIMING`].
    ///
    /// # Errors
    /// LibTorch's.
    pub fn new(path: &Path, inputs: i64, outputs: i64, kernel: i64, stride: i64, bias: bool) -> Result<Self> {
        Ok(Self {
            weight: path.f_var("weight", &[outputs, inputs, kernel], KAIMING)?.into(),
            bias: if bias { Some(path.f_zeros("bias", &[outputs])?.into()) } else { None },
            stride,
            padding: kernel / 2,
        })
    }

    /// # Shapes
    /// `[batch, inputs, length]` → `[batch, outputs, ⌈length/stride⌉]`
    ///
    /// # Errors
    /// LibTorch's, for an input of another shape.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        input.f_conv1d(&self.weight, self.bias.as_deref(), [self.stride], [self.padding], [1], 1)
    }

    /// [`forward`](Self::forward) for sequences as pictures of one row, which can be laid out as [`channels_last`] lays out
    /// pictures; LibTorch's convolution of sequences would undo that.
    ///
    /// # Shapes
    /// `[batch, inputs, 1, length]` → `[batch, outputs, 1, ⌈length/stride⌉]`
    ///
    /// # Errors
    /// LibTorch's, for an input of another shape.
    pub fn forward_row(&self, input: &Tensor) -> Result<Tensor> {
        let weight = self.weight.f_unsqueeze(2)?;
        input.f_conv2d(&weight, self.bias.as_deref(), [1, self.stride], [0, self.padding], [1, 1], 1)
    }

    /// [`forward`](Self::forward) as operations of an ONNX graph.
    ///
    /// # Errors
    /// [`Error::Backend`] when a tensor cannot be read.
    pub fn export<'g>(&self, input: Value<'g>) -> crate::Result<Value<'g>> {
        input.convolution(&self.weight, self.bias.as_deref(), &[self.stride], &[self.padding])
    }
}

/// Batch normalisation over the second dimension (Ioffe & Szegedy 2015), for inputs of any rank from 2.
#[derive(Debug)]
pub struct BatchNorm {
    weight: Parameter,
    bias: Parameter,
    running_mean: Parameter,
    running_var: Parameter,
    momentum: f64,
    eps: f64,
}

impl BatchNorm {
    /// Weights start at one. Momentum 0.1 and epsilon 1e-5 as in PyTorch.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn new(path: &Path, channels: i64) -> Result<Self> {
        Self::with(path, channels, 0.1, 1e-5)
    }

    /// With PyTorch's `momentum` (the share of the new statistics: Keras' momentum m is 1 − m here) and `eps`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn with(path: &Path, channels: i64, momentum: f64, eps: f64) -> Result<Self> {
        Ok(Self {
            weight: path.f_ones("weight", &[channels])?.into(),
            bias: path.f_zeros("bias", &[channels])?.into(),
            running_mean: path.f_zeros_no_train("running_mean", &[channels])?.into(),
            running_var: path.f_ones_no_train("running_var", &[channels])?.into(),
            momentum,
            eps,
        })
    }

    /// # Shapes
    /// `[batch, channels, …]` → the same
    ///
    /// # Errors
    /// LibTorch's, for another number of channels, or for training on one value per channel.
    pub fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        input.f_batch_norm(
            Some(&*self.weight),
            Some(&*self.bias),
            Some(&*self.running_mean),
            Some(&*self.running_var),
            train,
            self.momentum,
            self.eps,
            true,
        )
    }

    /// [`forward`](Self::forward) as operations of an ONNX graph.
    ///
    /// # Errors
    /// [`Error::Backend`] when a tensor cannot be read.
    pub fn export<'g>(&self, input: Value<'g>) -> crate::Result<Value<'g>> {
        let Self { weight, bias, running_mean, running_var, .. } = self;
        let tensors = [("weight", &**weight), ("bias", bias), ("mean", running_mean), ("variance", running_var)];
        input.layer("BatchNormalization", &tensors, &[("epsilon", Attribute::Float(self.eps as f32))])
    }

    /// Keeps a training from changing the layer's weights; its statistics change only in training mode.
    pub fn freeze(&self) {
        let _ = self.weight.set_requires_grad(false);
        let _ = self.bias.set_requires_grad(false);
    }

    /// What the layer does at inference, for layers before it to take over: `(scale, shift)`, both `[channels]`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn affine(&self) -> Result<(Tensor, Tensor)> {
        let scale = self.weight.f_div(&self.running_var.f_add_scalar(self.eps)?.f_sqrt()?)?;
        let shift = self.bias.f_sub(&self.running_mean.f_mul(&scale)?)?;
        Ok((scale, shift))
    }
}

/// A convolution, then batch norm; [`fold`](Self::fold) makes one convolution of both.
#[derive(Debug)]
pub struct ConvBn {
    conv: Conv2d,
    norm: Option<BatchNorm>,
}

impl ConvBn {
    /// Without bias. Names: `conv.weight`, `norm.weight`, `norm.bias`, `norm.running_mean`, `norm.running_var`.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn new(path: &Path, inputs: i64, outputs: i64, kernel: i64, stride: i64) -> Result<Self> {
        let conv = Conv2d::new(&path.sub("conv"), inputs, outputs, kernel, stride, false)?;
        Ok(Self::of(conv, Some(BatchNorm::new(&path.sub("norm"), outputs)?)))
    }

    /// Of layers that have names of their own, or of a convolution alone.
    pub fn of(conv: Conv2d, norm: Option<BatchNorm>) -> Self {
        Self { conv, norm }
    }

    /// Keeps a training from changing the weights, see [`BatchNorm::freeze`].
    pub fn freeze(&self) {
        self.conv.freeze();
        if let Some(norm) = &self.norm {
            norm.freeze();
        }
    }

    /// Shapes as [`Conv2d::forward`].
    ///
    /// # Errors
    /// LibTorch's, for an input of another shape.
    pub fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        let output = self.conv.forward(input)?;
        match &self.norm {
            Some(norm) => norm.forward(&output, train),
            None => Ok(output),
        }
    }

    /// [`forward`](Self::forward) as operations of an ONNX graph.
    ///
    /// # Errors
    /// [`Error::Backend`] when a tensor cannot be read.
    pub fn export<'g>(&self, input: Value<'g>) -> crate::Result<Value<'g>> {
        let output = self.conv.export(input)?;
        self.norm.as_ref().map_or(Ok(output), |norm| norm.export(output))
    }

    /// Multiplies the batch norm into the convolution. Later calls do nothing.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn fold(&mut self) -> Result<()> {
        let Some(norm) = self.norm.take() else { return Ok(()) };
        tch::no_grad(|| {
            let (scale, shift) = norm.affine()?;
            let shift = match &self.conv.bias {
                Some(bias) => bias.f_mul(&scale)?.f_add(&shift)?,
                None => shift,
            };
            self.conv.weight = self.conv.weight.f_mul(&scale.f_view([-1, 1, 1, 1])?)?.f_detach()?.into();
            self.conv.bias = Some(shift.f_detach()?.into());
            self.conv.fold()
        })
    }
}

/// A dense layer.
#[derive(Debug)]
pub struct Linear {
    weight: Parameter,
    bias: Parameter,
}

impl Linear {
    /// Weights from a normal distribution of deviation √(1/inputs), biases 0.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn new(path: &Path, inputs: i64, outputs: i64) -> Result<Self> {
        Self::with_init(path, inputs, outputs, Init::Randn { mean: 0.0, stdev: (1.0 / inputs as f64).sqrt() })
    }

    /// The same with other first weights.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn with_init(path: &Path, inputs: i64, outputs: i64, init: Init) -> Result<Self> {
        Ok(Self {
            weight: path.f_var("weight", &[outputs, inputs], init)?.into(),
            bias: path.f_zeros("bias", &[outputs])?.into(),
        })
    }

    /// The biases, `[outputs]`, for networks that start them at something else than 0.
    pub fn bias(&self) -> Tensor {
        self.bias.shallow_clone()
    }

    /// # Shapes
    /// `[…, inputs]` → `[…, outputs]`
    ///
    /// # Errors
    /// LibTorch's, for another number of inputs.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        input.f_linear(&self.weight, Some(&*self.bias))
    }

    /// One layer for inference out of a batch norm's `scale` and `shift` (see [`BatchNorm::affine`]), both `[inputs]`, and
    /// this layer on its output.
    ///
    /// # Errors
    /// LibTorch's, for another number of inputs.
    pub fn behind(&self, scale: &Tensor, shift: &Tensor) -> Result<Self> {
        tch::no_grad(|| {
            let bias = self.forward(&shift.f_unsqueeze(0)?)?.f_squeeze_dim(0)?;
            let weight = self.weight.f_mul(scale)?;
            Ok(Self { weight: weight.f_detach()?.into(), bias: bias.f_detach()?.into() })
        })
    }

    /// [`forward`](Self::forward) as operations of an ONNX graph.
    ///
    /// # Errors
    /// [`Error::Backend`] when a tensor cannot be read.
    pub fn export<'g>(&self, input: Value<'g>) -> crate::Result<Value<'g>> {
        // `Gemm` would take the weights as they are, but inputs of two dimensions only.
        input.layer("MatMul", &[("weight", &self.weight.f_transpose(0, 1)?)], &[])?.layer(
            "Add",
            &[("bias", &*self.bias)],
            &[],
        )
    }
}

/// What a [`Recurrent`] layer remembers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// One hyperbolic tangent (Elman 1990).
    Tanh,
    /// Long short-term memory (Hochreiter & Schmidhuber 1997).
    Lstm,
}

/// A stack of recurrent layers that read a sequence forwards, as `torch.nn.RNN` and `torch.nn.LSTM` with
/// `batch_first=True`, with their names (`weight_ih_l0`, …) and their initialisation.
#[derive(Debug)]
pub struct Recurrent {
    cell: Cell,
    layers: i64,
    units: i64,
    parameters: Vec<Parameter>,
}

impl Recurrent {
    /// # Errors
    /// LibTorch's.
    pub fn new(path: &Path, cell: Cell, inputs: i64, units: i64, layers: i64) -> Result<Self> {
        let gates = match cell {
            Cell::Tanh => units,
            Cell::Lstm => 4 * units,
        };
        let bound = 1.0 / (units as f64).sqrt();
        let init = Init::Uniform { lo: -bound, up: bound };
        let mut parameters = Vec::new();
        for layer in 0..layers {
            let width = if layer == 0 { inputs } else { units };
            parameters.push(path.f_var(&format!("weight_ih_l{layer}"), &[gates, width], init)?.into());
            parameters.push(path.f_var(&format!("weight_hh_l{layer}"), &[gates, units], init)?.into());
            parameters.push(path.f_var(&format!("bias_ih_l{layer}"), &[gates], init)?.into());
            parameters.push(path.f_var(&format!("bias_hh_l{layer}"), &[gates], init)?.into());
        }
        Ok(Self { cell, layers, units, parameters })
    }

    /// The last layer's outputs. `dropout` is the share left out between the layers in training.
    ///
    /// # Shapes
    /// `[batch, time, inputs]` → `[batch, time, units]`
    ///
    /// # Errors
    /// LibTorch's, for an input of another shape.
    pub fn forward(&self, input: &Tensor, dropout: f64, train: bool) -> Result<Tensor> {
        // Shaped by the input itself and not by a number read from it, so that a trace takes any batch.
        let first = input.f_narrow(1, 0, 1)?.f_narrow(2, 0, 1)?.f_transpose(0, 1)?;
        let start = first.f_zeros_like()?.f_expand([self.layers, -1, self.units], false)?.f_contiguous()?;
        Ok(match self.cell {
            Cell::Tanh => input.f_rnn_tanh(&start, &self.parameters, true, self.layers, dropout, train, false, true)?.0,
            Cell::Lstm => {
                let parameters: Vec<&Tensor> = self.parameters.iter().map(|parameter| &**parameter).collect();
                input.f_lstm(&[&start, &start], &parameters, true, self.layers, dropout, train, false, true)?.0
            }
        })
    }

    /// [`forward`](Self::forward) as operations of an ONNX graph.
    ///
    /// # Errors
    /// [`Error::Backend`] when a tensor cannot be read.
    pub fn export<'g>(&self, input: Value<'g>) -> crate::Result<Value<'g>> {
        let operation = match self.cell {
            Cell::Tanh => "RNN",
            Cell::Lstm => "LSTM",
        };
        // Both want the time first and the direction, of which there is one, in front of every weight.
        let mut hidden = input.permute(&[1, 0, 2]);
        for layer in self.parameters.chunks_exact(4) {
            let [input_weight, hidden_weight, input_bias, hidden_bias] =
                [0, 1, 2, 3].map(|index| self.gates_for_onnx(&layer[index]));
            let bias = Tensor::f_cat(&[input_bias?, hidden_bias?], 0)?.f_unsqueeze(0)?;
            let (input_weight, hidden_weight) = (input_weight?.f_unsqueeze(0)?, hidden_weight?.f_unsqueeze(0)?);
            let tensors = [("W", &input_weight), ("R", &hidden_weight), ("B", &bias)];
            hidden = hidden.layer(operation, &tensors, &[("hidden_size", Attribute::Int(self.units))])?.squeeze(1);
        }
        Ok(hidden.permute(&[1, 0, 2]))
    }

    /// PyTorch stacks an LSTM's gates as input, forget, cell, output; ONNX as input, output, forget, cell.
    fn gates_for_onnx(&self, stacked: &Tensor) -> Result<Tensor> {
        match self.cell {
            Cell::Tanh => Ok(stacked.shallow_clone()),
            Cell::Lstm => {
                let gate = |index| stacked.f_narrow(0, index * self.units, self.units);
                Tensor::f_cat(&[gate(0)?, gate(3)?, gate(1)?, gate(2)?], 0)
            }
        }
    }
}

/// Squeeze and excitation (Hu et al. 2018): scales each channel by a factor 0..1 computed from all channels' means.
#[derive(Debug)]
pub struct SqueezeExcite {
    reduce: Linear,
    expand: Linear,
}

impl SqueezeExcite {
    /// A bottleneck of `channels / reduction` units, at least 4.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn new(path: &Path, channels: i64, reduction: i64) -> Result<Self> {
        let hidden = (channels / reduction).max(4);
        Ok(Self {
            reduce: Linear::new(&path.sub("reduce"), channels, hidden)?,
            expand: Linear::new(&path.sub("expand"), hidden, channels)?,
        })
    }

    /// # Shapes
    /// `[batch, channels, height, width]` → the same
    ///
    /// # Errors
    /// LibTorch's, for another number of channels.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let means = global_average(input)?;
        let factors = self.expand.forward(&self.reduce.forward(&means)?.f_relu_()?)?.f_sigmoid()?;
        input.f_mul(&factors.f_unsqueeze(-1)?.f_unsqueeze(-1)?)
    }

    /// [`forward`](Self::forward) as operations of an ONNX graph.
    ///
    /// # Errors
    /// [`Error::Backend`] when a tensor cannot be read.
    pub fn export<'g>(&self, input: Value<'g>) -> crate::Result<Value<'g>> {
        let hidden = self.reduce.export(input.global_average())?.relu();
        Ok(input.times(self.expand.export(hidden)?.sigmoid().unsqueeze(2).unsqueeze(3)))
    }
}

/// A residual block (He et al. 2016): two 3×3 convolutions with batch norm, squeeze and excitation, and a shortcut that
/// is a 1×1 convolution where the shape changes.
#[derive(Debug)]
pub struct Residual {
    first: ConvBn,
    second: ConvBn,
    excite: SqueezeExcite,
    shortcut: Option<ConvBn>,
}

impl Residual {
    /// The first convolution and the shortcut take the `stride`. The second batch norm starts at one like the others.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn new(path: &Path, inputs: i64, outputs: i64, stride: i64) -> Result<Self> {
        let same = inputs == outputs && stride == 1;
        Ok(Self {
            first: ConvBn::new(&path.sub("first"), inputs, outputs, 3, stride)?,
            second: ConvBn::new(&path.sub("second"), outputs, outputs, 3, 1)?,
            excite: SqueezeExcite::new(&path.sub("excite"), outputs, 8)?,
            shortcut: if same { None } else { Some(ConvBn::new(&path.sub("shortcut"), inputs, outputs, 1, stride)?) },
        })
    }

    /// # Shapes
    /// `[batch, inputs, height, width]` → `[batch, outputs, ⌈height/stride⌉, ⌈width/stride⌉]`
    ///
    /// # Errors
    /// LibTorch's, for an input of another shape.
    pub fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        // What nobody else sees is changed in place, which saves fresh memory and the time to get it.
        let hidden = self.first.forward(input, train)?.f_relu_()?;
        let mut output = self.excite.forward(&self.second.forward(&hidden, train)?)?;
        match &self.shortcut {
            Some(shortcut) => output.f_add_(&shortcut.forward(input, train)?)?.f_relu_(),
            None => output.f_add_(input)?.f_relu_(),
        }
    }

    /// [`forward`](Self::forward) as operations of an ONNX graph.
    ///
    /// # Errors
    /// [`Error::Backend`] when a tensor cannot be read.
    pub fn export<'g>(&self, input: Value<'g>) -> crate::Result<Value<'g>> {
        let hidden = self.first.export(input)?.relu();
        let output = self.excite.export(self.second.export(hidden)?)?;
        let shortcut = self.shortcut.as_ref().map_or(Ok(input), |shortcut| shortcut.export(input))?;
        Ok(output.plus(shortcut).relu())
    }

    /// Folds every batch norm of the block, see [`ConvBn::fold`].
    ///
    /// # Errors
    /// LibTorch's.
    pub fn fold(&mut self) -> Result<()> {
        self.first.fold()?;
        self.second.fold()?;
        self.shortcut.as_mut().map_or(Ok(()), ConvBn::fold)
    }
}

/// The mean over every dimension after the second.
///
/// # Shapes
/// `[batch, channels, …]` → `[batch, channels]`
///
/// # Errors
/// LibTorch's, for fewer than 3 dimensions.
pub fn global_average(input: &Tensor) -> Result<Tensor> {
    let places: Vec<i64> = (2..input.dim() as i64).collect();
    input.f_mean_dim(places.as_slice(), false, None::<Kind>)
}

/// The same pictures with the channels of each place side by side in memory, which later layers keep. On processors
/// convolutions with many channels and batch norms run about a quarter faster this way (measured in training).
///
/// # Shapes
/// `[batch, channels, height, width]` → the same
///
/// # Errors
/// LibTorch's, for another number of dimensions.
pub fn channels_last(input: &Tensor) -> Result<Tensor> {
    let last = match input.size().get(1) {
        // A single channel lies the same either way, and only the step that is noted for it tells LibTorch which was meant.
        Some(1) => input.f_squeeze_dim(1)?.f_contiguous()?.f_unsqueeze(-1)?,
        _ => input.f_permute([0, 2, 3, 1])?.f_contiguous()?,
    };
    last.f_permute([0, 3, 1, 2])
}

/// Leaves out the share `rate`, 0..1, of the values in training and divides the others by what is left (Srivastava et al.
/// 2014), as LibTorch's `dropout` does. On a processor this takes a third of its time: LibTorch draws 64 random bits for each
/// value, and here they do for four, which rounds the share to 1/65536.
///
/// # Errors
/// LibTorch's, for a rate outside its range.
pub fn dropout(input: &Tensor, rate: f64, train: bool) -> Result<Tensor> {
    const STEPS: f64 = 65_536.0;
    let share = (rate * STEPS).round() / STEPS;
    let cheaply = train && share > 0.0 && share < 1.0 && input.device() == Device::Cpu && input.is_contiguous();
    if !cheaply {
        return input.f_dropout(rate, train);
    }
    let factors = tch::no_grad(|| {
        let count = input.numel() as i64;
        let mut bits = Tensor::f_empty([(count + 3) / 4], (Kind::Int64, Device::Cpu))?;
        let bits = bits.f_random_from_(i64::MIN, None)?.f_view_dtype(Kind::Int16)?.f_narrow(0, 0, count)?;
        let kept = bits.f_ge((share * STEPS) as i64 + i64::from(i16::MIN))?;
        kept.f_to_kind(input.kind())?.f_mul_scalar_(1.0 / (1.0 - share))?.f_view_as(input)
    })?;
    input.f_mul(&factors)
}

#[cfg(test)]
mod tests {
    use tch::nn::VarStore;
    use tch::{Device, Kind, no_grad};

    use super::*;

    #[test]
    fn batch_norm_starts_as_identity() {
        let store = VarStore::new(Device::Cpu);
        let norm = BatchNorm::new(&store.root(), 3).unwrap();
        let input = Tensor::randn([2, 3, 4, 4], (Kind::Float, Device::Cpu));
        let difference = (norm.forward(&input, false).unwrap() - &input).abs().max();
        assert!(difference.double_value(&[]) < 1e-4);
    }

    #[test]
    fn folding_keeps_the_outputs() {
        tch::manual_seed(3);
        let store = VarStore::new(Device::Cpu);
        let mut block = Residual::new(&store.root(), 4, 8, 2).unwrap();
        let input = Tensor::randn([16, 4, 12, 12], (Kind::Float, Device::Cpu));
        // A few passes in training mode give the batch norms statistics that matter.
        for _ in 0..5 {
            let _ = no_grad(|| block.forward(&input, true).unwrap());
        }
        let before = no_grad(|| block.forward(&input, false).unwrap());
        assert_eq!(before.size(), [16, 8, 6, 6]);
        block.fold().unwrap();
        let after = no_grad(|| block.forward(&input, false).unwrap());
        let worst = (&before - &after).abs().max().double_value(&[]) / before.abs().max().double_value(&[]);
        assert!(worst < 1e-5, "folded outputs differ by {worst} of the largest");
    }

    #[test]
    fn layers_take_over_the_batch_norm_before_them() {
        tch::manual_seed(4);
        let store = VarStore::new(Device::Cpu);
        let norm = BatchNorm::new(&store.root().sub("norm"), 4).unwrap();
        let conv = Conv2d::new(&store.root().sub("conv"), 4, 6, 3, 1, true).unwrap();
        let dense = Linear::new(&store.root().sub("dense"), 4, 5).unwrap();
        let _ = no_grad(|| norm.forward(&(Tensor::randn([64, 4], (Kind::Float, Device::Cpu)) * 2.0 + 3.0), true));
        let (scale, shift) = norm.affine().unwrap();
        let close = |got: Tensor, want: Tensor| {
            let worst = (got - &want).abs().max().double_value(&[]) / want.abs().max().double_value(&[]);
            assert!(worst < 1e-5, "differs by {worst} of the largest");
        };

        let pictures = Tensor::randn([3, 4, 7, 7], (Kind::Float, Device::Cpu));
        let both = conv.behind(&scale, &shift, 7).unwrap();
        close(both.forward(&pictures).unwrap(), conv.forward(&norm.forward(&pictures, false).unwrap()).unwrap());

        let rows = Tensor::randn([3, 4], (Kind::Float, Device::Cpu));
        let both = dense.behind(&scale, &shift).unwrap();
        close(both.forward(&rows).unwrap(), dense.forward(&norm.forward(&rows, false).unwrap()).unwrap());
    }

    #[test]
    fn channels_lie_last_even_where_there_is_one() {
        for channels in [1, 3] {
            let pictures = Tensor::randn([2, channels, 5, 7], (Kind::Float, Device::Cpu));
            let last = channels_last(&pictures).unwrap();
            assert_eq!(last, pictures);
            assert_eq!(last.stride(), [35 * channels, 1, 7 * channels, channels]);
        }
    }

    #[test]
    fn dropout_leaves_out_its_share_and_keeps_the_mean() {
        tch::manual_seed(6);
        // Not a multiple of four.
        let input = Tensor::ones([401, 501], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        for rate in [0.05, 0.3, 0.5, 0.9] {
            let output = dropout(&input, rate, true).unwrap();
            let left_out = output.eq(0.0).to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
            // Five deviations of a share among that many.
            let tolerance = 5.0 * (rate * (1.0 - rate) / input.numel() as f64).sqrt();
            assert!((left_out - rate).abs() < tolerance, "{left_out} instead of {rate}");
            let kept = output.max().double_value(&[]);
            assert!((kept - 1.0 / (1.0 - rate)).abs() < 1e-3, "{kept}");
            // Every one of the four parts of a random number leaves out as many.
            let parts = output.detach().flatten(0, 1).narrow(0, 0, 200_900).view([-1, 4]).eq(0.0);
            let parts: Vec<f64> = Vec::try_from(parts.to_kind(Kind::Double).mean_dim(0, false, Kind::Double)).unwrap();
            assert!(parts.iter().all(|part| (part - rate).abs() < 2.0 * tolerance), "{parts:?} instead of {rate}");
            assert!(Tensor::run_backward(&[output.sum(Kind::Float)], &[&input], false, false)[0] == output);
        }
        assert_eq!(dropout(&input, 0.3, false).unwrap(), input);
        assert_eq!(dropout(&input, 0.0, true).unwrap(), input);
        assert!(dropout(&input, 1.5, true).is_err());
    }

    #[test]
    fn wrong_shapes_are_errors_not_panics() {
        let store = VarStore::new(Device::Cpu);
        let conv = Conv2d::new(&store.root(), 3, 8, 3, 1, true).unwrap();
        assert!(conv.forward(&Tensor::zeros([1, 4, 8, 8], (Kind::Float, Device::Cpu))).is_err());
    }
}
