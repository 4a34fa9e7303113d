//! Streams give bit for bit what the batch gives, however the signal is cut.

#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

use audio_features::{
    BandwidthConfig, Chroma, ChromaConfig, ContrastConfig, DbConfig, FeatureStream, MelConfig, MelSpectrogram, Mfcc,
    MfccConfig, PadMode, Precision, Reference, RmsConfig, Sample, Stft, StftConfig, ZcrConfig, fft_frequencies,
    poly_features, power_to_db, rms, spectral_bandwidth, spectral_centroid, spectral_contrast, spectral_flatness,
    spectral_rolloff, zero_crossing_rate,
};
use ndarray::{Array2, ArrayView2};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

type Tested = Result<(), TestCaseError>;

/// A signal with silences, tones and noise in it.
fn signal(longest: usize) -> impl Strategy<Value = Vec<f64>> {
    let sample = prop_oneof![8 => -1.0_f64..1.0, 1 => Just(0.0), 1 => -1e-9_f64..1e-9];
    prop::collection::vec(sample, 0..longest)
}

/// Lengths of pieces; a run of ones now and then.
fn pieces() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![2 => Just(1_usize), 3 => 1_usize..40, 3 => 1_usize..900], 1..8)
}

fn transform() -> impl Strategy<Value = StftConfig> {
    let pad_mode = prop::sample::select(vec![
        PadMode::Constant,
        PadMode::Edge,
        PadMode::Reflect,
        PadMode::Symmetric,
        PadMode::LinearRamp,
    ]);
    let n_fft = prop_oneof![Just(64_usize), Just(63), Just(128), 33_usize..200];
    (n_fft, 1_usize..250, any::<bool>(), pad_mode, any::<bool>()).prop_map(
        |(n_fft, hop_length, center, pad_mode, fast)| StftConfig {
            n_fft,
            hop_length: Some(hop_length),
            center,
            pad_mode,
            precision: if fast { Precision::Fast } else { Precision::Parity },
            ..StftConfig::default()
        },
    )
}

/// All frames of a stream, fed piece by piece.
fn collect<T: Sample, O: Clone>(
    stream: &mut FeatureStream<T, O>,
    samples: &[T],
    pieces: &[usize],
) -> audio_features::Result<Vec<Vec<O>>> {
    let mut frames = Vec::new();
    let (mut rest, mut lengths) = (samples, pieces.iter().cycle());
    while !rest.is_empty() {
        let (piece, after) = rest.split_at((*lengths.next().unwrap_or(&1)).min(rest.len()));
        stream.push(piece, |frame| frames.push(frame.to_vec()))?;
        rest = after;
    }
    stream.finish(|frame| frames.push(frame.to_vec()))?;
    Ok(frames)
}

/// That the stream and the batch agree: the same bits, or both an error. Twice, since a stream begins anew after its end.
fn agree<T: Sample, O: Clone + PartialEq + std::fmt::Debug>(
    what: &str,
    stream: audio_features::Result<FeatureStream<T, O>>,
    batch: audio_features::Result<Array2<O>>,
    samples: &[T],
    pieces: &[usize],
) -> Tested {
    let mut stream = stream?;
    for _ in 0..2 {
        match (collect(&mut stream, samples, pieces), &batch) {
            (Ok(frames), Ok(batch)) => {
                prop_assert_eq!(frames.len(), batch.ncols(), "frames of {}", what);
                for (t, (frame, column)) in frames.iter().zip(batch.columns()).enumerate() {
                    // Compared as text, in which NaN equals itself and −0 differs from 0.
                    prop_assert_eq!(format!("{frame:?}"), format!("{:?}", column.to_vec()), "{} at frame {}", what, t);
                }
            }
            (Err(_), Err(_)) => {}
            (Ok(frames), Err(error)) => prop_assert!(false, "{what}: {} frames, batch: {error}", frames.len()),
            (Err(error), Ok(_)) => prop_assert!(false, "{what}: {error}, but the batch has a result"),
        }
    }
    Ok(())
}

fn all_features<T: Sample>(samples: &[T], pieces: &[usize], config: &StftConfig) -> Tested {
    let stft = Stft::new(config)?;
    let freq = fft_frequencies(22_050.0, config.n_fft);
    agree("stft", FeatureStream::stft(&stft), stft.process(samples), samples, pieces)?;
    agree("spectrogram", FeatureStream::spectrogram(&stft, 1.0), stft.spectrogram(samples, 1.0), samples, pieces)?;

    let mel = MelSpectrogram::new(&MelConfig { stft: config.clone(), n_mels: 13, ..MelConfig::default() })?;
    agree("mel", FeatureStream::mel(&mel), mel.process(samples), samples, pieces)?;
    let db = DbConfig { top_db: None, reference: Reference::Value(0.5), ..DbConfig::default() };
    let batch = mel.process(samples).and_then(|mel| power_to_db(&mel, &db));
    agree("log-mel", FeatureStream::log_mel(&mel, &db), batch, samples, pieces)?;
    let mfcc = Mfcc::new(&MfccConfig { mel: mel.config().clone(), db, n_mfcc: 7, ..MfccConfig::default() })?;
    agree("mfcc", FeatureStream::mfcc(&mfcc), mfcc.process(samples), samples, pieces)?;
    agree(
        "mfcc without a top_db, running",
        FeatureStream::mfcc_running(&mfcc),
        mfcc.process(samples),
        samples,
        pieces,
    )?;
    let chroma = ChromaConfig { stft: config.clone(), tuning: Some(0.13), n_chroma: 24, ..ChromaConfig::default() };
    let chroma = Chroma::new(&chroma)?;
    agree("chroma", FeatureStream::chroma(&chroma), chroma.process(samples), samples, pieces)?;

    let of = |f: &dyn Fn(ArrayView2<'_, T>) -> audio_features::Result<Array2<f64>>| {
        stft.spectrogram(samples, 1.0).and_then(|magnitude| f(magnitude.view()))
    };
    let batch = of(&|magnitude| spectral_centroid(magnitude, &freq));
    agree("centroid", FeatureStream::centroid(&stft, freq.clone()), batch, samples, pieces)?;
    let bandwidth = BandwidthConfig { p: 3.0, norm: false };
    let batch = of(&|magnitude| spectral_bandwidth(magnitude, &freq, &bandwidth));
    agree("bandwidth", FeatureStream::bandwidth(&stft, freq.clone(), &bandwidth), batch, samples, pieces)?;
    let batch = of(&|magnitude| spectral_rolloff(magnitude, &freq, 0.7));
    agree("rolloff", FeatureStream::rolloff(&stft, freq.clone(), 0.7), batch, samples, pieces)?;
    let batch = of(&|magnitude| poly_features(magnitude, &freq, 2));
    agree("poly_features", FeatureStream::poly_features(&stft, freq.clone(), 2), batch, samples, pieces)?;
    let contrast = ContrastConfig { n_bands: 3, fmin: 1200.0, linear: true, ..ContrastConfig::default() };
    let batch = of(&|magnitude| spectral_contrast(magnitude, &freq, &contrast));
    agree("contrast", FeatureStream::contrast(&stft, freq.clone(), &contrast), batch, samples, pieces)?;
    let batch = stft.spectrogram(samples, 1.0).and_then(|magnitude| spectral_flatness(magnitude.view(), 1e-10, 2.0));
    agree("flatness", FeatureStream::flatness(&stft, 1e-10, 2.0), batch, samples, pieces)?;

    let StftConfig { n_fft: frame_length, center, pad_mode, .. } = *config;
    let hop_length = config.hop_length();
    for hop_length in [hop_length, frame_length, frame_length.div_ceil(4)] {
        let zcr = ZcrConfig { frame_length, hop_length, center, ..ZcrConfig::default() };
        agree("zcr", FeatureStream::zero_crossing_rate(&zcr), zero_crossing_rate(samples, &zcr), samples, pieces)?;
        let loudness = RmsConfig { frame_length, hop_length, center, pad_mode };
        agree("rms", FeatureStream::rms(&loudness), rms(samples, &loudness), samples, pieces)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn streams_equal_batches(samples in signal(1800), pieces in pieces(), config in transform()) {
        all_features(&samples, &pieces, &config)?;
        let samples: Vec<f32> = samples.iter().map(|&x| x as f32).collect();
        all_features(&samples, &pieces, &config)?;
    }

    /// What is running does not depend on how the signal is cut, and is never above what the batch allows.
    #[test]
    fn running_streams_do_not_depend_on_the_pieces(samples in signal(1800), pieces in pieces(), config in transform()) {
        let mel = MelSpectrogram::new(&MelConfig { stft: config.clone(), n_mels: 13, ..MelConfig::default() })?;
        let mfcc = Mfcc::new(&MfccConfig { mel: mel.config().clone(), n_mfcc: 7, ..MfccConfig::default() })?;
        let chroma = Chroma::new(&ChromaConfig { stft: config.clone(), ..ChromaConfig::default() })?;
        let stft = Stft::new(&config)?;
        let freq = fft_frequencies(22_050.0, config.n_fft);
        let contrast = ContrastConfig { n_bands: 3, fmin: 1200.0, ..ContrastConfig::default() };
        let db = DbConfig { reference: Reference::Max, top_db: Some(30.0), ..DbConfig::default() };
        let mut streams = [
            FeatureStream::mfcc_running(&mfcc)?,
            FeatureStream::chroma_running(&chroma)?,
            FeatureStream::contrast_running(&stft, freq, &contrast)?,
            FeatureStream::log_mel_running(&mel, &db)?,
        ];
        for stream in &mut streams {
            let once = collect(stream, &samples, &[samples.len().max(1)]);
            let (Ok(once), Ok(cut)) = (once, collect(stream, &samples, &pieces)) else { continue };
            prop_assert_eq!(&once, &cut);
        }
        // Over the maximum so far, nothing is above 0 dB or below −30.
        for frame in collect(&mut streams[3], &samples, &pieces).unwrap_or_default() {
            prop_assert!(frame.iter().all(|db| (-30.000_001..=1e-9).contains(db)), "{:?}", frame);
        }
    }
}

/// Once the loudest moment and enough of the tuning are heard, running streams give what the batch gives.
#[test]
fn running_streams_settle_on_the_batch() {
    let samples: Vec<f32> = (0..60_000)
        .map(|n| {
            let t = n as f32 / 22_050.0;
            let loud = if n < 4000 { 0.9 } else { 0.02 };
            loud * [261.63_f32, 329.63, 392.0].iter().map(|f| (t * f * 1.01 * std::f32::consts::TAU).sin()).sum::<f32>()
        })
        .collect();
    let mfcc = Mfcc::new(&MfccConfig::default()).unwrap();
    let batch = mfcc.process(&samples).unwrap();
    let frames = collect(&mut FeatureStream::mfcc_running(&mfcc).unwrap(), &samples, &[777]).unwrap();
    for (frame, column) in frames.iter().zip(batch.columns()).skip(8) {
        assert_eq!(*frame, column.to_vec());
    }
    let chroma = Chroma::new(&ChromaConfig::default()).unwrap();
    let batch = chroma.process(&samples).unwrap();
    let frames = collect(&mut FeatureStream::chroma_running(&chroma).unwrap(), &samples, &[777]).unwrap();
    for (frame, column) in frames.iter().zip(batch.columns()).skip(20) {
        assert!(frame.iter().zip(column).all(|(a, b)| (a - b).abs() < 0.1), "{frame:?} {column}");
    }
}

#[test]
fn what_needs_the_whole_signal_is_refused() {
    let defaults = Mfcc::new(&MfccConfig::default()).unwrap();
    assert!(FeatureStream::<f32>::mfcc(&defaults).is_err());
    assert!(FeatureStream::<f32>::log_mel(defaults.mel(), &DbConfig::default()).is_err());
    let db = DbConfig { top_db: None, reference: Reference::Median, ..DbConfig::default() };
    assert!(FeatureStream::<f32>::log_mel(defaults.mel(), &db).is_err());
    assert!(FeatureStream::<f32>::log_mel_running(defaults.mel(), &db).is_err());
    assert!(FeatureStream::<f32>::chroma(&Chroma::new(&ChromaConfig::default()).unwrap()).is_err());
    let stft = Stft::new(&StftConfig::default()).unwrap();
    let freq = fft_frequencies(22_050.0, 2048);
    assert!(FeatureStream::<f32, f64>::contrast(&stft, freq, &ContrastConfig::default()).is_err());
    assert!(FeatureStream::<f32, f64>::centroid(&stft, vec![0.0; 3]).is_err());
    assert!(FeatureStream::<f32, f32>::rms(&RmsConfig { pad_mode: PadMode::Mean, ..RmsConfig::default() }).is_err());
    assert!(FeatureStream::<f32, f32>::rms(&RmsConfig { hop_length: 0, ..RmsConfig::default() }).is_err());
}

#[test]
fn bad_samples_are_refused_and_change_nothing() {
    let stft = Stft::new(&StftConfig { n_fft: 64, ..StftConfig::default() }).unwrap();
    let mut stream = FeatureStream::spectrogram(&stft, 2.0).unwrap();
    let samples: Vec<f32> = (0..500).map(|n| (n as f32 * 0.3).sin()).collect();
    let want = collect(&mut stream, &samples, &[100]).unwrap();
    let mut frames = Vec::new();
    stream.push(&samples[..300], |frame: &[f32]| frames.push(frame.to_vec())).unwrap();
    assert!(stream.push(&[0.1, f32::NAN], |_| {}).is_err());
    stream.push(&samples[300..], |frame| frames.push(frame.to_vec())).unwrap();
    stream.finish(|frame| frames.push(frame.to_vec())).unwrap();
    assert_eq!(frames, want);
}
