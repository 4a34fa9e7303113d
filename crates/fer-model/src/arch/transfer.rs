//! Weights that others trained.

use std::collections::BTreeMap;

use model_kit::weights::Weights;
use tch::nn::VarStore;

use crate::error::Result;

/// The last layer of every network here.
const HEAD: &str = "head.";

/// What torchvision's weights hold beside a backbone: the last layer for ImageNet's classes, the auxiliary classifier of
/// Inception-v3, and how many steps each batch norm has seen.
fn is_backbone(name: &str) -> bool {
    !(name.starts_with("fc.") || name.starts_with("AuxLogits.") || name.ends_with(".num_batches_tracked"))
}

/// Copies weights into everything but the last layer of a network, which keeps its own, such as those that
/// `torchvision.models.inception_v3(weights="DEFAULT").state_dict()` gives when `safetensors.torch.save_file` writes
/// them. Weights of the last layer, under torchvision's name or ours, are passed over.
///
/// # Errors
/// [`Error::Model`](crate::Error::Model) with every missing, unexpected and mis-shaped name, and then nothing is copied.
pub fn load_backbone(weights: &Weights, store: &VarStore) -> Result<()> {
    let mut backbone = weights.strip_prefix("");
    backbone.tensors.retain(|name, _| is_backbone(name) && !name.starts_with(HEAD));
    let head: BTreeMap<_, _> = store.variables().into_iter().filter(|(name, _)| name.starts_with(HEAD)).collect();
    backbone.tensors.extend(head);
    Ok(backbone.load_into(store)?)
}
