//! Pictures of people who are known by name or number: CK+, JAFFE and trees of one's own, with folds that keep each
//! person on one side.

use std::fs;
use std::path::{Path, PathBuf};

use emotion_core::{Emotion, LabelSet};
use face_prep::{FaceDetector, Filter, face_gray48, resize};
use model_kit::split::{Fold, grouped_k_fold};

use super::pattern::PathPattern;
use super::{FaceSet, SIDE};
use crate::error::{Error, Result};

/// How a 48×48 face comes out of a picture.
pub enum Framing<'a> {
    /// The whole picture, made 48×48 by area averaging: for sets whose pictures are faces already cut out.
    Whole,
    /// The largest face that the detector finds, framed as FER-2013 frames faces; a picture without one is left out.
    Largest(&'a mut dyn FaceDetector),
}

impl std::fmt::Debug for Framing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole => f.write_str("Whole"),
            Self::Largest(detector) => write!(f, "Largest({})", detector.name()),
        }
    }
}

/// Faces, and who is seen on each.
#[derive(Debug, Clone)]
pub struct People {
    faces: FaceSet,
    subjects: Vec<String>,
    without_face: Vec<PathBuf>,
}

impl People {
    /// The pictures and their labels.
    pub fn faces(&self) -> &FaceSet {
        &self.faces
    }

    /// Who is seen on each picture, in their order.
    pub fn subjects(&self) -> &[String] {
        &self.subjects
    }

    /// The pictures that were left out because no face was found on them.
    pub fn without_face(&self) -> &[PathBuf] {
        &self.without_face
    }

    /// `k` folds of about equal size, each measured on once, with nobody on both sides of one.
    ///
    /// # Errors
    /// [`Error::Model`] for `k` below 2 and for fewer people than folds.
    pub fn folds(&self, k: usize, seed: u64) -> Result<Vec<Fold>> {
        Ok(grouped_k_fold(&self.subjects, k, seed)?)
    }

    fn read(labels: LabelSet, found: Vec<Labelled>, mut framing: Framing<'_>, root: &Path) -> Result<Self> {
        let mut people = Self { faces: FaceSet::new(labels), subjects: Vec::new(), without_face: Vec::new() };
        for Labelled { path, subject, class } in found {
            match frame(&path, &mut framing)? {
                Some(face) => {
                    people.faces.push(face.as_raw(), class)?;
                    people.subjects.push(subject);
                }
                None => people.without_face.push(path),
            }
        }
        if people.faces.is_empty() {
            return Err(Error::input("picture tree", "labelled faces", format!("none in {}", root.display())));
        }
        Ok(people)
    }
}

struct Labelled {
    path: PathBuf,
    subject: String,
    class: usize,
}

/// Reads every PNG and JPEG picture below a folder whose path from there matches the pattern, which names the subject
/// and the label (see [`PathPattern`]). A label is any word that [`Emotion`] reads, or one of `codes`.
///
/// ```no_run
/// use emotion_core::LabelSet;
/// use fer_model::dataset::{Framing, PathPattern, image_tree};
///
/// // CK+ as class folders: anger/S010_004_00000017.png
/// let pattern = PathPattern::new("{label}/{subject}_*")?;
/// let people = image_tree("ck48", &pattern, &LabelSet::ferplus8(), &[], Framing::Whole)?;
/// let folds = people.folds(10, 0)?;
/// # Ok::<(), fer_model::Error>(())
/// ```
///
/// # Errors
/// [`Error::Io`], [`Error::Decode`] for a picture that cannot be read or whose label is none of `labels`,
/// [`Error::InvalidInput`] when no picture matches.
pub fn image_tree(
    root: impl AsRef<Path>,
    pattern: &PathPattern,
    labels: &LabelSet,
    codes: &[(&str, Emotion)],
    framing: Framing<'_>,
) -> Result<People> {
    let root = root.as_ref();
    let mut found = Vec::new();
    for path in pictures(root)? {
        let below = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        let Some((subject, label)) = pattern.read(&below) else { continue };
        let code = codes.iter().find(|(code, _)| code.eq_ignore_ascii_case(label)).map(|(_, emotion)| *emotion);
        let class = code.or_else(|| label.parse().ok()).and_then(|emotion| labels.index_of(emotion));
        let class = class.ok_or_else(|| wrong(&path, format!("a label of {labels} in its path, not {label:?}")))?;
        found.push(Labelled { subject: subject.to_owned(), class, path });
    }
    People::read(labels.clone(), found, framing, root)
}

/// JAFFE (Lyons et al. 1998): `KA.AN1.39.png` is Ms KA's 39th picture, an angry one, over
/// [`LabelSet::face7`]. The set is published as TIFF files, which this crate does not read: convert them to PNG first.
///
/// # Errors
/// As [`image_tree`].
pub fn jaffe(root: impl AsRef<Path>, framing: Framing<'_>) -> Result<People> {
    const CODES: [(&str, Emotion); 7] = [
        ("AN", Emotion::Angry),
        ("DI", Emotion::Disgust),
        ("FE", Emotion::Fear),
        ("HA", Emotion::Happy),
        ("NE", Emotion::Neutral),
        ("SA", Emotion::Sad),
        ("SU", Emotion::Surprise),
    ];
    image_tree(root, &PathPattern::new("{subject}.{label}?.*")?, &LabelSet::face7(), &CODES, framing)
}

/// CK+ (Lucey et al. 2010) as it is published: `cohn-kanade-images/S005/001/S005_001_00000011.png`, a sequence from neutral
/// to its peak, whose emotion stands in `Emotion/S005/001/S005_001_00000011_emotion.txt`. Of each of the 327
/// sequences with an emotion the last `peak` pictures are taken (3 is usual), and the first as neutral if `neutral` says
/// so, over [`LabelSet::ferplus8`].
///
/// # Errors
/// As [`image_tree`].
pub fn cohn_kanade(root: impl AsRef<Path>, peak: usize, neutral: bool, framing: Framing<'_>) -> Result<People> {
    /// The numbers of the file, from 0.
    const CODES: [Emotion; 8] = [
        Emotion::Neutral,
        Emotion::Angry,
        Emotion::Contempt,
        Emotion::Disgust,
        Emotion::Fear,
        Emotion::Happy,
        Emotion::Sad,
        Emotion::Surprise,
    ];
    let root = root.as_ref();
    let labels = LabelSet::ferplus8();
    let place = |emotion: Emotion| labels.index_of(emotion).unwrap_or_default();
    let mut found = Vec::new();
    let all = files(&root.join("Emotion"))?;
    for path in all.iter().filter(|path| path.to_string_lossy().ends_with("_emotion.txt")) {
        let text = fs::read_to_string(path).map_err(|source| Error::Io { path: path.clone(), source })?;
        let number: Option<f64> = text.trim().parse().ok();
        let emotion = number.filter(|number| number.fract() == 0.0 && (0.0..8.0).contains(number));
        let emotion =
            emotion.map(|number| CODES[number as usize]).ok_or_else(|| wrong(path, "a number from 0 to 7"))?;
        // …/Emotion/S005/001/S005_001_00000011_emotion.txt
        let mut above = path.iter().rev().skip(1).map(|name| name.to_string_lossy().into_owned());
        let (Some(sequence), Some(subject)) = (above.next(), above.next()) else { continue };
        let frames = pictures(&root.join("cohn-kanade-images").join(&subject).join(&sequence))?;
        let labelled =
            |path: &PathBuf, emotion| Labelled { path: path.clone(), subject: subject.clone(), class: place(emotion) };
        if neutral {
            found.extend(frames.first().map(|path| labelled(path, Emotion::Neutral)));
        }
        let kept = frames.len().saturating_sub(peak).max(usize::from(neutral)).min(frames.len());
        found.extend(frames[kept..].iter().map(|path| labelled(path, emotion)));
    }
    People::read(labels.clone(), found, framing, root)
}

fn frame(path: &Path, framing: &mut Framing<'_>) -> Result<Option<image::GrayImage>> {
    let undecodable =
        |source| Error::Decode { path: path.to_owned(), line: None, expected: "a picture".into(), source };
    let reader = image::ImageReader::open(path).and_then(image::ImageReader::with_guessed_format);
    let reader = reader.map_err(|source| Error::Io { path: path.to_owned(), source })?;
    let picture = reader.decode().map_err(|error| undecodable(Some(error.into())))?;
    match framing {
        Framing::Whole => Ok(Some(resize(&picture.into_luma8(), SIDE as u32, SIDE as u32, Filter::Area)?)),
        Framing::Largest(detector) => {
            let picture = picture.into_rgb8();
            let faces = detector.detect(&picture)?;
            let largest = faces.iter().max_by(|one, other| one.bbox.longer_side().total_cmp(&other.bbox.longer_side()));
            Ok(largest.map(|face| face_gray48(&picture, &face.bbox, None)).transpose()?)
        }
    }
}

fn wrong(path: &Path, expected: impl Into<String>) -> Error {
    Error::Decode { path: path.to_owned(), line: None, expected: expected.into(), source: None }
}

/// Every file below a folder, sorted: the order of a file system is its own.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in super::folders::entries(folder)? {
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    Ok(found)
}

fn pictures(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = files(folder)?;
    found.retain(|path| super::folders::is_picture(path));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use face_prep::{BoundingBox, Detection};
    use image::{GrayImage, Luma, RgbImage};

    use super::*;

    fn picture(path: &Path, value: u8) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        GrayImage::from_pixel(60, 50, Luma([value])).save(path).unwrap();
    }

    #[test]
    fn jaffes_names_give_label_and_subject_and_folds_part_the_people() {
        let root = tempfile::tempdir().unwrap();
        for (number, subject) in ["KA", "KL", "KM", "KR"].iter().enumerate() {
            for (place, code) in ["AN", "DI", "FE", "HA", "NE", "SA", "SU"].iter().enumerate() {
                let name = format!("{subject}.{code}{}.{}.png", 1 + place % 3, 40 * number + place);
                picture(&root.path().join(name), (10 * place) as u8);
            }
        }
        fs::write(root.path().join("README.txt"), "no picture").unwrap();
        let people = jaffe(root.path(), Framing::Whole).unwrap();
        assert_eq!(people.faces().class_counts(), [4; 7]);
        let happy = (0..28).find(|&index| people.faces().emotion(index) == Emotion::Happy).unwrap();
        assert_eq!((people.subjects()[happy].as_str(), people.faces().pixels(happy)[0]), ("KA", 30));

        let folds = people.folds(4, 7).unwrap();
        for fold in &folds {
            let side =
                |samples: &[usize]| samples.iter().map(|&index| &people.subjects()[index]).collect::<BTreeSet<_>>();
            assert!(side(&fold.train).is_disjoint(&side(&fold.test)));
            assert_eq!((fold.train.len(), fold.test.len()), (21, 7));
        }
        assert!(people.folds(5, 0).is_err() && people.folds(1, 0).is_err());

        picture(&root.path().join("KA.XX1.99.png"), 0);
        let error = jaffe(root.path(), Framing::Whole).unwrap_err().to_string();
        assert!(error.contains("KA.XX1.99.png") && error.contains("\"XX\""), "{error}");
    }

    #[test]
    fn cohn_kanades_sequences_give_their_peak_and_their_first_picture() {
        let root = tempfile::tempdir().unwrap();
        let images = root.path().join("cohn-kanade-images");
        for (subject, sequence, code, frames) in
            [("S005", "001", 3, 11u8), ("S010", "002", 7, 2), ("S010", "003", 9, 5)]
        {
            for frame in 1..=frames {
                picture(&images.join(format!("{subject}/{sequence}/{subject}_{sequence}_{frame:08}.png")), frame);
            }
            // The last sequence has no emotion, as most have none.
            if code < 8 {
                let folder = root.path().join(format!("Emotion/{subject}/{sequence}"));
                fs::create_dir_all(&folder).unwrap();
                let name = format!("{subject}_{sequence}_{frames:08}_emotion.txt");
                fs::write(folder.join(name), format!("   {code}.0000000e+00\n")).unwrap();
            }
        }
        let people = cohn_kanade(root.path(), 3, true, Framing::Whole).unwrap();
        let read: Vec<_> = (0..people.faces().len())
            .map(|index| {
                (people.subjects()[index].as_str(), people.faces().emotion(index), people.faces().pixels(index)[0])
            })
            .collect();
        let wanted = [
            ("S005", Emotion::Neutral, 1),
            ("S005", Emotion::Disgust, 9),
            ("S005", Emotion::Disgust, 10),
            ("S005", Emotion::Disgust, 11),
            ("S010", Emotion::Neutral, 1),
            ("S010", Emotion::Surprise, 2),
        ];
        assert_eq!(read, wanted);
        assert_eq!(cohn_kanade(root.path(), 1, false, Framing::Whole).unwrap().faces().len(), 2);

        fs::write(root.path().join("Emotion/S005/001/S005_001_00000011_emotion.txt"), "happy").unwrap();
        assert!(matches!(cohn_kanade(root.path(), 3, true, Framing::Whole), Err(Error::Decode { .. })));
        assert!(matches!(cohn_kanade("/nowhere", 3, true, Framing::Whole), Err(Error::Io { .. })));
    }

    /// Finds the middle of large pictures and nothing on small ones.
    struct Middle;

    impl FaceDetector for Middle {
        fn detect(&mut self, image: &RgbImage) -> Result<Vec<Detection>, face_prep::Error> {
            let side = |share: f32| share * image.width() as f32;
            let found = |at: f32, size: f32| Detection {
                bbox: BoundingBox::new(side(at), side(at), side(size), side(size)),
                score: 1.0,
                landmarks: None,
            };
            Ok(if image.width() < 100 { Vec::new() } else { vec![found(0.0, 0.1), found(0.25, 0.5)] })
        }

        fn name(&self) -> &str {
            "middle"
        }
    }

    #[test]
    fn class_folders_with_subjects_and_faces_to_be_found() {
        let root = tempfile::tempdir().unwrap();
        let bright_middle = GrayImage::from_fn(200, 200, |x, y| {
            Luma([if (50..150).contains(&x) && (50..150).contains(&y) { 200 } else { 10 }])
        });
        fs::create_dir_all(root.path().join("contempt")).unwrap();
        bright_middle.save(root.path().join("contempt/S138_008_00000009.png")).unwrap();
        picture(&root.path().join("anger/S010_004_00000017.png"), 50);
        picture(&root.path().join("anger/notes/of another depth.png"), 50);
        let pattern = PathPattern::new("{label}/{subject}_*").unwrap();
        let read = |framing| image_tree(root.path(), &pattern, &LabelSet::ferplus8(), &[], framing).unwrap();
        assert_eq!(read(Framing::Whole).subjects(), ["S010", "S138"]);
        let framed = read(Framing::Largest(&mut Middle));
        assert_eq!((framed.subjects(), framed.without_face().len()), (&["S138".to_owned()][..], 1));
        assert_eq!((framed.faces().emotion(0), framed.faces().pixels(0)[24 * 48 + 24]), (Emotion::Contempt, 200));
        let narrow = image_tree(root.path(), &pattern, &LabelSet::face7(), &[], Framing::Whole);
        assert!(matches!(narrow, Err(Error::Decode { .. })));
        let none = PathPattern::new("{subject}/{label}/x*").unwrap();
        let nothing = image_tree(root.path(), &none, &LabelSet::face7(), &[], Framing::Whole);
        assert!(matches!(nothing, Err(Error::InvalidInput { .. })));
    }
}
