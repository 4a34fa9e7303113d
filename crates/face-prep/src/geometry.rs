//! Points, boxes and affine maps, in pixels of the picture: x to the right, y down, (0, 0) the outer corner of the first
//! pixel, so that the centre of the first pixel is (0.5, 0.5).

use crate::Error;

/// A place in a picture, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Point {
    /// From the left edge to the right.
    pub x: f32,
    /// From the top edge down.
    pub y: f32,
}

impl Point {
    /// A point.
    pub const fn new(x: f32, y: f32) -> Self {
        Self { x, y }
    }

    /// The straight distance to another point, in pixels.
    pub fn distance(self, other: Self) -> f32 {
        (self.x - other.x).hypot(self.y - other.y)
    }
}

/// An upright rectangle, in pixels. It may reach beyond the picture.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct BoundingBox {
    /// The left edge.
    pub x: f32,
    /// The upper edge.
    pub y: f32,
    /// From the left edge to the right one.
    pub width: f32,
    /// From the upper edge to the lower one.
    pub height: f32,
}

impl BoundingBox {
    /// A box by its left upper corner and its size.
    pub const fn new(x: f32, y: f32, width: f32, height: f32) -> Self {
        Self { x, y, width, height }
    }

    /// A square by its centre and side.
    pub fn square(center: Point, side: f32) -> Self {
        Self { x: center.x - side / 2.0, y: center.y - side / 2.0, width: side, height: side }
    }

    /// The right edge.
    pub fn right(&self) -> f32 {
        self.x + self.width
    }

    /// The lower edge.
    pub fn bottom(&self) -> f32 {
        self.y + self.height
    }

    /// The middle.
    pub fn center(&self) -> Point {
        Point { x: self.x + self.width / 2.0, y: self.y + self.height / 2.0 }
    }

    /// The area in square pixels; 0 for a box without extent.
    pub fn area(&self) -> f32 {
        self.width.max(0.0) * self.height.max(0.0)
    }

    /// The longer of width and height.
    pub fn longer_side(&self) -> f32 {
        self.width.max(self.height)
    }

    /// Whether the point lies in the box; the left and upper edges belong to it, the others do not.
    pub fn contains(&self, point: Point) -> bool {
        self.x <= point.x && point.x < self.right() && self.y <= point.y && point.y < self.bottom()
    }

    /// What two boxes share; `None` when they share no area.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let (x, y) = (self.x.max(other.x), self.y.max(other.y));
        let (width, height) = (self.right().min(other.right()) - x, self.bottom().min(other.bottom()) - y);
        (width > 0.0 && height > 0.0).then_some(Self { x, y, width, height })
    }

    /// Intersection over union, 0 (apart) to 1 (the same box).
    pub fn iou(&self, other: &Self) -> f32 {
        let shared = self.intersection(other).map_or(0.0, |shared| shared.area());
        let union = self.area() + other.area() - shared;
        if union > 0.0 { shared / union } else { 0.0 }
    }

    /// The same centre, both sides multiplied by `factor`.
    pub fn scaled(&self, factor: f32) -> Self {
        let (width, height) = (self.width * factor, self.height * factor);
        Self { x: self.x - (width - self.width) / 2.0, y: self.y - (height - self.height) / 2.0, width, height }
    }

    /// The part inside a picture of this size; `None` when nothing is.
    pub fn clipped(&self, width: u32, height: u32) -> Option<Self> {
        self.intersection(&Self::new(0.0, 0.0, width as f32, height as f32))
    }

    /// Refuses a box that is not finite or has no area.
    ///
    /// # Errors
    /// [`Error::InvalidInput`].
    pub fn check(&self) -> Result<(), Error> {
        let finite = [self.x, self.y, self.width, self.height].iter().all(|value| value.is_finite());
        if finite && self.width > 0.0 && self.height > 0.0 {
            Ok(())
        } else {
            Err(Error::input("box", "finite numbers, width and height above 0", format!("{self:?}")))
        }
    }
}

/// An affine map of the plane: `(x, y) → (a·x + b·y + c, d·x + e·y + f)`, stored as `[[a, b, c], [d, e, f]]`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Affine(pub [[f32; 3]; 2]);

impl Affine {
    /// The map that leaves every point where it is.
    pub const IDENTITY: Self = Self([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]);

    /// Moves by (x, y).
    pub const fn translation(x: f32, y: f32) -> Self {
        Self([[1.0, 0.0, x], [0.0, 1.0, y]])
    }

    /// Stretches about the origin.
    pub const fn scaling(x: f32, y: f32) -> Self {
        Self([[x, 0.0, 0.0], [0.0, y, 0.0]])
    }

    /// Turns about the origin; positive degrees turn clockwise as seen on the screen (y points down).
    pub fn rotation(degrees: f32) -> Self {
        let (sin, cos) = degrees.to_radians().sin_cos();
        Self([[cos, -sin, 0.0], [sin, cos, 0.0]])
    }

    /// Slants: x grows by `tan(degrees)` for each pixel of y.
    pub fn shear(degrees: f32) -> Self {
        Self([[1.0, degrees.to_radians().tan(), 0.0], [0.0, 1.0, 0.0]])
    }

    /// Where the point goes.
    pub fn apply(&self, point: Point) -> Point {
        let [[a, b, c], [d, e, f]] = self.0;
        Point { x: a * point.x + b * point.y + c, y: d * point.x + e * point.y + f }
    }

    /// First `self`, then `next`.
    pub fn then(&self, next: &Self) -> Self {
        let [[a, b, c], [d, e, f]] = self.0;
        let [[p, q, r], [s, t, u]] = next.0;
        Self([[p * a + q * d, p * b + q * e, p * c + q * f + r], [s * a + t * d, s * b + t * e, s * c + t * f + u]])
    }

    /// The map back; `None` when the map flattens the plane or holds a number that is not finite.
    pub fn inverse(&self) -> Option<Self> {
        let [[a, b, c], [d, e, f]] = self.0;
        let determinant = a * e - b * d;
        if !determinant.is_finite() || determinant == 0.0 || !c.is_finite() || !f.is_finite() {
            return None;
        }
        let (a, b, d, e) = (e / determinant, -b / determinant, -d / determinant, a / determinant);
        Some(Self([[a, b, -(a * c + b * f)], [d, e, -(d * c + e * f)]]))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn iou_of_half_overlapping_squares() {
        let left = BoundingBox::new(0.0, 0.0, 10.0, 10.0);
        let right = BoundingBox::new(5.0, 0.0, 10.0, 10.0);
        assert!((left.iou(&right) - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(left.iou(&left), 1.0);
        assert_eq!(left.iou(&BoundingBox::new(10.0, 0.0, 1.0, 1.0)), 0.0);
        assert_eq!(BoundingBox::default().iou(&BoundingBox::default()), 0.0);
    }

    #[test]
    fn clipping_keeps_what_lies_inside() {
        let face = BoundingBox::new(-5.0, 5.0, 10.0, 10.0);
        assert_eq!(face.clipped(20, 10), Some(BoundingBox::new(0.0, 5.0, 5.0, 5.0)));
        assert_eq!(face.clipped(20, 5), None);
    }

    proptest! {
        #[test]
        fn the_inverse_leads_back(degrees in -180f32..180.0, zoom in 0.2f32..5.0, dx in -50f32..50.0, x in -50f32..50.0, y in -50f32..50.0) {
            let map = Affine::rotation(degrees).then(&Affine::scaling(zoom, zoom)).then(&Affine::translation(dx, -dx));
            let point = Point::new(x, y);
            let back = map.inverse().unwrap().apply(map.apply(point));
            prop_assert!(back.distance(point) < 1e-2);
        }
    }
}
