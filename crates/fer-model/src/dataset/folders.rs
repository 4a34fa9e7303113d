//! Pictures in one folder per class, as many copies of FER-2013 and other sets are laid out.

use std::fs;
use std::path::{Path, PathBuf};

use emotion_core::{Emotion, LabelSet};
use face_prep::{Filter, resize};

use super::{FaceSet, SIDE};
use crate::error::{Error, Result};

/// Reads `root/<class>/<picture>.png|jpg|jpeg` in the order of names. Folders are named by any word that [`Emotion`]
/// reads (`happy`, `happiness`, …); pictures become grey and, where they are not, 48×48 by area averaging. Other files
/// are passed over.
///
/// # Errors
/// [`Error::Io`], [`Error::Decode`] for a folder that names no emotion of `labels` or a picture that cannot be read,
/// [`Error::InvalidInput`] when there is no picture at all.
pub fn class_folders(root: impl AsRef<Path>, labels: &LabelSet) -> Result<FaceSet> {
    let root = root.as_ref();
    let mut set = FaceSet::new(labels.clone());
    for folder in entries(root)?.into_iter().filter(|path| path.is_dir()) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let class = name.parse::<Emotion>().ok().and_then(|emotion| labels.index_of(emotion));
        let class = class.ok_or_else(|| Error::Decode {
            path: folder.clone(),
            line: None,
            expected: format!("a folder named after one of {labels}"),
            source: None,
        })?;
        for path in entries(&folder)?.into_iter().filter(|path| is_picture(path)) {
            let undecodable =
                |source| Error::Decode { path: path.clone(), line: None, expected: "a picture".into(), source };
            let reader = image::ImageReader::open(&path).and_then(image::ImageReader::with_guessed_format);
            let reader = reader.map_err(|source| Error::Io { path: path.clone(), source })?;
            let picture = reader.decode().map_err(|error| undecodable(Some(error.into())))?.into_luma8();
            let side = SIDE as u32;
            let picture =
                resize(&picture, side, side, Filter::Area).map_err(|error| undecodable(Some(error.into())))?;
            set.push(picture.as_raw(), class)?;
        }
    }
    if set.is_empty() {
        return Err(Error::input(
            "class folders",
            "pictures in folders named after emotions",
            format!("none in {}", root.display()),
        ));
    }
    Ok(set)
}

/// What a folder holds, sorted: the order of a file system is its own.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |source| Error::Io { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    Ok(paths)
}

pub(super) fn is_picture(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    ["png", "jpg", "jpeg"].iter().any(|known| extension == *known)
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, Luma, RgbImage};

    use super::*;

    #[test]
    fn folders_become_classes_and_pictures_grey_squares() {
        let root = tempfile::tempdir().unwrap();
        for name in ["Happiness", "angry"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        GrayImage::from_pixel(48, 48, Luma([200])).save(root.path().join("Happiness/b.png")).unwrap();
        RgbImage::from_pixel(96, 96, image::Rgb([7, 7, 7])).save(root.path().join("angry/a.png")).unwrap();
        fs::write(root.path().join("angry/notes.txt"), "no picture").unwrap();
        let set = class_folders(root.path(), &LabelSet::face7()).unwrap();
        assert_eq!((set.len(), set.class_counts()), (2, vec![1, 0, 0, 1, 0, 0, 0]));
        let happy = (0..2).find(|&index| set.emotion(index) == Emotion::Happy).unwrap();
        assert_eq!((set.pixels(happy)[99], set.pixels(1 - happy)[99]), (200, 7));
    }

    #[test]
    fn strange_folders_and_broken_pictures_are_named() {
        let root = tempfile::tempdir().unwrap();
        assert!(matches!(class_folders(root.path(), &LabelSet::face7()), Err(Error::InvalidInput { .. })));
        fs::create_dir(root.path().join("sad")).unwrap();
        fs::write(root.path().join("sad/broken.png"), "no picture").unwrap();
        assert!(matches!(class_folders(root.path(), &LabelSet::face7()), Err(Error::Decode { .. })));
        fs::remove_file(root.path().join("sad/broken.png")).unwrap();
        fs::create_dir(root.path().join("holidays")).unwrap();
        assert!(matches!(class_folders(root.path(), &LabelSet::face7()), Err(Error::Decode { .. })));
        assert!(matches!(class_folders("/nowhere", &LabelSet::face7()), Err(Error::Io { .. })));
    }
}
