//! Arrays of any number of channels, in any memory order.
//!
//! librosa takes signals of shape `[channels…, n]` and returns features of shape `[channels…, n_features, n_frames]`. Here the
//! planners have a `process_nd` for that, and [`each_channel`] and [`each_spectrogram`] lift every other function.

use ndarray::{Array, ArrayD, ArrayView, ArrayView2, Axis, Dimension, IxDyn};
use realfft::num_complex::Complex;

use crate::chroma::{Chroma, ChromaConfig};
use crate::error::{Error, Result};
use crate::istft::Istft;
use crate::mel::MelSpectrogram;
use crate::mfcc::Mfcc;
use crate::sample::Sample;
use crate::stft::Stft;

/// Calls `f` with the samples of every channel, and puts the results together: `[channels…, n]` → `[channels…, result…]`.
///
/// The signals may be a view with any strides: interleaved channels, a transposed or a reversed array. A channel whose samples
/// do not lie side by side is copied first.
///
/// ```
/// use audio_features::{RmsConfig, YinConfig, each_channel, rms, yin};
/// use ndarray::{Array1, Array2};
///
/// // Interleaved stereo, [n, 2], seen as [2, n].
/// let interleaved = Array2::from_shape_fn((22_050, 2), |(n, channel)| (n as f32 * 0.06 * (channel + 1) as f32).sin());
/// let stereo = interleaved.t();
/// let loudness = each_channel(stereo, |samples| rms(samples, &RmsConfig::default()))?;
/// assert_eq!(loudness.shape(), [2, 1, 44]);
/// let pitch = each_channel(stereo, |samples| Ok(Array1::from(yin(samples, &YinConfig::default())?)))?;
/// assert_eq!(pitch.shape(), [2, 44]);
/// # Ok::<(), audio_features::Error>(())
/// ```
///
/// # Errors
/// Those of `f`; [`Error::InvalidInput`] when there is no channel, and [`Error::WrongShape`] when the results of two channels
/// differ in shape.
pub fn each_channel<T, O, D, E>(
    signals: ArrayView<'_, T, D>,
    mut f: impl FnMut(&[T]) -> Result<Array<O, E>>,
) -> Result<ArrayD<O>>
where
    T: Copy,
    O: Clone,
    D: Dimension,
    E: Dimension,
{
    let signals = signals.into_dyn();
    let Some((_, leading)) = signals.shape().split_last() else {
        return Err(Error::input("the signal", "an array of at least one axis", "a number"));
    };
    let mut gathered = Gathered::new(leading);
    let mut copy = Vec::new();
    for channel in signals.lanes(Axis(leading.len())) {
        gathered.push(match channel.as_slice() {
            Some(samples) => f(samples)?,
            None => {
                copy.clear();
                copy.extend(channel.iter().copied());
                f(&copy)?
            }
        })?;
    }
    gathered.finish()
}

/// Calls `f` with the spectrogram of every channel, and puts the results together: `[channels…, n_bins, n_frames]` →
/// `[channels…, result…]`.
///
/// ```
/// use audio_features::{Stft, StftConfig, each_spectrogram, fft_frequencies, spectral_centroid};
/// use ndarray::Array2;
///
/// let stereo = Array2::from_shape_fn((2, 8000), |(channel, n)| (n as f32 * 0.1 * (channel + 1) as f32).sin());
/// let spectra = Stft::new(&StftConfig::default())?.process_nd(stereo.view())?;
/// let freq = fft_frequencies(8000.0, 2048);
/// let centroid = each_spectrogram(spectra.mapv(|bin| bin.norm()).view(), |magnitude| spectral_centroid(magnitude, &freq))?;
/// assert_eq!(centroid.shape(), [2, 1, 16]);
/// # Ok::<(), audio_features::Error>(())
/// ```
///
/// # Errors
/// As [`each_channel`].
pub fn each_spectrogram<T, O, D, E>(
    spectra: ArrayView<'_, T, D>,
    mut f: impl FnMut(ArrayView2<'_, T>) -> Result<Array<O, E>>,
) -> Result<ArrayD<O>>
where
    O: Clone,
    D: Dimension,
    E: Dimension,
{
    let spectra = spectra.into_dyn();
    let [leading @ .., _, _] = spectra.shape() else {
        return Err(Error::input("the spectrogram", "an array of at least two axes", format!("{:?}", spectra.shape())));
    };
    let mut gathered = Gathered::new(leading);
    visit(spectra.view(), &mut |spectrogram| gathered.push(f(spectrogram)?))?;
    gathered.finish()
}

/// Calls `f` with every matrix of the last two axes.
pub(crate) fn visit<T>(
    array: ArrayView<'_, T, IxDyn>,
    f: &mut dyn FnMut(ArrayView2<'_, T>) -> Result<()>,
) -> Result<()> {
    if array.ndim() > 2 {
        return array.axis_iter(Axis(0)).try_for_each(|part| visit(part, f));
    }
    let shape = array.shape().to_vec();
    f(array
        .into_dimensionality()
        .map_err(|error| Error::input("the spectrogram", format!("of shape {shape:?}"), error))?)
}

/// Results of one shape, one after another.
struct Gathered<O> {
    leading: Vec<usize>,
    shape: Option<Vec<usize>>,
    values: Vec<O>,
}

impl<O: Clone> Gathered<O> {
    fn new(leading: &[usize]) -> Self {
        Self { leading: leading.to_vec(), shape: None, values: Vec::new() }
    }

    fn push<E: Dimension>(&mut self, part: Array<O, E>) -> Result<()> {
        match &self.shape {
            None => {
                self.shape = Some(part.shape().to_vec());
                self.values.reserve_exact(part.len() * self.leading.iter().product::<usize>());
            }
            Some(shape) if shape != part.shape() => {
                return Err(Error::shape("the result of every channel", shape, part.shape()));
            }
            Some(_) => {}
        }
        self.values.extend(part);
        Ok(())
    }

    fn finish(self) -> Result<ArrayD<O>> {
        let Some(shape) = self.shape else {
            return Err(Error::input("the signal", "at least one channel", format!("channels {:?}", self.leading)));
        };
        let shape: Vec<usize> = self.leading.iter().chain(&shape).copied().collect();
        ArrayD::from_shape_vec(IxDyn(&shape), self.values)
            .map_err(|error| Error::input("the result", format!("of shape {shape:?}"), error))
    }
}

impl Stft {
    /// [`Stft::process`] of every channel: `[channels…, n]` → `[channels…, n_bins, n_frames]`, with any strides.
    ///
    /// # Errors
    /// As [`Stft::process`] and [`each_channel`].
    pub fn process_nd<T: Sample, D: Dimension>(&self, signals: ArrayView<'_, T, D>) -> Result<ArrayD<Complex<T>>> {
        each_channel(signals, |samples| self.process(samples))
    }
}

impl Istft {
    /// [`Istft::process`] of every channel: `[channels…, n_bins, n_frames]` → `[channels…, n]`, with any strides.
    ///
    /// # Errors
    /// As [`Istft::process`] and [`each_channel`].
    pub fn process_nd<T: Sample, D: Dimension>(
        &self,
        spectra: ArrayView<'_, Complex<T>, D>,
        length: Option<usize>,
    ) -> Result<ArrayD<T>> {
        each_spectrogram(spectra, |spectrum| Ok(ndarray::Array1::from(self.process(spectrum, length)?)))
    }
}

impl MelSpectrogram {
    /// [`MelSpectrogram::process`] of every channel: `[channels…, n]` → `[channels…, n_mels, n_frames]`, with any strides.
    ///
    /// # Errors
    /// As [`MelSpectrogram::process`] and [`each_channel`].
    pub fn process_nd<T: Sample, D: Dimension>(&self, signals: ArrayView<'_, T, D>) -> Result<ArrayD<T>> {
        each_channel(signals, |samples| self.process(samples))
    }
}

impl Mfcc {
    /// [`Mfcc::process`] of every channel: `[channels…, n]` → `[channels…, n_mfcc, n_frames]`, with any strides.
    ///
    /// Every channel has its own loudest value for `top_db`, as in librosa 1.0 (0.11 took one over all channels).
    ///
    /// # Errors
    /// As [`Mfcc::process`] and [`each_channel`].
    pub fn process_nd<T: Sample, D: Dimension>(&self, signals: ArrayView<'_, T, D>) -> Result<ArrayD<T>> {
        each_channel(signals, |samples| self.process(samples))
    }
}

impl Chroma {
    /// [`Chroma::process`] of every channel: `[channels…, n]` → `[channels…, n_chroma, n_frames]`, with any strides.
    ///
    /// A tuning that the config leaves open is estimated once, over all channels together, as librosa does.
    ///
    /// # Errors
    /// As [`Chroma::process`] and [`each_channel`].
    pub fn process_nd<T: Sample, D: Dimension>(&self, signals: ArrayView<'_, T, D>) -> Result<ArrayD<T>> {
        let one_channel = signals.len() == signals.shape().last().copied().unwrap_or(0);
        if one_channel || self.config().tuning.is_some() {
            return each_channel(signals, |samples| self.process(samples));
        }
        let mut work = self.start_tuning();
        each_channel(signals.view(), |samples| {
            let signal = self.stft().framed(samples)?;
            let frames = 0..signal.frames();
            self.stft().spectrogram_blocks(&signal, frames, 2.0, |block| self.collect_peaks(&block, &mut work))?;
            Ok(ndarray::arr0(()))
        })?;
        let tuned = Self::new(&ChromaConfig { tuning: Some(self.heard_tuning(&mut work)), ..self.config().clone() })?;
        each_channel(signals, |samples| tuned.process(samples))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Array3, ArrayD};

    use super::*;
    use crate::{ChromaConfig, MelConfig, MfccConfig, PiptrackConfig, StftConfig, estimate_tuning};

    fn signals() -> Array3<f32> {
        Array3::from_shape_fn((2, 3, 3000), |(a, b, n)| {
            ((n as f32) * (0.03 + 0.02 * a as f32 + 0.05 * b as f32)).sin() * 0.3_f32.powi(b as i32)
        })
    }

    #[test]
    fn channels_are_what_they_are_alone_whatever_the_strides() {
        let signals = signals();
        let mfcc = Mfcc::new(&MfccConfig::default()).unwrap();
        let all = mfcc.process_nd(signals.view()).unwrap();
        assert_eq!(all.shape(), [2, 3, 20, 6]);
        for a in 0..2 {
            for b in 0..3 {
                let channel = signals.index_axis(Axis(0), a).index_axis_move(Axis(0), b);
                let alone = mfcc.process(channel.as_slice().unwrap()).unwrap();
                assert_eq!(all.index_axis(Axis(0), a).index_axis_move(Axis(0), b), alone.into_dyn());
            }
        }
        // The same numbers, frame after frame in memory, and backwards.
        let transposed = signals.view().reversed_axes().as_standard_layout().into_owned();
        assert_eq!(mfcc.process_nd(transposed.t()).unwrap(), all);
        let mut backwards = signals.clone();
        backwards.invert_axis(Axis(2));
        let mut again = backwards.as_standard_layout().into_owned();
        again.invert_axis(Axis(2));
        assert_eq!(mfcc.process_nd(again.view()).unwrap(), all);
    }

    #[test]
    fn the_transform_comes_back() {
        let signals = signals().mapv(f64::from);
        let config = StftConfig { n_fft: 512, ..StftConfig::default() };
        let spectra = Stft::new(&config).unwrap().process_nd(signals.view()).unwrap();
        let back = Istft::new(&config).unwrap().process_nd(spectra.view(), Some(3000)).unwrap();
        assert_eq!(back.shape(), [2, 3, 3000]);
        for (a, b) in signals.iter().zip(&back) {
            assert!((a - b).abs() < 1e-9);
        }
    }

    #[test]
    fn all_channels_share_one_tuning() {
        // A loud tone that is in tune, and a faint one that is not.
        let stereo = Array2::from_shape_fn((2, 22_050), |(channel, n)| {
            let (frequency, volume) = if channel == 0 { (440.0, 0.5) } else { (452.0, 0.01) };
            (n as f64 * frequency / 22_050.0 * std::f64::consts::TAU).sin() * volume
        });
        let chroma = Chroma::new(&ChromaConfig::default()).unwrap();
        let together = chroma.process_nd(stereo.view()).unwrap();
        let power = chroma.stft().process_nd(stereo.view()).unwrap().mapv(|bin| bin.norm_sqr());
        let tuning = estimate_tuning(power.view(), &PiptrackConfig::default(), 0.01, 12).unwrap();
        assert!(tuning.abs() < 0.05, "{tuning}");
        let tuned = Chroma::new(&ChromaConfig { tuning: Some(tuning), ..ChromaConfig::default() }).unwrap();
        assert_eq!(together, tuned.process_nd(stereo.view()).unwrap());
        // Alone, the faint tone has a tuning of its own.
        let alone = chroma.process(stereo.row(1).as_slice().unwrap()).unwrap();
        assert_ne!(together.index_axis(Axis(0), 1), alone.into_dyn());
    }

    #[test]
    fn arrays_without_channels_are_errors() {
        let mel = MelSpectrogram::new(&MelConfig::default()).unwrap();
        assert!(mel.process_nd(Array2::<f32>::zeros((0, 100)).view()).is_err());
        assert!(mel.process_nd(ndarray::arr0(1.0_f32).view()).is_err());
        assert!(each_spectrogram(ndarray::arr1(&[1.0_f32]).view(), |s| Ok(s.to_owned())).is_err());
        let mut count = 0;
        let uneven = each_channel(Array2::<f32>::zeros((2, 5)).view(), |_| {
            count += 1;
            Ok(ArrayD::<f32>::zeros(IxDyn(&[count])))
        });
        assert!(matches!(uneven, Err(Error::WrongShape { .. })));
    }
}
