//! What the networks for large pictures in colour share: how grey faces enter them, and weights that others trained.

use std::fmt;

use model_kit::export::Value;
use model_kit::layers::{self, Linear, Network};
use model_kit::weights::Weights;
use tch::nn::{Path, VarStore};
use tch::{Tensor, no_grad};

use crate::error::Result;

/// A network for large pictures in colour, without what tells its classes apart.
pub trait Backbone: fmt::Debug + Send + Sync {
    /// # Shapes
    /// `pictures` `[batch, 3, side, side]` → `[batch, features]`
    ///
    /// # Errors
    /// LibTorch's.
    fn forward(&self, pictures: &Tensor, train: bool) -> layers::Result<Tensor>;

    /// [`forward`](Self::forward) in an ONNX graph.
    ///
    /// # Errors
    /// [`Error::Backend`](model_kit::Error::Backend) when a tensor cannot be read.
    fn export<'g>(&self, pictures: Value<'g>) -> model_kit::Result<Value<'g>>;

    /// Merges batch norms into the layers before them.
    ///
    /// # Errors
    /// LibTorch's.
    fn fold(&mut self) -> layers::Result<()>;

    /// Keeps training from changing any weight.
    fn freeze(&self);
}

/// How faces enter a backbone, and what training does to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Use {
    pub side: i64,
    pub frozen: bool,
    pub dropout: f64,
}

/// A backbone that sees grey faces, made larger and given three times, and a new last layer behind it. Left out is
/// torchvision's own scaling of the input: standardised grey pixels have about the mean and deviation that ImageNet's
/// statistics would give them.
#[derive(Debug)]
pub struct Transfer<B> {
    backbone: B,
    head: Linear,
    usage: Use,
}

impl<B: Backbone> Transfer<B> {
    /// `sizes` are the features that the backbone gives and the classes.
    pub(super) fn of(path: &Path, backbone: B, sizes: [i64; 2], usage: Use) -> layers::Result<Self> {
        if usage.frozen {
            backbone.freeze();
        }
        Ok(Self { backbone, head: Linear::new(&path.sub("head"), sizes[0], sizes[1])?, usage })
    }
}

impl<B: Backbone> Network for Transfer<B> {
    /// # Shapes
    /// `[batch, 1, 48, 48]` (other sizes work too) → `[batch, classes]`
    fn forward(&self, input: &Tensor, train: bool) -> layers::Result<Tensor> {
        self.head.forward(&self.features(input, train)?)
    }

    /// # Shapes
    /// `[batch, 1, 48, 48]` → `[batch, features]`
    fn features(&self, input: &Tensor, train: bool) -> layers::Result<Tensor> {
        let Use { side, frozen, dropout } = self.usage;
        let large = input.f_upsample_bilinear2d([side; 2], false, None, None)?.f_expand([-1, 3, -1, -1], false)?;
        let features = if frozen {
            // Frozen are the statistics of the batch norms too.
            no_grad(|| self.backbone.forward(&large, false))?
        } else {
            self.backbone.forward(&large, train)?
        };
        features.f_dropout(dropout, train)
    }

    fn export<'g>(&self, input: Value<'g>) -> model_kit::Result<Value<'g>> {
        let large = input.upsample_bilinear([self.usage.side; 2]).expand(&[1, 3, 1, 1]);
        self.head.export(self.backbone.export(large)?)
    }

    fn fold(&mut self) -> layers::Result<()> {
        self.backbone.fold()
    }
}

/// The last layer of every network here.
const HEAD: &str = "head.";

/// What torchvision's weights hold beside a backbone: the layers that tell ImageNet's classes apart, the auxiliary
/// classifier of Inception-v3, and how many steps each batch norm has seen.
fn is_backbone(name: &str) -> bool {
    let beside = ["fc.", "classifier.", "AuxLogits."];
    !(beside.iter().any(|part| name.starts_with(part)) || name.ends_with(".num_batches_tracked"))
}

/// Copies weights into everything but the last layer of a network, which keeps its own, such as those that
/// `torchvision.models.resnet18(weights="DEFAULT").state_dict()` gives when `safetensors.torch.save_file` writes them.
/// Weights of the last layer, under torchvision's name or ours, are passed over.
///
/// # Errors
/// [`Error::Model`](crate::Error::Model) with every missing, unexpected and mis-shaped name, and then nothing is copied.
pub fn load_backbone(weights: &Weights, store: &VarStore) -> Result<()> {
    Ok(weights.load_all_but(|name| !is_backbone(name) || name.starts_with(HEAD), store)?)
}

/// Checks a backbone of so many parameters and features, in both modes: what is trained, what comes out, and that folding
/// changes none of it.
#[cfg(test)]
pub(super) fn check_modes(arch: impl Fn(bool) -> super::Arch, backbone: i64, features: i64) {
    use tch::{Device, Kind};

    let count = |tensors: &[Tensor]| tensors.iter().map(|tensor| tensor.numel() as i64).sum::<i64>();
    let head = 7 * (features + 1);
    assert_eq!(super::parameters(&arch(false), 7), backbone + head);

    let store = VarStore::new(Device::Cpu);
    let mut network = arch(true).build(&store.root(), 7).unwrap();
    let trained: Vec<Tensor> = store.variables().into_values().filter(Tensor::requires_grad).collect();
    assert_eq!(count(&trained), head);
    let input = Tensor::randn([2, 1, 48, 48], (Kind::Float, Device::Cpu));
    let logits = network.forward(&input, true).unwrap();
    logits.square().sum(Kind::Float).backward();
    assert!(trained.iter().all(|tensor| tensor.grad().defined()));
    assert_eq!(no_grad(|| network.features(&input, false)).unwrap().size(), [2, features]);
    network.fold().unwrap();
    let folded = no_grad(|| network.forward(&input, false)).unwrap();
    let error = (&folded - &logits).abs().max().double_value(&[]) / logits.abs().max().double_value(&[]);
    assert!(error < 1e-5, "folded outputs differ by {error} of the largest");
}
