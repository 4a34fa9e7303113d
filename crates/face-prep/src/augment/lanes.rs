//! Floats to whole numbers in a way that compilers turn into vector instructions, which Rust's saturating `as` does not become.

/// Added to a float from 0 to below 2²² it leaves the nearest whole number (halves to even) in the low bits.
const SHIFT: f32 = (1 << 23) as f32;

/// The nearest of 0 to 255.
#[inline(always)]
pub(super) fn byte(value: f32) -> u8 {
    (value.clamp(0.0, 255.0) + SHIFT).to_bits() as u8
}

/// The next whole number below, of a number from 0 to below 2²²; some number for any other.
#[inline(always)]
pub(super) fn floor(value: f32) -> u32 {
    let shifted = value + SHIFT;
    shifted.to_bits().wrapping_sub(SHIFT.to_bits()).wrapping_sub(u32::from(shifted - SHIFT > value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn edges_are_kept() {
        assert_eq!([-5.0, 0.4, 0.6, 254.4, 254.6, 1e30].map(byte), [0, 0, 1, 254, 255, 255]);
        assert_eq!([0.0, 0.5, 0.99, 1.0, 1.5, 2.5, 4_194_303.5].map(floor), [0, 0, 0, 1, 1, 2, 4_194_303]);
    }

    proptest! {
        #[test]
        fn they_are_floor_and_round(value in 0f32..4_194_304.0, small in 0f32..255.0) {
            prop_assert_eq!(floor(value), value.floor() as u32);
            prop_assert_eq!(byte(small), small.round_ties_even() as u8);
        }
    }
}
