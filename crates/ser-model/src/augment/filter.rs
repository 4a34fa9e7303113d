//! Fast convolution, for rooms and channels.

use std::cell::RefCell;

use realfft::RealFftPlanner;

thread_local! {
    // Plans are kept for the few lengths (powers of two) that occur.
    static PLANNER: RefCell<RealFftPlanner<f32>> = RefCell::new(RealFftPlanner::new());
}

/// The samples convolved with a kernel, of the same length, from `delay` samples of the full convolution on.
pub(super) fn convolve(samples: &[f32], kernel: &[f32], delay: usize) -> Vec<f32> {
    if samples.is_empty() || kernel.is_empty() {
        return samples.to_vec();
    }
    let size = (samples.len() + kernel.len()).next_power_of_two();
    let (forward, inverse) =
        PLANNER.with_borrow_mut(|planner| (planner.plan_fft_forward(size), planner.plan_fft_inverse(size)));
    let transform = |values: &[f32]| {
        let mut padded = vec![0.0; size];
        padded[..values.len()].copy_from_slice(values);
        let mut spectrum = forward.make_output_vec();
        forward.process(&mut padded, &mut spectrum).unwrap_or_else(|_| unreachable!("the lengths are the plan's own"));
        spectrum
    };
    let mut product = transform(samples);
    product.iter_mut().zip(transform(kernel)).for_each(|(bin, other)| *bin *= other);
    let mut out = vec![0.0; size];
    // The first and the last bin of a real signal are real; rounding must not make the inverse refuse them.
    product[0].im = 0.0;
    product[size / 2].im = 0.0;
    inverse.process(&mut product, &mut out).unwrap_or_else(|_| unreachable!("the lengths are the plan's own"));
    (delay..delay + samples.len()).map(|index| out.get(index).map_or(0.0, |x| x / size as f32)).collect()
}

/// A linear-phase band-pass of odd length, by the window method (Hamming). `low` and `high` are edges as a share of the
/// sampling rate, 0 to 0.5; its delay is half its length.
pub(super) fn band_pass(low: f32, high: f32, taps: usize) -> Vec<f32> {
    let centre = (taps / 2) as f32;
    let low_pass = |edge: f32, distance: f32| {
        if distance == 0.0 {
            2.0 * edge
        } else {
            (std::f32::consts::TAU * edge * distance).sin() / (std::f32::consts::PI * distance)
        }
    };
    (0..taps)
        .map(|tap| {
            let distance = tap as f32 - centre;
            let window = 0.54 + 0.46 * (std::f32::consts::PI * distance / (centre + 1.0)).cos();
            window * (low_pass(high, distance) - low_pass(low, distance))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_convolution_is_convolution() {
        let samples: Vec<f32> = (0..100).map(|i| (i as f32 * 0.7).sin()).collect();
        let kernel = [0.5, -0.25, 0.125];
        let direct = |at: usize| -> f32 {
            (0..3).filter_map(|k| at.checked_sub(k).and_then(|i| samples.get(i)).map(|x| x * kernel[k])).sum()
        };
        for delay in [0, 1] {
            for (index, got) in convolve(&samples, &kernel, delay).into_iter().enumerate() {
                assert!((got - direct(index + delay)).abs() < 1e-5, "{index}");
            }
        }
        assert_eq!(convolve(&[], &kernel, 0), [0.0; 0]);
    }

    #[test]
    fn bands_pass_inside_and_stop_outside() {
        let kernel = band_pass(0.05, 0.2, 257);
        let gain = |frequency: f32| {
            let part = |wave: fn(f32) -> f32| -> f32 {
                kernel.iter().enumerate().map(|(n, x)| x * wave(std::f32::consts::TAU * frequency * n as f32)).sum()
            };
            part(f32::sin).hypot(part(f32::cos))
        };
        assert!((gain(0.1) - 1.0).abs() < 0.01, "{}", gain(0.1));
        assert!(gain(0.01) < 0.01 && gain(0.25) < 0.01, "{} {}", gain(0.01), gain(0.25));
    }
}
