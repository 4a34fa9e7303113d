//! Synthetic rooms: the sound a microphone some way off would have recorded.

use rand::{Rng, RngExt};

use super::filter::convolve;
use super::noise::mean_power;
use crate::SAMPLE_RATE;

/// In m/s, at 20 °C.
const SPEED_OF_SOUND: f32 = 343.0;

/// How long single reflections are followed after the direct sound, in seconds; after it they are too dense to tell
/// apart from decaying noise.
const EARLY: f32 = 0.05;

/// The sound in a drawn room with this reverberation time, at the level it had. Nothing is delayed: the direct sound
/// stays in its place.
pub(super) fn reverberate(samples: &[f32], rt60: f32, rng: &mut impl Rng) -> Vec<f32> {
    let mut wet = convolve(samples, &impulse_response(rt60, rng), 0);
    let (before, after) = (mean_power(samples), mean_power(&wet));
    if after > 0.0 {
        let factor = (before / after).sqrt();
        wet.iter_mut().for_each(|x| *x *= factor);
    }
    wet
}

/// The impulse response of a drawn shoebox room at [`SAMPLE_RATE`], from the direct sound (1) on, as long as `rt60`: the
/// time, in seconds above 0, in which the sound falls by 60 dB.
///
/// The first 50 ms are the image sources of J. B. Allen and D. A. Berkley, "Image method for efficiently simulating
/// small-room acoustics" (JASA 65, 1979); what follows is normally distributed noise that decays exponentially (J. D. Polack,
/// 1988), as strong as the reflections it takes over from. Walls absorb as Eyring's formula asks for `rt60`.
pub fn impulse_response(rt60: f32, rng: &mut impl Rng) -> Vec<f32> {
    let rate = SAMPLE_RATE as f32;
    let room = [(3.0, 8.0), (3.0, 6.0), (2.4, 3.5)].map(|(least, most)| rng.random_range(least..most));
    // Half a metre from every wall.
    let mut place = || room.map(|side: f32| rng.random_range(0.5..side - 0.5));
    let (voice, ear) = (place(), place());
    let direct = distance(voice, ear).max(0.3);

    let [x, y, z] = room;
    let (volume, surface) = (x * y * z, 2.0 * (x * y + y * z + z * x));
    // The amplitude that a wall leaves: the square root of 1 less the absorbed share.
    let reflection = (-0.161 * volume / (surface * rt60) / 2.0).exp();

    let length = ((rt60 * rate) as usize).max(1);
    let early = ((EARLY * rate) as usize).min(length);
    let mut response = vec![0.0; length];
    response[0] = 1.0;
    let reach = direct + EARLY * SPEED_OF_SOUND;
    let count = room.map(|side| (reach / (2.0 * side)).ceil() as i32);
    for images in cells(count) {
        for mirrored in cells_of_two() {
            let (mut at, mut walls) = ([0.0; 3], 0);
            for axis in 0..3 {
                let (image, mirror) = (images[axis], mirrored[axis]);
                at[axis] = (1 - 2 * mirror) as f32 * voice[axis] + 2.0 * image as f32 * room[axis];
                walls += (image - mirror).abs() + image.abs();
            }
            let path = distance(at, ear);
            let delay = ((path - direct) / SPEED_OF_SOUND * rate).round() as usize;
            if walls > 0 && path > direct && delay < early {
                response[delay] += direct / path * reflection.powi(walls);
            }
        }
    }

    // What the last 10 ms before the tail hold on the average.
    let level = mean_power(&response[early - early / 5..early]).sqrt();
    for (index, value) in response.iter_mut().enumerate().skip(early) {
        let decay = 10f32.powf(-3.0 * (index - early) as f32 / rate / rt60);
        *value = level * decay * normal(rng);
    }
    response
}

/// Every cell of a lattice within `count` of the origin.
fn cells(count: [i32; 3]) -> impl Iterator<Item = [i32; 3]> {
    let [x, y, z] = count;
    (-x..=x).flat_map(move |i| (-y..=y).flat_map(move |j| (-z..=z).map(move |k| [i, j, k])))
}

/// The eight mirrorings of a source about the walls at the origin.
fn cells_of_two() -> impl Iterator<Item = [i32; 3]> {
    (0..8).map(|bits| [bits & 1, bits >> 1 & 1, bits >> 2 & 1])
}

fn distance(a: [f32; 3], b: [f32; 3]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt()
}

/// A normally distributed number (Box and Muller 1958).
fn normal(rng: &mut impl Rng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.random::<f32>()).ln()).sqrt();
    radius * (std::f32::consts::TAU * rng.random::<f32>()).cos()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// The time of a fall by 60 dB, from the slope between 5 and 25 dB of the energy still to come (Schroeder 1965).
    fn measured_rt60(response: &[f32]) -> f32 {
        let mut left: Vec<f32> = response
            .iter()
            .rev()
            .scan(0.0, |sum, x| {
                *sum += x * x;
                Some(*sum)
            })
            .collect();
        left.reverse();
        let falls_to = |decibels: f32| {
            let least = left[0] * 10f32.powf(-decibels / 10.0);
            left.iter().position(|&energy| energy < least).unwrap() as f32 / SAMPLE_RATE as f32
        };
        3.0 * (falls_to(25.0) - falls_to(5.0))
    }

    #[test]
    fn rooms_ring_as_long_as_asked() {
        for rt60 in [0.2, 0.4, 0.8] {
            let times: Vec<f32> = (0..20)
                .map(|seed| measured_rt60(&impulse_response(rt60, &mut ChaCha8Rng::seed_from_u64(seed))))
                .collect();
            let mean = times.iter().sum::<f32>() / times.len() as f32;
            assert!((mean / rt60 - 1.0).abs() < 0.25, "{rt60} s came out as {mean} s: {times:?}");
        }
    }

    #[test]
    fn the_direct_sound_comes_first_and_strongest() {
        for seed in 0..50 {
            let response = impulse_response(0.5, &mut ChaCha8Rng::seed_from_u64(seed));
            assert_eq!((response[0], response.len()), (1.0, 8000));
            assert!(response.iter().all(|x| x.is_finite()));
            assert!(response[early_gap()..].iter().all(|x| x.abs() < 1.5), "seed {seed}");
        }
        let response = |seed| impulse_response(0.3, &mut ChaCha8Rng::seed_from_u64(seed));
        assert_eq!(response(1), response(1));
        assert_ne!(response(1), response(2));
    }

    /// Reflections may fall together with the direct sound; a millisecond later they are single.
    fn early_gap() -> usize {
        16
    }

    #[test]
    fn reverberation_keeps_level_length_and_silence() {
        let dry: Vec<f32> = (0..8000).map(|i| 0.2 * (i as f32 * 0.3).sin()).collect();
        let wet = reverberate(&dry, 0.4, &mut ChaCha8Rng::seed_from_u64(3));
        assert_eq!(wet.len(), dry.len());
        assert!((mean_power(&wet) / mean_power(&dry) - 1.0).abs() < 1e-3);
        assert!(wet.iter().zip(&dry).any(|(wet, dry)| (wet - dry).abs() > 0.01));
        assert_eq!(reverberate(&[0.0; 100], 0.4, &mut ChaCha8Rng::seed_from_u64(3)), [0.0; 100]);
    }
}
