//! The networks, one file each, and [`Architecture`], which names them in files and on command lines.

use std::fmt;
use std::str::FromStr;

use model_kit::export::{Attribute, Value};
use model_kit::layers::{Cell, Network, Result as TorchResult};
use serde::{Deserialize, Serialize};
use tch::nn::Path;
use tch::{Kind, Tensor};

use crate::Error;

mod cnn_lstm;
mod deep_cnn_1d;
mod endpoints;
mod four_conv_cnn;
mod log_mel_cnn;
mod masked_cnn;
mod memory;
mod mfcc_cnn;
mod mfcc_sequence;
mod mlp;
mod speech_mask;

pub use cnn_lstm::CnnLstm;
pub use deep_cnn_1d::DeepCnn1d;
pub use four_conv_cnn::FourConvCnn;
pub use log_mel_cnn::{LogMelCnn, LogMelCnnConfig};
pub use masked_cnn::MaskedCnn;
pub use mfcc_cnn::MfccCnn;
pub use mfcc_sequence::MfccSequence;
pub use mlp::Mlp;

/// The length of the classic input vector, see [`audio_features::summary`].
pub const VECTOR: i64 = 162;

/// How many frames of MFCCs are looked at at a time: 2 s, a frame every 16 ms.
pub const MFCC_FRAMES: i64 = 128;

/// A network of this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Architecture {
    /// [`MaskedCnn`], the default: [`LogMelCnn`] behind an estimate of what is the speaker's, for places where others talk.
    #[default]
    MaskedCnn,
    /// [`LogMelCnn`]: any length of sound, speaker-independent training in mind.
    LogMelCnn,
    /// [`DeepCnn1d`] on the 162-vector.
    DeepCnn1d,
    /// [`FourConvCnn`] on the 162-vector.
    FourConvCnn,
    /// [`CnnLstm`] on the 162-vector.
    CnnLstm,
    /// [`Mlp`] on the 162-vector.
    Mlp,
    /// [`MfccSequence`] with plain cells.
    Rnn,
    /// [`MfccSequence`] with LSTM cells.
    Lstm,
    /// [`MfccCnn`] on the picture of MFCCs.
    MfccCnn,
}

impl Architecture {
    /// Every network.
    pub const ALL: [Architecture; 9] = [
        Architecture::MaskedCnn,
        Architecture::LogMelCnn,
        Architecture::DeepCnn1d,
        Architecture::FourConvCnn,
        Architecture::CnnLstm,
        Architecture::Mlp,
        Architecture::Rnn,
        Architecture::Lstm,
        Architecture::MfccCnn,
    ];

    /// The name of the network's type.
    pub fn name(self) -> &'static str {
        match self {
            Architecture::MaskedCnn => "MaskedCnn",
            Architecture::LogMelCnn => "LogMelCnn",
            Architecture::DeepCnn1d => "DeepCnn1d",
            Architecture::FourConvCnn => "FourConvCnn",
            Architecture::CnnLstm => "CnnLstm",
            Architecture::Mlp => "Mlp",
            Architecture::Rnn => "Rnn",
            Architecture::Lstm => "Lstm",
            Architecture::MfccCnn => "MfccCnn",
        }
    }

    /// Whether the network looks at a log-mel image.
    pub fn reads_log_mel(self) -> bool {
        matches!(self, Architecture::MaskedCnn | Architecture::LogMelCnn)
    }

    /// Whether the network looks at [`MFCC_FRAMES`] of MFCCs; the one that looks neither at these nor at a log-mel image
    /// reads the 162-vector.
    pub fn reads_mfcc(self) -> bool {
        matches!(self, Architecture::Rnn | Architecture::Lstm | Architecture::MfccCnn)
    }

    /// Builds the network with fresh weights in the store of `path`. `rows` is the number of mel bands, or of numbers in a
    /// frame of MFCCs; it does not matter to the networks on the 162-vector.
    ///
    /// # Errors
    /// LibTorch's.
    pub fn build(self, path: &Path, rows: i64, classes: i64) -> TorchResult<Box<dyn Network>> {
        let log_mel = LogMelCnnConfig { n_mels: rows, classes, ..LogMelCnnConfig::default() };
        Ok(match self {
            Architecture::MaskedCnn => Box::new(MaskedCnn::new(path, &log_mel)?),
            Architecture::LogMelCnn => Box::new(LogMelCnn::new(path, &log_mel)?),
            Architecture::DeepCnn1d => Box::new(DeepCnn1d::new(path, classes)?),
            Architecture::FourConvCnn => Box::new(FourConvCnn::new(path, classes)?),
            Architecture::CnnLstm => Box::new(CnnLstm::new(path, classes)?),
            Architecture::Mlp => Box::new(Mlp::new(path, classes)?),
            Architecture::Rnn => Box::new(MfccSequence::new(path, Cell::Tanh, rows, classes)?),
            Architecture::Lstm => Box::new(MfccSequence::new(path, Cell::Lstm, rows, classes)?),
            Architecture::MfccCnn => Box::new(MfccCnn::new(path, rows, classes)?),
        })
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Architecture {
    type Err = Error;

    /// Reads [`name`](Self::name) in any case, hyphens and underscores ignored (`log-mel-cnn`).
    fn from_str(name: &str) -> Result<Self, Error> {
        let plain = name.trim().replace(['-', '_'], "");
        Architecture::ALL.into_iter().find(|arch| arch.name().eq_ignore_ascii_case(&plain)).ok_or_else(|| {
            let expected = Architecture::ALL.map(Architecture::name).join(", ");
            Error::UnknownArchitecture { expected, got: name.to_owned() }
        })
    }
}

/// Keras's `MaxPooling1D(pool_size=5, strides=2, padding="same")`: pads so that the length halves, rounded up, and puts the
/// odd place at the end.
///
/// # Shapes
/// `[batch, channels, 1, length]` → `[batch, channels, 1, ⌈length/2⌉]`
fn pool_5_by_2_same(input: &Tensor) -> TorchResult<Tensor> {
    let length = *input.size().last().unwrap_or(&0);
    let padding = ((length + 1) / 2 - 1) * 2 + 5 - length;
    // PyTorch pads both sides alike, with what never wins; rounding up allows the last window one place more.
    input.f_max_pool2d([1, 5], [1, 2], [0, padding / 2], [1, 1], true)
}

/// [`pool_5_by_2_same`] in an ONNX graph, which knows this padding by name.
fn pool_5_by_2_same_onnx(input: Value<'_>) -> Value<'_> {
    let ints = |value| Attribute::Ints(vec![value]);
    let attributes = [("auto_pad", Attribute::Text("SAME_UPPER")), ("kernel_shape", ints(5)), ("strides", ints(2))];
    input.node("MaxPool", &[], &attributes)
}

/// The 162-vector as a sequence of one channel.
///
/// # Shapes
/// `[batch, 162]` → `[batch, 1, 162]`, in f32; other lengths are an error
fn as_sequence(input: &Tensor) -> TorchResult<Tensor> {
    input.f_to_kind(Kind::Float)?.f_unflatten(1, [1, VECTOR])
}

/// 1 where a mask is above 0, else 0.
fn is_sound(mask: Value<'_>) -> Value<'_> {
    mask.node("Sign", &[], &[]).relu()
}

/// Whether a tensor of this name belongs to the layer that tells the classes apart.
pub(crate) fn is_last_layer(name: &str) -> bool {
    name.strip_prefix("network.").unwrap_or(name).starts_with("output.")
}

#[cfg(test)]
mod tests {
    use tch::nn::VarStore;
    use tch::{Device, no_grad};

    use super::*;

    fn rows(arch: Architecture) -> i64 {
        if arch.reads_mfcc() { 40 } else { 64 }
    }

    fn parameters(arch: Architecture) -> i64 {
        let store = VarStore::new(Device::Cpu);
        arch.build(&store.root(), rows(arch), 8).unwrap();
        store.trainable_variables().iter().map(|tensor| tensor.numel() as i64).sum()
    }

    #[test]
    fn parameter_counts_are_those_of_the_papers_widths() {
        assert_eq!(parameters(Architecture::DeepCnn1d), 557_288);
        assert_eq!(parameters(Architecture::Mlp), 162 * 300 + 300 + 300 * 8 + 8);
        // Convolutions, their batch norms, dense layers, their batch norms, output.
        let four_conv = 861_440 + 1_920 + 3_048_320 + 1_792 + 1_032;
        assert_eq!(parameters(Architecture::FourConvCnn), four_conv);
        // Convolutions, LSTM with PyTorch's two biases, dense, output.
        assert_eq!(parameters(Architecture::CnnLstm), 384 + 41_088 + 132_096 + 8_256 + 520);
        assert_eq!(parameters(Architecture::LogMelCnn), 889_641);
        // One more image for the stem, and the mask: three stages, two LSTMs with PyTorch's two biases, dense.
        let mask = (624 + 24) + (10_368 + 96) + (27_648 + 128) + 2 * 147_968 + 41_665;
        assert_eq!(parameters(Architecture::MaskedCnn), 889_641 + 800 + mask);
        // Two layers with PyTorch's two biases, output.
        assert_eq!(parameters(Architecture::Rnn), 21_760 + 33_024 + 1_032);
        assert_eq!(parameters(Architecture::Lstm), 4 * 21_760 + 4 * 33_024 + 1_032);
        // Convolutions, dense on 5 × 16 places of 128, output.
        assert_eq!(parameters(Architecture::MfccCnn), 320 + 18_496 + 73_856 + 1_310_848 + 1_032);
    }

    #[test]
    fn every_network_gives_one_row_a_sample() {
        for arch in Architecture::ALL {
            let store = VarStore::new(Device::Cpu);
            let network = arch.build(&store.root(), rows(arch), 8).unwrap();
            let shape: &[i64] = match (arch.reads_log_mel(), arch.reads_mfcc()) {
                (true, _) => &[3, 65, 50],
                (_, true) => &[3, 41, MFCC_FRAMES],
                _ => &[3, VECTOR],
            };
            let input = Tensor::ones(shape, (Kind::Float, Device::Cpu));
            for train in [false, true] {
                let logits = no_grad(|| network.forward(&input, train)).unwrap();
                let auxiliary = if train && arch == Architecture::MaskedCnn { 65 * 25 } else { 0 };
                assert_eq!(logits.size(), [3, 8 + auxiliary], "{arch}");
            }
            assert_eq!(arch.name().to_lowercase().parse::<Architecture>().unwrap(), arch);
            let wrong = Tensor::ones([3, 7], (Kind::Float, Device::Cpu));
            assert!(no_grad(|| network.forward(&wrong, false)).is_err(), "{arch}");
        }
        assert!(matches!("resnet".parse::<Architecture>(), Err(Error::UnknownArchitecture { .. })));
    }

    #[test]
    fn padding_and_folding_change_nothing_of_log_mel_networks() {
        for arch in Architecture::ALL.into_iter().filter(|arch| arch.reads_log_mel()) {
            tch::manual_seed(5);
            let store = VarStore::new(Device::Cpu);
            let mut network = arch.build(&store.root(), 64, 8).unwrap();
            // Some passes in training mode give the batch norms statistics that matter.
            let noise = Tensor::randn([8, 65, 60], (Kind::Float, Device::Cpu)).abs();
            for _ in 0..3 {
                let _ = no_grad(|| network.forward(&noise, true).unwrap());
            }
            let mut before = Vec::new();
            for frames in 26..30 {
                let clip = Tensor::randn([1, 65, frames], (Kind::Float, Device::Cpu));
                let _ = clip.narrow(1, 64, 1).fill_(1.0);
                let alone = no_grad(|| network.forward(&clip, false).unwrap());
                // Padding filled with anything, and a mask that says so.
                let padding = Tensor::randn([1, 65, 23], (Kind::Float, Device::Cpu));
                let _ = padding.narrow(1, 64, 1).fill_(0.0);
                let padded = no_grad(|| network.forward(&Tensor::cat(&[&clip, &padding], 2), false).unwrap());
                let worst = (&alone - padded).abs().max().double_value(&[]);
                assert!(worst < 1e-5, "{arch}, {frames} frames: {worst}");
                before.push((clip, alone));
            }
            network.fold().unwrap();
            for (clip, alone) in before {
                let folded = no_grad(|| network.forward(&clip, false).unwrap());
                assert!((alone - folded).abs().max().double_value(&[]) < 1e-4, "{arch}");
            }
        }
    }

    #[test]
    fn padding_behind_a_sequence_does_not_change_the_answer() {
        for arch in [Architecture::Rnn, Architecture::Lstm] {
            let store = VarStore::new(Device::Cpu);
            let network = arch.build(&store.root(), 40, 8).unwrap();
            let short = Tensor::randn([2, 41, 30], (Kind::Float, Device::Cpu));
            let _ = short.narrow(1, 40, 1).fill_(1.0);
            let padded = short.constant_pad_nd([0, 25]);
            let answer = |input: &Tensor| no_grad(|| network.forward(input, false)).unwrap();
            let worst: f64 = (answer(&short) - answer(&padded)).abs().max().try_into().unwrap();
            assert!(worst < 1e-6, "{arch}: {worst}");
        }
    }

    #[test]
    fn the_pool_halves_rounding_up_and_pads_like_keras() {
        let input = Tensor::arange(162, (Kind::Float, Device::Cpu)).view([1, 1, 1, 162]);
        let mut lengths = Vec::new();
        let mut current = input.shallow_clone();
        for _ in 0..4 {
            current = pool_5_by_2_same(&current).unwrap();
            lengths.push(current.size()[3]);
        }
        assert_eq!(lengths, [81, 41, 21, 11]);
        // With one place before and two after, the first window holds samples 0 to 3, the last 159 to 161.
        let pooled: Vec<f32> = Vec::try_from(pool_5_by_2_same(&input).unwrap().flatten(0, -1)).unwrap();
        assert_eq!((pooled[0], pooled[80]), (3.0, 161.0));
    }
}
