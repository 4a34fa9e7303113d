//! After the first call a planner allocates nothing: counted by the allocator itself, on the thread that calls, for the test
//! harness allocates on its own.

#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use audio_features::augment::TimeStretch;
use audio_features::summary::Vector162;
use audio_features::{
    Chroma, ChromaConfig, ExtractorConfig, Feature, FeatureExtractor, Istft, MelConfig, MelSpectrogram, Mfcc,
    MfccConfig, PadMode, Precision, RmsConfig, Sample, Stft, StftConfig, ZcrConfig, rms_into, zero_crossing_rate_into,
};
use ndarray::{Array1, Array2};

/// The system's allocator, counting.
struct Counting;

thread_local! {
    /// Of this thread so far.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
}

#[expect(unsafe_code, reason = "an allocator is an unsafe trait")]
// SAFETY: every call is handed on as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the same.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are the same.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Calls `f` once for each signal, and then again counted.
fn check<T>(what: &str, signals: &[Vec<T>], mut f: impl FnMut(&[T])) {
    for samples in signals {
        f(samples);
    }
    let before = ALLOCATIONS.get();
    for samples in signals {
        f(samples);
    }
    let count = ALLOCATIONS.get() - before;
    assert_eq!(count, 0, "{what} allocated {count} times");
}

fn planners<T: Sample>(precision: Precision, pad_mode: PadMode) {
    let stft_config = StftConfig { precision, pad_mode, ..StftConfig::default() };
    // Two signals of one length and different tunings, so that the bank of pitch classes is drawn anew for each.
    let signals: Vec<Vec<T>> = [0.06, 0.0617]
        .iter()
        .map(|step| {
            (0..20_000)
                .map(|n| T::narrow((f64::from(n) * step).sin() * 0.3 + (f64::from(n) * 0.411).cos() * 0.1))
                .collect()
        })
        .collect();
    let name = |what: &str| format!("{what}, {} samples, {precision:?}, {pad_mode:?}", std::any::type_name::<T>());

    let stft = Stft::new(&stft_config).unwrap();
    let frames = stft.n_frames(20_000).unwrap();
    let mut spectrum = stft.process(&signals[0]).unwrap();
    check(&name("Stft"), &signals, |x| stft.process_into(x, spectrum.view_mut()).unwrap());
    let mut spectrogram = stft.spectrogram(&signals[0], 1.0).unwrap();
    for power in [1.0, 2.0, 1.5] {
        check(&name("spectrogram"), &signals, |x| stft.spectrogram_into(x, power, spectrogram.view_mut()).unwrap());
    }
    let (stretch, mut stretched) = (TimeStretch::new(&stft_config).unwrap(), Vec::new());
    check(&name("TimeStretch"), &signals, |x| stretch.time_stretch_into(x, 0.8, &mut stretched).unwrap());
    let istft = Istft::new(&stft_config).unwrap();
    let mut samples = vec![T::zero(); 20_000];
    check(&name("Istft"), &signals, |_| istft.process_into(spectrum.view(), &mut samples).unwrap());

    let mel = MelSpectrogram::new(&MelConfig { stft: stft_config.clone(), ..MelConfig::default() }).unwrap();
    let mut out = Array2::zeros((128, frames));
    check(&name("MelSpectrogram"), &signals, |x| mel.process_into(x, out.view_mut()).unwrap());
    check(&name("mel of a spectrogram"), &signals, |_| {
        mel.from_spectrogram_into(spectrogram.view(), out.view_mut()).unwrap();
    });
    let mfcc = Mfcc::new(&MfccConfig { mel: mel.config().clone(), ..MfccConfig::default() }).unwrap();
    let mut coefficients = Array2::zeros((20, frames));
    check(&name("Mfcc"), &signals, |x| mfcc.process_into(x, coefficients.view_mut()).unwrap());
    check(&name("MFCCs of decibels"), &signals, |_| {
        mfcc.from_log_mel_into(out.view(), coefficients.view_mut()).unwrap();
    });
    for tuning in [Some(0.1), None] {
        let chroma =
            Chroma::new(&ChromaConfig { stft: stft_config.clone(), tuning, ..ChromaConfig::default() }).unwrap();
        let mut classes = Array2::zeros((12, frames));
        check(&name("Chroma"), &signals, |x| chroma.process_into(x, classes.view_mut()).unwrap());
        check(&name("chroma of a spectrogram"), &signals, |_| {
            chroma.from_spectrogram_into(spectrogram.view(), classes.view_mut()).unwrap();
        });
    }
    let config = ExtractorConfig { stft: stft_config, features: Feature::ALL.to_vec(), ..ExtractorConfig::default() };
    let extractor = FeatureExtractor::new(&config).unwrap();
    let mut features = extractor.process(&signals[0]).unwrap();
    check(&name("FeatureExtractor"), &signals, |x| extractor.process_into(x, &mut features).unwrap());

    let mut rates = Array2::zeros((1, frames));
    check(&name("zero_crossing_rate_into"), &signals, |x| {
        zero_crossing_rate_into(x, &ZcrConfig::default(), rates.view_mut()).unwrap();
    });
    let mut loudness = Array2::zeros((1, frames));
    check(&name("rms_into"), &signals, |x| rms_into(x, &RmsConfig::default(), loudness.view_mut()).unwrap());
}

#[test]
fn nothing_is_allocated_after_the_first_call() {
    // That the counting itself works.
    let before = ALLOCATIONS.get();
    drop(std::hint::black_box(Array1::<f64>::zeros(100)));
    assert!(ALLOCATIONS.get() > before);

    for precision in [Precision::Parity, Precision::Fast] {
        for pad_mode in [PadMode::Constant, PadMode::Reflect] {
            planners::<f32>(precision, pad_mode);
            planners::<f64>(precision, pad_mode);
        }
        let vector = Vector162::new(22_050.0, precision).unwrap();
        let signals: Vec<Vec<f32>> = [0.06_f32, 0.0617]
            .iter()
            .map(|step| (0..20_000).map(|n| (n as f32 * step).sin() * 0.3).collect())
            .collect();
        check("Vector162", &signals, |x| {
            std::hint::black_box(vector.process(x).unwrap());
        });
    }
}
