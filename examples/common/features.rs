//! The features that `audio_features` offers: their parameters, and how each is planned with this crate's planners.

use anyhow::{Result, bail};
use audio_features::{
    BandwidthConfig, Chroma, ChromaConfig, ContrastConfig, DbConfig, DctNorm, DeltaConfig, DeltaMode, MelConfig,
    MelNorm, MelSpectrogram, Mfcc, MfccConfig, Norm, Precision, Pyin, PyinConfig, Reference, RmsConfig, Stft,
    StftConfig, Window, YinConfig, ZcrConfig, delta, fft_frequencies, poly_features, power_to_db, rms,
    spectral_bandwidth, spectral_centroid, spectral_contrast, spectral_flatness, spectral_rolloff, tonnetz,
    zero_crossing_rate,
};
use clap::ValueEnum;
use ndarray::{Array2, ArrayView2};

use crate::settings::{Kind, Parameter, Settings};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Feature {
    /// Magnitudes of the short-time Fourier transform
    Stft,
    /// Mel power
    Mel,
    /// Mel power in decibels
    LogMel,
    /// Cepstral coefficients
    Mfcc,
    /// Slopes of the cepstral coefficients
    MfccDelta,
    /// Pitch classes
    Chroma,
    /// Share of sign changes
    Zcr,
    /// Loudness
    Rms,
    /// Mean frequency
    Centroid,
    /// Spread around the mean frequency
    Bandwidth,
    /// Frequency that most of the magnitude lies below
    Rolloff,
    /// Noise (1) or tone (0)
    Flatness,
    /// Peaks over valleys in every octave
    Contrast,
    /// Tonal centroids
    Tonnetz,
    /// Coefficients of a polynomial that fits the spectrum
    Poly,
    /// Pitch of a voice by pYIN; NaN where unvoiced
    Pitch,
}

use Kind::{Count, Flag, MaybeCount, MaybeNumber, Number, NumberOr, Word};

const PADDING: Kind = Word(&["constant", "edge", "reflect", "symmetric", "linear_ramp"]);
/// Frames that are not transformed may be padded in other ways, too.
const ANY_PADDING: Kind =
    Word(&["constant", "edge", "reflect", "symmetric", "linear_ramp", "wrap", "maximum", "minimum", "mean", "median"]);
const NORMS: Kind = NumberOr(&["none", "inf", "-inf"]);

const FRAMES: [Parameter; 4] = [
    ("frame_length", "2048", Count),
    ("hop_length", "512", Count),
    ("center", "true", Flag),
    ("pad_mode", "constant", ANY_PADDING),
];
const STFT: [Parameter; 6] = [
    ("n_fft", "2048", Count),
    ("hop_length", "512", Count),
    ("win_length", "none", MaybeCount),
    ("window", "hann", Kind::Window),
    ("center", "true", Flag),
    ("pad_mode", "constant", PADDING),
];
const MEL: [Parameter; 5] = [
    ("power", "2", Number),
    ("n_mels", "128", Count),
    ("fmin", "0", Number),
    ("fmax", "none", MaybeNumber),
    ("htk", "false", Flag),
];
const MEL_NORM: Kind = NumberOr(&["slaney", "none", "inf"]);
const DECIBELS: [Parameter; 3] = [
    ("ref", "1", NumberOr(&["max", "min", "mean", "median"])),
    ("amin", "1e-10", Number),
    ("top_db", "80", MaybeNumber),
];
const MFCC: [Parameter; 5] = [
    ("n_mfcc", "20", Count),
    ("dct_type", "2", Count),
    ("norm", "ortho", Word(&["ortho", "none"])),
    ("lifter", "0", Number),
    ("mel_norm", "slaney", MEL_NORM),
];
const DELTA: [Parameter; 3] = [
    ("width", "9", Count),
    ("order", "1", Count),
    ("mode", "interp", Word(&["interp", "nearest", "mirror", "constant", "wrap"])),
];
const CHROMA: [Parameter; 6] = [
    ("n_chroma", "12", Count),
    ("tuning", "none", MaybeNumber),
    ("norm", "inf", NORMS),
    ("ctroct", "5", Number),
    ("octwidth", "2", MaybeNumber),
    ("base_c", "true", Flag),
];

impl Feature {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stft => "stft",
            Self::Mel => "mel",
            Self::LogMel => "log_mel",
            Self::Mfcc => "mfcc",
            Self::MfccDelta => "mfcc_delta",
            Self::Chroma => "chroma",
            Self::Zcr => "zcr",
            Self::Rms => "rms",
            Self::Centroid => "centroid",
            Self::Bandwidth => "bandwidth",
            Self::Rolloff => "rolloff",
            Self::Flatness => "flatness",
            Self::Contrast => "contrast",
            Self::Tonnetz => "tonnetz",
            Self::Poly => "poly",
            Self::Pitch => "pitch",
        }
    }

    pub(crate) fn parameters(self) -> Vec<Parameter> {
        let own: &[Parameter] = match self {
            Self::Stft | Self::Centroid => &[],
            Self::Mel => return [&STFT[..], &MEL, &[("norm", "slaney", MEL_NORM)]].concat(),
            Self::LogMel => return [&STFT[..], &MEL, &[("norm", "slaney", MEL_NORM)], &DECIBELS].concat(),
            Self::Mfcc => return [&MFCC[..], &MEL, &STFT].concat(),
            Self::MfccDelta => return [&DELTA[..], &MFCC, &MEL, &STFT].concat(),
            Self::Chroma | Self::Tonnetz => &CHROMA,
            Self::Zcr => {
                let own = [("threshold", "1e-10", Number), ("zero_pos", "true", Flag), ("pad", "false", Flag)];
                return [&FRAMES[..3], &own].concat();
            }
            Self::Rms => return FRAMES.to_vec(),
            Self::Bandwidth => &[("p", "2", Number), ("norm", "true", Flag)],
            Self::Rolloff => &[("roll_percent", "0.85", Number)],
            Self::Flatness => &[("amin", "1e-10", Number), ("power", "2", Number)],
            Self::Contrast => &[
                ("fmin", "200", Number),
                ("n_bands", "6", Count),
                ("quantile", "0.02", Number),
                ("linear", "false", Flag),
            ],
            Self::Poly => &[("order", "1", Count)],
            Self::Pitch => {
                let own = [
                    ("fmin", "65", Number),
                    ("fmax", "500", Number),
                    ("n_thresholds", "100", Count),
                    ("boltzmann_parameter", "2", Number),
                    ("resolution", "0.1", Number),
                    ("max_transition_rate", "35.92", Number),
                    ("switch_prob", "0.01", Number),
                    ("no_trough_prob", "0.01", Number),
                ];
                return [&own[..], &FRAMES].concat();
            }
        };
        [own, &STFT].concat()
    }

    /// Plans the feature for a sampling rate in Hz.
    pub(crate) fn plan(self, settings: &Settings, sr: f64, precision: Precision) -> Result<Plan> {
        let s = settings;
        match self {
            Self::Stft => magnitude(s, precision, |magnitude| Ok(magnitude.to_owned())),
            Self::Mel => {
                let mel = MelSpectrogram::new(&mel(s, "norm", sr, precision)?)?;
                Ok(Box::new(move |y| Ok(mel.process(y)?)))
            }
            Self::LogMel => {
                let (mel, db) = (MelSpectrogram::new(&mel(s, "norm", sr, precision)?)?, decibels(s)?);
                Ok(Box::new(move |y| Ok(power_to_db(&mel.process(y)?, &db)?)))
            }
            Self::Mfcc => {
                let mfcc = Mfcc::new(&mfcc(s, sr, precision)?)?;
                Ok(Box::new(move |y| Ok(mfcc.process(y)?)))
            }
            Self::MfccDelta => {
                let (mfcc, config) = (Mfcc::new(&mfcc(s, sr, precision)?)?, slopes(s)?);
                Ok(Box::new(move |y| Ok(delta(&mfcc.process(y)?, &config)?)))
            }
            Self::Chroma => {
                let chroma = Chroma::new(&chroma(s, sr, precision)?)?;
                Ok(Box::new(move |y| Ok(chroma.process(y)?)))
            }
            Self::Tonnetz => {
                let chroma = Chroma::new(&chroma(s, sr, precision)?)?;
                Ok(Box::new(move |y| Ok(narrow(&tonnetz(chroma.process(y)?.view())?))))
            }
            Self::Zcr => {
                let config = ZcrConfig {
                    frame_length: s.get("frame_length")?,
                    hop_length: s.get("hop_length")?,
                    center: s.get("center")?,
                    threshold: s.get("threshold")?,
                    zero_pos: s.get("zero_pos")?,
                    pad: s.get("pad")?,
                };
                Ok(Box::new(move |y| Ok(narrow(&zero_crossing_rate(y, &config)?))))
            }
            Self::Rms => {
                let config = RmsConfig {
                    frame_length: s.get("frame_length")?,
                    hop_length: s.get("hop_length")?,
                    center: s.get("center")?,
                    pad_mode: s.get("pad_mode")?,
                };
                Ok(Box::new(move |y| Ok(rms(y, &config)?)))
            }
            Self::Centroid => {
                let freq = fft_frequencies(sr, s.get("n_fft")?);
                magnitude(s, precision, move |magnitude| Ok(narrow(&spectral_centroid(magnitude, &freq)?)))
            }
            Self::Bandwidth => {
                let freq = fft_frequencies(sr, s.get("n_fft")?);
                let config = BandwidthConfig { p: s.get("p")?, norm: s.get("norm")? };
                magnitude(s, precision, move |magnitude| Ok(narrow(&spectral_bandwidth(magnitude, &freq, &config)?)))
            }
            Self::Rolloff => {
                let (freq, share) = (fft_frequencies(sr, s.get("n_fft")?), s.get("roll_percent")?);
                magnitude(s, precision, move |magnitude| Ok(narrow(&spectral_rolloff(magnitude, &freq, share)?)))
            }
            Self::Flatness => {
                let (amin, power) = (s.get("amin")?, s.get("power")?);
                magnitude(s, precision, move |magnitude| Ok(spectral_flatness(magnitude, amin, power)?))
            }
            Self::Contrast => {
                let freq = fft_frequencies(sr, s.get("n_fft")?);
                let config = ContrastConfig {
                    sr,
                    fmin: s.get("fmin")?,
                    n_bands: s.get("n_bands")?,
                    quantile: s.get("quantile")?,
                    linear: s.get("linear")?,
                };
                magnitude(s, precision, move |magnitude| Ok(narrow(&spectral_contrast(magnitude, &freq, &config)?)))
            }
            Self::Poly => {
                let (freq, order) = (fft_frequencies(sr, s.get("n_fft")?), s.get("order")?);
                magnitude(s, precision, move |magnitude| Ok(narrow(&poly_features(magnitude, &freq, order)?)))
            }
            Self::Pitch => {
                let pyin = Pyin::new(&pitch(s, sr)?)?;
                Ok(Box::new(move |y| {
                    let f0 = pyin.process(y)?.f0;
                    Ok(Array2::from_shape_fn((1, f0.len()), |(_, frame)| f0[frame] as f32))
                }))
            }
        }
    }
}

/// A planned feature: samples to `[n_rows, n_frames]`.
pub(crate) type Plan = Box<dyn Fn(&[f32]) -> Result<Array2<f32>>>;

/// A plan for what is read off the magnitudes of the transform.
fn magnitude(
    settings: &Settings,
    precision: Precision,
    feature: impl Fn(ArrayView2<'_, f32>) -> Result<Array2<f32>> + 'static,
) -> Result<Plan> {
    let stft = Stft::new(&stft(settings, precision)?)?;
    Ok(Box::new(move |y| feature(stft.spectrogram(y, 1.0)?.view())))
}

fn narrow(values: &Array2<f64>) -> Array2<f32> {
    values.mapv(|x| x as f32)
}

fn stft(s: &Settings, precision: Precision) -> Result<StftConfig> {
    Ok(StftConfig {
        n_fft: s.get("n_fft")?,
        hop_length: Some(s.get("hop_length")?),
        win_length: s.maybe("win_length")?,
        window: s.get::<Window>("window")?,
        center: s.get("center")?,
        pad_mode: s.get("pad_mode")?,
        precision,
    })
}

fn mel(s: &Settings, norm: &str, sr: f64, precision: Precision) -> Result<MelConfig> {
    Ok(MelConfig {
        sr,
        stft: stft(s, precision)?,
        power: s.get("power")?,
        n_mels: s.get("n_mels")?,
        fmin: s.get("fmin")?,
        fmax: s.maybe("fmax")?,
        htk: s.get("htk")?,
        norm: if s.word(norm) == "slaney" { MelNorm::Slaney } else { MelNorm::Norm(vector_norm(s, norm)?) },
    })
}

fn mfcc(s: &Settings, sr: f64, precision: Precision) -> Result<MfccConfig> {
    Ok(MfccConfig {
        mel: mel(s, "mel_norm", sr, precision)?,
        n_mfcc: s.get("n_mfcc")?,
        dct_type: s.get("dct_type")?,
        norm: if s.word("norm") == "ortho" { DctNorm::Ortho } else { DctNorm::None },
        lifter: s.get("lifter")?,
        ..MfccConfig::default()
    })
}

fn chroma(s: &Settings, sr: f64, precision: Precision) -> Result<ChromaConfig> {
    Ok(ChromaConfig {
        sr,
        stft: stft(s, precision)?,
        norm: vector_norm(s, "norm")?,
        tuning: s.maybe("tuning")?,
        n_chroma: s.get("n_chroma")?,
        ctroct: s.get("ctroct")?,
        octwidth: s.maybe("octwidth")?,
        base_c: s.get("base_c")?,
    })
}

fn decibels(s: &Settings) -> Result<DbConfig> {
    let reference = match s.word("ref") {
        "max" => Reference::Max,
        "min" => Reference::Min,
        "mean" => Reference::Mean,
        "median" => Reference::Median,
        _ => Reference::Value(s.get("ref")?),
    };
    Ok(DbConfig { reference, amin: s.get("amin")?, top_db: s.maybe("top_db")? })
}

fn slopes(s: &Settings) -> Result<DeltaConfig> {
    let mode = match s.word("mode") {
        "interp" => DeltaMode::Interp,
        "nearest" => DeltaMode::Nearest,
        "mirror" => DeltaMode::Mirror,
        "constant" => DeltaMode::Constant,
        "wrap" => DeltaMode::Wrap,
        other => bail!("mode cannot be {other}"),
    };
    Ok(DeltaConfig { width: s.get("width")?, order: s.get("order")?, mode })
}

fn pitch(s: &Settings, sr: f64) -> Result<PyinConfig> {
    let yin = YinConfig {
        sr,
        fmin: s.get("fmin")?,
        fmax: s.get("fmax")?,
        frame_length: s.get("frame_length")?,
        hop_length: Some(s.get("hop_length")?),
        center: s.get("center")?,
        pad_mode: s.get("pad_mode")?,
        ..YinConfig::default()
    };
    Ok(PyinConfig {
        yin,
        n_thresholds: s.get("n_thresholds")?,
        boltzmann_parameter: s.get("boltzmann_parameter")?,
        resolution: s.get("resolution")?,
        max_transition_rate: s.get("max_transition_rate")?,
        switch_prob: s.get("switch_prob")?,
        no_trough_prob: s.get("no_trough_prob")?,
        ..PyinConfig::default()
    })
}

fn vector_norm(s: &Settings, name: &str) -> Result<Norm> {
    Ok(match s.word(name) {
        "none" => Norm::None,
        "inf" => Norm::Max,
        "-inf" => Norm::Min,
        "0" => Norm::Count,
        _ => Norm::P(s.get(name)?),
    })
}
