//! The sound track of a written video: another file's sound, as it is or encoded anew.

use std::path::Path;

use ffmpeg_next as ffmpeg;
use ffmpeg_next::codec::{self, Id};
use ffmpeg_next::format::Sample;
use ffmpeg_next::format::context::Output;
use ffmpeg_next::format::sample::Type::Planar;
use ffmpeg_next::util::error::EAGAIN;
use ffmpeg_next::{ChannelLayout, Packet, Rational, encoder, frame, media};

use crate::audio::SoundDecoder;
use crate::demux::{Demuxer, initialise};
use crate::error::{Cause, Error};
use crate::ffi::clear_codec_tag;
use crate::resample::Resampler;
use crate::watched::Failure;

/// The codecs that an MP4 holds and that players expect in one: copied packet by packet, without loss.
const COPIED: [Id; 5] = [Id::AAC, Id::MP3, Id::AC3, Id::EAC3, Id::ALAC];

/// The sample rates of AAC (ISO/IEC 14496-3, table 1.18), rising.
const AAC_RATES: [u32; 13] =
    [7_350, 8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000];

/// Bits a second for each channel of AAC: above what speech or music audibly lose.
const BITS_PER_CHANNEL: usize = 96_000;

/// How the sound came into a written video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SoundTrack {
    /// The video has no sound: none was asked for, or the source has none.
    None,
    /// The source's packets, untouched.
    Copied,
    /// The source's sound, decoded and encoded as AAC because an MP4 cannot hold it as it is. More than two channels are
    /// mixed to one, and rates that AAC does not know are resampled to the next higher one.
    Encoded,
}

/// A sound track that is written alongside the pictures.
pub(crate) enum Sound {
    Copied(Box<CopiedSound>),
    Encoded(Box<EncodedSound>),
}

impl Sound {
    /// Opens a file's sound; `None` when the file has none. With `copy` its packets are taken over where an MP4 can hold
    /// them.
    pub(crate) fn open(path: &Path, copy: bool) -> Result<Option<Self>, Error> {
        let demuxer = Demuxer::open(path)?;
        let Some(stream) = demuxer.best(media::Type::Audio).and_then(|index| demuxer.stream(index)) else {
            return Ok(None);
        };
        let (index, time_base, codec) = (stream.index(), stream.time_base(), stream.parameters().id());
        if copy && COPIED.contains(&codec) {
            return Ok(Some(Sound::Copied(Box::new(CopiedSound::new(demuxer, index, time_base)))));
        }
        EncodedSound::open(demuxer).map(|sound| Some(Sound::Encoded(Box::new(sound))))
    }

    pub(crate) fn kind(&self) -> SoundTrack {
        match self {
            Sound::Copied(_) => SoundTrack::Copied,
            Sound::Encoded(_) => SoundTrack::Encoded,
        }
    }

    /// Adds the stream to a file whose header is not yet written.
    pub(crate) fn add_stream(&self, output: &mut Output) -> Result<(), ffmpeg::Error> {
        let mut stream = output.add_stream(None::<ffmpeg::Codec>)?;
        match self {
            Sound::Copied(sound) => {
                if let Some(source) = sound.demuxer.stream(sound.stream) {
                    stream.set_parameters(source.parameters());
                    clear_codec_tag(&mut stream);
                }
                stream.set_time_base(sound.time_base);
            }
            Sound::Encoded(sound) => {
                stream.set_parameters(&sound.encoder);
                stream.set_time_base(sound.time_base());
            }
        }
        Ok(())
    }

    /// Writes the sound up to a moment, in seconds; up to infinity means all that is left.
    pub(crate) fn write_until(&mut self, time: f64, target: &mut Target<'_>) -> Result<(), Error> {
        match self {
            Sound::Copied(sound) => sound.write_until(time, target),
            Sound::Encoded(sound) => sound.write_until(time, target),
        }
    }
}

/// Where packets go.
pub(crate) struct Target<'a> {
    pub(crate) output: &'a mut Output,
    /// The number of the stream in the output.
    pub(crate) stream: usize,
    pub(crate) path: &'a Path,
    pub(crate) failure: &'a Failure,
}

impl Target<'_> {
    /// Writes a packet whose times count in `time_base`.
    pub(crate) fn write(&mut self, mut packet: Packet, time_base: Rational) -> Result<(), Error> {
        let out_base = self.output.stream(self.stream).map_or(time_base, |stream| stream.time_base());
        packet.set_stream(self.stream);
        packet.set_position(-1);
        packet.rescale_ts(time_base, out_base);
        packet.write_interleaved(self.output).map_err(|cause| self.failed(cause))
    }

    pub(crate) fn failed(&self, cause: ffmpeg::Error) -> Error {
        self.failure.or_encode(self.path, cause)
    }
}

/// Packets taken over as they are.
pub(crate) struct CopiedSound {
    demuxer: Demuxer,
    stream: usize,
    time_base: Rational,
    /// The start of the source in ticks: zero of what is written.
    start: i64,
    /// A packet that was read but lies in the future.
    pending: Option<Packet>,
    /// When the next packet is due if it does not say, in ticks.
    next: i64,
    last: Option<i64>,
}

impl CopiedSound {
    fn new(demuxer: Demuxer, stream: usize, time_base: Rational) -> Self {
        let start = (demuxer.start() / f64::from(time_base)).round() as i64;
        CopiedSound { demuxer, stream, time_base, start, pending: None, next: 0, last: None }
    }

    fn write_until(&mut self, time: f64, target: &mut Target<'_>) -> Result<(), Error> {
        loop {
            let mut broken = 0;
            let packet = match self.pending.take() {
                Some(packet) => Some(packet),
                None => self.demuxer.next_packet(self.stream, &mut broken)?,
            };
            let Some(mut packet) = packet else { return Ok(()) };
            let known = packet.dts().or(packet.pts()).map(|ticks| ticks - self.start);
            let decode = known.unwrap_or(self.next);
            if decode as f64 * f64::from(self.time_base) > time {
                self.pending = Some(packet);
                return Ok(());
            }
            // MP4 wants decoding times that rise; a source that stutters is nudged on by a tick.
            let decode = self.last.map_or(decode, |last| decode.max(last + 1));
            let present = packet.pts().map_or(decode, |ticks| (ticks - self.start).max(decode));
            packet.set_dts(Some(decode));
            packet.set_pts(Some(present));
            self.last = Some(decode);
            self.next = decode + packet.duration().max(1);
            target.write(packet, self.time_base)?;
        }
    }
}

/// Sound decoded and encoded anew.
pub(crate) struct EncodedSound {
    decoder: SoundDecoder,
    encoder: encoder::Audio,
    layout: ChannelLayout,
    rate: u32,
    /// The rate that the resamplers take.
    stored_rate: u32,
    /// One for each channel written.
    resamplers: Vec<Resampler>,
    /// For each channel, the samples not yet encoded.
    waiting: Vec<Vec<f32>>,
    stored: Vec<f32>,
    scratch: Vec<f32>,
    /// When the first waiting sample is heard, in samples from the start of the source.
    position: i64,
    ended: bool,
}

impl EncodedSound {
    fn open(demuxer: Demuxer) -> Result<Self, Error> {
        let decoder = SoundDecoder::open(demuxer)?;
        let info = decoder.info();
        let stored_rate = info.sample_rate;
        let rate = AAC_RATES.into_iter().find(|&rate| rate >= stored_rate).unwrap_or(48_000);
        let channels = if info.channels == 2 { 2 } else { 1 };
        let layout = if channels == 2 { ChannelLayout::STEREO } else { ChannelLayout::MONO };
        let encoder = open_encoder(rate, layout, channels)?;
        let resamplers = resamplers(&decoder, stored_rate, rate, channels)?;
        let position = (info.start_time * f64::from(rate)).round() as i64;
        Ok(EncodedSound {
            decoder,
            encoder,
            layout,
            rate,
            stored_rate,
            resamplers,
            waiting: vec![Vec::new(); channels],
            stored: Vec::new(),
            scratch: Vec::new(),
            position,
            ended: false,
        })
    }

    fn time_base(&self) -> Rational {
        Rational::new(1, self.rate as i32)
    }

    fn write_until(&mut self, time: f64, target: &mut Target<'_>) -> Result<(), Error> {
        while !self.ended && self.position as f64 / f64::from(self.rate) <= time {
            if self.decode()? {
                self.encode_waiting(target)?;
            } else {
                self.ended = true;
                self.encode_waiting(target)?;
                self.encoder.send_eof().map_err(|cause| target.failed(cause))?;
                self.write_packets(target)?;
            }
        }
        Ok(())
    }

    /// Decodes and resamples one block; false when there is no more.
    fn decode(&mut self) -> Result<bool, Error> {
        let path = self.decoder.path().to_owned();
        let failed = |cause| Error::Decode { path: path.clone(), source: Cause(cause) };
        let Some(block) = self.decoder.next()? else {
            for (resampler, waiting) in self.resamplers.iter_mut().zip(&mut self.waiting) {
                resampler.finish(waiting).map_err(failed)?;
            }
            return Ok(false);
        };
        if block.sample_rate() != self.stored_rate {
            self.stored_rate = block.sample_rate();
            for (resampler, waiting) in self.resamplers.iter_mut().zip(&mut self.waiting) {
                resampler.finish(waiting).map_err(failed)?;
                *resampler = Resampler::new(self.stored_rate, self.rate).map_err(failed)?;
            }
        }
        for (channel, (resampler, waiting)) in self.resamplers.iter_mut().zip(&mut self.waiting).enumerate() {
            self.stored.clear();
            self.stored.resize(block.silence, 0.0);
            if block.channels() == 2 && channel < 2 && self.layout == ChannelLayout::STEREO {
                block.append_channel(channel, &mut self.stored);
            } else {
                block.append_mono(&mut self.stored, &mut self.scratch);
            }
            resampler.process(&self.stored, waiting).map_err(failed)?;
        }
        Ok(true)
    }

    /// Encodes what waits in frames of the encoder's size; at the end the rest too.
    fn encode_waiting(&mut self, target: &mut Target<'_>) -> Result<(), Error> {
        let size = (self.encoder.frame_size() as usize).max(1);
        loop {
            // The channels went through equal resamplers: they are equally long.
            let available = self.waiting[0].len();
            let count = if self.ended { available.min(size) } else { size };
            if count == 0 || available < count {
                return Ok(());
            }
            let mut frame = frame::Audio::new(Sample::F32(Planar), count, self.layout);
            frame.set_rate(self.rate);
            frame.set_pts(Some(self.position));
            for (channel, waiting) in self.waiting.iter_mut().enumerate() {
                frame.plane_mut::<f32>(channel)[..count].copy_from_slice(&waiting[..count]);
                waiting.drain(..count);
            }
            self.position += count as i64;
            self.encoder.send_frame(&frame).map_err(|cause| target.failed(cause))?;
            self.write_packets(target)?;
        }
    }

    fn write_packets(&mut self, target: &mut Target<'_>) -> Result<(), Error> {
        loop {
            let mut packet = Packet::empty();
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => target.write(packet, self.time_base())?,
                Err(ffmpeg::Error::Eof | ffmpeg::Error::Other { errno: EAGAIN }) => return Ok(()),
                Err(cause) => return Err(target.failed(cause)),
            }
        }
    }
}

fn resamplers(decoder: &SoundDecoder, from: u32, to: u32, channels: usize) -> Result<Vec<Resampler>, Error> {
    (0..channels).map(|_| Resampler::new(from, to).map_err(|cause| decoder.failed(cause))).collect()
}

fn open_encoder(rate: u32, layout: ChannelLayout, channels: usize) -> Result<encoder::Audio, Error> {
    initialise();
    let missing = |why: String| Error::NoEncoder { wanted: "AAC", tried: why };
    let codec = encoder::find(Id::AAC).ok_or_else(|| missing("none is built in".to_owned()))?;
    let open = || {
        let mut encoder = codec::Context::new_with_codec(codec).encoder().audio()?;
        encoder.set_rate(rate as i32);
        encoder.set_format(Sample::F32(Planar));
        encoder.set_channel_layout(layout);
        encoder.set_bit_rate(BITS_PER_CHANNEL * channels);
        encoder.set_time_base(Rational::new(1, rate as i32));
        encoder.set_flags(codec::Flags::GLOBAL_HEADER);
        encoder.open_as(codec)
    };
    open().map_err(|cause: ffmpeg::Error| missing(format!("{} ({cause})", codec.name())))
}
