//! The models that come with the crate.

use std::fmt;

use model_kit::device::Device;

#[cfg(any(doc, not(feature = "pretrained")))]
use crate::error::Error;
use crate::error::Result;
use crate::model::FerModel;

/// A model that this workspace trained. Their cards, with figures and terms, are `weights/README.md` in this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Pretrained {
    /// FER-2013's seven expressions: the best one, and what [`FerModel::pretrained`] loads.
    #[default]
    Face7,
    /// FER+'s eight, contempt among them, as probabilities of what most of ten people would say.
    FerPlus8,
    /// FER-2013's seven by a network of a twelfth of the size, for small devices.
    Tiny,
}

impl Pretrained {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Face7, Self::FerPlus8, Self::Tiny];

    /// The weights file.
    #[cfg(feature = "pretrained")]
    fn bytes(self) -> &'static [u8] {
        match self {
            Self::Face7 => include_bytes!("../weights/compact.safetensors"),
            Self::FerPlus8 => include_bytes!("../weights/ferplus.safetensors"),
            Self::Tiny => include_bytes!("../weights/tiny.safetensors"),
        }
    }
}

impl fmt::Display for Pretrained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Face7 => "face7",
            Self::FerPlus8 => "ferplus8",
            Self::Tiny => "tiny",
        })
    }
}

impl FerModel {
    /// The model of FER-2013's seven expressions that this workspace trained, on the processor.
    ///
    /// # Errors
    /// [`Error::NotEmbedded`] when the feature `pretrained` is off.
    pub fn pretrained() -> Result<Self> {
        Self::pretrained_on(Device::Cpu)
    }

    /// The same on a device.
    ///
    /// # Errors
    /// As [`pretrained`](Self::pretrained), and [`Error::Model`] for a device that is not there.
    pub fn pretrained_on(device: Device) -> Result<Self> {
        Self::pretrained_as(Pretrained::Face7, device)
    }

    /// Another model that this workspace trained, on a device.
    ///
    /// # Errors
    /// As [`pretrained_on`](Self::pretrained_on).
    #[cfg_attr(not(feature = "pretrained"), allow(unused_variables, reason = "there is nothing to put on the device"))]
    pub fn pretrained_as(which: Pretrained, device: Device) -> Result<Self> {
        #[cfg(feature = "pretrained")]
        {
            use model_kit::weights::Weights;

            Self::from_weights(&Weights::from_bytes(which.bytes(), format!("<pretrained {which}>"))?, device)
        }
        #[cfg(not(feature = "pretrained"))]
        Err(Error::NotEmbedded)
    }
}

#[cfg(all(test, feature = "pretrained"))]
mod tests {
    use emotion_core::{EmotionModel, LabelSet};
    use image::GrayImage;

    use super::*;

    #[test]
    fn every_model_is_small_and_speaks_of_its_labels() {
        let face = GrayImage::from_fn(48, 48, |x, y| image::Luma([(3 * x + 2 * y) as u8]));
        for (which, labels, limit) in [
            (Pretrained::Face7, LabelSet::face7(), 6_000_000),
            (Pretrained::FerPlus8, LabelSet::ferplus8(), 6_000_000),
            (Pretrained::Tiny, LabelSet::face7(), 300_000),
        ] {
            assert!(which.bytes().len() <= limit, "{which} takes {} bytes", which.bytes().len());
            let model = FerModel::pretrained_as(which, Device::Cpu).unwrap();
            assert_eq!((EmotionModel::labels(&model), model.predict(&face).unwrap().labels()), (&labels, &labels));
        }
    }
}
