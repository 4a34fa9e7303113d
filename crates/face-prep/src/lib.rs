#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod align;
pub mod augment;
mod crop;
pub mod detect;
mod equalize;
mod error;
mod fer;
mod geometry;
mod gray;
pub mod quality;
mod resize;
mod smooth;
mod track;
mod warp;

pub use align::{Template, align, similarity};
pub use crop::{crop, crop_resized};
pub use detect::cascade::{Cascade, CascadeConfig, CascadeDetector, CascadeHit, LeveledHit};
#[cfg(feature = "mtcnn")]
pub use detect::mtcnn::{Mtcnn, MtcnnConfig};
pub use detect::{Detection, FaceDetector};
pub use equalize::{ClaheConfig, clahe, equalize_hist};
pub use error::Error;
pub use fer::{FER_MARGIN, FER_SIDE, RGB_SIDE, face_gray48, face_rgb224};
pub use geometry::{Affine, BoundingBox, Point};
pub use gray::{gray, gray_into};
pub use quality::FaceQuality;
pub use resize::{Filter, resize};
pub use track::{TrackedFace, Tracker, TrackerConfig};
pub use warp::{Border, warp_affine};
