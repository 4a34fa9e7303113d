//! What `--weights` says of a face model, the same in every example.

use fer_model::{FerModel, Pretrained, Result};
use model_kit::device::Device;

/// `pretrained`, `pretrained-ferplus` or `pretrained-tiny` for those that come with the crate, else a model file.
pub(crate) fn open(weights: &str, device: Device) -> Result<FerModel> {
    let which = match weights {
        "pretrained" | "pretrained-face" => Pretrained::Face7,
        "pretrained-ferplus" => Pretrained::FerPlus8,
        "pretrained-tiny" => Pretrained::Tiny,
        file => return FerModel::load_on(file, device),
    };
    FerModel::pretrained_as(which, device)
}
