//! The few operations on neighbouring windows that a cascade is made of, written twice: with x86's vectors of 256 bits, and in plain
//! loops, for single windows and for processors without them.

use super::integral::{LANES, SPAN};

/// A number of windows that are worked on together, and what can be done with a value of each.
pub(super) trait Lanes: Copy {
    /// Whole numbers of 16 bits, whose sums wrap around.
    type Halves: Copy;
    /// Whole numbers of 32 bits, whose sums wrap around.
    type Words: Copy;
    /// Numbers in single precision.
    type Floats: Copy;
    /// All bits of a lane, or none.
    type Masks: Copy;

    /// The entries of all windows at one place.
    fn halves(self, table: &[u16; SPAN], place: u16) -> Self::Halves;
    /// The same of another table.
    fn words(self, table: &[u32; SPAN], place: u16) -> Self::Words;
    /// `a - b - c + d`: the sum of a rectangle from its corners.
    fn half_sum(self, corners: [Self::Halves; 4]) -> Self::Halves;
    fn word_sum(self, corners: [Self::Words; 4]) -> Self::Words;
    /// `first * weights[0] + second * weights[1]`.
    fn weigh(self, values: [Self::Halves; 2], weights: [u16; 2]) -> Self::Halves;
    /// Signed, as floats.
    fn half_floats(self, values: Self::Halves) -> Self::Floats;
    fn word_floats(self, values: Self::Words) -> Self::Floats;
    fn splat_floats(self, value: f32) -> Self::Floats;
    fn splat_words(self, value: i32) -> Self::Words;
    fn add(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    fn mul(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    fn less(self, values: Self::Floats, than: f32) -> Self::Masks;
    /// Adds `value` where the mask is set.
    fn add_where(self, to: Self::Words, value: i32, masks: Self::Masks) -> Self::Words;
    /// A bit for each lane whose signed value is at least `least`.
    fn at_least(self, values: Self::Words, least: i32) -> u32;
    /// A bit for each lane whose mask is set.
    fn bits(self, masks: Self::Masks) -> u32;
    fn splat_masks(self, value: bool) -> Self::Masks;
    fn and(self, a: Self::Masks, b: Self::Masks) -> Self::Masks;
    fn or(self, a: Self::Masks, b: Self::Masks) -> Self::Masks;
    /// `a` where `b` is not set.
    fn and_not(self, a: Self::Masks, b: Self::Masks) -> Self::Masks;
    /// Shifts to the left and puts a bit in: whether `a` is at least `b`, both signed.
    fn push_not_less(self, bits: Self::Words, a: Self::Words, b: Self::Words) -> Self::Words;
    /// Whether each number, below 256, is in a set.
    fn is_in(self, numbers: Self::Words, set: &[u32; 8]) -> Self::Masks;
    /// `1 / sqrt(area * squares - sum²)`, in double precision and then narrowed; infinite where that is no variance. Sums are signed,
    /// squares are not.
    fn inverse_deviation(self, area: f64, sums: Self::Words, squares: Self::Words) -> Self::Floats;
    /// The value of one lane.
    fn lane(self, values: Self::Floats, lane: usize) -> f32;
}

/// The entries of `L` neighbouring windows at one place.
#[inline(always)]
fn entries<T, const L: usize>(table: &[T; SPAN], place: u16) -> &[T; L] {
    const { assert!(L <= LANES) };
    table[usize::from(place)..].first_chunk().expect("the span is LANES longer than any place")
}

/// Plain loops over `L` windows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plain<const L: usize>;

#[inline(always)]
fn mask(condition: bool) -> u32 {
    u32::from(condition).wrapping_neg()
}

#[inline(always)]
fn each<T: Copy + Default, const L: usize>(value: impl Fn(usize) -> T) -> [T; L] {
    // `array::from_fn` is not always compiled into its caller, and then not for the caller's instructions.
    let mut values = [T::default(); L];
    for (lane, slot) in values.iter_mut().enumerate() {
        *slot = value(lane);
    }
    values
}

impl<const L: usize> Lanes for Plain<L> {
    type Halves = [u16; L];
    type Words = [u32; L];
    type Floats = [f32; L];
    type Masks = [u32; L];

    #[inline(always)]
    fn halves(self, table: &[u16; SPAN], place: u16) -> [u16; L] {
        *entries(table, place)
    }

    #[inline(always)]
    fn words(self, table: &[u32; SPAN], place: u16) -> [u32; L] {
        *entries(table, place)
    }

    #[inline(always)]
    fn half_sum(self, [a, b, c, d]: [[u16; L]; 4]) -> [u16; L] {
        each(|lane| a[lane].wrapping_sub(b[lane]).wrapping_sub(c[lane]).wrapping_add(d[lane]))
    }

    #[inline(always)]
    fn word_sum(self, [a, b, c, d]: [[u32; L]; 4]) -> [u32; L] {
        each(|lane| a[lane].wrapping_sub(b[lane]).wrapping_sub(c[lane]).wrapping_add(d[lane]))
    }

    #[inline(always)]
    fn weigh(self, [first, second]: [[u16; L]; 2], weights: [u16; 2]) -> [u16; L] {
        each(|lane| first[lane].wrapping_mul(weights[0]).wrapping_add(second[lane].wrapping_mul(weights[1])))
    }

    #[inline(always)]
    fn half_floats(self, values: [u16; L]) -> [f32; L] {
        each(|lane| f32::from(values[lane] as i16))
    }

    #[inline(always)]
    fn word_floats(self, values: [u32; L]) -> [f32; L] {
        each(|lane| values[lane] as i32 as f32)
    }

    #[inline(always)]
    fn splat_floats(self, value: f32) -> [f32; L] {
        [value; L]
    }

    #[inline(always)]
    fn splat_words(self, value: i32) -> [u32; L] {
        [value as u32; L]
    }

    #[inline(always)]
    fn add(self, a: [f32; L], b: [f32; L]) -> [f32; L] {
        each(|lane| a[lane] + b[lane])
    }

    #[inline(always)]
    fn mul(self, a: [f32; L], b: [f32; L]) -> [f32; L] {
        each(|lane| a[lane] * b[lane])
    }

    #[inline(always)]
    fn less(self, values: [f32; L], than: f32) -> [u32; L] {
        each(|lane| mask(values[lane] < than))
    }

    #[inline(always)]
    fn add_where(self, to: [u32; L], value: i32, masks: [u32; L]) -> [u32; L] {
        each(|lane| to[lane].wrapping_add(value as u32 & masks[lane]))
    }

    #[inline(always)]
    fn at_least(self, values: [u32; L], least: i32) -> u32 {
        (0..L).fold(0, |bits, lane| bits | u32::from(values[lane] as i32 >= least) << lane)
    }

    #[inline(always)]
    fn bits(self, masks: [u32; L]) -> u32 {
        (0..L).fold(0, |bits, lane| bits | (masks[lane] & 1) << lane)
    }

    #[inline(always)]
    fn splat_masks(self, value: bool) -> [u32; L] {
        [mask(value); L]
    }

    #[inline(always)]
    fn and(self, a: [u32; L], b: [u32; L]) -> [u32; L] {
        each(|lane| a[lane] & b[lane])
    }

    #[inline(always)]
    fn or(self, a: [u32; L], b: [u32; L]) -> [u32; L] {
        each(|lane| a[lane] | b[lane])
    }

    #[inline(always)]
    fn and_not(self, a: [u32; L], b: [u32; L]) -> [u32; L] {
        each(|lane| a[lane] & !b[lane])
    }

    #[inline(always)]
    fn push_not_less(self, bits: [u32; L], a: [u32; L], b: [u32; L]) -> [u32; L] {
        each(|lane| bits[lane] << 1 | u32::from(a[lane] as i32 >= b[lane] as i32))
    }

    #[inline(always)]
    fn is_in(self, numbers: [u32; L], set: &[u32; 8]) -> [u32; L] {
        each(|lane| mask(set[numbers[lane] as usize / 32 % 8] >> (numbers[lane] % 32) & 1 == 1))
    }

    #[inline(always)]
    fn inverse_deviation(self, area: f64, sums: [u32; L], squares: [u32; L]) -> [f32; L] {
        each(|lane| {
            let sum = f64::from(sums[lane] as i32);
            let variance = area * f64::from(squares[lane]) - sum * sum;
            (1.0 / variance.max(0.0).sqrt()) as f32
        })
    }

    #[inline(always)]
    fn lane(self, values: [f32; L], lane: usize) -> f32 {
        values[lane]
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{__m128, __m128i, __m256, __m256i};

    use pulp::cast;
    use pulp::x86::V3;

    use super::{LANES, Lanes, SPAN, entries};

    /// [`LANES`] windows: 16 halves in one vector, 16 words or floats in two.
    impl Lanes for V3 {
        type Halves = __m256i;
        type Words = [__m256i; 2];
        type Floats = [__m256; 2];
        type Masks = [__m256; 2];

        #[inline(always)]
        fn halves(self, table: &[u16; SPAN], place: u16) -> __m256i {
            cast(*entries::<u16, LANES>(table, place))
        }

        #[inline(always)]
        fn words(self, table: &[u32; SPAN], place: u16) -> [__m256i; 2] {
            cast(*entries::<u32, LANES>(table, place))
        }

        #[inline(always)]
        fn half_sum(self, [a, b, c, d]: [__m256i; 4]) -> __m256i {
            let (upper, lower) = (self.avx2._mm256_sub_epi16(a, b), self.avx2._mm256_sub_epi16(d, c));
            self.avx2._mm256_add_epi16(upper, lower)
        }

        #[inline(always)]
        fn word_sum(self, [a, b, c, d]: [[__m256i; 2]; 4]) -> [__m256i; 2] {
            let half = |half: usize| {
                let (upper, lower) =
                    (self.avx2._mm256_sub_epi32(a[half], b[half]), self.avx2._mm256_sub_epi32(d[half], c[half]));
                self.avx2._mm256_add_epi32(upper, lower)
            };
            [half(0), half(1)]
        }

        #[inline(always)]
        fn weigh(self, [first, second]: [__m256i; 2], weights: [u16; 2]) -> __m256i {
            let weighted =
                |values, weight: u16| self.avx2._mm256_mullo_epi16(values, self.avx._mm256_set1_epi16(weight as i16));
            self.avx2._mm256_add_epi16(weighted(first, weights[0]), weighted(second, weights[1]))
        }

        #[inline(always)]
        fn half_floats(self, values: __m256i) -> [__m256; 2] {
            let [lower, upper]: [__m128i; 2] = cast(values);
            self.word_floats([self.avx2._mm256_cvtepi16_epi32(lower), self.avx2._mm256_cvtepi16_epi32(upper)])
        }

        #[inline(always)]
        fn word_floats(self, [lower, upper]: [__m256i; 2]) -> [__m256; 2] {
            [self.avx._mm256_cvtepi32_ps(lower), self.avx._mm256_cvtepi32_ps(upper)]
        }

        #[inline(always)]
        fn splat_floats(self, value: f32) -> [__m256; 2] {
            [self.avx._mm256_set1_ps(value); 2]
        }

        #[inline(always)]
        fn splat_words(self, value: i32) -> [__m256i; 2] {
            [self.avx._mm256_set1_epi32(value); 2]
        }

        #[inline(always)]
        fn add(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
            [self.avx._mm256_add_ps(a[0], b[0]), self.avx._mm256_add_ps(a[1], b[1])]
        }

        #[inline(always)]
        fn mul(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
            [self.avx._mm256_mul_ps(a[0], b[0]), self.avx._mm256_mul_ps(a[1], b[1])]
        }

        #[inline(always)]
        fn less(self, values: [__m256; 2], than: f32) -> [__m256; 2] {
            /// `_CMP_LT_OQ`: less than, false for NaN.
            const LESS: i32 = 17;
            let than = self.avx._mm256_set1_ps(than);
            [self.avx._mm256_cmp_ps::<LESS>(values[0], than), self.avx._mm256_cmp_ps::<LESS>(values[1], than)]
        }

        #[inline(always)]
        fn add_where(self, to: [__m256i; 2], value: i32, masks: [__m256; 2]) -> [__m256i; 2] {
            let value = self.avx._mm256_set1_epi32(value);
            let half = |half: usize| {
                let value = self.avx2._mm256_and_si256(value, cast(masks[half]));
                self.avx2._mm256_add_epi32(to[half], value)
            };
            [half(0), half(1)]
        }

        #[inline(always)]
        fn at_least(self, values: [__m256i; 2], least: i32) -> u32 {
            let least = self.avx._mm256_set1_epi32(least);
            let below = |half: usize| cast(self.avx2._mm256_cmpgt_epi32(least, values[half]));
            !self.bits([below(0), below(1)]) & 0xffff
        }

        #[inline(always)]
        fn bits(self, masks: [__m256; 2]) -> u32 {
            (self.avx._mm256_movemask_ps(masks[0]) | self.avx._mm256_movemask_ps(masks[1]) << 8) as u32
        }

        #[inline(always)]
        fn splat_masks(self, value: bool) -> [__m256; 2] {
            cast([u32::from(value).wrapping_neg(); LANES])
        }

        #[inline(always)]
        fn and(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
            [self.avx._mm256_and_ps(a[0], b[0]), self.avx._mm256_and_ps(a[1], b[1])]
        }

        #[inline(always)]
        fn or(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
            [self.avx._mm256_or_ps(a[0], b[0]), self.avx._mm256_or_ps(a[1], b[1])]
        }

        #[inline(always)]
        fn and_not(self, a: [__m256; 2], b: [__m256; 2]) -> [__m256; 2] {
            [self.avx._mm256_andnot_ps(b[0], a[0]), self.avx._mm256_andnot_ps(b[1], a[1])]
        }

        #[inline(always)]
        fn push_not_less(self, bits: [__m256i; 2], a: [__m256i; 2], b: [__m256i; 2]) -> [__m256i; 2] {
            let one = self.avx._mm256_set1_epi32(1);
            let half = |half: usize| {
                let less = self.avx2._mm256_cmpgt_epi32(b[half], a[half]);
                let doubled = self.avx2._mm256_add_epi32(bits[half], bits[half]);
                // "Less" is minus one, so that one more of it is the bit.
                self.avx2._mm256_add_epi32(self.avx2._mm256_add_epi32(doubled, one), less)
            };
            [half(0), half(1)]
        }

        #[inline(always)]
        fn is_in(self, numbers: [__m256i; 2], set: &[u32; 8]) -> [__m256; 2] {
            let set: __m256i = cast(*set);
            let half = |half: usize| {
                let numbers = numbers[half];
                let bits = self.avx2._mm256_permutevar8x32_epi32(set, self.avx2._mm256_srli_epi32::<5>(numbers));
                let place = self.avx2._mm256_and_si256(numbers, self.avx._mm256_set1_epi32(31));
                let highest = self.avx2._mm256_sub_epi32(self.avx._mm256_set1_epi32(31), place);
                cast(self.avx2._mm256_srai_epi32::<31>(self.avx2._mm256_sllv_epi32(bits, highest)))
            };
            [half(0), half(1)]
        }

        #[inline(always)]
        fn inverse_deviation(self, area: f64, sums: [__m256i; 2], squares: [__m256i; 2]) -> [__m256; 2] {
            let (sums, squares): ([__m128i; 4], [__m128i; 4]) = (cast(sums), cast(squares));
            cast([
                inverse_quarter(self, area, sums[0], squares[0]),
                inverse_quarter(self, area, sums[1], squares[1]),
                inverse_quarter(self, area, sums[2], squares[2]),
                inverse_quarter(self, area, sums[3], squares[3]),
            ])
        }

        #[inline(always)]
        fn lane(self, values: [__m256; 2], lane: usize) -> f32 {
            cast::<_, [f32; LANES]>(values)[lane]
        }
    }

    /// Four windows' inverse deviation. No closure: it must be compiled into its caller.
    #[inline(always)]
    fn inverse_quarter(simd: V3, area: f64, sums: __m128i, squares: __m128i) -> __m128 {
        // Squares are converted as signed numbers and put right afterwards.
        let half_range = f64::from(1u32 << 31);
        let squares = simd.sse2._mm_xor_si128(squares, simd.sse2._mm_set1_epi32(i32::MIN));
        let squares = simd.avx._mm256_cvtepi32_pd(squares);
        let squares = simd.avx._mm256_add_pd(squares, simd.avx._mm256_set1_pd(half_range));
        let sums = simd.avx._mm256_cvtepi32_pd(sums);
        let squares = simd.avx._mm256_mul_pd(squares, simd.avx._mm256_set1_pd(area));
        let variance = simd.avx._mm256_sub_pd(squares, simd.avx._mm256_mul_pd(sums, sums));
        let deviation = simd.avx._mm256_sqrt_pd(simd.avx._mm256_max_pd(variance, simd.avx._mm256_set1_pd(0.0)));
        simd.avx._mm256_cvtpd_ps(simd.avx._mm256_div_pd(simd.avx._mm256_set1_pd(1.0), deviation))
    }
}
