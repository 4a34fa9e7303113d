//! What a cascade is made of, checked once so that the evaluation need not check again.

use std::path::{Path, PathBuf};

use super::{compact, xml};
use crate::Error;

/// OpenCV lowers every stage's threshold by this (`THRESHOLD_EPS`), so that sums on the edge pass.
const THRESHOLD_EPS: f32 = 1e-5;

/// The longest side of a cascade's window. OpenCV's own have at most 76 pixels; sums of a window this size fit f32's integers.
const LARGEST_WINDOW: u32 = 255;

/// A trained Viola-Jones cascade: stages of small decision trees over sums of rectangles (Haar) or over local binary patterns.
///
/// Parsed and checked once; `Send + Sync`, so one cascade in an [`Arc`](std::sync::Arc) serves many
/// [`CascadeDetector`](super::CascadeDetector)s.
#[derive(Debug, Clone, PartialEq)]
pub struct Cascade {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) features: Features,
    pub(super) stages: Vec<Stage>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Features {
    Haar(Vec<HaarFeature>),
    /// The left upper block of three by three.
    Lbp(Vec<Rect>),
}

/// Up to three weighted rectangles. A feature of two has a third of weight 0.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct HaarFeature {
    pub(super) rects: [Rect; 3],
    pub(super) weights: [f32; 3],
    pub(super) tilted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Rect {
    pub(super) x: u8,
    pub(super) y: u8,
    pub(super) width: u8,
    pub(super) height: u8,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stage {
    /// As the file says it, before [`THRESHOLD_EPS`].
    pub(super) threshold: f32,
    pub(super) trees: Vec<Tree>,
}

impl Stage {
    /// A window passes whose sum reaches this.
    pub(super) fn limit(&self) -> f32 {
        self.threshold - THRESHOLD_EPS
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    pub(super) leaves: Vec<f32>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Node {
    pub(super) feature: u16,
    pub(super) split: Split,
    /// Where to go: above 0 a node of the tree, else minus the number of a leaf.
    pub(super) left: i16,
    pub(super) right: i16,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Split {
    /// Left when the value of the Haar feature is below.
    Below(f32),
    /// Left when the bit of the pattern's number is set.
    OneOf([u32; 8]),
}

impl Cascade {
    /// OpenCV's `haarcascade_frontalface_default` (Rainer Lienhart's 24×24 stumps), from the compact form inside this crate; no
    /// file is needed. Its licence stands beside it, in `data/LICENSE-haarcascade-frontalface.txt`.
    pub fn frontal_default() -> Self {
        compact::frontal_default()
    }

    /// Reads a cascade file: OpenCV's XML (the `opencv-cascade-classifier` form of today and the older
    /// `opencv-haar-classifier`), or the compact form of [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Xml`], [`Error::Cascade`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| Error::Io { path: path.into(), source })?;
        Self::from_bytes(&bytes).map_err(|error| in_file(error, path.into()))
    }

    /// Reads a cascade from memory, in any of the forms that [`load`](Self::load) reads.
    ///
    /// # Errors
    /// [`Error::Xml`], [`Error::Cascade`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let cascade = if compact::is_compact(bytes) { compact::read(bytes)? } else { xml::read(bytes)? };
        cascade.check()?;
        Ok(cascade)
    }

    /// The compact form: about a ninth of the XML, and read some thirty times faster.
    pub fn to_bytes(&self) -> Vec<u8> {
        compact::write(self)
    }

    /// Width and height of the window, in pixels: the smallest object that the cascade finds.
    pub fn window(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// The number of stages.
    pub fn stages(&self) -> usize {
        self.stages.len()
    }

    /// Refuses whatever would make the evaluation read outside of the window, loop, or compare with NaN.
    fn check(&self) -> Result<(), Error> {
        let side = 3..=LARGEST_WINDOW;
        if !side.contains(&self.width) || !side.contains(&self.height) {
            let got = format!("{}x{}", self.width, self.height);
            return Err(broken(format!("a window of 3 to {LARGEST_WINDOW} pixels each way"), got));
        }
        let count = match &self.features {
            Features::Haar(features) => {
                features.iter().try_for_each(|feature| self.check_haar(feature))?;
                features.len()
            }
            Features::Lbp(blocks) => {
                blocks.iter().try_for_each(|block| self.check_lbp(block))?;
                blocks.len()
            }
        };
        if self.stages.is_empty() {
            return Err(broken("at least one stage", "none"));
        }
        for stage in &self.stages {
            finite("a stage threshold", stage.threshold)?;
            stage.trees.iter().try_for_each(|tree| self.check_tree(tree, count))?;
        }
        Ok(())
    }

    fn check_haar(&self, feature: &HaarFeature) -> Result<(), Error> {
        for (rect, &weight) in feature.rects.iter().zip(&feature.weights) {
            finite("the weight of a rectangle", weight)?;
            let [x, y, width, height] = [rect.x, rect.y, rect.width, rect.height].map(u32::from);
            let inside = if feature.tilted {
                height <= x && x + width <= self.width && y + width + height <= self.height
            } else {
                x + width <= self.width && y + height <= self.height
            };
            // The third rectangle of a feature of two lies nowhere.
            if !inside && (weight != 0.0 || *rect != Rect::default()) {
                return Err(broken(format!("a rectangle inside the window of {}x{}", self.width, self.height), rect));
            }
        }
        Ok(())
    }

    fn check_lbp(&self, block: &Rect) -> Result<(), Error> {
        let [x, y, width, height] = [block.x, block.y, block.width, block.height].map(u32::from);
        if x + 3 * width > self.width || y + 3 * height > self.height {
            return Err(broken(format!("3x3 blocks inside the window of {}x{}", self.width, self.height), block));
        }
        Ok(())
    }

    fn check_tree(&self, tree: &Tree, features: usize) -> Result<(), Error> {
        let (nodes, leaves) = (tree.nodes.len() as i32, tree.leaves.len() as i32);
        if nodes == 0 {
            return Err(broken("at least one node in a tree", "none"));
        }
        tree.leaves.iter().try_for_each(|&leaf| finite("a leaf", leaf))?;
        for (index, node) in tree.nodes.iter().enumerate() {
            if usize::from(node.feature) >= features {
                return Err(broken(format!("a feature below {features}"), node.feature));
            }
            match (node.split, &self.features) {
                (Split::Below(threshold), Features::Haar(_)) => finite("the threshold of a node", threshold)?,
                (Split::OneOf(_), Features::Lbp(_)) => {}
                _ => return Err(broken("splits that suit the kind of features", format!("{:?}", node.split))),
            }
            for next in [i32::from(node.left), i32::from(node.right)] {
                // Forward only: a tree that leads back would never end.
                let fine = if next > 0 { next > index as i32 && next < nodes } else { -next < leaves };
                if !fine {
                    return Err(broken(format!("a later node (of {nodes}) or a leaf (of {leaves})"), next));
                }
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for Rect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{} at {}, {}", self.width, self.height, self.x, self.y)
    }
}

fn finite(what: &str, value: f32) -> Result<(), Error> {
    if value.is_finite() { Ok(()) } else { Err(broken(format!("{what} that is finite"), value)) }
}

pub(super) fn broken(expected: impl Into<String>, got: impl ToString) -> Error {
    Error::Cascade { path: None, expected: expected.into(), got: got.to_string() }
}

fn in_file(error: Error, file: PathBuf) -> Error {
    match error {
        Error::Cascade { expected, got, .. } => Error::Cascade { path: Some(file), expected, got },
        Error::Xml { source, .. } => Error::Xml { path: Some(file), source },
        other => other,
    }
}
