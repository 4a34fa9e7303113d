//! Sums over time of mel bands, and of their decibels where the lowest count as more.
//!
//! Decibels are cut off so far below the loudest value of the signal, which is known only at its end. To keep them all until
//! then takes as much memory as the mel spectrogram. But a share of a signal tells nearly how loud it gets. So values that
//! will surely be cut off are counted, those that surely will not are added up, and only the few in between are kept.

use crate::lanes::{Kernel, LANES, Lanes, vectorized};

/// How much louder than its sample a signal may be, in dB, without a second look at it.
const MARGIN: f32 = 10.0;

/// Sums over time, of every lane by itself.
#[derive(Default)]
pub(crate) struct Sums(Vec<Lanes<f64>>);

impl Sums {
    /// Forgets everything.
    pub(crate) fn start(&mut self, n_bands: usize) {
        self.0.clear();
        self.0.resize(n_bands, Lanes::default());
    }

    /// Adds the first `frames` frames of a block.
    pub(crate) fn add(&mut self, bands: &[Lanes<f32>], frames: usize) {
        if frames == LANES {
            vectorized(Add { bands, sums: &mut self.0 });
        } else {
            for (sum, band) in self.0.iter_mut().zip(bands) {
                for lane in 0..frames {
                    sum.0[lane] += f64::from(band.0[lane]);
                }
            }
        }
    }

    fn total(&self, band: usize) -> f64 {
        self.0[band].0.iter().sum()
    }

    /// The means of `frames` frames, one for every slot of `out`.
    pub(crate) fn means(&self, frames: usize, out: &mut [f32]) {
        for (band, slot) in out.iter_mut().enumerate() {
            *slot = (self.total(band) / frames as f64) as f32;
        }
    }
}

struct Add<'a> {
    bands: &'a [Lanes<f32>],
    sums: &'a mut [Lanes<f64>],
}

impl Kernel for Add<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (sum, &band) in self.sums.iter_mut().zip(self.bands) {
            *sum = *sum + band.map(f64::from);
        }
    }
}

/// Sums over time of decibels, no value of which counts as less than `top_db` below the largest.
#[derive(Default)]
pub(crate) struct FlooredSums {
    top_db: f32,
    largest: Lanes<f32>,
    /// What lies below `low` is cut off, what reaches `high` is not.
    low: f32,
    high: f32,
    sums: Sums,
    /// How many values were cut off, lane by lane.
    cut: Vec<Lanes<f32>>,
    /// The values in between, and their bands.
    open: Vec<f32>,
    open_bands: Vec<u32>,
    flags: Vec<[u8; LANES]>,
    masked: Vec<Lanes<f32>>,
    totals: Vec<f64>,
}

impl FlooredSums {
    /// Forgets everything.
    pub(crate) fn start(&mut self, n_bands: usize, top_db: f32) {
        self.top_db = top_db;
        self.largest = Lanes([f32::NEG_INFINITY; LANES]);
        self.sums.start(n_bands);
        self.cut.clear();
        self.cut.resize(n_bands, Lanes::default());
        self.flags.resize(n_bands, [0; LANES]);
        self.open.clear();
        self.open_bands.clear();
    }

    /// Learns from the first `frames` frames of a block how loud the signal is.
    pub(crate) fn hear(&mut self, bands: &[Lanes<f32>], frames: usize) {
        for band in bands {
            // Lanes without a frame repeat the last one that has one.
            let mut valid = *band;
            valid.0[frames - 1..].fill(band.0[frames - 1]);
            self.largest = self.largest.max(valid);
        }
    }

    /// Says where values will be cut off: at `floor`, if that is known, or by what was heard so far; when `more` is to come,
    /// perhaps higher.
    pub(crate) fn expect(&mut self, floor: Option<f32>, more: bool) {
        self.low = floor.unwrap_or_else(|| self.floor());
        self.high = if more && floor.is_none() { self.low + MARGIN } else { self.low };
    }

    /// Where values are cut off, by what was heard and added so far.
    pub(crate) fn floor(&self) -> f32 {
        let largest =
            self.largest.0.into_iter().fold(f32::NEG_INFINITY, |a, b| if b <= a || a.is_nan() { a } else { b });
        largest - self.top_db
    }

    /// Whether what was expected has come true.
    pub(crate) fn is_sound(&self) -> bool {
        // NaN is no less and no more than anything: nothing was cut off by it, and nothing is to be.
        let floor = self.floor();
        !(floor > self.high || floor < self.low)
    }

    /// Adds the first `frames` frames of a block.
    pub(crate) fn add(&mut self, bands: &[Lanes<f32>], frames: usize) {
        self.hear(bands, frames);
        if frames < LANES {
            // Lanes without a frame add 0, are not cut off and not open.
            for (band, values) in bands.iter().enumerate() {
                for (lane, &value) in values.0[..frames].iter().enumerate() {
                    self.add_one(band, lane, value);
                }
            }
            return;
        }
        let Self { low, high, .. } = *self;
        self.masked.resize(bands.len(), Lanes::default());
        vectorized(Sort { bands, low, high, cut: &mut self.cut, masked: &mut self.masked, flags: &mut self.flags });
        self.sums.add(&self.masked, frames);
        for (band, (flags, values)) in self.flags.iter().zip(bands).enumerate() {
            // The flags of a band are a number with a byte for every lane.
            let mut found = u64::from_le_bytes(*flags);
            while found != 0 {
                self.open.push(values.0[found.trailing_zeros() as usize / 8]);
                self.open_bands.push(band as u32);
                found &= found - 1;
            }
        }
    }

    fn add_one(&mut self, band: usize, lane: usize, value: f32) {
        if value < self.low {
            self.cut[band].0[lane] += 1.0;
        } else if value < self.high {
            self.open.push(value);
            self.open_bands.push(band as u32);
        } else {
            self.sums.0[band].0[lane] += f64::from(value);
        }
    }

    /// The means of `frames` frames, one for every slot of `out`.
    pub(crate) fn means(&mut self, frames: usize, out: &mut [f32]) {
        let floor = self.floor();
        self.totals.clear();
        self.totals.extend((0..out.len()).map(|band| {
            let cut: f64 = self.cut[band].0.iter().map(|&count| f64::from(count)).sum();
            // None is none, even of infinitely low ones.
            self.sums.total(band) + if cut > 0.0 { cut * f64::from(floor) } else { 0.0 }
        }));
        for (&value, &band) in self.open.iter().zip(&self.open_bands) {
            self.totals[band as usize] += f64::from(if value < floor { floor } else { value });
        }
        for (slot, sum) in out.iter_mut().zip(&self.totals) {
            *slot = (sum / frames as f64) as f32;
        }
    }
}

/// Counts what is to be cut off, copies what is not, and flags what lies in between.
struct Sort<'a> {
    bands: &'a [Lanes<f32>],
    low: f32,
    high: f32,
    cut: &'a mut [Lanes<f32>],
    masked: &'a mut [Lanes<f32>],
    flags: &'a mut [[u8; LANES]],
}

impl Kernel for Sort<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { bands, low, high, cut, masked, flags } = self;
        for (((values, cut), masked), flags) in bands.iter().zip(cut).zip(masked).zip(flags) {
            for (lane, &value) in values.0.iter().enumerate() {
                cut.0[lane] += if value < low { 1.0 } else { 0.0 };
                masked.0[lane] = if value < high { 0.0 } else { value };
                flags[lane] = u8::from((value >= low) & (value < high));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decibels that rise with time, of three bands.
    fn blocks(n: usize) -> Vec<[Lanes<f32>; 3]> {
        let value = |index: usize, band: usize, lane: usize| {
            let time = (index * LANES + lane) as f32;
            40.0 * (time * 0.37 + band as f32).sin() + 0.05 * time - 10.0 * band as f32
        };
        (0..n)
            .map(|index| std::array::from_fn(|band| Lanes(std::array::from_fn(|lane| value(index, band, lane)))))
            .collect()
    }

    /// The means by the definition.
    fn naive(blocks: &[[Lanes<f32>; 3]], frames: usize, top_db: f32) -> Vec<f32> {
        let column = |band: usize| blocks.iter().flat_map(move |block| block[band].0).take(frames);
        let floor = (0..3).flat_map(column).fold(f32::NEG_INFINITY, f32::max) - top_db;
        (0..3).map(|band| (column(band).map(|x| f64::from(x.max(floor))).sum::<f64>() / frames as f64) as f32).collect()
    }

    #[test]
    fn a_guess_is_as_good_as_knowing_or_is_found_out() {
        let blocks = blocks(40);
        for (frames, sampled) in [(317, 40), (317, 8), (317, 1), (320, 5), (5, 1)] {
            let n = usize::div_ceil(frames, LANES);
            let valid = |index: usize| LANES.min(frames - index * LANES);
            let sampled = sampled.min(n);
            let mut sums = FlooredSums::default();
            let mut floor = None;
            loop {
                sums.start(3, 60.0);
                (0..sampled).for_each(|index| sums.hear(&blocks[index], valid(index)));
                sums.expect(floor, sampled < n);
                (0..n).for_each(|index| sums.add(&blocks[index], valid(index)));
                if sums.is_sound() {
                    break;
                }
                assert!(floor.is_none(), "what is known is sound");
                floor = Some(sums.floor());
            }
            let mut got = [0.0; 3];
            sums.means(frames, &mut got);
            assert_eq!(got[..], naive(&blocks, frames, 60.0), "{frames} {sampled}");
        }
    }

    #[test]
    fn a_much_louder_end_is_found_out() {
        let quiet = [Lanes([-50.0; LANES]); 3];
        let mut sums = FlooredSums::default();
        sums.start(3, 60.0);
        sums.hear(&quiet, LANES);
        sums.expect(None, true);
        sums.add(&quiet, LANES);
        assert!(sums.is_sound());
        sums.add(&[Lanes([20.0; LANES]); 3], LANES);
        assert!(!sums.is_sound());
    }
}
