//! One door to every layout of face pictures: FER-2013's file with or without FER+'s votes, class folders, picture trees.

use std::fs;
use std::path::{Path, PathBuf};

use emotion_core::{Emotion, LabelSet};
use model_kit::cross_validation::Round;
use model_kit::split::{grouped, grouped_k_fold, stratified, stratified_k_fold};

use super::folders::entries;
use super::{FaceSet, Fer2013, FerPlus, Framing, LeftOut, PathPattern, Split, class_folders, image_tree};
use crate::error::{Error, Result};

/// How [`FaceData::open`] reads. Default: a file or class folders, labelled as they are, nothing kept.
#[derive(Debug, Clone, Default)]
pub struct FaceDataOptions {
    /// FER+'s `fer2013new.csv`, whose votes then are the labels of `fer2013.csv`'s pictures.
    pub votes: Option<PathBuf>,
    /// Where subject and label stand in the paths of a picture tree; without one, a folder holds class folders.
    pub pattern: Option<PathPattern>,
    /// Where `fer2013.csv` is kept decoded, see [`Fer2013::load_cached`].
    pub cache: Option<PathBuf>,
}

/// What FER+'s ten votes on a picture come to. Sets without votes have one label for each picture either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VotesAs {
    /// A probability for each class, see [`FerPlus::soft`]: what a network learns most from.
    #[default]
    Soft,
    /// The class that has more than half of the votes, see [`FerPlus::majority`]: what models are measured by.
    Majority,
    /// Nothing: every picture, with FER-2013's own label.
    Ignored,
}

/// Face pictures in the parts that they come in.
///
/// | on the disk | parts |
/// |---|---|
/// | `fer2013.csv`, or a folder that holds it | `training`, `public` and `private`, as far as the file has them |
/// | a folder of folders of class folders | those folders; `training`, `public` and `private` also by the names `train`, `publictest`, `validation`, `valid`, `val`, `privatetest`, `test` |
/// | a folder of class folders, or with a pattern a picture tree | none, only the whole |
///
/// Every layout also has the part `all`. Class folders and trees have FER-2013's seven labels, and contempt where
/// it occurs.
///
/// ```no_run
/// use fer_model::dataset::{FaceData, FaceDataOptions, VotesAs};
///
/// let votes = FaceDataOptions { votes: Some("fer2013new.csv".into()), ..FaceDataOptions::default() };
/// let data = FaceData::open("fer2013.csv", &votes)?;
/// let course = data.course(VotesAs::Soft, 0.1, 0)?; // soft Training to learn from, PublicTest's majority to choose by
/// # Ok::<(), fer_model::Error>(())
/// ```
#[derive(Debug)]
pub struct FaceData {
    path: PathBuf,
    layout: Layout,
}

#[derive(Debug)]
enum Layout {
    Table {
        faces: Fer2013,
        votes: Option<FerPlus>,
    },
    /// One folder of class folders, or several.
    Folders {
        split: Vec<String>,
    },
    Tree(Part),
}

/// Some of the pictures of a [`FaceData`].
#[derive(Debug, Clone)]
pub struct Part {
    /// The pictures and their labels.
    pub faces: FaceSet,
    /// Who is seen on each picture, in their order; empty where that is not known.
    pub subjects: Vec<String>,
    /// How many pictures the votes left without a label; `None` for sets without votes.
    pub left_out: Option<LeftOut>,
}

/// What to learn from and what to choose the epoch by.
#[derive(Debug, Clone)]
pub struct Course {
    /// The pictures to learn from.
    pub training: Part,
    /// The pictures to choose by.
    pub choosing: Part,
    /// What the two are called in reports.
    pub names: [String; 2],
}

impl FaceData {
    /// Finds out what there is, and reads FER-2013's file and picture trees; class folders are read when they are asked for.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Decode`] for files that are not what they should be, [`Error::InvalidInput`] for votes
    /// on other pictures than FER-2013's and for a pattern that is given for a file or matches nothing.
    pub fn open(path: impl AsRef<Path>, options: &FaceDataOptions) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let file = fs::metadata(&path).map_err(|source| Error::Io { path: path.clone(), source })?.is_file();
        let table = if file { path.clone() } else { path.join("fer2013.csv") };
        let layout = match &options.pattern {
            Some(_) if file => {
                return Err(Error::input("picture tree", "a folder, which a pattern is for", path.display()));
            }
            Some(pattern) => Layout::Tree(tree(&path, pattern)?),
            None if table.is_file() => {
                let faces = match &options.cache {
                    Some(cache) => Fer2013::load_cached(&table, cache)?,
                    None => Fer2013::load(&table)?,
                };
                let votes = options.votes.as_ref().map(|votes| FerPlus::load(votes, &faces)).transpose()?;
                return Ok(Self { path, layout: Layout::Table { faces, votes } });
            }
            None => Layout::Folders { split: split_folders(&path)? },
        };
        if options.votes.is_some() {
            return Err(Error::input("votes", "the rows of fer2013.csv to go with them", path.display()));
        }
        Ok(Self { path, layout })
    }

    /// What the set is called in reports: `FER-2013`, `FER+`, or the folder's name.
    pub fn name(&self) -> String {
        match &self.layout {
            Layout::Table { votes: Some(_), .. } => "FER+".to_owned(),
            Layout::Table { votes: None, .. } => "FER-2013".to_owned(),
            _ => self
                .path
                .file_name()
                .map_or_else(|| self.path.display().to_string(), |name| name.to_string_lossy().into_owned()),
        }
    }

    /// Whether there is a part of this name that is not the whole.
    pub fn has(&self, part: &str) -> bool {
        match &self.layout {
            Layout::Table { faces, .. } => table_split(part).is_some_and(|split| faces.splits().contains(&split)),
            Layout::Folders { split } => find(split, part).is_some(),
            Layout::Tree(_) => false,
        }
    }

    /// The pictures of a part, or of `all`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a part that is not there, which names those that are; for class folders also
    /// [`Error::Io`] and [`Error::Decode`].
    pub fn part(&self, part: &str, votes_as: VotesAs) -> Result<Part> {
        if part != "all" && !self.has(part) {
            return Err(Error::input("part", format!("{} of {}", self.parts(), self.path.display()), part));
        }
        match &self.layout {
            Layout::Table { faces, votes } => {
                let split = table_split(part);
                let voted = match (votes, votes_as) {
                    (Some(votes), VotesAs::Soft) => Some(votes.soft(faces, split)?),
                    (Some(votes), VotesAs::Majority) => Some(votes.majority(faces, split)?),
                    (None, _) | (_, VotesAs::Ignored) => None,
                };
                let (faces, left_out) = match voted {
                    Some((faces, left_out)) => (faces, Some(left_out)),
                    None => (split.map_or_else(|| faces.all().clone(), |split| faces.split(split)), None),
                };
                Ok(Part { faces, subjects: Vec::new(), left_out })
            }
            Layout::Folders { split } => {
                let faces = match find(split, part) {
                    Some(folder) => read_classes(&self.path.join(folder))?,
                    None if split.is_empty() => read_classes(&self.path)?,
                    None => merge(split.iter().map(|folder| read_classes(&self.path.join(folder))))?,
                };
                Ok(Part { faces, subjects: Vec::new(), left_out: None })
            }
            Layout::Tree(whole) => Ok(whole.clone()),
        }
    }

    /// What to learn from and what to choose the epoch by: `training`, and `public` with its votes' majority (or its own labels,
    /// where votes are ignored). Where that is not there, a `share` (0..1) of what there is to learn from is drawn for choosing:
    /// every class alike, or where people are known, people as a whole. The part `private` (a folder `test`) is used for neither.
    ///
    /// # Errors
    /// As [`part`](Self::part) and [`training`](Self::training); [`Error::Model`] for a share that leaves a side without pictures.
    pub fn course(&self, votes_as: VotesAs, share: f64, seed: u64) -> Result<Course> {
        let from = self.training()?;
        let training = self.part(from, votes_as)?;
        if from == "training" && self.has("public") {
            let chosen_by = if votes_as == VotesAs::Ignored { votes_as } else { VotesAs::Majority };
            let names = match &self.layout {
                Layout::Folders { split } => {
                    ["training", "public"].map(|part| find(split, part).unwrap_or(part).to_owned())
                }
                _ => ["Training", "PublicTest"].map(str::to_owned),
            };
            return Ok(Course { training, choosing: self.part("public", chosen_by)?, names });
        }
        let shares = [1.0 - share, share];
        let sides = match training.subjects.is_empty() {
            true => stratified(&training.classes(), &shares, seed)?,
            false => grouped(&training.subjects, &shares, seed)?,
        };
        let of = if from == "all" { self.name() } else { from.to_owned() };
        let names = [of.clone(), format!("{of}, held out")];
        Ok(Course { choosing: training.only(&sides[1]), training: training.only(&sides[0]), names })
    }

    /// The part to learn from: `training`, or `all` where nothing is set apart.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a set that has parts, but no training part.
    pub fn training(&self) -> Result<&'static str> {
        let apart = match &self.layout {
            Layout::Table { .. } => true,
            Layout::Folders { split } => !split.is_empty(),
            Layout::Tree(_) => false,
        };
        match (self.has("training"), apart) {
            (true, _) => Ok("training"),
            (false, false) => Ok("all"),
            (false, true) => {
                Err(Error::input("face data", format!("a training part in {}", self.path.display()), self.parts()))
            }
        }
    }

    /// The parts there are, for an error.
    fn parts(&self) -> String {
        match &self.layout {
            Layout::Table { faces, .. } => {
                let rows = |split: Split| faces.splits().iter().filter(|&&row| row == split).count();
                let there = TABLE.iter().filter(|(_, split)| rows(*split) > 0);
                there.map(|(name, split)| format!("{name} ({} pictures), ", rows(*split))).collect::<String>() + "all"
            }
            Layout::Folders { split } => split.iter().map(|name| format!("{name}, ")).collect::<String>() + "all",
            Layout::Tree(_) => "all".to_owned(),
        }
    }
}

impl Part {
    /// The rounds of a cross-validation over these pictures in `k` folds, each choosing its epoch by a `share` (0..1) of its
    /// training pictures: every class spread alike, or where people are known, each person on one side.
    ///
    /// # Errors
    /// [`Error::Model`] for `k` below 2, fewer pictures or people than folds, and a share that leaves a side empty.
    pub fn rounds(&self, k: usize, share: f64, seed: u64) -> Result<Vec<Round>> {
        let (classes, people) = (self.classes(), &self.subjects);
        let rounds = match people.is_empty() {
            true => stratified_k_fold(&classes, k, seed)?
                .into_iter()
                .map(|fold| Round::choosing(fold, &classes, share, seed))
                .collect::<Result<_, _>>(),
            false => grouped_k_fold(people, k, seed)?
                .into_iter()
                .map(|fold| Round::choosing_by_group(fold, people, share, seed))
                .collect(),
        };
        Ok(rounds?)
    }

    fn classes(&self) -> Vec<usize> {
        (0..self.faces.len()).map(|index| self.faces.class(index)).collect()
    }

    fn only(&self, kept: &[usize]) -> Self {
        let mut wanted = vec![false; self.faces.len()];
        kept.iter().for_each(|&index| wanted[index] = true);
        let subjects = self.subjects.iter().zip(&wanted).filter(|(_, wanted)| **wanted);
        Self {
            faces: self.faces.filter(|index| wanted[index]),
            subjects: subjects.map(|(subject, _)| subject.clone()).collect(),
            left_out: self.left_out,
        }
    }
}

/// The parts of FER-2013's file.
const TABLE: [(&str, Split); 3] =
    [("training", Split::Training), ("public", Split::Public), ("private", Split::Private)];

fn table_split(part: &str) -> Option<Split> {
    TABLE.iter().find(|(name, _)| *name == part).map(|(_, split)| *split)
}

/// What the folders of the three parts are called in the copies that are about.
const FOLDERS: [(&str, &[&str]); 3] = [
    ("training", &["training", "train"]),
    ("public", &["public", "publictest", "validation", "valid", "val"]),
    ("private", &["private", "privatetest", "test"]),
];

/// The folder of a part.
fn find<'a>(folders: &'a [String], part: &str) -> Option<&'a str> {
    let own = [part];
    let names = FOLDERS.iter().find(|(name, _)| *name == part).map_or(&own[..], |(_, names)| names);
    let found = folders.iter().find(|folder| names.iter().any(|name| folder.eq_ignore_ascii_case(name)));
    found.map(String::as_str)
}

/// The folders in a folder that hold class folders; none where it holds class folders itself.
fn split_folders(path: &Path) -> Result<Vec<String>> {
    let folders = subfolders(path)?;
    let classes = folders.iter().any(|folder| folder.parse::<Emotion>().is_ok());
    Ok(if classes { Vec::new() } else { folders })
}

fn subfolders(path: &Path) -> Result<Vec<String>> {
    let folders = entries(path)?.into_iter().filter(|path| path.is_dir());
    Ok(folders.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect())
}

/// The pictures of class folders: FER-2013's seven, and contempt where a folder is called so.
fn read_classes(path: &Path) -> Result<FaceSet> {
    let contempt = subfolders(path)?.iter().any(|folder| folder.parse() == Ok(Emotion::Contempt));
    class_folders(path, &if contempt { LabelSet::ferplus8() } else { LabelSet::face7() })
}

/// The pictures of a tree, over FER-2013's seven, and contempt where a picture shows it.
fn tree(root: &Path, pattern: &PathPattern) -> Result<Part> {
    let people = image_tree(root, pattern, &LabelSet::ferplus8(), &[], Framing::Whole)?;
    let found = people.faces();
    let contempt = (0..found.len()).any(|index| found.emotion(index) == Emotion::Contempt);
    let faces = if contempt { found.clone() } else { relabelled(found, LabelSet::face7())? };
    Ok(Part { faces, subjects: people.subjects().to_vec(), left_out: None })
}

fn merge(parts: impl Iterator<Item = Result<FaceSet>>) -> Result<FaceSet> {
    let parts = parts.collect::<Result<Vec<_>>>()?;
    let widest = parts.iter().map(FaceSet::labels).max_by_key(|labels| labels.len()).cloned();
    let mut merged = FaceSet::new(widest.unwrap_or_else(LabelSet::face7));
    for part in &parts {
        append(&mut merged, part)?;
    }
    Ok(merged)
}

fn relabelled(faces: &FaceSet, labels: LabelSet) -> Result<FaceSet> {
    let mut set = FaceSet::new(labels);
    append(&mut set, faces)?;
    Ok(set)
}

/// Adds pictures of one class each, whose classes all have a place in the labels.
fn append(set: &mut FaceSet, faces: &FaceSet) -> Result<()> {
    set.reserve(faces.len());
    for index in 0..faces.len() {
        let emotion = faces.emotion(index);
        let class = set.labels().index_of(emotion);
        let class = class.ok_or_else(|| Error::input("label", format!("one of {}", set.labels()), emotion))?;
        set.push(faces.pixels(index), class)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use image::{GrayImage, Luma};

    use super::*;
    use crate::dataset::PIXELS;

    fn picture(path: &Path, value: u8) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        GrayImage::from_pixel(48, 48, Luma([value])).save(path).unwrap();
    }

    fn open(path: &Path) -> FaceData {
        FaceData::open(path, &FaceDataOptions::default()).unwrap()
    }

    /// Twelve Training pictures, three of PublicTest and their votes.
    fn table(folder: &Path) -> [PathBuf; 2] {
        let mut faces = String::from("emotion,pixels,Usage\n");
        let mut votes =
            String::from("Usage,name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n");
        for index in 0..15 {
            let usage = if index < 12 { "Training" } else { "PublicTest" };
            let pixels = vec![(10 * index).to_string(); PIXELS].join(" ");
            faces += &format!("{},{pixels},{usage}\n", 3 + index % 2);
            // The first of either part has no majority.
            let of = if index % 12 == 0 { "5,5,0,0,0,0,0,0,0,0" } else { "2,8,0,0,0,0,0,0,0,0" };
            votes += &format!("{usage},x,{of}\n");
        }
        let paths = ["fer2013.csv", "fer2013new.csv"].map(|name| folder.join(name));
        paths.iter().zip([faces, votes]).for_each(|(path, text)| fs::write(path, text).unwrap());
        paths
    }

    #[test]
    fn a_table_has_its_parts_with_labels_or_votes() {
        let folder = tempfile::tempdir().unwrap();
        let [faces, votes] = table(folder.path());
        for path in [&faces, folder.path()] {
            let data = open(path);
            assert_eq!((data.name().as_str(), data.has("training"), data.has("private")), ("FER-2013", true, false));
            let course = data.course(VotesAs::Soft, 0.5, 0).unwrap();
            assert_eq!((course.training.faces.len(), course.choosing.faces.len()), (12, 3));
            assert_eq!(course.names, ["Training", "PublicTest"]);
            assert_eq!(data.part("all", VotesAs::Soft).unwrap().faces.len(), 15);
            let error = data.part("private", VotesAs::Soft).unwrap_err().to_string();
            assert!(error.contains("training (12 pictures), public (3 pictures), all of"), "{error}");
        }

        let cache = folder.path().join("decoded");
        let options = FaceDataOptions { votes: Some(votes), cache: Some(cache.clone()), ..FaceDataOptions::default() };
        let data = FaceData::open(&faces, &options).unwrap();
        assert!(data.name() == "FER+" && cache.is_file());
        let Course { training, choosing, .. } = data.course(VotesAs::Soft, 0.5, 0).unwrap();
        assert_eq!((training.faces.len(), training.faces.target(1)[3]), (12, 0.8));
        // To choose by, only pictures with a majority count.
        assert_eq!((choosing.faces.len(), choosing.left_out.unwrap().no_majority), (2, 1));
        assert_eq!(data.course(VotesAs::Majority, 0.5, 0).unwrap().training.faces.len(), 11);
    }

    #[test]
    fn folders_are_parts_classes_or_both() {
        let root = tempfile::tempdir().unwrap();
        for (part, count) in [("train", 10), ("Validation", 2), ("test", 3)] {
            for (class, value) in [("happy", 1), ("sadness", 2)] {
                (0..count).for_each(|n| picture(&root.path().join(format!("{part}/{class}/{n}.png")), value));
            }
        }
        let data = open(root.path());
        let course = data.course(VotesAs::Soft, 0.5, 0).unwrap();
        assert_eq!((course.training.faces.class_counts()[3], course.choosing.faces.class_counts()[4]), (10, 2));
        assert_eq!(course.names, ["train", "Validation"]);
        assert_eq!(data.part("private", VotesAs::Soft).unwrap().faces.len(), 6);
        assert_eq!(data.part("all", VotesAs::Soft).unwrap().faces.len(), 30);
        let error = data.part("dev", VotesAs::Soft).unwrap_err().to_string();
        assert!(error.contains("Validation, test, train, all of"), "{error}");

        // One tree: a share to choose by, every class alike; and contempt where a folder is called so.
        let one = open(&root.path().join("train"));
        let course = one.course(VotesAs::Soft, 0.2, 3).unwrap();
        let counts = [&course.training, &course.choosing].map(|part| part.faces.class_counts()[3..5].to_vec());
        assert_eq!(counts, [[8, 8], [2, 2]]);
        assert_eq!(course.names, ["train", "train, held out"]);
        assert!(one.course(VotesAs::Soft, 0.0, 0).is_err());
        picture(&root.path().join("train/contempt/1.png"), 9);
        assert_eq!(one.part("all", VotesAs::Soft).unwrap().faces.labels(), &LabelSet::ferplus8());
        assert_eq!(data.part("all", VotesAs::Soft).unwrap().faces.labels(), &LabelSet::ferplus8());

        // What is set apart to choose by or to measure on is never learned from.
        fs::remove_dir_all(root.path().join("train")).unwrap();
        let error = data_without_training(root.path());
        assert!(error.contains("a training part"), "{error}");
        assert!(matches!(FaceData::open("/nowhere", &FaceDataOptions::default()), Err(Error::Io { .. })));
    }

    fn data_without_training(root: &Path) -> String {
        open(root).course(VotesAs::Soft, 0.5, 0).unwrap_err().to_string()
    }

    #[test]
    fn a_tree_of_people_keeps_each_on_one_side() {
        let root = tempfile::tempdir().unwrap();
        for person in 0..6 {
            for (class, value) in [("anger", 1), ("happy", 2)] {
                picture(&root.path().join(format!("{class}/S{person}_1.png")), value);
            }
        }
        let options = |pattern| FaceDataOptions {
            pattern: Some(PathPattern::new(pattern).unwrap()),
            ..FaceDataOptions::default()
        };
        let data = FaceData::open(root.path(), &options("{label}/{subject}_*")).unwrap();
        let whole = data.part("all", VotesAs::Soft).unwrap();
        assert_eq!((whole.faces.len(), whole.faces.labels()), (12, &LabelSet::face7()));
        let apart = |one: &[&String], other: &[&String]| {
            let sets = [one, other].map(|side| side.iter().copied().collect::<BTreeSet<_>>());
            !one.is_empty() && !other.is_empty() && sets[0].is_disjoint(&sets[1])
        };
        let course = data.course(VotesAs::Soft, 0.3, 0).unwrap();
        let sides = [&course.training, &course.choosing].map(|part| part.subjects.iter().collect::<Vec<_>>());
        assert!(apart(&sides[0], &sides[1]) && sides[0].len() + sides[1].len() == 12);
        let rounds = whole.rounds(3, 0.25, 0).unwrap();
        for Round { train, select, test } in &rounds {
            let [train, select, test] =
                [train, select, test].map(|side| side.iter().map(|&at| &whole.subjects[at]).collect::<Vec<_>>());
            assert!(apart(&train, &select) && apart(&train, &test) && apart(&select, &test));
        }
        assert_eq!(rounds.len(), 3);
        assert!(whole.rounds(7, 0.25, 0).is_err());

        let file = root.path().join("anger/S0_1.png");
        assert!(matches!(FaceData::open(&file, &options("{label}/{subject}")), Err(Error::InvalidInput { .. })));
        let votes = FaceDataOptions { votes: Some(file), ..FaceDataOptions::default() };
        assert!(matches!(FaceData::open(root.path(), &votes), Err(Error::InvalidInput { what: "votes", .. })));
    }
}
