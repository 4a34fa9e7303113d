//! Sound out of files.

use std::path::Path;

use ffmpeg_next::format::Sample;
use ffmpeg_next::{frame, media};

use crate::demux::{Demuxer, StreamDecoder};
use crate::error::Error;
use crate::resample::{Resampler, Resampling};
use crate::source::{AudioInfo, AudioSource, ReadReport};

/// A hole in the timestamps longer than this is filled with silence, so that sound and pictures stay together. Shorter
/// ones are the rounding of coarse clocks.
const LONGEST_IGNORED_GAP: f64 = 0.1;

/// A hole longer than this is not believed: the file's clock jumped.
const LONGEST_FILLED_GAP: f64 = 60.0;

/// Decoded sound: channels of equal length, in -1..1.
pub(crate) struct SoundDecoder {
    source: StreamDecoder,
    frame: frame::Audio,
    /// Whether `frame` already holds the next block: opening decodes the first one.
    ahead: bool,
    info: AudioInfo,
    /// Seconds decoded so far, holes included.
    played: f64,
    ended: bool,
}

impl SoundDecoder {
    pub(crate) fn open(demuxer: Demuxer) -> Result<Self, Error> {
        let mut source = StreamDecoder::open(demuxer, media::Type::Audio)?;
        let mut frame = frame::Audio::empty();
        let mut ahead = source.next(&mut frame)?;
        while ahead && !is_sound(&frame) {
            ahead = source.next(&mut frame)?;
        }
        if !ahead {
            return Err(source.demuxer().nothing_decoded(media::Type::Audio, source.broken_packets()));
        }
        let (start, duration) = source.announced();
        let info = AudioInfo {
            sample_rate: frame.rate(),
            channels: frame.channels(),
            duration,
            start_time: source.time(frame.timestamp()).or(start).unwrap_or(0.0),
            codec: source.stream().map(|s| s.parameters().id().name()).unwrap_or_default().to_owned(),
        };
        Ok(SoundDecoder { source, frame, ahead, info, played: 0.0, ended: false })
    }

    pub(crate) fn info(&self) -> &AudioInfo {
        &self.info
    }

    pub(crate) fn path(&self) -> &Path {
        self.source.demuxer().path()
    }

    /// The error when FFmpeg cannot go on.
    pub(crate) fn failed(&self, cause: ffmpeg_next::Error) -> Error {
        self.source.failed(cause)
    }

    /// Decodes the next block; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Block<'_>>, Error> {
        loop {
            if self.ended || (!std::mem::take(&mut self.ahead) && !self.source.next(&mut self.frame)?) {
                self.ended = true;
                return Ok(None);
            }
            if is_sound(&self.frame) {
                break;
            }
        }
        let rate = f64::from(self.frame.rate());
        let expected = self.info.start_time + self.played;
        let gap = self.source.time(self.frame.timestamp()).map_or(0.0, |time| time - expected);
        let silence = match gap {
            LONGEST_IGNORED_GAP..LONGEST_FILLED_GAP => (gap * rate).round() as usize,
            _ => 0,
        };
        self.played += (silence + self.frame.samples()) as f64 / rate;
        Ok(Some(Block { frame: &self.frame, silence }))
    }

    pub(crate) fn report(&self) -> ReadReport {
        let missing = match (self.ended, self.info.duration) {
            (true, Some(duration)) => duration - self.played,
            _ => 0.0,
        };
        // Files count the encoder's padding, a block or two, in their lengths.
        let missing_seconds = if missing > LONGEST_IGNORED_GAP { missing } else { 0.0 };
        ReadReport { broken_packets: self.source.broken_packets(), missing_seconds }
    }
}

/// A few milliseconds of decoded sound.
pub(crate) struct Block<'a> {
    frame: &'a frame::Audio,
    /// Samples of silence that come before it, because the file has a hole there.
    pub(crate) silence: usize,
}

impl Block<'_> {
    pub(crate) fn sample_rate(&self) -> u32 {
        self.frame.rate()
    }

    pub(crate) fn channels(&self) -> usize {
        usize::from(self.frame.channels())
    }

    /// Appends one channel.
    pub(crate) fn append_channel(&self, channel: usize, out: &mut Vec<f32>) {
        match self.frame.format() {
            Sample::U8(_) => self.append::<u8>(channel, out, |s| (f32::from(s) - 128.0) / 128.0),
            Sample::I16(_) => self.append::<i16>(channel, out, |s| f32::from(s) / 32_768.0),
            Sample::I32(_) => self.append::<i32>(channel, out, |s| (f64::from(s) / 2_147_483_648.0) as f32),
            Sample::F32(_) => self.append::<f32>(channel, out, |s| s),
            Sample::F64(_) => self.append::<f64>(channel, out, |s| s as f32),
            Sample::I64(_) | Sample::None => {}
        }
    }

    /// Appends the mean of all channels, as librosa's `to_mono` does.
    pub(crate) fn append_mono(&self, out: &mut Vec<f32>, scratch: &mut Vec<f32>) {
        let start = out.len();
        self.append_channel(0, out);
        for channel in 1..self.channels() {
            scratch.clear();
            self.append_channel(channel, scratch);
            out[start..].iter_mut().zip(scratch.iter()).for_each(|(sum, s)| *sum += s);
        }
        if self.channels() > 1 {
            let channels = self.channels() as f32;
            out[start..].iter_mut().for_each(|sum| *sum /= channels);
        }
    }

    fn append<T: frame::audio::Sample + Copy>(&self, channel: usize, out: &mut Vec<f32>, convert: impl Fn(T) -> f32) {
        if self.frame.is_planar() {
            out.extend(self.frame.plane::<T>(channel).iter().map(|&s| convert(s)));
        } else {
            let interleaved = self.frame.plane::<T>(0).iter();
            out.extend(interleaved.skip(channel).step_by(self.channels()).map(|&s| convert(s)));
        }
    }
}

/// Whether a frame holds samples in a format that is understood: reading planes of any other panics.
fn is_sound(frame: &frame::Audio) -> bool {
    let known = !matches!(frame.format(), Sample::None | Sample::I64(_));
    known && frame.samples() > 0 && frame.channels() > 0 && frame.planes() > 0 && frame.rate() > 0
}

/// Reads the sound of any file as mono samples at a rate of one's choice.
///
/// Channels are mixed to their mean, as librosa does. Resampling is librosa's default (`soxr_hq`) bit for bit where
/// FFmpeg was built with libsoxr, as Debian's and Ubuntu's are; else see [`AudioReader::resampling`]. A hole in the
/// file's timestamps becomes silence, so that sample `n` is heard at `start_time + n / sample_rate`.
///
/// Damaged packets are left out and counted. Memory does not grow with the length.
///
/// ```
/// # fn main() -> Result<(), video_io::Error> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("clip.wav");
/// # let spec = hound::WavSpec { channels: 2, sample_rate: 44_100, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
/// # let mut wav = hound::WavWriter::create(&path, spec).unwrap();
/// # for i in 0..88_200 { wav.write_sample(i as i16).unwrap(); }
/// # wav.finalize().unwrap();
/// use video_io::{AudioReader, AudioSource};
///
/// let mut sound = AudioReader::open(&path, 16_000)?;
/// let mut samples = Vec::new();
/// while sound.read(&mut samples)? > 0 {
///     // Use up what is there and clear it: a chunk is a fraction of a second.
/// }
/// assert_eq!(samples.len(), 16_000);
/// # Ok(()) }
/// ```
pub struct AudioReader {
    source: SoundDecoder,
    sample_rate: u32,
    resampler: Resampler,
    /// The rate that the resampler takes: a stream may change its rate on the way.
    stored_rate: u32,
    mono: Vec<f32>,
    scratch: Vec<f32>,
    finished: bool,
}

impl AudioReader {
    /// Opens the sound of a file, to be read at `sample_rate` samples a second (1000 to 384000; 16000 for speech).
    ///
    /// # Errors
    ///
    /// [`Error::InvalidConfig`] for a rate out of range, and one variant of [`Error`] for each way in which a file can
    /// fail, as for [`VideoReader::open`](crate::VideoReader::open); a file without sound is [`Error::NoAudioStream`].
    pub fn open(path: impl AsRef<Path>, sample_rate: u32) -> Result<Self, Error> {
        check_rate(sample_rate)?;
        Self::from_demuxer(Demuxer::open(path.as_ref())?, sample_rate)
    }

    pub(crate) fn from_demuxer(demuxer: Demuxer, sample_rate: u32) -> Result<Self, Error> {
        check_rate(sample_rate)?;
        let source = SoundDecoder::open(demuxer)?;
        let stored_rate = source.info().sample_rate;
        let resampler = Resampler::new(stored_rate, sample_rate).map_err(|cause| source.failed(cause))?;
        Ok(AudioReader {
            source,
            sample_rate,
            resampler,
            stored_rate,
            mono: Vec::new(),
            scratch: Vec::new(),
            finished: false,
        })
    }

    /// What the file says about its sound.
    pub fn info(&self) -> &AudioInfo {
        self.source.info()
    }

    /// The engine that brings the samples to the wanted rate.
    pub fn resampling(&self) -> Resampling {
        self.resampler.engine()
    }

    /// What was met so far: damaged packets and, after the end, how much the file lacks.
    pub fn report(&self) -> ReadReport {
        self.source.report()
    }
}

impl AudioSource for AudioReader {
    fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    fn start_time(&self) -> f64 {
        self.source.info().start_time
    }

    fn read(&mut self, out: &mut Vec<f32>) -> Result<usize, Error> {
        let before = out.len();
        // A block may stay inside the resampler whole: go on until something comes out.
        while out.len() == before && !self.finished {
            self.mono.clear();
            let Some(block) = self.source.next()? else {
                self.finished = true;
                self.resampler.finish(out).map_err(|error| self.source.failed(error))?;
                break;
            };
            let rate = block.sample_rate();
            self.mono.resize(block.silence, 0.0);
            block.append_mono(&mut self.mono, &mut self.scratch);
            if rate != self.stored_rate {
                self.resampler.finish(out).map_err(|error| self.source.failed(error))?;
                self.resampler = Resampler::new(rate, self.sample_rate).map_err(|error| self.source.failed(error))?;
                self.stored_rate = rate;
            }
            self.resampler.process(&self.mono, out).map_err(|error| self.source.failed(error))?;
        }
        Ok(out.len() - before)
    }
}

impl std::fmt::Debug for AudioReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AudioReader")
            .field("path", &self.source.path())
            .field("info", self.info())
            .field("sample_rate", &self.sample_rate)
            .field("resampling", &self.resampling())
            .field("report", &self.report())
            .finish_non_exhaustive()
    }
}

fn check_rate(sample_rate: u32) -> Result<(), Error> {
    if (1_000..=384_000).contains(&sample_rate) {
        return Ok(());
    }
    Err(Error::InvalidConfig {
        setting: "sample_rate",
        expected: "between 1000 and 384000 samples a second",
        got: sample_rate.to_string(),
    })
}
