//! Squares that may hold a face, and the arithmetic of the package on them.

use crate::{BoundingBox, Detection, Point};

/// A square that may hold a face.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    /// Left, upper, right and lower edge. The package counts pixels from 1 and takes the last one in.
    pub(super) corners: [f64; 4],
    pub(super) score: f32,
    /// What the network would move the edges by, as shares of the sides.
    pub(super) offsets: [f64; 4],
    /// Five x, then five y.
    pub(super) points: [f64; 10],
}

impl Candidate {
    /// Moves the edges by the offsets.
    pub(super) fn shift(&mut self) {
        let [x1, y1, x2, y2] = self.corners;
        let (width, height) = (x2 - x1 + 1.0, y2 - y1 + 1.0);
        let sides = [width, height, width, height];
        self.corners = std::array::from_fn(|edge| self.corners[edge] + self.offsets[edge] * sides[edge]);
    }

    /// Grows the shorter side about the centre.
    pub(super) fn make_square(&mut self) {
        let [x1, y1, x2, y2] = self.corners;
        let (width, height) = (x2 - x1, y2 - y1);
        let side = width.max(height);
        let (x, y) = (x1 + width * 0.5 - side * 0.5, y1 + height * 0.5 - side * 0.5);
        self.corners = [x, y, x + side, y + side];
    }

    pub(super) fn detection(&self) -> Detection {
        let [x1, y1, x2, y2] = self.corners.map(|edge| edge as f32);
        let points = self.points.map(|place| place as f32);
        Detection {
            bbox: BoundingBox::new(x1, y1, x2 - x1, y2 - y1),
            score: self.score.clamp(0.0, 1.0),
            landmarks: Some(std::array::from_fn(|index| Point::new(points[index], points[index + 5]))),
        }
    }
}

/// What the shared area is compared with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Overlap {
    Union,
    Smaller,
}

/// Keeps the best of every heap of overlapping candidates, best first.
pub(super) fn suppress(candidates: &mut Vec<Candidate>, threshold: f64, overlap: Overlap) {
    candidates.reverse();
    candidates.sort_by(|first, second| second.score.total_cmp(&first.score));
    let area = |[x1, y1, x2, y2]: [f64; 4]| (x2 - x1 + 1.0) * (y2 - y1 + 1.0);
    let mut kept: Vec<Candidate> = Vec::new();
    for &candidate in candidates.iter() {
        let far = kept.iter().all(|better| {
            let (a, b) = (better.corners, candidate.corners);
            let width = (a[2].min(b[2]) - a[0].max(b[0]) + 1.0).max(0.0);
            let height = (a[3].min(b[3]) - a[1].max(b[1]) + 1.0).max(0.0);
            let shared = width * height;
            let whole = match overlap {
                Overlap::Union => area(a) + area(b) - shared,
                Overlap::Smaller => area(a).min(area(b)),
            };
            shared / whole <= threshold
        });
        if far {
            kept.push(candidate);
        }
    }
    *candidates = kept;
}
