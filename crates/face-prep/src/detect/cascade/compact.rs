//! A cascade in few bytes: the same numbers as the XML, in little endian, without the words.

use super::model::{Cascade, Features, HaarFeature, Node, Rect, Split, Stage, Tree, broken};
use crate::Error;

/// The first bytes of the compact form; the last of them is its version.
const MAGIC: &[u8; 8] = b"fpcasc\0\x01";

const FRONTAL_DEFAULT: &[u8] = include_bytes!("../../../data/haarcascade_frontalface_default.bin");

pub(super) fn frontal_default() -> Cascade {
    // These bytes are part of the program and not data: a test reads them.
    Cascade::from_bytes(FRONTAL_DEFAULT).expect("the embedded cascade is sound")
}

pub(super) fn is_compact(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC[..7])
}

pub(super) fn write(cascade: &Cascade) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend([cascade.width as u8, cascade.height as u8, u8::from(matches!(cascade.features, Features::Lbp(_)))]);
    let count = |out: &mut Vec<u8>, count: usize| out.extend((count as u32).to_le_bytes());
    let rect = |out: &mut Vec<u8>, rect: &Rect| out.extend([rect.x, rect.y, rect.width, rect.height]);
    match &cascade.features {
        Features::Haar(features) => {
            count(&mut out, features.len());
            for feature in features {
                let rects = if feature.weights[2] == 0.0 { 2 } else { 3 };
                out.push(rects as u8 | u8::from(feature.tilted) << 7);
                for (place, weight) in feature.rects.iter().zip(feature.weights).take(rects) {
                    rect(&mut out, place);
                    out.extend(weight.to_le_bytes());
                }
            }
        }
        Features::Lbp(blocks) => {
            count(&mut out, blocks.len());
            blocks.iter().for_each(|block| rect(&mut out, block));
        }
    }
    count(&mut out, cascade.stages.len());
    for stage in &cascade.stages {
        out.extend(stage.threshold.to_le_bytes());
        count(&mut out, stage.trees.len());
        for tree in &stage.trees {
            count(&mut out, tree.nodes.len());
            for node in &tree.nodes {
                out.extend(node.feature.to_le_bytes());
                out.extend(node.left.to_le_bytes());
                out.extend(node.right.to_le_bytes());
                match node.split {
                    Split::Below(threshold) => out.extend(threshold.to_le_bytes()),
                    Split::OneOf(bits) => bits.iter().for_each(|bits| out.extend(bits.to_le_bytes())),
                }
            }
            count(&mut out, tree.leaves.len());
            tree.leaves.iter().for_each(|leaf| out.extend(leaf.to_le_bytes()));
        }
    }
    out
}

pub(super) fn read(bytes: &[u8]) -> Result<Cascade, Error> {
    let mut input = Input(bytes);
    let magic: [u8; 8] = input.array()?;
    if magic != *MAGIC {
        return Err(broken(format!("compact form {}", MAGIC[7]), magic[7]));
    }
    let [width, height, lbp] = input.array()?;
    let features = match lbp {
        0 => Features::Haar(input.list(Input::haar)?),
        _ => Features::Lbp(input.list(Input::rect)?),
    };
    let stages = input.list(|input| {
        let threshold = input.real()?;
        let trees = input.list(|input| {
            Ok(Tree { nodes: input.list(|input| input.node(lbp != 0))?, leaves: input.list(Input::real)? })
        })?;
        Ok(Stage { threshold, trees })
    })?;
    match input.0 {
        [] => Ok(Cascade { width: width.into(), height: height.into(), features, stages }),
        rest => Err(broken("the end of the compact form", format!("{} more bytes", rest.len()))),
    }
}

/// What is left to read.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (first, rest) =
            self.0.split_first_chunk().ok_or_else(|| broken(format!("{N} more bytes"), self.0.len()))?;
        self.0 = rest;
        Ok(*first)
    }

    fn real(&mut self) -> Result<f32, Error> {
        self.array().map(f32::from_le_bytes)
    }

    /// A counted list. Nothing is reserved by the count alone: it may lie.
    fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Result<T, Error>) -> Result<Vec<T>, Error> {
        let count = self.array().map(u32::from_le_bytes)?;
        (0..count).map(|_| one(self)).collect()
    }

    fn rect(&mut self) -> Result<Rect, Error> {
        let [x, y, width, height] = self.array()?;
        Ok(Rect { x, y, width, height })
    }

    fn haar(&mut self) -> Result<HaarFeature, Error> {
        let [head] = self.array()?;
        let mut feature = HaarFeature { tilted: head & 0x80 != 0, ..HaarFeature::default() };
        let rects = usize::from(head & 0x7f);
        if !(2..=3).contains(&rects) {
            return Err(broken("2 or 3 rectangles in a feature", rects));
        }
        for index in 0..rects {
            feature.rects[index] = self.rect()?;
            feature.weights[index] = self.real()?;
        }
        Ok(feature)
    }

    fn node(&mut self, lbp: bool) -> Result<Node, Error> {
        let feature = self.array().map(u16::from_le_bytes)?;
        let left = self.array().map(i16::from_le_bytes)?;
        let right = self.array().map(i16::from_le_bytes)?;
        let split = if lbp {
            let mut bits = [0; 8];
            for bits in &mut bits {
                *bits = self.array().map(u32::from_le_bytes)?;
            }
            Split::OneOf(bits)
        } else {
            Split::Below(self.real()?)
        };
        Ok(Node { feature, split, left, right })
    }
}
