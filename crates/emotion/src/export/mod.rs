//! What an analysis leaves behind: `timeline.json`, `timeline.csv`, `chart.png` and the annotated video.
//!
//! Every file is written under a temporary name and renamed when it is whole, so what bears its name is complete.

#[cfg_attr(not(all(feature = "video", feature = "face")), allow(dead_code, reason = "some of it only draws on video"))]
mod canvas;
mod chart;
#[cfg(all(feature = "video", feature = "face"))]
mod overlay;
mod palette;
mod table;
#[cfg(all(feature = "video", feature = "face"))]
mod video;

use std::path::{Path, PathBuf};

pub use chart::{chart, chart_png};
#[cfg(all(feature = "video", feature = "face"))]
pub use overlay::Overlay;
pub use table::csv;
#[cfg(all(feature = "video", feature = "face"))]
pub use video::AnnotatedVideo;

use crate::Error;
use crate::timeline::Timeline;

/// Writes `timeline.csv`, `chart.png` and `timeline.json` into a folder, which is made if it is missing. Gives the paths in
/// that order. No file gets its name before all of them are written.
///
/// # Errors
/// [`Error::Io`] when a file cannot be written, [`Error::Drawing`] or [`Error::Table`] when it cannot be made.
pub fn write(timeline: &Timeline, folder: impl AsRef<Path>) -> Result<Vec<PathBuf>, Error> {
    let folder = folder.as_ref();
    std::fs::create_dir_all(folder).map_err(|source| Error::Io { path: folder.to_owned(), source })?;
    write_whole(&[
        (folder.join("timeline.csv"), csv(timeline)?.as_bytes()),
        (folder.join("chart.png"), &chart_png(timeline)?),
        (folder.join("timeline.json"), timeline.to_json().as_bytes()),
    ])
}

/// Writes every file under a temporary name beside it, then renames them all; gives the paths back.
pub(crate) fn write_whole(files: &[(PathBuf, &[u8])]) -> Result<Vec<PathBuf>, Error> {
    let part = |path: &Path| {
        let mut name = path.as_os_str().to_owned();
        name.push(".part");
        PathBuf::from(name)
    };
    let write = |(path, bytes): &(PathBuf, &[u8])| {
        std::fs::write(part(path), bytes).map_err(|source| Error::Io { path: path.clone(), source })
    };
    let rename = |(path, _): &(PathBuf, &[u8])| {
        std::fs::rename(part(path), path).map_err(|source| Error::Io { path: path.clone(), source })
    };
    let written = files.iter().try_for_each(write).and_then(|()| files.iter().try_for_each(rename));
    if written.is_err() {
        for (path, _) in files {
            std::fs::remove_file(part(path)).ok();
        }
    }
    written.map(|()| files.iter().map(|(path, _)| path.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::tests::sample;

    #[test]
    fn files_are_written_whole_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("new").join("folder");
        let paths = write(&sample(), &folder).unwrap();
        let mut names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["chart.png", "timeline.csv", "timeline.json"]);
        assert_eq!(paths.len(), 3);
        assert_eq!(Timeline::read(folder.join("timeline.json")).unwrap().tracks.len(), 1);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = write(&sample(), file.path().join("out")).unwrap_err();
        assert!(matches!(&error, Error::Io { path, .. } if path.ends_with("out")), "{error}");
    }
}
