//! Cameras, microphones and FFmpeg's synthetic devices, read like files that do not end.
//!
//! Frames carry the times at which the device took them, counted from the first. Who reads too slowly loses frames in the
//! driver, which shows as a gap in their times, and never gets old ones in place of new ones.

use ffmpeg_next as ffmpeg;
use ffmpeg_next::Format;
use ffmpeg_next::device::input;
use ffmpeg_next::format::context::Input;

use crate::demux::{Demuxer, initialise};
use crate::{AudioReader, Error, VideoReader};

/// Which device to open, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceConfig {
    /// FFmpeg's name of the device layer: `v4l2` for Linux' cameras (the default), `alsa` or `pulse` for microphones,
    /// `avfoundation` on macOS, `dshow` on Windows, `lavfi` for synthetic sources.
    pub format: String,
    /// The device in the layer's own words: `/dev/video0` (the default), `default`, `testsrc=size=320x240:rate=25`.
    pub device: String,
    /// The layer's own options, as `("video_size", "640x480")` or `("framerate", "30")`; none by default.
    pub options: Vec<(String, String)>,
}

impl Default for DeviceConfig {
    fn default() -> Self {
        DeviceConfig { format: "v4l2".to_owned(), device: "/dev/video0".to_owned(), options: Vec::new() }
    }
}

/// Opens a camera and takes its first frame.
///
/// # Errors
///
/// [`Error::Device`] when there is no such layer or device, or it is busy; those of [`VideoReader::open`] otherwise.
///
/// ```
/// # fn main() -> Result<(), video_io::Error> {
/// use video_io::FrameSource;
/// use video_io::camera::{DeviceConfig, open_camera};
///
/// // Without a camera at hand, FFmpeg's test picture will do.
/// let device = "testsrc=size=320x240:rate=25:duration=1".to_owned();
/// let mut camera = open_camera(&DeviceConfig { format: "lavfi".to_owned(), device, options: Vec::new() })?;
/// let frame = camera.next_frame()?.expect("a camera has a first frame");
/// assert_eq!((frame.image.width(), frame.image.height()), (320, 240));
/// # Ok(()) }
/// ```
pub fn open_camera(config: &DeviceConfig) -> Result<VideoReader, Error> {
    VideoReader::from_demuxer(open(config, input::video())?)
}

/// Opens a microphone, to be read as mono sound at `sample_rate` samples a second.
///
/// # Errors
///
/// [`Error::Device`] when there is no such layer or device, or it is busy; those of [`AudioReader::open`] otherwise.
pub fn open_microphone(config: &DeviceConfig, sample_rate: u32) -> Result<AudioReader, Error> {
    AudioReader::from_demuxer(open(config, input::audio())?, sample_rate)
}

/// The device layers for cameras that the linked FFmpeg has.
pub fn camera_formats() -> Vec<String> {
    initialise();
    input::video().map(|format| format.name().to_owned()).collect()
}

/// The device layers for microphones that the linked FFmpeg has.
pub fn microphone_formats() -> Vec<String> {
    initialise();
    input::audio().map(|format| format.name().to_owned()).collect()
}

fn open(config: &DeviceConfig, mut formats: impl Iterator<Item = Format>) -> Result<Demuxer, Error> {
    initialise();
    let failed =
        |reason: String| Error::Device { format: config.format.clone(), device: config.device.clone(), reason };
    // One layer may go by several names: `video4linux2,v4l2`.
    let format = formats.find(|format| format.name().split(',').any(|name| name == config.format));
    let format = format.ok_or_else(|| failed("the linked FFmpeg has no such device layer".to_owned()))?;
    let texts = config.options.iter().flat_map(|(key, value)| [key, value]);
    if texts.chain([&config.device]).any(|text| text.contains('\0')) {
        return Err(failed("names hold no NUL".to_owned()));
    }
    let options = config.options.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let context = ffmpeg::format::open_with(&config.device, &format, options);
    let input: Input = match context.map_err(|cause| failed(cause.to_string()))? {
        ffmpeg::format::Context::Input(input) => input,
        ffmpeg::format::Context::Output(_) => return Err(failed("is an output".to_owned())),
    };
    Ok(Demuxer::from_device(&format!("{}:{}", config.format, config.device), input))
}
