//! Why something is missing, in sentences for the timeline's `notes`.

use std::path::Path;

use video_io::{MediaInfo, ReadReport};

use crate::Error;
use crate::pipeline::{Heard, Seen};

/// Says which of face and voice is missing, and why.
///
/// # Errors
/// [`Error::NothingFound`] when both are.
pub(crate) fn missing(
    path: &Path,
    info: &MediaInfo,
    seen: &Seen,
    heard: &Heard,
    detector: &str,
) -> Result<Option<String>, Error> {
    let face = if info.video.is_none() {
        Some("the file has no pictures".to_owned())
    } else if seen.frames_with_face == 0 {
        Some(match seen.analysed_frames {
            0 => "the file has no frame that could be decoded".to_owned(),
            1 => format!("no face in the one analysed frame ({detector} detector)"),
            frames => format!("no face in {frames} analysed frames ({detector} detector)"),
        })
    } else {
        None
    };
    let voice = if info.audio.is_none() {
        Some("the file has no sound".to_owned())
    } else if heard.windows().is_empty() {
        Some(if heard.peak() < SILENCE {
            format!("{:.1} s of sound are silent", heard.seconds())
        } else {
            format!("no speech in {:.1} s of sound", heard.seconds())
        })
    } else {
        None
    };
    match (face, voice) {
        (Some(face), Some(voice)) => Err(Error::NothingFound { path: path.to_owned(), face, voice }),
        (Some(face), None) => Ok(Some(sentence(&face, "the voice stands alone"))),
        (None, Some(voice)) => Ok(Some(sentence(&voice, "the face stands alone"))),
        (None, None) => Ok(None),
    }
}

/// The largest sample of sound that counts as silent: half the smallest step of 16-bit sound.
const SILENCE: f32 = 0.5 / 32_768.0;

/// What a reader could not read, if anything.
pub(crate) fn damage(stream: &str, report: ReadReport) -> Option<String> {
    let ReadReport { broken_packets, missing_seconds } = report;
    if missing_seconds >= 0.5 {
        Some(format!("The file is cut short: {missing_seconds:.1} s of {stream} are missing at its end."))
    } else if broken_packets > 0 {
        Some(format!("The file is damaged: {broken_packets} packets of {stream} were left out."))
    } else {
        None
    }
}

/// Two clauses as a sentence.
fn sentence(reason: &str, consequence: &str) -> String {
    let mut letters = reason.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}: {consequence}.", letters.as_str())
}
