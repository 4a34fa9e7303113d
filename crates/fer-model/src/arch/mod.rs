//! The networks, one file each.

mod attention;
mod compact;
mod five_conv;
mod inception_v3;
mod mini_genie;
mod mlp;
mod realtime;
mod resnet;
mod script;
mod sequence;
mod transfer;
mod vgg;

pub use attention::{AttentionCnn, AttentionConfig};
pub use compact::{Compact, CompactConfig};
pub use five_conv::FiveConvCnn;
pub use inception_v3::{InceptionConfig, InceptionV3};
pub use mini_genie::MiniGenieCnn;
pub use mlp::Mlp;
pub use realtime::RealtimeCnn;
pub use resnet::{ResNet, ResNetConfig, ResNetDepth};
pub(crate) use script::Script;
pub use script::ScriptConfig;
pub use sequence::RowSequence;
pub use transfer::load_backbone;
pub use vgg::{Vgg, VggConfig, VggDepth};

use std::fmt;
use std::str::FromStr;

use model_kit::layers::{Cell, Network, Result};
use serde::{Deserialize, Serialize};
use tch::TchError;
use tch::nn::Path;

use crate::error::Error;

/// The batch norm of Keras averages with momentum 0.99, which LibTorch counts as 0.01.
const KERAS_MOMENTUM: f64 = 0.01;

/// What the batch norm of Keras adds to the variance.
const KERAS_EPS: f64 = 1e-3;

/// Which network, with its settings: what a weights file needs to say so that the network can be built again.
///
/// As a text, for command lines, it is one of the names `compact`, `compact_tiny`, `compact_wide`, `compact_large`,
/// `attention_cnn`, `attention_cnn_wide`, `inception_v3`, `resnet18`, `resnet34`, `resnet50`, `vgg11`, `vgg11_bn` and so on
/// for 13, 16 and 19 layers, each of these from `inception_v3` on also with `_frozen` behind it, `mini_genie_cnn`,
/// `realtime_cnn`, `five_conv_cnn`, `mlp`, `rnn` and `lstm`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Arch {
    /// Our own residual network, see [`Compact`].
    Compact(CompactConfig),
    /// See [`AttentionCnn`].
    AttentionCnn(AttentionConfig),
    /// See [`InceptionV3`].
    #[serde(rename = "inception_v3")]
    InceptionV3(InceptionConfig),
    /// See [`ResNet`].
    #[serde(rename = "resnet")]
    ResNet(ResNetConfig),
    /// See [`Vgg`].
    Vgg(VggConfig),
    /// See [`MiniGenieCnn`].
    MiniGenieCnn,
    /// See [`RealtimeCnn`].
    RealtimeCnn,
    /// See [`FiveConvCnn`].
    FiveConvCnn,
    /// See [`Mlp`].
    Mlp,
    /// See [`RowSequence`], with plain cells.
    Rnn,
    /// See [`RowSequence`], with LSTM cells.
    Lstm,
    /// Whatever stands in a TorchScript file: it is loaded ([`FerModel::load`](crate::FerModel::load)), never built.
    TorchScript(ScriptConfig),
}

impl Default for Arch {
    fn default() -> Self {
        Self::Compact(CompactConfig::default())
    }
}

impl Arch {
    /// Every network with its default settings.
    pub fn all() -> [Self; 11] {
        [
            Self::default(),
            Self::AttentionCnn(AttentionConfig::default()),
            Self::InceptionV3(InceptionConfig::default()),
            Self::ResNet(ResNetConfig::default()),
            Self::Vgg(VggConfig::default()),
            Self::MiniGenieCnn,
            Self::RealtimeCnn,
            Self::FiveConvCnn,
            Self::Mlp,
            Self::Rnn,
            Self::Lstm,
        ]
    }

    /// The networks that come in more than one size or mode, with their named settings other than the default.
    pub fn presets() -> Vec<Self> {
        let mut presets = vec![
            Self::Compact(CompactConfig::tiny()),
            Self::Compact(CompactConfig::wide()),
            Self::Compact(CompactConfig::large()),
            Self::AttentionCnn(AttentionConfig::wide()),
        ];
        for frozen in [false, true] {
            presets.push(Self::InceptionV3(InceptionConfig { frozen, ..InceptionConfig::default() }));
            for depth in ResNetDepth::ALL {
                presets.push(Self::ResNet(ResNetConfig { depth, frozen, ..ResNetConfig::default() }));
            }
            for depth in VggDepth::ALL {
                for batch_norm in [false, true] {
                    presets.push(Self::Vgg(VggConfig { depth, batch_norm, frozen, ..VggConfig::default() }));
                }
            }
        }
        presets.retain(|preset| !Self::all().contains(preset));
        presets
    }

    /// Builds the network for 48×48 grey pictures.
    ///
    /// # Errors
    /// LibTorch's, and one for [`Arch::TorchScript`].
    pub fn build(&self, path: &Path, classes: usize) -> Result<Box<dyn Network>> {
        let classes = classes as i64;
        Ok(match self {
            Self::Compact(config) => Box::new(Compact::new(path, config, classes)?),
            Self::AttentionCnn(config) => Box::new(AttentionCnn::new(path, config, classes)?),
            Self::InceptionV3(config) => Box::new(InceptionV3::new(path, config, classes)?),
            Self::ResNet(config) => Box::new(ResNet::new(path, config, classes)?),
            Self::Vgg(config) => Box::new(Vgg::new(path, config, classes)?),
            Self::MiniGenieCnn => Box::new(MiniGenieCnn::new(path, classes)?),
            Self::RealtimeCnn => Box::new(RealtimeCnn::new(path, classes)?),
            Self::FiveConvCnn => Box::new(FiveConvCnn::new(path, classes)?),
            Self::Mlp => Box::new(Mlp::new(path, classes)?),
            Self::Rnn => Box::new(RowSequence::new(path, Cell::Tanh, classes)?),
            Self::Lstm => Box::new(RowSequence::new(path, Cell::Lstm, classes)?),
            Self::TorchScript(_) => {
                return Err(TchError::Torch("the network of a TorchScript file is loaded, not built".into()));
            }
        })
    }
}

impl fmt::Display for Arch {
    /// The name of the network and of its preset; settings of one's own go by the name of the network alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frozen = |frozen: bool| if frozen { "_frozen" } else { "" };
        f.pad(match self {
            Self::InceptionV3(config) => return f.pad(&format!("inception_v3{}", frozen(config.frozen))),
            Self::ResNet(config) => {
                return f.pad(&format!("resnet{}{}", u8::from(config.depth), frozen(config.frozen)));
            }
            Self::Vgg(config) => {
                let norm = if config.batch_norm { "_bn" } else { "" };
                return f.pad(&format!("vgg{}{norm}{}", u8::from(config.depth), frozen(config.frozen)));
            }
            Self::Compact(config) if *config == CompactConfig::tiny() => "compact_tiny",
            Self::Compact(config) if *config == CompactConfig::wide() => "compact_wide",
            Self::Compact(config) if *config == CompactConfig::large() => "compact_large",
            Self::AttentionCnn(config) if *config == AttentionConfig::wide() => "attention_cnn_wide",
            Self::Compact(_) => "compact",
            Self::AttentionCnn(_) => "attention_cnn",
            Self::MiniGenieCnn => "mini_genie_cnn",
            Self::RealtimeCnn => "realtime_cnn",
            Self::FiveConvCnn => "five_conv_cnn",
            Self::Mlp => "mlp",
            Self::Rnn => "rnn",
            Self::Lstm => "lstm",
            Self::TorchScript(_) => "torch_script",
        })
    }
}

impl FromStr for Arch {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let known = || Self::all().into_iter().chain(Self::presets());
        known().find(|arch| arch.to_string() == name).ok_or_else(|| Error::InvalidConfig {
            field: "arch",
            expected: known().map(|arch| arch.to_string()).collect::<Vec<_>>().join(", "),
            got: name.to_owned(),
        })
    }
}

/// The number of trainable parameters of a network.
#[cfg(test)]
fn parameters(arch: &Arch, classes: usize) -> i64 {
    let store = tch::nn::VarStore::new(tch::Device::Cpu);
    let network = arch.build(&store.root(), classes).unwrap();
    let input = tch::Tensor::zeros([2, 1, 48, 48], (tch::Kind::Float, tch::Device::Cpu));
    let output = tch::no_grad(|| network.forward(&input, false)).unwrap();
    assert_eq!(output.size(), [2, classes as i64]);
    store.trainable_variables().iter().map(|tensor| tensor.numel() as i64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for arch in Arch::all().into_iter().chain(Arch::presets()) {
            assert_eq!(arch.to_string().parse::<Arch>().unwrap(), arch);
            let json = serde_json::to_string(&arch).unwrap();
            assert_eq!(serde_json::from_str::<Arch>(&json).unwrap(), arch);
        }
        for arch in Arch::all() {
            // A file says the depth apart from the name.
            let name = match &arch {
                Arch::ResNet(_) => "resnet".to_owned(),
                Arch::Vgg(_) => "vgg".to_owned(),
                other => other.to_string(),
            };
            assert!(serde_json::to_string(&arch).unwrap().contains(&format!("\"name\":\"{name}\"")));
        }
        let frozen = Arch::Vgg(VggConfig { batch_norm: false, frozen: true, ..VggConfig::default() });
        assert_eq!("vgg16_frozen".parse::<Arch>().unwrap(), frozen);
        assert!("vgg12".parse::<Arch>().is_err());
    }
}
