//! What must hold for every signal and every setting.

use audio_features::summary::vector_162;
use audio_features::{
    Chroma, ChromaConfig, Error, Istft, MelConfig, MelSpectrogram, Mfcc, MfccConfig, PadMode, RmsConfig, Stft,
    StftConfig, Window, ZcrConfig, resample, rms, zero_crossing_rate,
};
use proptest::prelude::*;

fn signal(longest: usize) -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(prop_oneof![8 => -1.0_f32..1.0, 1 => Just(0.0), 1 => -1e-12_f32..1e-12], 0..longest)
}

fn pad_mode() -> impl Strategy<Value = PadMode> {
    prop::sample::select(vec![
        PadMode::Constant,
        PadMode::Edge,
        PadMode::Reflect,
        PadMode::Symmetric,
        PadMode::LinearRamp,
    ])
}

fn transform() -> impl Strategy<Value = StftConfig> {
    (0_usize..300, 0_usize..200, prop::option::of(0_usize..300), any::<bool>(), pad_mode()).prop_map(
        |(n_fft, hop_length, win_length, center, pad_mode)| StftConfig {
            n_fft,
            hop_length: Some(hop_length),
            win_length,
            window: Window::Hamming,
            center,
            pad_mode,
            ..StftConfig::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, ..ProptestConfig::default() })]

    /// Whatever is asked for, there is a result or an error, and never a panic.
    #[test]
    fn any_setting_gives_a_result_or_an_error(
        samples in signal(700),
        stft in transform(),
        n_mels in 0_usize..50,
        n_mfcc in 0_usize..60,
        sr in prop_oneof![Just(0.0), Just(f64::NAN), 1.0_f64..50_000.0],
        fmax in prop::option::of(-10.0_f64..60_000.0),
    ) {
        let mel = MelConfig { sr, stft: stft.clone(), n_mels, fmax, ..MelConfig::default() };
        if let Ok(mel) = MelSpectrogram::new(&mel) && let Ok(energies) = mel.process(&samples) {
            prop_assert_eq!(energies.nrows(), n_mels);
            prop_assert!(energies.iter().all(|x| x.is_finite() && *x >= 0.0));
        }
        if let Ok(mfcc) = Mfcc::new(&MfccConfig { mel, n_mfcc, ..MfccConfig::default() })
            && let Ok(coefficients) = mfcc.process(&samples)
        {
            prop_assert!(coefficients.iter().all(|x| x.is_finite()));
        }
        if let Ok(chroma) = Chroma::new(&ChromaConfig { sr, stft, ..ChromaConfig::default() })
            && let Ok(classes) = chroma.process(&samples)
        {
            prop_assert!(classes.iter().all(|x| (0.0..=1.0).contains(x)));
        }
    }

    /// The transform of a sum is the sum of the transforms.
    #[test]
    fn the_transform_is_linear(samples in prop::collection::vec((-1.0_f64..1.0, -1.0_f64..1.0), 1..600), stft in transform()) {
        let Ok(plan) = Stft::new(&stft) else { return Ok(()) };
        let (a, b): (Vec<f64>, Vec<f64>) = samples.iter().copied().unzip();
        let sum: Vec<f64> = samples.iter().map(|(a, b)| a + b).collect();
        let Ok(a) = plan.process(&a) else { return Ok(()) };
        let (b, sum) = (plan.process(&b)?, plan.process(&sum)?);
        prop_assert!(sum.iter().zip(a.iter().zip(&b)).all(|(sum, (a, b))| (sum - (a + b)).norm() < 1e-10));
    }

    /// What was transformed comes back.
    #[test]
    fn the_inverse_undoes_the_transform(samples in prop::collection::vec(-1.0_f64..1.0, 200..900), quarter in 8_usize..40, pad_mode in pad_mode()) {
        let config = StftConfig { n_fft: 4 * quarter, pad_mode, ..StftConfig::default() };
        let spectrum = Stft::new(&config)?.process(&samples)?;
        let back = Istft::new(&config)?.process(spectrum.view(), Some(samples.len()))?;
        // The last hop may lie beyond the last window's reach.
        let reach = samples.len() - quarter;
        prop_assert!(samples.iter().zip(&back).take(reach).all(|(a, b)| (a - b).abs() < 1e-9));
    }

    /// Rates and loudness lie in their ranges, and a louder signal is exactly so much louder.
    #[test]
    fn waveform_features_have_their_ranges(samples in signal(3000), frame_length in 1_usize..700, hop_length in 1_usize..700) {
        let config = ZcrConfig { frame_length, hop_length, ..ZcrConfig::default() };
        if let Ok(rates) = zero_crossing_rate(&samples, &config) {
            prop_assert!(rates.iter().all(|rate| (0.0..=1.0).contains(rate)));
        }
        let config = RmsConfig { frame_length, hop_length, ..RmsConfig::default() };
        let Ok(once) = rms(&samples, &config) else { return Ok(()) };
        let doubled: Vec<f32> = samples.iter().map(|x| 2.0 * x).collect();
        prop_assert!(rms(&doubled, &config)?.iter().zip(&once).all(|(twice, once)| *twice == 2.0 * once));
    }

    /// Any rates: the promised length, and nothing louder than the filter can make it.
    #[test]
    fn resampling_keeps_its_promises(samples in signal(400), from in 1_u32..50_000, to in 1_u32..50_000) {
        match resample(&samples, from, to) {
            Ok(resampled) => {
                prop_assert_eq!(resampled.len(), (samples.len() as f64 * (f64::from(to) / f64::from(from))).ceil() as usize);
                prop_assert!(resampled.iter().all(|x| x.abs() < 8.0));
            }
            Err(error) => prop_assert!(matches!(error, Error::InvalidConfig { .. }), "{error}"),
        }
    }

    /// The vector is finite for whatever is not.
    #[test]
    fn the_vector_is_finite(samples in signal(6000), rate in 1_u32..100_000) {
        match vector_162(&samples, rate) {
            Ok(vector) => prop_assert!(vector.iter().all(|x| x.is_finite())),
            Err(error) => prop_assert!(samples.is_empty(), "{error}"),
        }
    }
}
