//! Mono sound from one sample rate to another, a chunk at a time.

use ffmpeg_next as ffmpeg;
use ffmpeg_next::format::Sample;
use ffmpeg_next::format::sample::Type::Packed;
use ffmpeg_next::software::resampling;
use ffmpeg_next::{ChannelLayout, frame};

/// Samples given to FFmpeg at once, whatever the length of a chunk.
const BLOCK: usize = 4096;

/// Room for what the resampler had held back, beyond what a block itself becomes.
const SLACK: usize = 4096;

/// Which engine resamples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resampling {
    /// The file has the wanted rate already: samples pass untouched.
    None,
    /// libsoxr at its "high quality" (20 bits): bit-identical to librosa's default, `res_type="soxr_hq"`.
    Soxr,
    /// FFmpeg's own engine, because the linked FFmpeg was built without libsoxr. It sounds the same, but near the upper
    /// end of the band samples differ from librosa's by some percent.
    Swr,
}

/// A streaming resampler for mono sound.
pub(crate) struct Resampler {
    from: u32,
    to: u32,
    context: Option<resampling::Context>,
    engine: Resampling,
    input: frame::Audio,
    output: frame::Audio,
}

impl Resampler {
    pub(crate) fn new(from: u32, to: u32) -> Result<Self, ffmpeg::Error> {
        let format = Sample::F32(Packed);
        let mono = ChannelLayout::MONO;
        let open = |options| resampling::Context::get_with(format, mono, from, format, mono, to, options);
        let (context, engine) = if from == to {
            (None, Resampling::None)
        } else {
            match open(ffmpeg::dict!("resampler" => "soxr", "precision" => "20")) {
                Ok(context) => (Some(context), Resampling::Soxr),
                Err(error) => {
                    tracing::warn!(%error, "FFmpeg has no libsoxr: resampling with its own engine, not librosa's");
                    (Some(open(ffmpeg::Dictionary::new())?), Resampling::Swr)
                }
            }
        };
        // FFmpeg would allocate as many samples as go in. When the rate rises, the rest piles up inside until flushing
        // runs over the end of a buffer and the process dies: hence this size.
        let room = (BLOCK as u64 * u64::from(to)).div_ceil(u64::from(from.max(1))) as usize + SLACK;
        Ok(Resampler {
            from,
            to,
            context,
            engine,
            input: frame::Audio::new(format, BLOCK, mono),
            output: frame::Audio::new(format, room, mono),
        })
    }

    pub(crate) fn engine(&self) -> Resampling {
        self.engine
    }

    /// Resamples a chunk; what comes out is appended to `out`, some milliseconds behind what went in.
    pub(crate) fn process(&mut self, samples: &[f32], out: &mut Vec<f32>) -> Result<(), ffmpeg::Error> {
        let Some(context) = &mut self.context else {
            out.extend_from_slice(samples);
            return Ok(());
        };
        let room = self.output.samples();
        for block in samples.chunks(BLOCK) {
            self.input.set_samples(BLOCK);
            self.input.plane_mut::<f32>(0)[..block.len()].copy_from_slice(block);
            self.input.set_samples(block.len());
            self.input.set_rate(self.from);
            self.output.set_rate(self.to);
            let result = context.run(&self.input, &mut self.output);
            append(&self.output, out);
            self.output.set_samples(room);
            result?;
        }
        Ok(())
    }

    /// Appends what was held back. The resampler is spent afterwards.
    pub(crate) fn finish(&mut self, out: &mut Vec<f32>) -> Result<(), ffmpeg::Error> {
        let Some(context) = &mut self.context else { return Ok(()) };
        let room = self.output.samples();
        loop {
            self.output.set_rate(self.to);
            let result = context.flush(&mut self.output);
            let came = append(&self.output, out);
            self.output.set_samples(room);
            result?;
            if came == 0 {
                return Ok(());
            }
        }
    }
}

fn append(frame: &frame::Audio, out: &mut Vec<f32>) -> usize {
    if frame.samples() > 0 {
        out.extend_from_slice(frame.plane::<f32>(0));
    }
    frame.samples()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(rate: u32, seconds: f64) -> Vec<f32> {
        let n = (f64::from(rate) * seconds) as usize;
        (0..n).map(|i| (0.5 * (std::f64::consts::TAU * 440.0 * i as f64 / f64::from(rate)).sin()) as f32).collect()
    }

    fn resample(samples: &[f32], from: u32, to: u32, chunk: usize) -> Vec<f32> {
        crate::demux::initialise();
        let mut resampler = Resampler::new(from, to).unwrap();
        let mut out = Vec::new();
        for chunk in samples.chunks(chunk) {
            resampler.process(chunk, &mut out).unwrap();
        }
        resampler.finish(&mut out).unwrap();
        out
    }

    #[test]
    fn a_tone_keeps_its_pitch_and_length_up_and_down() {
        for (from, to) in [(44_100, 16_000), (16_000, 44_100), (8_000, 48_000), (48_000, 8_000), (24_414, 16_000)] {
            let (input, want) = (tone(from, 3.0), tone(to, 3.0));
            let got = resample(&input, from, to, 1_000);
            assert!(got.len().abs_diff(want.len()) <= 2, "{from} to {to}: {} samples, want {}", got.len(), want.len());
            // The edges ring: there the tone begins and ends abruptly.
            let middle = want.len() / 4..3 * want.len() / 4;
            let worst = middle.map(|i| (got[i] - want[i]).abs()).fold(0.0, f32::max);
            assert!(worst < 2e-3, "{from} to {to}: off by {worst}");
        }
    }

    #[test]
    fn the_cut_into_chunks_changes_nothing() {
        let input = tone(44_100, 1.0);
        let whole = resample(&input, 44_100, 16_000, input.len());
        assert_eq!(whole, resample(&input, 44_100, 16_000, 7));
        assert_eq!(whole, resample(&input, 44_100, 16_000, 4_097));
    }

    #[test]
    fn the_same_rate_passes_untouched_and_silence_before_the_end_is_no_end() {
        let input = tone(16_000, 0.1);
        assert_eq!(resample(&input, 16_000, 16_000, 100), input);
        assert_eq!(resample(&[], 44_100, 16_000, 100), []);
    }
}
