//! Whatever comes in, there is a result or a typed error, and never a panic: every public function, with any numbers.

#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

use audio_features::augment::{
    self, Noise, TimeStretch, add_noise, gain, phase_vocoder, pitch_shift, roll, time_shift, time_stretch,
};
use audio_features::summary::{Statistic, Vector162, summarize, vector_162};
use audio_features::*;
use ndarray::{Array1, Array2, Array3, ArrayD, Axis};
use proptest::prelude::*;
use realfft::num_complex::Complex;

/// A number of any kind: sensible, extreme, or none.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => -10.0_f64..10.0,
        3 => 0.0_f64..30_000.0,
        4 => prop::sample::select(vec![
            0.0, -0.0, 1.0, -1.0, 1e-12, 1e-300, 5e-324, 1e12, 1e300, f64::MAX, f64::MIN, f64::NAN, f64::INFINITY,
            f64::NEG_INFINITY,
        ]),
    ]
}

/// A size of any kind.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 0_usize..70, 1 => prop::sample::select(vec![1 << 40, usize::MAX / 2, usize::MAX - 1, usize::MAX])]
}

/// Samples; in one case of three some that are none.
fn samples() -> impl Strategy<Value = Vec<f32>> {
    let clean = || prop::collection::vec(prop_oneof![5 => -1.0_f32..1.0, 1 => Just(0.0_f32), 1 => Just(1e-38)], 0..400);
    let bad = prop::sample::select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 1e-45]);
    prop_oneof![
        2 => clean(),
        1 => (clean(), bad, any::<prop::sample::Index>()).prop_map(|(mut samples, bad, index)| {
            if !samples.is_empty() {
                let place = index.index(samples.len());
                samples[place] = bad;
            }
            samples
        }),
    ]
}

/// A spectrogram, or what looks like one.
fn spectrogram() -> impl Strategy<Value = Array2<f32>> {
    (0_usize..40, 0_usize..6, samples()).prop_map(|(rows, columns, samples)| {
        let mut values = samples.into_iter().cycle();
        Array2::from_shape_simple_fn((rows, columns), || values.next().unwrap_or(0.5).abs())
    })
}

fn pad_mode() -> impl Strategy<Value = PadMode> {
    prop::sample::select(vec![
        PadMode::Constant,
        PadMode::Edge,
        PadMode::Reflect,
        PadMode::Symmetric,
        PadMode::LinearRamp,
        PadMode::Wrap,
        PadMode::Maximum,
        PadMode::Minimum,
        PadMode::Mean,
        PadMode::Median,
    ])
}

fn window() -> impl Strategy<Value = Window> {
    let named = prop::sample::select(
        "hann hamming blackman blackmanharris nuttall flattop boxcar triang bartlett barthann cosine bohman parzen lanczos tukey \
         exponential taylor"
            .split_whitespace()
            .map(|name| name.parse::<Window>().unwrap())
            .collect::<Vec<_>>(),
    );
    prop_oneof![
        4 => named,
        1 => number().prop_map(|alpha| Window::GeneralHamming { alpha }),
        1 => number().prop_map(|beta| Window::Kaiser { beta }),
        1 => number().prop_map(|std| Window::Gaussian { std }),
        1 => (number(), number()).prop_map(|(p, sig)| Window::GeneralGaussian { p, sig }),
        1 => number().prop_map(|alpha| Window::Tukey { alpha }),
        1 => (prop::option::of(number()), number()).prop_map(|(center, tau)| Window::Exponential { center, tau }),
        1 => prop::collection::vec(number(), 0..6).prop_map(|coefficients| Window::GeneralCosine { coefficients }),
        1 => number().prop_map(|attenuation| Window::Chebyshev { attenuation }),
        1 => (size(), number(), any::<bool>()).prop_map(|(nbar, sll, norm)| Window::Taylor { nbar, sll, norm }),
        1 => number().prop_map(|nw| Window::Dpss { nw }),
        1 => number().prop_map(|beta| Window::KaiserBesselDerived { beta }),
        1 => any::<bool>().prop_map(|periodic| Window::Always { window: Box::new(Window::Cosine), periodic }),
        1 => prop::collection::vec(number(), 0..70).prop_map(Window::Custom),
    ]
}

fn transform() -> impl Strategy<Value = StftConfig> {
    (size(), prop::option::of(size()), prop::option::of(size()), window(), any::<bool>(), pad_mode(), any::<bool>())
        .prop_map(|(n_fft, hop_length, win_length, window, center, pad_mode, fast)| StftConfig {
            n_fft,
            hop_length,
            win_length,
            window,
            center,
            pad_mode,
            precision: if fast { Precision::Fast } else { Precision::Parity },
        })
}

fn norm() -> impl Strategy<Value = Norm> {
    prop_oneof![
        prop::sample::select(vec![Norm::None, Norm::Max, Norm::Min, Norm::Count, Norm::P(1.0), Norm::P(2.0)]),
        number().prop_map(Norm::P),
    ]
}

fn decibels() -> impl Strategy<Value = DbConfig> {
    let reference = prop_oneof![
        prop::sample::select(vec![Reference::Max, Reference::Min, Reference::Mean, Reference::Median]),
        number().prop_map(Reference::Value),
    ];
    (reference, number(), prop::option::of(number())).prop_map(|(reference, amin, top_db)| DbConfig {
        reference,
        amin,
        top_db,
    })
}

fn mel() -> impl Strategy<Value = MelConfig> {
    (number(), transform(), number(), size(), number(), prop::option::of(number()), any::<bool>(), norm()).prop_map(
        |(sr, stft, power, n_mels, fmin, fmax, htk, norm)| MelConfig {
            sr,
            stft,
            power,
            n_mels,
            fmin,
            fmax,
            htk,
            norm: MelNorm::Norm(norm),
        },
    )
}

/// Samples that no feature is defined for.
fn is_bad(samples: &[f32]) -> bool {
    samples.iter().any(|x| !x.is_finite())
}

/// That a result is an error whenever a sample is NaN or infinite.
fn refuses<R>(samples: &[f32], result: audio_features::Result<R>) -> Option<R> {
    assert!(!(is_bad(samples) && result.is_ok()), "NaN or infinity went through");
    result.ok()
}

/// Everything that a stream does.
fn run<O: Clone>(stream: audio_features::Result<FeatureStream<f32, O>>, samples: &[f32]) {
    let Ok(mut stream) = stream else { return };
    for piece in samples.chunks(97) {
        let pushed = stream.push(piece, |_| {});
        assert!(pushed.is_ok() || is_bad(piece) || stream.hop_length() > 0);
    }
    let _ = stream.finish(|_| {});
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn transforms(samples in samples(), config in transform(), power in number(), length in prop::option::of(0_usize..500), window in window(), n in size(), periodic in any::<bool>()) {
        if let Ok(values) = window.samples(n, periodic) {
            prop_assert_eq!(values.len(), n);
        }
        let Ok(stft) = Stft::new(&config) else { return Ok(()) };
        let _ = refuses(&samples, stft.spectrogram(&samples, power));
        let _ = stft.spectrogram_into(&samples, power, Array2::zeros((3, 3)).view_mut());
        if let Some(spectrum) = refuses(&samples, stft.process(&samples)) {
            prop_assert_eq!(spectrum.dim(), (stft.n_bins(), stft.n_frames(samples.len())?));
            let back = Istft::new(&config)?.process(spectrum.view(), length)?;
            prop_assert!(length.is_none_or(|length| length == 0 || back.len() == length));
            let _ = magphase(spectrum.view(), power);
            let _ = phase_vocoder(spectrum.view(), power);
        }
        run(FeatureStream::stft(&stft), &samples);
        run(FeatureStream::spectrogram(&stft, power), &samples);
    }

    #[test]
    fn mel_bands_and_coefficients(samples in samples(), mel in mel(), db in decibels(), n_mfcc in size(), dct_type in any::<u8>(), lifter in number(), other in spectrogram()) {
        let _ = mel_filters(&mel);
        if let Ok(plan) = MelSpectrogram::new(&mel) {
            let _ = refuses(&samples, plan.process(&samples));
            let _ = plan.from_spectrogram(other.view());
            let _ = plan.empty_bands();
            run(FeatureStream::mel(&plan), &samples);
            run(FeatureStream::log_mel(&plan, &db), &samples);
            run(FeatureStream::log_mel_running(&plan, &db), &samples);
        }
        let norm = if n_mfcc % 2 == 0 { DctNorm::Ortho } else { DctNorm::None };
        if let Ok(plan) = Mfcc::new(&MfccConfig { mel, db, n_mfcc, dct_type, norm, lifter }) {
            let _ = refuses(&samples, plan.process(&samples));
            let _ = plan.from_log_mel(other.view());
            run(FeatureStream::mfcc(&plan), &samples);
            run(FeatureStream::mfcc_running(&plan), &samples);
        }
    }

    #[test]
    fn pitch_classes(samples in samples(), stft in transform(), n_chroma in size(), numbers in prop::collection::vec(number(), 5..6), norm in norm(), base_c in any::<bool>(), tuned in any::<bool>(), other in spectrogram()) {
        let [sr, tuning, ctroct, octwidth, threshold] = numbers[..] else { return Ok(()) };
        let octwidth = (octwidth != 1.0).then_some(octwidth);
        let filters = ChromaFilterConfig { sr, n_fft: stft.n_fft, n_chroma, tuning, ctroct, octwidth, norm, base_c };
        let _ = chroma_filters(&filters);
        let config = ChromaConfig { sr, stft, norm, tuning: tuned.then_some(tuning), n_chroma, ctroct, octwidth, base_c };
        if let Ok(chroma) = Chroma::new(&config) {
            let _ = refuses(&samples, chroma.process(&samples));
            let _ = chroma.from_spectrogram(other.view());
            let _ = chroma.process_nd(Array2::from_shape_fn((2, samples.len()), |(_, n)| samples[n]).view());
            run(FeatureStream::chroma(&chroma), &samples);
            run(FeatureStream::chroma_running(&chroma), &samples);
        }
        let config = PiptrackConfig { sr, fmin: ctroct, fmax: tuning, threshold, reference: octwidth };
        let _ = piptrack(other.view(), &config);
        let _ = estimate_tuning(other.view(), &config, threshold, n_chroma);
        let _ = pitch_tuning(&samples, threshold, n_chroma);
        let _ = a4_to_tuning(threshold, n_chroma);
        let _ = tonnetz(other.view());
    }

    #[test]
    fn shapes_of_spectra(other in spectrogram(), mut freq in prop::collection::vec(number(), 0..40), fit in any::<bool>(), numbers in prop::collection::vec(number(), 5..6), n in size(), m in size(), linear in any::<bool>(), db in decibels(), mode in 0_usize..5) {
        let [a, b, c, d, e] = numbers[..] else { return Ok(()) };
        if fit {
            freq = fft_frequencies(22_050.0, 2 * other.nrows().saturating_sub(1).max(1));
        }
        let _ = spectral_centroid(other.view(), &freq);
        let _ = spectral_bandwidth(other.view(), &freq, &BandwidthConfig { p: a, norm: linear });
        let _ = spectral_rolloff(other.view(), &freq, b);
        let _ = spectral_flatness(other.view(), c, d);
        let config = ContrastConfig { sr: a, fmin: b, n_bands: n, quantile: e, linear };
        let _ = spectral_contrast(other.view(), &freq, &config);
        let config = ContrastConfig { sr: 22_050.0, fmin: 500.0, n_bands: n % 5, quantile: e, linear };
        let _ = spectral_contrast(other.view(), &freq, &config);
        let _ = poly_features(other.view(), &freq, n % 8);
        let _ = poly_features(other.view(), &freq, usize::MAX);
        let _ = rms_from_spectrogram(other.view(), n);
        let _ = power_to_db(&other, &db);
        let _ = amplitude_to_db(&other, &db);
        let _ = power_to_db(&other.clone().insert_axis(Axis(0)), &db);
        let _ = db_to_power(&other, a);
        let _ = db_to_amplitude(&other, a);
        let mode = [DeltaMode::Interp, DeltaMode::Nearest, DeltaMode::Mirror, DeltaMode::Constant, DeltaMode::Wrap][mode];
        let order = if n < 70 { n % 9 } else { n };
        let _ = delta(&other, &DeltaConfig { width: m, order, mode });
        let _ = summarize(other.view(), &[Statistic::Mean, Statistic::Std, Statistic::Percentile(a)]);
        if let Ok(stft) = Stft::new(&StftConfig { n_fft: 2 * freq.len().saturating_sub(1).max(1), ..StftConfig::default() }) {
            let values = other.iter().copied().collect::<Vec<f32>>();
            run(FeatureStream::centroid(&stft, freq.clone()), &values);
            let bandwidth = BandwidthConfig { p: a, norm: true };
            run(FeatureStream::bandwidth(&stft, freq.clone(), &bandwidth), &values);
            run(FeatureStream::rolloff(&stft, freq.clone(), b), &values);
            run(FeatureStream::contrast(&stft, freq.clone(), &config), &values);
            run(FeatureStream::contrast_running(&stft, freq.clone(), &config), &values);
            run(FeatureStream::poly_features(&stft, freq, n % 8), &values);
            run(FeatureStream::flatness(&stft, c, d), &values);
        }
    }

    #[test]
    fn waveforms(samples in samples(), frame_length in size(), hop_length in size(), center in any::<bool>(), pad_mode in pad_mode(), numbers in prop::collection::vec(number(), 3..4), zero_pos in any::<bool>()) {
        let [a, b, c] = numbers[..] else { return Ok(()) };
        let config = ZcrConfig { frame_length, hop_length, center, threshold: a, zero_pos, pad: !zero_pos };
        if let Some(rates) = refuses(&samples, zero_crossing_rate(&samples, &config)) {
            prop_assert!(rates.iter().all(|rate| (0.0..=1.0).contains(rate)));
        }
        run(FeatureStream::zero_crossing_rate(&config), &samples);
        let config = RmsConfig { frame_length, hop_length, center, pad_mode };
        let _ = refuses(&samples, rms(&samples, &config));
        run(FeatureStream::rms(&config), &samples);
        for reference in [Reference::Max, Reference::Value(b)] {
            let config = SilenceConfig { top_db: a, reference, frame_length, hop_length, ..SilenceConfig::default() };
            if let Some(range) = refuses(&samples, trim(&samples, &config)) {
                prop_assert!(range.start <= range.end && range.end <= samples.len());
            }
            let parts = refuses(&samples, split(&samples, &config)).unwrap_or_default();
            prop_assert!(parts.iter().all(|part| part.start <= part.end && part.end <= samples.len()));
        }
        let _ = refuses(&samples, preemphasis(&samples, a));
        let _ = refuses(&samples, deemphasis(&samples, a));
        let _ = refuses(&samples, teager_energy(&samples));
        let config = HnrConfig { sr: a, fmin: b, periods_per_window: c, hop_length: Some(hop_length), ..HnrConfig::default() };
        let _ = refuses(&samples, harmonics_to_noise(&samples, &config));
        let config = HnrConfig { sr: 1000.0, fmin: 60.0, fmax: Some(c), silence_threshold: a, ..HnrConfig::default() };
        let _ = refuses(&samples, harmonics_to_noise(&samples, &config));
        let _ = (to_mono(&samples, hop_length as u16), frame_time(frame_length % 1000, hop_length % 1000, a));
    }

    #[test]
    fn effects(samples in samples(), a in number(), b in number(), shift in any::<isize>(), from in any::<u32>(), to in 0_u32..2000, seed in any::<u64>()) {
        let _ = refuses(&samples, time_stretch(&samples, a.max(0.02)));
        let _ = refuses(&samples, time_stretch(&samples, a.min(0.0)));
        let _ = refuses(&samples, pitch_shift(&samples, a, b.clamp(-24.0, 24.0)));
        let _ = refuses(&samples, add_noise(&samples, a, Noise::Pink, seed));
        let _ = (time_shift(&samples, shift), roll(&samples, shift), gain(&samples, a));
        let _ = refuses(&samples, resample_polyphase(&samples, 1 + to, 1 + to / 3));
        let _ = refuses(&samples, resample_fourier(&samples, 1 + to, 1 + to / 3));
        let _ = resample(&samples, from, to);
        let config = ResamplerConfig { from_rate: a, to_rate: a * 1.5, passband: b, ..ResamplerConfig::default() };
        let _ = resample_with(&samples, &config);
    }

    #[test]
    fn voices(samples in samples(), frame_length in size(), hop_length in prop::option::of(size()), numbers in prop::collection::vec(number(), 5..6), center in any::<bool>(), pad_mode in pad_mode(), n_thresholds in 0_usize..20) {
        let [sr, fmin, fmax, a, b] = numbers[..] else { return Ok(()) };
        let anything = YinConfig { sr, fmin, fmax, frame_length, hop_length, trough_threshold: a, center, pad_mode };
        let likely = YinConfig { sr: 1000.0, fmin: 60.0, fmax: 400.0, ..anything.clone() };
        for config in [anything, likely] {
            let _ = refuses(&samples, yin(&samples, &config));
            let defaults = PyinConfig { yin: config, ..PyinConfig::default() };
            let config = PyinConfig {
                n_thresholds,
                beta_parameters: (a, b),
                boltzmann_parameter: b,
                resolution: a,
                max_transition_rate: b,
                switch_prob: a,
                no_trough_prob: b,
                transition_min_prob: a,
                ..defaults.clone()
            };
            let _ = refuses(&samples, pyin(&samples, &defaults));
            let _ = pyin(&samples, &config);
        }
    }

    #[test]
    fn several_features_at_once(samples in samples(), sr in number(), stft in transform(), n_mels in size(), n_mfcc in size(), n_chroma in size(), tuning in prop::option::of(number()), rate in any::<u32>()) {
        let config = ExtractorConfig { sr, stft, features: Feature::ALL.to_vec(), n_mels, n_mfcc, n_chroma, tuning };
        for config in [ExtractorConfig { features: vec![Feature::Mfcc, Feature::Rms], sr: 8000.0, ..config.clone() }, config] {
            if let Ok(extractor) = FeatureExtractor::new(&config) {
                let _ = refuses(&samples, extractor.process(&samples));
            }
        }
        let _ = refuses(&samples, vector_162(&samples, rate));
        let _ = Vector162::new(sr, Precision::Fast);
    }

    #[test]
    fn scales(a in number(), b in number(), n in 0_usize..100, htk in any::<bool>(), name in "\\PC{0,6}") {
        let _ = (hz_to_mel(a, htk), mel_to_hz(a, htk), hz_to_octs(a, b, n), octs_to_hz(a, b, n), hz_to_midi(a), midi_to_hz(a));
        let _ = (fft_frequencies(a, n), mel_frequencies(n, a, b, htk), midi_to_note(a), hz_to_note(a));
        let _ = (note_to_midi(&name), note_to_hz(&name), name.parse::<Window>(), name.parse::<PadMode>(), name.parse::<Feature>());
    }

    /// Arrays of any shape, empty ones too.
    #[test]
    fn arrays(shape in prop::collection::vec(0_usize..4, 0..4), n in 0_usize..300) {
        let signals = ArrayD::from_elem([&shape[..], &[n]].concat(), 0.25_f32);
        let stft = Stft::new(&StftConfig { n_fft: 32, ..StftConfig::default() })?;
        if let Ok(spectra) = stft.process_nd(signals.view()) {
            prop_assert_eq!(spectra.ndim(), shape.len() + 2);
            let back = Istft::new(stft.config())?.process_nd(spectra.view(), Some(n).filter(|&n| n > 0))?;
            prop_assert!(n == 0 || back.shape() == signals.shape());
        }
        let _ = Chroma::new(&ChromaConfig { stft: stft.config().clone(), ..ChromaConfig::default() })?.process_nd(signals.view());
        let _ = trim_nd(signals.view(), &SilenceConfig::default());
        let _ = split_nd(signals.view(), &SilenceConfig::default());
        let _ = each_channel(signals.view(), |samples| Ok(Array1::from(samples.to_vec())));
        let _ = each_spectrogram(signals.view(), |spectrogram| Ok(spectrogram.to_owned()));
        let _ = power_to_db(&signals, &DbConfig::default());
        let _ = delta(&signals, &DeltaConfig::default());
        let _ = estimate_tuning(signals.view(), &PiptrackConfig::default(), 0.01, 12);
    }
}

/// What is named by hand in the docs of librosa's own failures.
#[test]
fn the_usual_suspects() {
    let nothing: [f32; 0] = [];
    let config_error = |error| assert!(matches!(error, Error::InvalidConfig { .. }), "{error:?}");
    for stft in [
        StftConfig { n_fft: 0, ..StftConfig::default() },
        StftConfig { hop_length: Some(0), ..StftConfig::default() },
        StftConfig { hop_length: Some(usize::MAX), ..StftConfig::default() },
        StftConfig { n_fft: usize::MAX, ..StftConfig::default() },
        StftConfig { pad_mode: PadMode::Wrap, ..StftConfig::default() },
    ] {
        config_error(Stft::new(&stft).unwrap_err());
    }
    for mel in [
        MelConfig { n_mels: 0, ..MelConfig::default() },
        MelConfig { n_mels: usize::MAX, ..MelConfig::default() },
        MelConfig { sr: 0.0, ..MelConfig::default() },
        MelConfig { fmax: Some(f64::NAN), ..MelConfig::default() },
    ] {
        config_error(MelSpectrogram::new(&mel).unwrap_err());
    }
    // Beyond the Nyquist frequency there is nothing: empty bands, as in librosa, which warns.
    let mel = MelSpectrogram::new(&MelConfig { fmax: Some(20_000.0), ..MelConfig::default() }).unwrap();
    assert!(!mel.empty_bands().is_empty());
    // Nothing, and one sample, have a frame of padding; silence has features.
    assert_eq!(mel.process(&nothing).unwrap().dim(), (128, 1));
    assert_eq!(mel.process(&[0.5_f32]).unwrap().dim(), (128, 1));
    assert!(zero_crossing_rate(&nothing, &ZcrConfig::default()).is_err());
    assert!(
        Mfcc::new(&MfccConfig::default()).unwrap().process(&[0.0_f32; 3000]).unwrap().iter().all(|x| x.is_finite())
    );
    assert!(matches!(mel.process(&[0.0, f32::NAN]).unwrap_err(), Error::NotFinite { index: 1, .. }));
    assert!(matches!(mel.process(&[f32::NEG_INFINITY]).unwrap_err(), Error::NotFinite { index: 0, .. }));
    let uncentred = StftConfig { center: false, ..StftConfig::default() };
    assert!(matches!(
        Stft::new(&uncentred).unwrap().process(&[0.0_f32; 2047]).unwrap_err(),
        Error::TooShort { expected: 2048, got: 2047 }
    ));
    assert!(TimeStretch::default().time_stretch(&[0.1_f32; 100], 1e-300).is_err());
    assert!(phase_vocoder(Array2::<Complex<f64>>::zeros((5, 5)).view(), 1e-300).is_err());
    assert!(
        augment::time_stretch(&nothing, 1.0).is_ok_and(|stretched| stretched.is_empty())
            || time_stretch(&nothing, 1.0).is_err()
    );
    assert!(power_to_db(&Array3::<f32>::zeros((2, 0, 3)), &DbConfig::default()).is_err());
}
