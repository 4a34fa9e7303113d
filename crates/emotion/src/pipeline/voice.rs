//! The pass over the sound: windows of speech, one after the other.

use emotion_core::{EmotionModel, Scores, TimeSpan};
use fusion::Aligner;
use ser_model::activity::{ActivityConfig, has_speech};
use video_io::AudioSource;

use super::{Progress, Stage, microseconds};
use crate::Error;
use crate::timeline::SpeechWindow;

/// What listens to the sound.
pub(crate) struct Ears<'a> {
    pub(crate) model: &'a dyn EmotionModel<Input = Vec<f32>>,
    /// Length of a window in seconds.
    pub(crate) window: f64,
    /// From the start of one window to that of the next, in seconds.
    pub(crate) hop: f64,
}

/// Listens to a whole source, window by window.
pub(crate) fn listen(
    source: &mut dyn AudioSource,
    ears: &Ears<'_>,
    duration: Option<f64>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Heard, Error> {
    let mut heard = Heard::default();
    let mut windows = Windows::new(source.sample_rate(), ears.window, ears.hop, source.start_time());
    let mut samples = Vec::new();
    loop {
        samples.clear();
        let ended = source.read(&mut samples)? == 0;
        heard.seconds += samples.len() as f64 / f64::from(source.sample_rate());
        heard.peak = samples.iter().fold(heard.peak, |peak, sample| peak.max(sample.abs()));
        for (span, samples) in windows.push(&samples, ended) {
            if has_speech(&samples, &ActivityConfig::default()) {
                let scores = judge(ears.model, samples)?;
                heard.windows.push(SpeechWindow {
                    start: microseconds(span.start),
                    end: microseconds(span.end),
                    scores,
                });
            }
        }
        progress(Progress { stage: Stage::Sound, seconds: heard.seconds, duration, frames: 0 });
        if ended {
            break;
        }
    }
    let spans = heard.windows.iter().map(|window| TimeSpan { start: window.start, end: window.end });
    heard.aligner = Aligner::new(spans.collect())?;
    Ok(heard)
}

/// The scores of one window.
fn judge(model: &dyn EmotionModel<Input = Vec<f32>>, samples: Vec<f32>) -> Result<Scores, Error> {
    let what = || format!("speech model {}", model.name());
    let mut scores = model.predict_batch(&[samples]).map_err(|source| Error::Model { what: what(), source })?;
    scores.pop().ok_or_else(|| Error::Model { what: what(), source: "it gave no answer".into() })
}

/// The shortest sound that is judged, in seconds: a short word.
const SHORTEST: f64 = 0.25;

/// Cuts a stream of samples into windows that overlap, holding no more than one window.
///
/// At the end, what no window has covered gets a last, shorter one if it is at least half a hop long, and sound that is
/// shorter than one window is one window.
struct Windows {
    rate: f64,
    length: usize,
    hop: usize,
    /// When the source's first sample sounds, in seconds.
    offset: f64,
    buffer: Vec<f32>,
    /// The number of the buffer's first sample in the source.
    first: u64,
    /// How many samples of the source some window has covered.
    covered: u64,
}

impl Windows {
    fn new(rate: u32, length: f64, hop: f64, offset: f64) -> Self {
        let rate = f64::from(rate);
        let samples = |seconds: f64| ((seconds * rate).round() as usize).max(1);
        Self { rate, length: samples(length), hop: samples(hop), offset, buffer: Vec::new(), first: 0, covered: 0 }
    }

    /// The windows that are complete with these samples; at the end of the source also what is left.
    fn push(&mut self, samples: &[f32], ended: bool) -> Vec<(TimeSpan, Vec<f32>)> {
        self.buffer.extend_from_slice(samples);
        let mut windows = Vec::new();
        while self.buffer.len() >= self.length {
            windows.push(self.window(self.length));
            self.buffer.drain(..self.hop);
            self.first += self.hop as u64;
        }
        let end = self.first + self.buffer.len() as u64;
        let uncovered = end.saturating_sub(self.covered);
        let least = if self.covered == 0 { (SHORTEST * self.rate) as u64 } else { self.hop as u64 / 2 };
        if ended && uncovered >= least.max(1) {
            windows.push(self.window(self.buffer.len()));
            self.buffer.clear();
        }
        windows
    }

    /// The first samples of the buffer as a window.
    fn window(&mut self, length: usize) -> (TimeSpan, Vec<f32>) {
        let end = self.first + length as u64;
        self.covered = end;
        let time = |sample: u64| self.offset + sample as f64 / self.rate;
        (TimeSpan { start: time(self.first), end: time(end) }, self.buffer[..length].to_vec())
    }
}

/// What was heard.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    windows: Vec<SpeechWindow>,
    aligner: Aligner,
    seconds: f64,
    peak: f32,
}

impl Heard {
    /// The windows that hold speech, in order.
    pub(crate) fn windows(&self) -> &[SpeechWindow] {
        &self.windows
    }

    pub(crate) fn into_windows(self) -> Vec<SpeechWindow> {
        self.windows
    }

    /// How much sound was listened to.
    pub(crate) fn seconds(&self) -> f64 {
        self.seconds
    }

    /// The largest absolute sample.
    pub(crate) fn peak(&self) -> f32 {
        self.peak
    }

    /// What the voice expresses at a time; `None` where nobody speaks.
    pub(crate) fn at(&self, time: f64) -> Option<&Scores> {
        self.aligner.find(time).map(|index| &self.windows[index].scores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The windows of so many samples at 10 a second, given in pieces, as start and end in tenths.
    fn windows(samples: usize, piece: usize) -> Vec<(i64, i64)> {
        let mut windows = Windows::new(10, 2.0, 1.0, 0.0);
        let sound: Vec<f32> = (0..samples).map(|n| n as f32).collect();
        let mut found: Vec<_> = sound.chunks(piece).flat_map(|piece| windows.push(piece, false)).collect();
        found.extend(windows.push(&[], true));
        assert!(windows.push(&[], true).is_empty());
        for (span, samples) in &found {
            assert_eq!(samples[0], (span.start * 10.0).round() as f32);
            assert_eq!(samples.len(), (span.duration() * 10.0).round() as usize);
        }
        found.iter().map(|(span, _)| ((span.start * 10.0).round() as i64, (span.end * 10.0).round() as i64)).collect()
    }

    #[test]
    fn windows_overlap_and_cover_the_end() {
        assert_eq!(windows(40, 7), [(0, 20), (10, 30), (20, 40)]);
        assert_eq!(windows(44, 3), [(0, 20), (10, 30), (20, 40)]);
        assert_eq!(windows(45, 100), [(0, 20), (10, 30), (20, 40), (30, 45)]);
        assert_eq!(windows(12, 5), [(0, 12)]);
        assert_eq!(windows(1, 1), []);
        assert_eq!(windows(0, 1), []);
    }

    #[test]
    fn a_sound_track_that_begins_later_is_placed_there() {
        let mut windows = Windows::new(10, 2.0, 1.0, 0.5);
        let (span, _) = windows.push(&[0.0; 20], false).remove(0);
        assert_eq!((span.start, span.end), (0.5, 2.5));
    }
}
