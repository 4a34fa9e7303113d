//! Windows over sound that is still coming in.

use std::collections::VecDeque;

use audio_features::{Resampler, ResamplerConfig};
use emotion_core::{Scores, TimeSpan};

use crate::Error;
use crate::input::{self, MIN_SECONDS, RATES, SAMPLE_RATE};
use crate::model::{SerModel, WindowConfig};

/// Answers windows of speech as the sound comes in, in pieces of any size.
///
/// A window is answered by the [`push`](Self::push) that brings its last sample, so an answer about a moment is at most
/// one window length late (plus, for other rates than 16 kHz, less than a tenth of a second of the resampler: see
/// [`delay`](Self::delay)). Memory is bounded by one window, however long the stream is.
///
/// The windows are those of [`SerModel::predict_windows`], but for the last, which is there moved back to end with the
/// sound: [`finish`](Self::finish) answers what is left of the stream as it is.
///
/// ```no_run
/// use ser_model::{SerModel, SpeechStream, WindowConfig};
///
/// let model = SerModel::pretrained()?;
/// let mut stream = SpeechStream::new(&model, 48_000, WindowConfig::default())?;
/// # let pieces: Vec<Vec<f32>> = vec![];
/// for piece in pieces {
///     for (span, scores) in stream.push(&piece)? {
///         let answer = scores.map_or("no speech".into(), |scores| scores.top().0.to_string());
///         println!("{:.1} s to {:.1} s: {answer}", span.start, span.end);
///     }
/// }
/// # Ok::<(), ser_model::Error>(())
/// ```
#[derive(Debug)]
pub struct SpeechStream<'a> {
    model: &'a SerModel,
    resampler: Option<Resampler<f32>>,
    sample_rate: u32,
    /// Samples at the model's rate that a window still needs; the first is number `first` of the stream.
    buffer: VecDeque<f32>,
    first: usize,
    /// Where the next window starts.
    next: usize,
    length: usize,
    hop: usize,
    /// The last sample that a window has been answered for.
    answered: usize,
}

/// The answer for one window; `None` when it holds no speech.
pub type Answer = (TimeSpan, Option<Scores>);

impl<'a> SpeechStream<'a> {
    /// A stream of mono sound at this rate.
    ///
    /// # Errors
    /// [`Error::SampleRate`] outside [`RATES`], [`Error::InvalidConfig`] for windows that cannot be.
    pub fn new(model: &'a SerModel, sample_rate: u32, windows: WindowConfig) -> Result<Self, Error> {
        let (length, hop) = windows.in_samples()?;
        if !RATES.contains(&sample_rate) {
            return Err(Error::SampleRate { least: *RATES.start(), most: *RATES.end(), got: sample_rate });
        }
        let resampler = if sample_rate == SAMPLE_RATE {
            None
        } else {
            let (from_rate, to_rate) = (f64::from(sample_rate), f64::from(SAMPLE_RATE));
            Some(Resampler::new(&ResamplerConfig { from_rate, to_rate, ..ResamplerConfig::default() })?)
        };
        Ok(Self { model, resampler, sample_rate, buffer: VecDeque::new(), first: 0, next: 0, length, hop, answered: 0 })
    }

    /// How long after its first sample a window is answered, in seconds.
    pub fn delay(&self) -> f64 {
        let resampling =
            self.resampler.as_ref().map_or(0.0, |resampler| resampler.latency() as f64 / f64::from(self.sample_rate));
        self.length as f64 / f64::from(SAMPLE_RATE) + resampling
    }

    /// Takes samples in, and answers every window that they complete, in order of time.
    ///
    /// # Errors
    /// [`Error::NotFinite`], and then none of these samples is taken; [`Error::Model`] when LibTorch fails.
    pub fn push(&mut self, samples: &[f32]) -> Result<Vec<Answer>, Error> {
        if samples.is_empty() {
            return Ok(Vec::new());
        }
        input::check(samples)?;
        let mut answers = Vec::new();
        // A window's worth at a time, so that even a push of hours leaves no more than two windows in memory.
        for piece in samples.chunks(self.length) {
            match &mut self.resampler {
                None => self.buffer.extend(piece),
                Some(resampler) => {
                    let mut resampled = Vec::new();
                    resampler.process(piece, &mut resampled)?;
                    self.buffer.extend(resampled);
                }
            }
            self.answer_complete(&mut answers)?;
        }
        Ok(answers)
    }

    /// Ends the stream: answers the windows that the resampler still held back, and then what no window has covered, if
    /// that is at least [`MIN_SECONDS`] long.
    ///
    /// # Errors
    /// [`Error::Model`] when LibTorch fails.
    pub fn finish(mut self) -> Result<Vec<Answer>, Error> {
        let mut answers = Vec::new();
        if let Some(mut resampler) = self.resampler.take() {
            let mut rest = Vec::new();
            resampler.finish(&mut rest);
            self.buffer.extend(rest);
            self.answer_complete(&mut answers)?;
        }
        let end = self.first + self.buffer.len();
        let uncovered = end.saturating_sub(self.answered.max(self.next));
        let least = (MIN_SECONDS * f64::from(SAMPLE_RATE)) as usize;
        if end > self.answered && uncovered >= least {
            answers.push(self.answer(self.next, end)?);
        }
        Ok(answers)
    }

    fn answer_complete(&mut self, answers: &mut Vec<Answer>) -> Result<(), Error> {
        loop {
            // Nothing before the next window is needed again.
            let done = self.next.saturating_sub(self.first).min(self.buffer.len());
            self.buffer.drain(..done);
            self.first += done;
            if self.first < self.next || self.buffer.len() < self.length {
                return Ok(());
            }
            let end = self.next + self.length;
            answers.push(self.answer(self.next, end)?);
            self.answered = end;
            self.next += self.hop;
        }
    }

    /// The answer for samples `start..end` of the stream, which the buffer still holds.
    fn answer(&mut self, start: usize, end: usize) -> Result<Answer, Error> {
        let seconds = |sample: usize| sample as f64 / f64::from(SAMPLE_RATE);
        let span = TimeSpan::new(seconds(start), seconds(end))?;
        let window = &self.buffer.make_contiguous()[start - self.first..end - self.first];
        Ok((span, self.model.answer(window)?))
    }
}

#[cfg(test)]
mod tests {
    use crate::model::tests::{untrained, voice};

    use super::*;

    fn run(model: &SerModel, samples: &[f32], rate: u32, windows: WindowConfig, pieces: &[usize]) -> Vec<Answer> {
        let mut stream = SpeechStream::new(model, rate, windows).unwrap();
        let (mut answers, mut rest) = (Vec::new(), samples);
        for &piece in pieces.iter().cycle() {
            let (now, later) = rest.split_at(piece.min(rest.len()));
            answers.extend(stream.push(now).unwrap());
            assert!(stream.buffer.len() <= 2 * stream.length + stream.hop, "{}", stream.buffer.len());
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        answers.extend(stream.finish().unwrap());
        answers
    }

    #[test]
    fn answers_do_not_depend_on_the_pieces_and_equal_those_of_windows() {
        let model = untrained();
        let samples = voice(5.0, 16_000);
        let windows = WindowConfig::default();
        let whole = model.predict_windows(&samples, 16_000, windows).unwrap();
        assert_eq!(whole.len(), 4);
        for pieces in [&[100_000][..], &[160], &[1, 7_000, 333]] {
            assert_eq!(run(&model, &samples, 16_000, windows, pieces), whole);
        }
        let at_48 = voice(5.0, 48_000);
        let whole = model.predict_windows(&at_48, 48_000, windows).unwrap();
        let streamed = run(&model, &at_48, 48_000, windows, &[1000]);
        assert_eq!(streamed.len(), whole.len());
        for ((span, got), (other, want)) in streamed.iter().zip(&whole) {
            assert_eq!(span, other);
            for (got, want) in got.as_ref().unwrap().values().iter().zip(want.as_ref().unwrap().values()) {
                assert!((got - want).abs() < 1e-3);
            }
        }
    }

    #[test]
    fn what_is_left_at_the_end_is_answered_once() {
        let model = untrained();
        let gaps = WindowConfig { length: 1.0, hop: 1.5 };
        let spans = |seconds| -> Vec<(f64, f64)> {
            let answers = run(&model, &voice(seconds, 16_000), 16_000, gaps, &[5000]);
            answers.iter().map(|(span, _)| (span.start, span.end)).collect()
        };
        assert_eq!(spans(2.5), [(0.0, 1.0), (1.5, 2.5)]);
        assert_eq!(spans(1.4), [(0.0, 1.0)]);
        assert_eq!(spans(2.0), [(0.0, 1.0), (1.5, 2.0)]);
        assert_eq!(spans(0.5), [(0.0, 0.5)]);
        assert_eq!(spans(0.1), []);
    }

    #[test]
    fn bad_pieces_are_refused_and_the_delay_is_told() {
        let model = untrained();
        let mut stream = SpeechStream::new(&model, 16_000, WindowConfig::default()).unwrap();
        assert_eq!(stream.delay(), 2.0);
        assert!(matches!(stream.push(&[0.0, f32::NAN]), Err(Error::NotFinite { index: 1, .. })));
        assert_eq!(stream.push(&[]).unwrap(), []);
        let delay = SpeechStream::new(&model, 44_100, WindowConfig::default()).unwrap().delay();
        assert!(delay > 2.0 && delay < 2.1, "{delay}");
        assert!(SpeechStream::new(&model, 1, WindowConfig::default()).is_err());
    }
}
