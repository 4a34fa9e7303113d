//! From librosa's function names and parameters to this crate's.

use audio_features as af;
use audio_features::augment::TimeStretch;
use audio_features::{Norm, PadMode, Precision, Reference, Sample, StftConfig, Window};
use ndarray::{Array, Array2, ArrayD, ArrayView1, ArrayView2, Axis, Dimension, Ix1, Zip};
use serde_json::{Map, Value};

use super::Data;
use super::compare::Output;

/// Why there is no result.
pub(crate) enum Stop {
    /// The function, or a parameter of it, is not known here.
    Unsupported(String),
    /// This crate returned an error, or its types cannot express the input.
    Error(String),
}

impl From<af::Error> for Stop {
    fn from(error: af::Error) -> Self {
        Self::Error(error.to_string())
    }
}

type Outputs = Result<Vec<Output>, Stop>;

fn refused<T>(what: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Error(what.into()))
}

fn unsupported<T>(what: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Unsupported(what.into()))
}

/// The parameters of a case. Each is taken out as it is understood, so that what is left is not supported.
struct Params(Map<String, Value>);

impl Params {
    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    fn f64(&mut self, name: &str, default: f64) -> Result<f64, Stop> {
        Ok(self.optional_f64(name, Some(default))?.unwrap_or(f64::NAN))
    }

    /// A number that may be None.
    fn optional_f64(&mut self, name: &str, default: Option<f64>) -> Result<Option<f64>, Stop> {
        match self.take(name) {
            None => Ok(default),
            Some(Value::Null) => Ok(None),
            Some(value) => match number(&value) {
                Some(number) => Ok(Some(number)),
                None => refused(format!("{name} = {value} is no number")),
            },
        }
    }

    fn usize(&mut self, name: &str, default: usize) -> Result<usize, Stop> {
        Ok(self.optional_usize(name)?.unwrap_or(default))
    }

    fn optional_usize(&mut self, name: &str) -> Result<Option<usize>, Stop> {
        match self.take(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_u64() {
                Some(number) => Ok(Some(number as usize)),
                None => refused(format!("{name} = {value} is no size")),
            },
        }
    }

    fn bool(&mut self, name: &str, default: bool) -> Result<bool, Stop> {
        match self.take(name) {
            None => Ok(default),
            Some(Value::Bool(value)) => Ok(value),
            Some(value) => refused(format!("{name} = {value} is neither true nor false")),
        }
    }

    fn norm(&mut self, name: &str, default: Norm) -> Result<Norm, Stop> {
        Ok(match self.take(name) {
            None => default,
            Some(Value::Null) => Norm::None,
            Some(value) => match number(&value) {
                Some(p) if p == f64::INFINITY => Norm::Max,
                Some(p) if p == f64::NEG_INFINITY => Norm::Min,
                Some(0.0) => Norm::Count,
                Some(p) => Norm::P(p),
                None => return refused(format!("{name} = {value} is no norm")),
            },
        })
    }

    fn window(&mut self) -> Result<Window, Stop> {
        let Some(value) = self.take("window") else { return Ok(Window::Hann) };
        if let Some(name) = value.as_str() {
            return Ok(name.parse()?);
        }
        if let Some(beta) = number(&value) {
            return Ok(Window::Kaiser { beta });
        }
        let Some(parts) = value.as_array() else { return refused("a window of no known kind") };
        let numbers: Vec<f64> = parts.iter().skip(1).filter_map(number).collect();
        let full_name = parts.first().and_then(Value::as_str);
        let name = full_name.map(|name| name.trim_end_matches("_symmetric").trim_end_matches("_periodic"));
        let window = match (name, numbers.as_slice()) {
            (Some("kaiser" | "ksr"), &[beta]) => Window::Kaiser { beta },
            (Some("gaussian" | "gauss" | "gss"), &[std]) => Window::Gaussian { std },
            (Some("general_gaussian" | "general gaussian" | "general_gauss" | "general gauss" | "ggs"), &[p, sig]) => {
                Window::GeneralGaussian { p, sig }
            }
            (Some("general_hamming" | "general hamming"), &[alpha]) => Window::GeneralHamming { alpha },
            (Some("tukey" | "tuk"), &[alpha]) => Window::Tukey { alpha },
            // A centre of None is no number.
            (Some("exponential" | "poisson"), &[tau]) if parts.len() == 3 => Window::Exponential { center: None, tau },
            (Some("exponential" | "poisson"), &[center]) => Window::Exponential { center: Some(center), tau: 1.0 },
            (Some("exponential" | "poisson"), &[center, tau]) => Window::Exponential { center: Some(center), tau },
            (Some("chebwin" | "cheb"), &[attenuation]) => Window::Chebyshev { attenuation },
            (Some("dpss"), &[nw]) => Window::Dpss { nw },
            (Some("kaiser_bessel_derived" | "kaiser bessel derived" | "kbd"), &[beta]) => {
                Window::KaiserBesselDerived { beta }
            }
            (Some("taylor" | "taylorwin"), &[nbar]) => Window::Taylor { nbar: nbar as usize, sll: 30.0, norm: true },
            (Some("taylor" | "taylorwin"), &[nbar, sll]) => {
                let norm = parts.last().and_then(Value::as_bool).unwrap_or(true);
                Window::Taylor { nbar: nbar as usize, sll, norm }
            }
            (Some("general_cosine" | "general cosine"), &[]) if parts.len() == 2 => match parts[1].as_array() {
                Some(weights) => Window::GeneralCosine { coefficients: weights.iter().filter_map(number).collect() },
                None => return refused("general_cosine without weights"),
            },
            (Some(name), &[]) => name.parse()?,
            (None, _) => Window::Custom(parts.iter().filter_map(number).collect()),
            (Some(name), _) => return refused(format!("window {name} with {} parameters", numbers.len())),
        };
        if full_name == name {
            return Ok(window);
        }
        let periodic = full_name.is_some_and(|name| name.ends_with("_periodic"));
        Ok(Window::Always { window: Box::new(window), periodic })
    }

    fn pad_mode(&mut self) -> Result<PadMode, Stop> {
        match self.take("pad_mode") {
            None => Ok(PadMode::Constant),
            Some(value) => Ok(value.as_str().unwrap_or("").parse()?),
        }
    }

    /// The parameters of a transform. A feature's default hop is 512, that of `stft` a quarter of the window.
    fn stft(&mut self, feature: bool, fast: bool) -> Result<StftConfig, Stop> {
        let n_fft = self.usize("n_fft", 2048)?;
        let hop_length = self.optional_usize("hop_length")?.or(feature.then_some(512));
        Ok(StftConfig {
            n_fft,
            hop_length,
            win_length: self.optional_usize("win_length")?,
            window: self.window()?,
            center: self.bool("center", true)?,
            pad_mode: self.pad_mode()?,
            precision: if fast { Precision::Fast } else { Precision::Parity },
        })
    }

    fn mel(&mut self, stft: StftConfig, norm: &str) -> Result<af::MelConfig, Stop> {
        let norm = match self.0.get(norm).cloned() {
            Some(Value::String(name)) if name == "slaney" => {
                self.take(norm);
                af::MelNorm::Slaney
            }
            Some(Value::String(name)) => return refused(format!("norm = {name}")),
            None => af::MelNorm::Slaney,
            Some(_) => af::MelNorm::Norm(self.norm(norm, Norm::None)?),
        };
        Ok(af::MelConfig {
            sr: self.f64("sr", 22_050.0)?,
            stft,
            power: self.f64("power", 2.0)?,
            n_mels: self.usize("n_mels", 128)?,
            fmin: self.f64("fmin", 0.0)?,
            fmax: self.optional_f64("fmax", None)?,
            htk: self.bool("htk", false)?,
            norm,
        })
    }

    fn db(&mut self, defaults: af::DbConfig) -> Result<af::DbConfig, Stop> {
        Ok(af::DbConfig {
            reference: match self.optional_f64("ref", None)? {
                Some(value) => Reference::Value(value),
                None => defaults.reference,
            },
            amin: self.f64("amin", defaults.amin)?,
            top_db: self.optional_f64("top_db", defaults.top_db)?,
        })
    }

    /// That nothing is left over.
    fn done(&self) -> Result<(), Stop> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => unsupported(format!("parameter {name}")),
        }
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Object(special) => match special.get("f")?.as_str()? {
            "inf" => Some(f64::INFINITY),
            "-inf" => Some(f64::NEG_INFINITY),
            "nan" => Some(f64::NAN),
            _ => None,
        },
        value => value.as_f64(),
    }
}

/// Results have the samples' dtype, or one of their own.
trait Kind: Copy {
    const DTYPE: &'static str;
    fn value(self) -> f64;
}

impl Kind for f32 {
    const DTYPE: &'static str = "float32";
    fn value(self) -> f64 {
        f64::from(self)
    }
}

impl Kind for f64 {
    const DTYPE: &'static str = "float64";
    fn value(self) -> f64 {
        self
    }
}

fn one<T: Kind, D: Dimension>(array: Array<T, D>) -> Outputs {
    Ok(vec![output(array)])
}

fn output<T: Kind, D: Dimension>(array: Array<T, D>) -> Output {
    Output { values: array.map(|x| x.value()).into_dyn(), dtype: T::DTYPE }
}

fn complex_output<T: Kind, D: Dimension>(array: &Array<realfft::num_complex::Complex<T>, D>) -> Output {
    let dtype = if T::DTYPE == "float32" { "complex64" } else { "complex128" };
    let (re, im) = (array.map(|z| z.re.value()).into_dyn(), array.map(|z| z.im.value()).into_dyn());
    let values = ndarray::stack(Axis(re.ndim()), &[re.view(), im.view()]).expect("two arrays of one shape");
    Output { values, dtype }
}

/// [`af::each_channel`] with this runner's errors.
fn channels<T: Sample, O: Clone, D: Dimension>(
    input: &ArrayD<T>,
    f: impl Fn(&[T]) -> Result<Array<O, D>, af::Error>,
) -> Result<ArrayD<O>, Stop> {
    Ok(af::each_channel(input.view(), f)?)
}

fn vector<T: Clone>(array: &ArrayD<T>) -> Result<ArrayView1<'_, T>, Stop> {
    array.view().into_dimensionality::<Ix1>().or_else(|_| unsupported("more than one axis"))
}

/// Calls librosa's `function` here.
pub(crate) fn call(function: &str, inputs: &[Data], params: &Map<String, Value>, fast: bool) -> Outputs {
    let params = Params(params.clone());
    match inputs.first() {
        None => tables(function, params, fast),
        Some(Data::F32(input)) => signal(function, input, params, fast),
        Some(Data::F64(input)) => signal(function, input, params, fast),
        Some(Data::Integers(..)) => refused("samples are f32 or f64"),
    }
}

/// Functions without input.
fn tables(function: &str, mut p: Params, _fast: bool) -> Outputs {
    match function {
        "filters.mel" => {
            let n_fft = p.usize("n_fft", 2048)?;
            let config = p.mel(StftConfig { n_fft, ..StftConfig::default() }, "norm")?;
            p.done()?;
            one(af::mel_filters(&config)?)
        }
        "filters.chroma" => {
            let config = af::ChromaFilterConfig {
                sr: p.f64("sr", 22_050.0)?,
                n_fft: p.usize("n_fft", 2048)?,
                n_chroma: p.usize("n_chroma", 12)?,
                tuning: p.f64("tuning", 0.0)?,
                ctroct: p.f64("ctroct", 5.0)?,
                octwidth: p.optional_f64("octwidth", Some(2.0))?,
                norm: p.norm("norm", Norm::P(2.0))?,
                base_c: p.bool("base_c", true)?,
            };
            p.done()?;
            one(af::chroma_filters(&config)?)
        }
        "filters.get_window" => {
            let (window, length, periodic) = (p.window()?, p.usize("Nx", 0)?, p.bool("fftbins", true)?);
            p.done()?;
            one(ndarray::Array1::from(window.samples(length, periodic)?))
        }
        "mel_frequencies" => {
            let (n, fmin, fmax) = (p.usize("n_mels", 128)?, p.f64("fmin", 0.0)?, p.f64("fmax", 11_025.0)?);
            let htk = p.bool("htk", false)?;
            p.done()?;
            one(ndarray::Array1::from(af::mel_frequencies(n, fmin, fmax, htk)))
        }
        "fft_frequencies" => {
            let (sr, n_fft) = (p.f64("sr", 22_050.0)?, p.usize("n_fft", 2048)?);
            p.done()?;
            one(ndarray::Array1::from(af::fft_frequencies(sr, n_fft)))
        }
        _ => unsupported(format!("function {function}")),
    }
}

/// Functions of a waveform, a spectrogram or a list of numbers.
fn signal<T: Sample + Kind>(function: &str, input: &ArrayD<T>, mut p: Params, fast: bool) -> Outputs {
    if input.ndim() == 0 {
        return refused("a number is no signal");
    }
    match function {
        "stft" => {
            let stft = af::Stft::new(&p.stft(false, fast)?)?;
            p.done()?;
            Ok(vec![complex_output(&stft.process_nd(input.view())?)])
        }
        "istft" => {
            let length = p.optional_usize("length")?;
            let config = p.stft(false, fast)?;
            p.done()?;
            let (stft, istft) = (af::Stft::new(&config)?, af::Istft::new(&config)?);
            let signal = istft.process_nd(stft.process_nd(input.view())?.view(), length)?;
            one(signal)
        }
        "magphase" => {
            let power = p.f64("power", 1.0)?;
            p.done()?;
            let config = StftConfig { n_fft: 256, ..StftConfig::default() };
            let spectra = af::Stft::new(&config)?.process_nd(input.view())?;
            let magnitude = af::each_spectrogram(spectra.view(), |s| Ok(af::magphase(s, power).0))?;
            let phase = af::each_spectrogram(spectra.view(), |s| Ok(af::magphase(s, power).1))?;
            Ok(vec![output(magnitude), complex_output(&phase)])
        }
        "melspectrogram" => {
            let stft = p.stft(true, fast)?;
            let mel = af::MelSpectrogram::new(&p.mel(stft, "norm")?)?;
            p.done()?;
            one(mel.process_nd(input.view())?)
        }
        "melspectrogram[S]" => {
            let stft = StftConfig { n_fft: 2 * (height(input)? - 1), ..StftConfig::default() };
            let mel = af::MelSpectrogram::new(&p.mel(stft, "norm")?)?;
            p.done()?;
            one(af::each_spectrogram(input.view(), |s| mel.from_spectrogram(s))?)
        }
        "mfcc" | "mfcc[S]" => {
            let norm = match p.take("norm") {
                None => af::DctNorm::Ortho,
                Some(Value::Null) => af::DctNorm::None,
                Some(Value::String(name)) if name == "ortho" => af::DctNorm::Ortho,
                Some(other) => return refused(format!("norm = {other}")),
            };
            let dct_type = u8::try_from(p.usize("dct_type", 2)?).unwrap_or(u8::MAX);
            let (n_mfcc, lifter) = (p.f64("n_mfcc", 20.0)?, p.f64("lifter", 0.0)?);
            let stft = p.stft(true, fast)?;
            let mut mel = p.mel(stft, "mel_norm")?;
            // Below 0 it is the end of a slice: so many less than there are.
            let n_mfcc = match n_mfcc {
                n if n < 0.0 && lifter > 0.0 => return refused("n_mfcc below 0 with a lifter"),
                n if n < 0.0 => (mel.n_mels as f64 + n).max(0.0) as usize,
                n => n as usize,
            };
            p.done()?;
            let config = |mel| af::MfccConfig { mel, n_mfcc, dct_type, norm, lifter, ..af::MfccConfig::default() };
            if function == "mfcc[S]" {
                mel.n_mels = height(input)?;
                let mfcc = af::Mfcc::new(&config(mel))?;
                return one(af::each_spectrogram(input.view(), |s| mfcc.from_log_mel(s))?);
            }
            let mfcc = af::Mfcc::new(&config(mel))?;
            one(mfcc.process_nd(input.view())?)
        }
        "chroma_stft" | "chroma_stft[S]" => chroma(function, input, p, fast),
        "zero_crossing_rate" => {
            let config = af::ZcrConfig {
                frame_length: p.usize("frame_length", 2048)?,
                hop_length: p.usize("hop_length", 512)?,
                center: p.bool("center", true)?,
                threshold: p.f64("threshold", 1e-10)? * p.optional_f64("ref_magnitude", None)?.unwrap_or(1.0),
                zero_pos: p.bool("zero_pos", true)?,
                pad: p.bool("pad", false)?,
            };
            p.done()?;
            one(channels(input, |x| af::zero_crossing_rate(x, &config))?)
        }
        "rms" => {
            let config = af::RmsConfig {
                frame_length: p.usize("frame_length", 2048)?,
                hop_length: p.usize("hop_length", 512)?,
                center: p.bool("center", true)?,
                pad_mode: p.pad_mode()?,
            };
            p.done()?;
            one(channels(input, |x| af::rms(x, &config))?)
        }
        "rms[S]" => {
            let frame_length = p.usize("frame_length", 2048)?;
            p.take("hop_length");
            p.done()?;
            one(af::each_spectrogram(input.view(), |s| af::rms_from_spectrogram(s, frame_length))?)
        }
        "estimate_tuning" | "piptrack" | "pitch_tuning" => tuning(function, input, p, fast),
        "tonnetz" => {
            p.done()?;
            // librosa's tonnetz of a float32 chromagram is float64, as its basis is.
            one(af::each_spectrogram(input.view(), af::tonnetz)?)
        }
        "delta" => {
            let mode = match p.take("mode").as_ref().map(|mode| mode.as_str().unwrap_or("")) {
                None | Some("interp") => af::DeltaMode::Interp,
                Some("nearest") => af::DeltaMode::Nearest,
                Some("mirror") => af::DeltaMode::Mirror,
                Some("constant") => af::DeltaMode::Constant,
                Some("wrap") => af::DeltaMode::Wrap,
                Some(other) => return refused(format!("mode = {other}")),
            };
            let config = af::DeltaConfig { width: p.usize("width", 9)?, order: p.usize("order", 1)?, mode };
            let axis = from_end(p.f64("axis", -1.0)?, input.ndim());
            p.done()?;
            let Some(axis) = axis else { return refused("no such axis") };
            let mut data = input.view();
            data.swap_axes(axis, input.ndim() - 1);
            let mut delta = af::delta(&data, &config)?;
            delta.swap_axes(axis, input.ndim() - 1);
            one(delta)
        }
        _ if function.starts_with("power_to_db") || function.starts_with("amplitude_to_db") => {
            decibels(function, input, p)
        }
        "db_to_power" | "db_to_amplitude" => {
            let reference = p.f64("ref", 1.0)?;
            p.done()?;
            if function == "db_to_power" {
                one(af::db_to_power(input, reference))
            } else {
                one(af::db_to_amplitude(input, reference))
            }
        }
        "hz_to_mel" | "mel_to_hz" => {
            let htk = p.bool("htk", false)?;
            p.done()?;
            let convert = if function == "hz_to_mel" { af::hz_to_mel::<T> } else { af::mel_to_hz::<T> };
            one(input.mapv(|x| convert(x, htk)))
        }
        "hz_to_midi" | "midi_to_hz" => {
            p.done()?;
            if function == "hz_to_midi" {
                // Of f64 for all input, since numpy's logarithm of 440 is.
                one(input.mapv(|x| af::hz_to_midi(x.widen())))
            } else {
                one(input.mapv(|x| T::narrow(af::midi_to_hz(x.widen()))))
            }
        }
        "hz_to_octs" | "octs_to_hz" => {
            let (tuning, bins) = (p.f64("tuning", 0.0)?, p.usize("bins_per_octave", 12)?);
            p.done()?;
            let convert = if function == "hz_to_octs" { af::hz_to_octs } else { af::octs_to_hz };
            one(input.mapv(|x| T::narrow(convert(x.widen(), tuning, bins))))
        }
        "A4_to_tuning" => {
            let bins = p.usize("bins_per_octave", 12)?;
            p.done()?;
            one(input.mapv(|x| T::narrow(af::a4_to_tuning(x.widen(), bins))))
        }
        "effects.time_stretch" | "time_stretch" => {
            let rate = p.f64("rate", 1.0)?;
            let stretch = TimeStretch::new(&p.stft(false, fast)?)?;
            p.done()?;
            one(channels(input, |x| Ok(ndarray::Array1::from(stretch.time_stretch(x, rate)?)))?)
        }
        "effects.pitch_shift" | "pitch_shift" => {
            let (sr, n_steps, bins) = (p.f64("sr", 22_050.0)?, p.f64("n_steps", 0.0)?, p.usize("bins_per_octave", 12)?);
            let stretch = TimeStretch::new(&p.stft(false, fast)?)?;
            p.done()?;
            let semitones = n_steps * 12.0 / bins as f64;
            one(channels(input, |x| Ok(ndarray::Array1::from(stretch.pitch_shift(x, sr, semitones)?)))?)
        }
        "yin" | "pyin" => pitch(function, input, p),
        "effects.preemphasis" | "preemphasis" | "effects.deemphasis" | "deemphasis" => {
            let coef = p.f64("coef", 0.97)?;
            p.done()?;
            let filter = if function.ends_with("preemphasis") { af::preemphasis } else { af::deemphasis };
            one(channels(input, |x| Ok(ndarray::Array1::from(filter(x, coef)?)))?)
        }
        "resample" => {
            let (from, to) = (p.f64("orig_sr", f64::NAN)?, p.f64("target_sr", f64::NAN)?);
            let kind = p.take("res_type").and_then(|kind| kind.as_str().map(str::to_owned));
            // Every resampler here returns the length that librosa's `fix` makes.
            p.bool("fix", true)?;
            // librosa's `scale` divides the result by the root of the ratio.
            let scale = if p.bool("scale", false)? { (to / from).sqrt().recip() } else { 1.0 };
            p.done()?;
            let whole = |rate: f64| if rate.fract() == 0.0 && rate > 0.0 { rate as u32 } else { 0 };
            let config = af::ResamplerConfig { from_rate: from, to_rate: to, ..af::ResamplerConfig::default() };
            let resample = |x: &[T]| match kind.as_deref() {
                Some("polyphase") => af::resample_polyphase(x, whole(from), whole(to)),
                Some("fft" | "scipy") => af::resample_fourier(x, whole(from), whole(to)),
                _ => af::resample_with(x, &config),
            };
            if let Some(other) = kind.as_deref()
                && !["soxr_hq", "polyphase", "fft", "scipy"].contains(&other)
            {
                return unsupported(format!("res_type {other}"));
            }
            let samples = channels(input, |x| Ok(ndarray::Array1::from(resample(x)?)))?;
            one(samples.mapv(|x| T::narrow(x.widen() * scale)))
        }
        "zero_crossings" | "zero_crossings[ref=max]" | "zero_crossings[ref=median]" => {
            let config = af::CrossingConfig {
                threshold: p.f64("threshold", 1e-10)?,
                ref_magnitude: match function.split_once('[') {
                    Some((_, "ref=max]")) => Some(Reference::Max),
                    Some(_) => Some(Reference::Median),
                    None => p.optional_f64("ref_magnitude", None)?.map(Reference::Value),
                },
                zero_pos: p.bool("zero_pos", true)?,
                pad: p.bool("pad", true)?,
            };
            p.done()?;
            let crossings = channels(input, |x| {
                let crossings = af::zero_crossings(x, &config)?;
                Ok(crossings.into_iter().map(|crosses| f64::from(u8::from(crosses))).collect::<ndarray::Array1<f64>>())
            })?;
            Ok(vec![Output { values: crossings, dtype: "bool" }])
        }
        name if ["effects.trim", "trim", "effects.split", "split"].contains(&name.split('[').next().unwrap_or("")) => {
            silence(name, input, p)
        }
        _ => match function.strip_prefix("spectral_").or(function.strip_prefix("poly_")) {
            Some(_) => spectral(function, input, p, fast),
            None => unsupported(format!("function {function}")),
        },
    }
}

/// Decibels, over a number or, in brackets, a function of the values.
fn decibels<T: Sample + Kind>(function: &str, input: &ArrayD<T>, mut p: Params) -> Outputs {
    let (name, reference) = function.split_once('[').unwrap_or((function, ""));
    let of_power = name == "power_to_db";
    let mut config = p.db(if of_power { af::DbConfig::default() } else { af::DbConfig::amplitude() })?;
    p.done()?;
    config.reference = match reference {
        "" => config.reference,
        "ref=max]" => Reference::Max,
        "ref=min]" => Reference::Min,
        "ref=mean]" => Reference::Mean,
        "ref=median]" => Reference::Median,
        _ => return unsupported(format!("function {function}")),
    };
    one(if of_power { af::power_to_db(input, &config)? } else { af::amplitude_to_db(input, &config)? })
}

/// An index of Python's among `n`, where those below 0 count from the end.
fn from_end(index: f64, n: usize) -> Option<usize> {
    let index = if index < 0.0 { index + n as f64 } else { index };
    (index >= 0.0 && index < n as f64).then_some(index as usize)
}

/// Length of the last axis but one: the bins of spectrograms, `[channels…, n_bins, n_frames]`.
fn height<T>(spectrograms: &ArrayD<T>) -> Result<usize, Stop> {
    match spectrograms.shape() {
        [.., height, _] if *height > 0 => Ok(*height),
        shape => refused(format!("an array of shape {shape:?} is no spectrogram")),
    }
}

fn chroma<T: Sample + Kind>(function: &str, input: &ArrayD<T>, mut p: Params, fast: bool) -> Outputs {
    let mut config = af::ChromaConfig {
        sr: p.f64("sr", 22_050.0)?,
        norm: p.norm("norm", Norm::Max)?,
        tuning: p.optional_f64("tuning", None)?,
        n_chroma: p.usize("n_chroma", 12)?,
        ctroct: p.f64("ctroct", 5.0)?,
        octwidth: p.optional_f64("octwidth", Some(2.0))?,
        base_c: p.bool("base_c", true)?,
        stft: p.stft(true, fast)?,
    };
    p.done()?;
    if function.ends_with(']') {
        config.stft.n_fft = 2 * (height(input)? - 1);
        if config.tuning.is_none() {
            // One tuning over all channels.
            let pitch = af::PiptrackConfig { sr: config.sr, ..af::PiptrackConfig::default() };
            config.tuning = Some(af::estimate_tuning(input.view(), &pitch, 0.01, config.n_chroma)?);
        }
        let chroma = af::Chroma::new(&config)?;
        return one(af::each_spectrogram(input.view(), |s| chroma.from_spectrogram(s))?);
    }
    one(af::Chroma::new(&config)?.process_nd(input.view())?)
}

fn tuning<T: Sample + Kind>(function: &str, input: &ArrayD<T>, mut p: Params, fast: bool) -> Outputs {
    let (resolution, bins) = (p.f64("resolution", 0.01)?, p.usize("bins_per_octave", 12)?);
    if function == "pitch_tuning" {
        p.done()?;
        let frequencies: Vec<T> = input.iter().copied().collect();
        let tuning = af::pitch_tuning(&frequencies, resolution, bins)?;
        return one(ndarray::arr0(tuning));
    }
    let defaults = af::PiptrackConfig::default();
    let config = af::PiptrackConfig {
        sr: p.f64("sr", defaults.sr)?,
        fmin: p.f64("fmin", defaults.fmin)?,
        fmax: p.f64("fmax", defaults.fmax)?,
        threshold: p.f64("threshold", defaults.threshold)?,
        reference: p.optional_f64("ref", None)?,
    };
    // `piptrack` has the hop of `stft`, a quarter of the window.
    let stft = af::Stft::new(&p.stft(false, fast)?)?;
    p.done()?;
    let spectrogram = channels(input, |x| stft.spectrogram(x, 1.0))?;
    if function == "estimate_tuning" {
        return one(ndarray::arr0(af::estimate_tuning(spectrogram.view(), &config, resolution, bins)?));
    }
    let pitches = af::each_spectrogram(spectrogram.view(), |s| Ok(af::piptrack(s, &config)?.0))?;
    let magnitudes = af::each_spectrogram(spectrogram.view(), |s| Ok(af::piptrack(s, &config)?.1))?;
    Ok(vec![output(pitches), output(magnitudes)])
}

fn pitch<T: Sample + Kind>(function: &str, input: &ArrayD<T>, mut p: Params) -> Outputs {
    let defaults = af::PyinConfig::default();
    let yin = af::YinConfig {
        sr: p.f64("sr", 22_050.0)?,
        fmin: p.f64("fmin", f64::NAN)?,
        fmax: p.f64("fmax", f64::NAN)?,
        frame_length: p.usize("frame_length", 2048)?,
        hop_length: p.optional_usize("hop_length")?,
        trough_threshold: p.f64("trough_threshold", 0.1)?,
        center: p.bool("center", true)?,
        pad_mode: p.pad_mode()?,
    };
    if function == "yin" {
        p.done()?;
        return one(channels(input, |x| Ok(ndarray::Array1::from(af::yin(x, &yin)?)))?);
    }
    let beta_parameters = match p.take("beta_parameters").as_ref().and_then(Value::as_array).map(Vec::as_slice) {
        None => defaults.beta_parameters,
        Some([a, b]) => (number(a).unwrap_or(f64::NAN), number(b).unwrap_or(f64::NAN)),
        Some(_) => return refused("beta_parameters are two numbers"),
    };
    let fill_na = p.f64("fill_na", f64::NAN)?;
    let config = af::PyinConfig {
        yin,
        n_thresholds: p.usize("n_thresholds", defaults.n_thresholds)?,
        beta_parameters,
        boltzmann_parameter: p.f64("boltzmann_parameter", defaults.boltzmann_parameter)?,
        resolution: p.f64("resolution", defaults.resolution)?,
        max_transition_rate: p.f64("max_transition_rate", defaults.max_transition_rate)?,
        switch_prob: p.f64("switch_prob", defaults.switch_prob)?,
        no_trough_prob: p.f64("no_trough_prob", defaults.no_trough_prob)?,
        transition_min_prob: p.f64("transition_min_prob", defaults.transition_min_prob)?,
    };
    p.done()?;
    let track = af::pyin(&vector(input)?.to_vec(), &config)?;
    let voiced = track.voiced.iter().map(|&voiced| f64::from(u8::from(voiced))).collect::<ndarray::Array1<f64>>();
    Ok(vec![
        output(ndarray::Array1::from(track.f0).mapv(|f0| if f0.is_nan() { fill_na } else { f0 })),
        Output { values: voiced.into_dyn(), dtype: "bool" },
        output(ndarray::Array1::from(track.voiced_probability)),
    ])
}

fn silence<T: Sample + Kind>(function: &str, input: &ArrayD<T>, mut p: Params) -> Outputs {
    let (function, aggregate) = function.split_once('[').unwrap_or((function, ""));
    let defaults = af::SilenceConfig::default();
    let config = af::SilenceConfig {
        top_db: p.f64("top_db", defaults.top_db)?,
        aggregate: match aggregate {
            "" => defaults.aggregate,
            "aggregate=max]" => af::Aggregate::Max,
            "aggregate=mean]" => af::Aggregate::Mean,
            "aggregate=median]" => af::Aggregate::Median,
            "aggregate=min]" => af::Aggregate::Min,
            _ => return unsupported(format!("function {function}")),
        },
        reference: p.optional_f64("ref", None)?.map_or(Reference::Max, Reference::Value),
        frame_length: p.usize("frame_length", defaults.frame_length)?,
        hop_length: p.usize("hop_length", defaults.hop_length)?,
    };
    p.done()?;
    let integers = |values: ArrayD<f64>| Output { values, dtype: "int64" };
    if function.ends_with("trim") {
        let range = af::trim_nd(input.view(), &config)?;
        let bounds = ndarray::arr1(&[range.start as f64, range.end as f64]).into_dyn();
        let last = Axis(input.ndim() - 1);
        return Ok(vec![output(input.slice_axis(last, range.into()).to_owned()), integers(bounds)]);
    }
    let parts = af::split_nd(input.view(), &config)?;
    let mut bounds = Array2::zeros((parts.len(), 2));
    Zip::from(bounds.rows_mut()).and(&ndarray::Array1::from(parts)).for_each(|mut row, part| {
        row[0] = part.start as f64;
        row[1] = part.end as f64;
    });
    Ok(vec![integers(bounds.into_dyn())])
}

fn spectral<T: Sample + Kind>(function: &str, input: &ArrayD<T>, mut p: Params, fast: bool) -> Outputs {
    let name = function.trim_end_matches("[S]");
    let sr = p.f64("sr", 22_050.0)?;
    let stft = if function == name { Some(p.stft(true, fast)?) } else { None };
    let n_fft = match &stft {
        Some(stft) => stft.n_fft,
        None if input.ndim() < 2 => return refused("a spectrogram has two axes"),
        None => 2 * (input.shape()[input.ndim() - 2] - 1),
    };
    let freq = af::fft_frequencies(sr, n_fft);
    // One closure for each feature, so that its parameters are read once, before the signal is.
    let contrast = af::ContrastConfig {
        sr,
        fmin: p.f64("fmin", 200.0)?,
        n_bands: p.usize("n_bands", 6)?,
        quantile: p.f64("quantile", 0.02)?,
        linear: p.bool("linear", false)?,
    };
    let bandwidth = af::BandwidthConfig { p: p.f64("p", 2.0)?, norm: p.bool("norm", true)? };
    let roll_percent = p.f64("roll_percent", 0.85)?;
    let (amin, power, order) = (p.f64("amin", 1e-10)?, p.f64("power", 2.0)?, p.usize("order", 1)?);
    p.done()?;

    let doubles = |magnitude: ArrayView2<'_, T>| match name {
        "spectral_centroid" => af::spectral_centroid(magnitude, &freq),
        "spectral_bandwidth" => af::spectral_bandwidth(magnitude, &freq, &bandwidth),
        "spectral_rolloff" => af::spectral_rolloff(magnitude, &freq, roll_percent),
        "spectral_contrast" => af::spectral_contrast(magnitude, &freq, &contrast),
        _ => af::poly_features(magnitude, &freq, order),
    };
    let known = ["centroid", "bandwidth", "rolloff", "contrast", "flatness"];
    if name != "poly_features" && !name.strip_prefix("spectral_").is_some_and(|name| known.contains(&name)) {
        return unsupported(format!("function {function}"));
    }
    let magnitude = match stft {
        Some(stft) => {
            let stft = af::Stft::new(&stft)?;
            channels(input, |x| stft.spectrogram(x, 1.0))?
        }
        None => input.clone(),
    };
    if name == "spectral_flatness" {
        return one(af::each_spectrogram(magnitude.view(), |s| af::spectral_flatness(s, amin, power))?);
    }
    one(af::each_spectrogram(magnitude.view(), doubles)?)
}
