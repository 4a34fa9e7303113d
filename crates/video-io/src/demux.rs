//! From a path to packets, and from packets to decoded frames.
//!
//! Files are read through Rust's own `File`, handed to FFmpeg as a stream. So a path need not be UTF-8 and is never taken
//! for a URL, a playlist cannot make FFmpeg open other files, and a failing disk is reported with the system's reason
//! instead of looking like the end of the clip.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use ffmpeg_next as ffmpeg;
use ffmpeg_next::codec::{self, threading};
use ffmpeg_next::format::context::{Input, StreamIo};
use ffmpeg_next::format::stream::Disposition;
use ffmpeg_next::util::error::{EAGAIN, ENOMEM};
use ffmpeg_next::{Packet, Rational, Stream, decoder, media};

use crate::error::{Cause, Error};
use crate::watched::{Failure, Watched};

/// Decoding threads for each video stream. Two keep a core busy beside the caller's own work; more only cost memory.
const DECODING_THREADS: usize = 2;

/// A demuxer or decoder that answers with an error this many times in a row makes no progress any more.
const MAX_BROKEN_IN_A_ROW: u32 = 100_000;

/// Makes FFmpeg ready, once for the process, and silences its own log: what it has to say comes as an [`Error`].
pub(crate) fn initialise() {
    static READY: OnceLock<()> = OnceLock::new();
    READY.get_or_init(|| {
        // It fails only in versions that this crate does not build with.
        let _ = ffmpeg::init();
        ffmpeg::util::log::set_level(ffmpeg::util::log::Level::Quiet);
    });
}

/// The name that the errors of this crate give a medium.
pub(crate) fn medium_name(medium: media::Type) -> &'static str {
    match medium {
        media::Type::Video => "video",
        media::Type::Audio => "audio",
        media::Type::Subtitle => "subtitle",
        media::Type::Data => "data",
        media::Type::Attachment => "attachment",
        media::Type::Unknown => "unknown",
    }
}

/// An opened file or device.
pub(crate) struct Demuxer {
    input: Input,
    path: PathBuf,
    failure: Failure,
    start: f64,
    still: bool,
    /// Whether it is a device, which does not wait.
    live: bool,
}

impl Demuxer {
    /// Opens a file, or anything else that can be read from front to back (a named pipe).
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let path_buf = path.to_owned();
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => Error::NotFound { path: path_buf.clone() },
            _ => Error::Io { path: path_buf.clone(), action: "opening", source },
        };
        let metadata = fs::metadata(path).map_err(failed)?;
        if metadata.is_dir() {
            return Err(Error::IsADirectory { path: path.to_owned() });
        }
        if metadata.is_file() && metadata.len() == 0 {
            return Err(Error::EmptyFile { path: path.to_owned() });
        }
        let file = File::open(path).map_err(failed)?;
        if metadata.is_file() {
            Self::from_seekable(path, file)
        } else {
            Self::from_io(path, |failure| StreamIo::from_read(Watched::new(file, failure)))
        }
    }

    /// Opens anything that reads and seeks; `path` only names it in errors.
    pub(crate) fn from_seekable<R: Read + Seek + Send + 'static>(path: &Path, reader: R) -> Result<Self, Error> {
        Self::from_io(path, |failure| StreamIo::from_read_seek(Watched::new(reader, failure)))
    }

    fn from_io(path: &Path, io: impl FnOnce(&Failure) -> Result<StreamIo, ffmpeg::Error>) -> Result<Self, Error> {
        initialise();
        let failure = Failure::default();
        // No protocol is allowed: nothing but the given bytes is read, whatever they ask for.
        let options = ffmpeg::dict!("protocol_whitelist" => "none");
        // No file name is passed: the bytes alone say what they are.
        let opened = io(&failure).and_then(|io| ffmpeg::format::input_from_stream(io, None, Some(options)));
        match opened {
            Ok(input) => Ok(Self::new(path, input, failure)),
            Err(source) => Err(failure.take().map_or_else(
                || unreadable(path, source),
                |source| Error::Io { path: path.to_owned(), action: "reading", source },
            )),
        }
    }

    /// Wraps what FFmpeg has opened itself: a device.
    #[cfg(feature = "camera")]
    pub(crate) fn from_device(name: &str, input: Input) -> Self {
        Demuxer { live: true, ..Self::new(Path::new(name), input, Failure::default()) }
    }

    fn new(path: &Path, input: Input, failure: Failure) -> Self {
        let start = start_of(&input);
        let still = is_still(input.format().name());
        Demuxer { path: path.to_owned(), input, failure, start, still, live: false }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file is a still picture.
    pub(crate) fn is_still(&self) -> bool {
        self.still
    }

    /// The zero of every time handed out, on the file's own clock, in seconds: see [`start_of`].
    pub(crate) fn start(&self) -> f64 {
        self.start
    }

    /// The length of the whole file in seconds, where it is known.
    pub(crate) fn duration(&self) -> Option<f64> {
        let duration = self.input.duration();
        (duration > 0 && !self.still).then(|| duration as f64 / f64::from(ffmpeg::ffi::AV_TIME_BASE))
    }

    /// The number of the stream to read: FFmpeg's best, but never a cover picture attached to a song.
    pub(crate) fn best(&self, medium: media::Type) -> Option<usize> {
        let real = |stream: &Stream<'_>| stream.parameters().medium() == medium && is_timed(stream);
        let best = self.input.streams().best(medium).filter(real);
        best.or_else(|| self.input.streams().find(real)).map(|stream| stream.index())
    }

    pub(crate) fn stream(&self, index: usize) -> Option<Stream<'_>> {
        self.input.stream(index)
    }

    /// The error for a stream of which not one frame decodes.
    pub(crate) fn nothing_decoded(&self, medium: media::Type, broken_packets: u64) -> Error {
        let path = self.path.clone();
        cut_short(&path).unwrap_or(Error::NothingDecoded { path, medium: medium_name(medium), broken_packets })
    }

    /// The error for a file with neither pictures nor sound.
    pub(crate) fn nothing_inside(&self) -> Error {
        let path = self.path.clone();
        let reason = "neither pictures nor sound in it".to_owned();
        cut_short(&path).unwrap_or(Error::NotMedia { path, reason, source: None })
    }

    /// The error for a medium that no stream carries.
    pub(crate) fn no_stream(&self, medium: media::Type) -> Error {
        if !self.input.streams().any(|stream| is_timed(&stream)) {
            return self.nothing_inside();
        }
        let path = self.path.clone();
        let names: Vec<String> = self
            .input
            .streams()
            .map(|stream| {
                let parameters = stream.parameters();
                let what = if is_timed(&stream) { medium_name(parameters.medium()) } else { "cover picture" };
                format!("{what} ({})", parameters.id().name())
            })
            .collect();
        let found = names.join(", ");
        match medium {
            media::Type::Audio => Error::NoAudioStream { path, found },
            _ => Error::NoVideoStream { path, found },
        }
    }

    /// The next packet of one stream, or `None` at the end; packets that the demuxer rejects are counted in `broken`.
    pub(crate) fn next_packet(&mut self, stream: usize, broken: &mut u64) -> Result<Option<Packet>, Error> {
        let mut broken_in_a_row = 0;
        loop {
            // Not FFmpeg's packet iterator: it ends alike at the end of the file and when the disk fails.
            let mut packet = Packet::empty();
            match packet.read(&mut self.input) {
                Ok(()) if packet.stream() == stream => {
                    *broken += u64::from(packet.is_corrupt());
                    return Ok(Some(packet));
                }
                Ok(()) => broken_in_a_row = 0,
                Err(ffmpeg::Error::InvalidData) if broken_in_a_row < MAX_BROKEN_IN_A_ROW => {
                    broken_in_a_row += 1;
                    *broken += 1;
                }
                // A device with nothing to give yet.
                Err(ffmpeg::Error::Other { errno: EAGAIN }) => std::thread::sleep(Duration::from_millis(2)),
                Err(error) => {
                    return match self.failure.take() {
                        Some(source) => Err(Error::Io { path: self.path.clone(), action: "reading", source }),
                        None if error == ffmpeg::Error::Eof => Ok(None),
                        None => Err(Error::Decode { path: self.path.clone(), source: Cause(error) }),
                    };
                }
            }
        }
    }
}

/// One stream of a file and its decoder.
pub(crate) struct StreamDecoder {
    demuxer: Demuxer,
    stream: usize,
    time_base: Rational,
    decoder: decoder::Opened,
    draining: bool,
    broken: u64,
}

impl StreamDecoder {
    /// Opens the decoder of a file's best stream of a medium.
    pub(crate) fn open(demuxer: Demuxer, medium: media::Type) -> Result<Self, Error> {
        let stream = demuxer.best(medium).and_then(|index| demuxer.stream(index));
        let stream = stream.ok_or_else(|| demuxer.no_stream(medium))?;
        let (index, time_base) = (stream.index(), stream.time_base());
        let id = stream.parameters().id();
        let failed = |error| match error {
            ffmpeg::Error::DecoderNotFound => Error::UnsupportedCodec {
                path: demuxer.path().to_owned(),
                medium: medium_name(medium),
                codec: id.name().to_owned(),
            },
            error => Error::Decode { path: demuxer.path().to_owned(), source: Cause(error) },
        };
        let codec = decoder::find(id).ok_or_else(|| failed(ffmpeg::Error::DecoderNotFound))?;
        let mut context = codec::Context::from_parameters(stream.parameters()).map_err(failed)?;
        // Each thread holds back a frame: nothing for a live picture.
        if medium == media::Type::Video && !demuxer.live {
            let threads = threading::Config::count(DECODING_THREADS);
            context.set_threading(threading::Config { kind: threading::Type::Frame, ..threads });
        }
        let mut decoder = context.decoder();
        // Without it the decoder cannot move timestamps past the encoder's delay that it cuts off.
        decoder.set_packet_time_base(time_base);
        let decoder = decoder.open_as(codec).map_err(failed)?;
        Ok(StreamDecoder { demuxer, stream: index, time_base, decoder, draining: false, broken: 0 })
    }

    pub(crate) fn demuxer(&self) -> &Demuxer {
        &self.demuxer
    }

    /// The stream that is decoded.
    pub(crate) fn stream(&self) -> Option<Stream<'_>> {
        self.demuxer.stream(self.stream)
    }

    /// Packets that the demuxer or the decoder found damaged so far.
    pub(crate) fn broken_packets(&self) -> u64 {
        self.broken
    }

    /// A timestamp of the stream in seconds from the start of the file.
    pub(crate) fn time(&self, timestamp: Option<i64>) -> Option<f64> {
        timestamp.map(|t| t as f64 * f64::from(self.time_base) - self.demuxer.start())
    }

    /// The start and the length that the file announces for the stream, in seconds from the start of the file.
    pub(crate) fn announced(&self) -> (Option<f64>, Option<f64>) {
        let stream = self.stream();
        let start = stream.as_ref().and_then(|s| seconds(s.start_time(), s.time_base()));
        let start = start.map(|start| start - self.demuxer.start());
        let length = stream.and_then(|s| seconds(s.duration(), s.time_base())).filter(|&length| length > 0.0);
        // Matroska and others know only the length of the whole.
        let rest = || self.demuxer.duration().map(|whole| whole - start.unwrap_or(0.0)).filter(|&rest| rest > 0.0);
        (start, if self.demuxer.is_still() { None } else { length.or_else(rest) })
    }

    /// Decodes the next frame into `frame`; false at the end of the stream, after everything held back has come out.
    pub(crate) fn next(&mut self, frame: &mut ffmpeg::Frame) -> Result<bool, Error> {
        let mut broken_in_a_row = 0;
        loop {
            match self.decoder.receive_frame(frame) {
                Ok(()) => return Ok(true),
                Err(ffmpeg::Error::Eof) => return Ok(false),
                Err(ffmpeg::Error::Other { errno: EAGAIN }) if self.draining => return Ok(false),
                Err(ffmpeg::Error::Other { errno: EAGAIN }) => broken_in_a_row = 0,
                Err(error) if broken_in_a_row < MAX_BROKEN_IN_A_ROW => {
                    broken_in_a_row += 1;
                    self.count_broken(error)?;
                    continue;
                }
                Err(error) => return Err(self.failed(error)),
            }
            let sent = match self.demuxer.next_packet(self.stream, &mut self.broken)? {
                Some(packet) => self.decoder.send_packet(&packet),
                None => {
                    self.draining = true;
                    self.decoder.send_eof()
                }
            };
            if let Err(error) = sent {
                self.count_broken(error)?;
            }
        }
    }

    /// A packet that does not decode is left out, like a film's scratched picture. Lack of memory is the exception.
    fn count_broken(&mut self, error: ffmpeg::Error) -> Result<(), Error> {
        if error == (ffmpeg::Error::Other { errno: ENOMEM }) {
            return Err(self.failed(error));
        }
        self.broken += 1;
        tracing::debug!(path = %self.demuxer.path().display(), %error, "skipped a damaged packet");
        Ok(())
    }

    /// The error when FFmpeg cannot go on.
    pub(crate) fn failed(&self, cause: ffmpeg::Error) -> Error {
        Error::Decode { path: self.demuxer.path().to_owned(), source: Cause(cause) }
    }
}

/// A length or moment of a stream in seconds, where it is known.
fn seconds(value: i64, time_base: Rational) -> Option<f64> {
    (value != ffmpeg::ffi::AV_NOPTS_VALUE).then(|| value as f64 * f64::from(time_base))
}

/// The start of the earliest stream, in seconds. Sound before the clock's zero is what an encoder puts in front to warm
/// up, and is cut off when decoded: only pictures count there.
fn start_of(input: &Input) -> f64 {
    let start_of = |wanted: fn(media::Type) -> bool| {
        let streams = input.streams().filter(|s| is_timed(s) && wanted(s.parameters().medium()));
        streams.filter_map(|s| seconds(s.start_time(), s.time_base())).reduce(f64::min)
    };
    match start_of(|_| true) {
        Some(start) if start < 0.0 => start_of(|medium| medium == media::Type::Video).unwrap_or(0.0).min(0.0),
        start => start.unwrap_or(0.0),
    }
}

/// Whether a stream runs along the clock: sound or moving pictures, no cover art.
fn is_timed(stream: &Stream<'_>) -> bool {
    let medium = stream.parameters().medium();
    let cover = stream.disposition().contains(Disposition::ATTACHED_PIC);
    matches!(medium, media::Type::Video | media::Type::Audio) && !cover
}

/// FFmpeg reads every still format through a demuxer called `image2` or `<format>_pipe`.
fn is_still(demuxer: &str) -> bool {
    demuxer.starts_with("image2") || demuxer.ends_with("_pipe")
}

/// The error for bytes in which FFmpeg finds no format that it knows.
fn unreadable(path: &Path, source: ffmpeg::Error) -> Error {
    let reason = "no known format of video, sound or picture".to_owned();
    let not_media = Error::NotMedia { path: path.to_owned(), reason, source: Some(Cause(source)) };
    cut_short(path).unwrap_or(not_media)
}

/// The error for an MP4 that lost its index, which looks to FFmpeg like any file that it cannot read; `None` for others.
fn cut_short(path: &Path) -> Option<Error> {
    if !path.is_file() {
        return None; // a pipe cannot be read again
    }
    let reason = File::open(path).and_then(missing_mp4_index).ok()??;
    Some(Error::Truncated { path: path.to_owned(), reason })
}

/// Walks the top-level boxes of an MP4 or MOV file (ISO/IEC 14496-12, 4.2) and says what is missing when the `moov` box,
/// which holds the index of all frames, is absent or incomplete. `None` when the bytes are no such file.
fn missing_mp4_index(mut file: impl Read + Seek) -> io::Result<Option<String>> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut position = 0;
    while position + 8 <= length {
        file.seek(SeekFrom::Start(position))?;
        let mut header = [0; 8];
        file.read_exact(&mut header)?;
        let [a, b, c, d, kind @ ..] = header;
        if position == 0 && &kind != b"ftyp" {
            return Ok(None);
        }
        let size = match u32::from_be_bytes([a, b, c, d]) {
            0 => length - position, // to the end of the file
            1 => {
                let mut large = [0; 8];
                file.read_exact(&mut large)?;
                u64::from_be_bytes(large)
            }
            size => u64::from(size),
        };
        let end = position.saturating_add(size.max(8));
        if &kind == b"moov" {
            let message = "its index (the moov box) needs".to_owned();
            return Ok((end > length).then(|| format!("{message} {end} bytes, the file has {length}")));
        }
        position = end;
    }
    Ok((length >= 8).then(|| match position > length {
        true => format!("no index (moov box): the data before it needs {position} bytes, the file has {length}"),
        false => format!("no index (moov box) in its {length} bytes"),
    }))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::{FrameSource, VideoReader, synthetic};

    /// A disk that fails from some byte on.
    struct Failing {
        bytes: Cursor<Vec<u8>>,
        good: u64,
    }

    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.bytes.position() >= self.good {
                return Err(io::Error::from_raw_os_error(5)); // EIO
            }
            let room = buffer.len().min((self.good - self.bytes.position()) as usize);
            self.bytes.read(&mut buffer[..room])
        }
    }

    impl Seek for Failing {
        fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
            self.bytes.seek(position)
        }
    }

    fn read(good: impl Fn(u64) -> u64) -> (u64, Result<(), Error>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.mp4");
        synthetic::write_clip(&path, 160, 120, 25.0, 4.0).unwrap();
        let bytes = fs::read(&path).unwrap();
        let good = good(bytes.len() as u64);
        let disk = Failing { bytes: Cursor::new(bytes), good };
        let mut frames = 0;
        let read = || {
            let mut video = VideoReader::from_demuxer(Demuxer::from_seekable(Path::new("disk"), disk)?)?;
            while video.next_frame()?.is_some() {
                frames += 1;
            }
            Ok(())
        };
        let result = read();
        (frames, result)
    }

    #[test]
    fn a_failing_disk_is_no_end_of_file() {
        let (frames, result) = read(|length| length);
        assert_eq!((frames, result.is_ok()), (100, true));
        let (frames, result) = read(|length| length * 3 / 4);
        let error = result.unwrap_err();
        assert!(frames < 100, "{frames} frames");
        assert!(matches!(&error, Error::Io { source, .. } if source.raw_os_error() == Some(5)), "{error}");
        assert!(error.to_string().starts_with("disk: reading failed: "), "{error}");
    }

    #[test]
    fn the_boxes_of_an_mp4_say_what_is_missing() {
        let boxes = |parts: &[(&[u8; 4], u32, usize)]| {
            let mut bytes = Vec::new();
            for &(kind, size, content) in parts {
                bytes.extend(size.to_be_bytes());
                bytes.extend(kind);
                bytes.resize(bytes.len() + content, 0);
            }
            missing_mp4_index(Cursor::new(bytes)).unwrap()
        };
        assert_eq!(boxes(&[(b"ftyp", 16, 8), (b"moov", 16, 8), (b"mdat", 108, 100)]), None);
        assert_eq!(boxes(&[(b"ftyp", 16, 8), (b"moov", 16, 8), (b"mdat", 108, 20)]), None);
        assert_eq!(boxes(&[(b"RIFF", 16, 8)]), None);
        assert_eq!(boxes(&[]), None);
        for cut in [
            boxes(&[(b"ftyp", 16, 8)]),
            boxes(&[(b"ftyp", 16, 8), (b"moov", 500, 8)]),
            boxes(&[(b"ftyp", 16, 8), (b"mdat", 108, 20)]),
            boxes(&[(b"ftyp", 16, 8), (b"mdat", 0, 20)]),
            boxes(&[(b"ftyp", 16, 8), (b"free", 1, 8)]),
        ] {
            assert!(cut.unwrap().contains("moov"));
        }
    }
}
