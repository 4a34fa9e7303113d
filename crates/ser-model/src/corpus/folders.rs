//! Any tree whose first level of folders names emotions: `angry/x.wav`, or `angry/anna/x.wav` where speakers are known.

use std::path::Path;

use super::{Labels, wrong_name};
use crate::Error;

const PATTERN: &str = "EMOTION/file or EMOTION/SPEAKER/file, with a known name of an emotion";

/// The speaker of clips that lie directly in a class folder.
const UNKNOWN_SPEAKER: &str = "unknown";

pub(super) fn labels(root: &Path, path: &Path) -> Result<Labels, Error> {
    let below = path.strip_prefix(root).unwrap_or(path);
    let mut folders =
        below.parent().into_iter().flat_map(Path::components).map(|part| part.as_os_str().to_string_lossy());
    let emotion = folders.next().and_then(|class| class.parse().ok()).ok_or_else(|| wrong_name(path, PATTERN))?;
    let speaker = folders.next().map_or_else(|| UNKNOWN_SPEAKER.to_owned(), |speaker| speaker.into_owned());
    Ok(Labels { emotion, speaker, sex: None, intensity: None, sentence: None })
}

#[cfg(test)]
mod tests {
    use emotion_core::Emotion;

    use super::*;

    #[test]
    fn class_folders_with_and_without_speakers_are_read() {
        let root = Path::new("/data");
        let plain = labels(root, Path::new("/data/Happiness/1.wav")).unwrap();
        assert_eq!((plain.emotion, plain.speaker.as_str()), (Emotion::Happy, UNKNOWN_SPEAKER));
        let spoken = labels(root, Path::new("/data/sad/anna/takes/1.flac")).unwrap();
        assert_eq!((spoken.emotion, spoken.speaker.as_str()), (Emotion::Sad, "anna"));
    }

    #[test]
    fn unknown_classes_and_loose_files_are_refused() {
        assert!(labels(Path::new("/data"), Path::new("/data/bored/1.wav")).is_err());
        assert!(labels(Path::new("/data"), Path::new("/data/1.wav")).is_err());
    }
}
