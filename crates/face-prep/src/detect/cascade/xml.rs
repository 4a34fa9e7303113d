//! OpenCV's XML: the `opencv-cascade-classifier` form (`opencv_traincascade`) and the older `opencv-haar-classifier` form
//! (`opencv_haartraining`).

use std::str::FromStr;

use quick_xml::Reader;
use quick_xml::events::Event;

use super::model::{Cascade, Features, HaarFeature, Node, Rect, Split, Stage, Tree, broken};
use crate::Error;

/// Cascades nest eleven deep; more is not a cascade.
const DEEPEST: usize = 32;

/// The largest real cascade has about 90,000 elements.
const MOST_ELEMENTS: usize = 4_000_000;

/// One element of the document, without attributes (no number of a cascade stands in one).
#[derive(Debug, Default)]
struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    fn find(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    fn get(&self, name: &str) -> Result<&Element, Error> {
        self.find(name).ok_or_else(|| broken(format!("<{name}> in <{}>", self.name), "none"))
    }

    fn number<T: FromStr>(&self) -> Result<T, Error> {
        let text = self.text.trim();
        text.parse().map_err(|_| broken(format!("one number in <{}>", self.name), excerpt(text)))
    }

    /// Reads the text's numbers as f64, as OpenCV does before it narrows them.
    fn numbers(&self) -> Result<Vec<f64>, Error> {
        let parse = |word: &str| word.parse().map_err(|_| broken(format!("numbers in <{}>", self.name), excerpt(word)));
        self.text.split_ascii_whitespace().map(parse).collect()
    }

    /// A real number as OpenCV keeps it: read in double precision, then narrowed.
    fn real(&self) -> Result<f32, Error> {
        Ok(self.number::<f64>()? as f32)
    }
}

fn excerpt(text: &str) -> String {
    format!("{:?}", text.chars().take(40).collect::<String>())
}

pub(super) fn read(bytes: &[u8]) -> Result<Cascade, Error> {
    let document = parse(bytes)?;
    let storage = document.children.first().ok_or_else(|| broken("an XML document", "no element"))?;
    if storage.name != "opencv_storage" {
        return Err(broken("<opencv_storage>", format!("<{}>", excerpt(&storage.name))));
    }
    let root = storage.children.first().ok_or_else(|| broken("a cascade in <opencv_storage>", "nothing"))?;
    if root.find("stageType").is_some() { read_new(root) } else { read_old(root) }
}

fn parse(bytes: &[u8]) -> Result<Element, Error> {
    // Comments in old files are in many encodings; all that counts is ASCII.
    let text = String::from_utf8_lossy(bytes);
    let mut reader = Reader::from_str(&text);
    let mut document = Element::default();
    let mut open: Vec<Element> = Vec::new();
    let mut elements = 0;
    loop {
        let event = reader.read_event().map_err(|source| Error::Xml { path: None, source })?;
        if let Event::Start(tag) | Event::Empty(tag) = &event {
            elements += 1;
            if elements > MOST_ELEMENTS || open.len() >= DEEPEST {
                let got = format!("element {elements} at depth {}", open.len());
                return Err(broken(format!("up to {MOST_ELEMENTS} elements, {DEEPEST} deep"), got));
            }
            let name = tag.name().as_ref().to_owned();
            open.push(Element { name, ..Element::default() });
        }
        match event {
            Event::End(_) | Event::Empty(_) => {
                if let Some(element) = open.pop() {
                    open.last_mut().unwrap_or(&mut document).children.push(element);
                }
            }
            Event::Text(text) => {
                if let Some(element) = open.last_mut() {
                    element.text.push_str(&text);
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    match open.pop() {
        None => Ok(document),
        Some(unclosed) => Err(broken(format!("an end of <{}>", unclosed.name), "the end of the file")),
    }
}

/// The form of today.
fn read_new(root: &Element) -> Result<Cascade, Error> {
    let kind = root.get("stageType")?.text.trim();
    if kind != "BOOST" {
        return Err(broken("stages of type BOOST", excerpt(kind)));
    }
    let features = root.get("features")?;
    let (features, categories) = match root.get("featureType")?.text.trim() {
        "HAAR" => (Features::Haar(features.children.iter().map(read_haar).collect::<Result<_, _>>()?), false),
        "LBP" => {
            let categories: u32 = root.get("featureParams")?.get("maxCatCount")?.number()?;
            if categories != 256 {
                return Err(broken("256 categories of local binary patterns", categories));
            }
            let block = |feature: &Element| read_rect(&feature.get("rect")?.numbers()?);
            (Features::Lbp(features.children.iter().map(block).collect::<Result<_, _>>()?), true)
        }
        other => return Err(broken("features of type HAAR or LBP", excerpt(other))),
    };
    let stage = |stage: &Element| {
        let tree = |tree: &Element| read_tree(tree, categories);
        Ok(Stage {
            threshold: stage.get("stageThreshold")?.real()?,
            trees: stage.get("weakClassifiers")?.children.iter().map(tree).collect::<Result<_, _>>()?,
        })
    };
    Ok(Cascade {
        width: root.get("width")?.number()?,
        height: root.get("height")?.number()?,
        features,
        stages: root.get("stages")?.children.iter().map(stage).collect::<Result<_, Error>>()?,
    })
}

fn read_tree(tree: &Element, categories: bool) -> Result<Tree, Error> {
    let numbers = tree.get("internalNodes")?.numbers()?;
    // Left, right, feature, and then a threshold or the bits of a subset of 256.
    let length = if categories { 3 + 8 } else { 3 + 1 };
    if !numbers.len().is_multiple_of(length) {
        return Err(broken(format!("{length} numbers for each node"), numbers.len()));
    }
    let node = |numbers: &[f64]| {
        let split = if categories {
            let mut bits = [0; 8];
            for (bits, &number) in bits.iter_mut().zip(&numbers[3..]) {
                *bits = whole::<i32>(number)? as u32;
            }
            Split::OneOf(bits)
        } else {
            Split::Below(numbers[3] as f32)
        };
        Ok(Node { left: whole(numbers[0])?, right: whole(numbers[1])?, feature: whole(numbers[2])?, split })
    };
    Ok(Tree {
        nodes: numbers.chunks_exact(length).map(node).collect::<Result<_, Error>>()?,
        leaves: tree.get("leafValues")?.numbers()?.iter().map(|&leaf| leaf as f32).collect(),
    })
}

fn read_haar(feature: &Element) -> Result<HaarFeature, Error> {
    let rects = &feature.get("rects")?.children;
    if !(2..=3).contains(&rects.len()) {
        return Err(broken("2 or 3 rectangles in a feature", rects.len()));
    }
    let mut haar = HaarFeature::default();
    for (index, rect) in rects.iter().enumerate() {
        let numbers = rect.numbers()?;
        let [place @ .., weight] = numbers.as_slice() else { return Err(broken("a rectangle", "nothing")) };
        haar.rects[index] = read_rect(place)?;
        haar.weights[index] = *weight as f32;
    }
    haar.tilted = feature.find("tilted").map_or(Ok(0), Element::number::<i32>)? != 0;
    Ok(haar)
}

fn read_rect(numbers: &[f64]) -> Result<Rect, Error> {
    match numbers {
        &[x, y, width, height] => Ok(Rect { x: whole(x)?, y: whole(y)?, width: whole(width)?, height: whole(height)? }),
        other => Err(broken("four numbers for a rectangle", other.len())),
    }
}

fn whole<T: TryFrom<i64>>(number: f64) -> Result<T, Error> {
    let refused = || broken("a whole number in range", number);
    if number.fract() != 0.0 || number.abs() > 1e15 {
        return Err(refused());
    }
    T::try_from(number as i64).map_err(|_| refused())
}

/// The older form, in which every node carries its own feature, and trees link nodes where the newer one numbers them.
fn read_old(root: &Element) -> Result<Cascade, Error> {
    let size = root.get("size")?.numbers()?;
    let &[width, height] = size.as_slice() else { return Err(broken("width and height in <size>", size.len())) };
    let mut features = Vec::new();
    let mut stages = Vec::new();
    for stage in &root.get("stages")?.children {
        let mut trees = Vec::new();
        for tree in &stage.get("trees")?.children {
            trees.push(read_old_tree(tree, &mut features)?);
        }
        stages.push(Stage { threshold: stage.get("stage_threshold")?.real()?, trees });
    }
    Ok(Cascade { width: whole(width)?, height: whole(height)?, features: Features::Haar(features), stages })
}

fn read_old_tree(tree: &Element, features: &mut Vec<HaarFeature>) -> Result<Tree, Error> {
    let mut read = Tree { nodes: Vec::new(), leaves: Vec::new() };
    for node in &tree.children {
        let feature = u16::try_from(features.len()).map_err(|_| broken("up to 65536 features", features.len()))?;
        features.push(read_haar(node.get("feature")?)?);
        let mut side = |link: &str, value: &str| match node.find(link) {
            Some(next) => next.number(),
            None => {
                let leaf =
                    i16::try_from(read.leaves.len()).map_err(|_| broken("up to 32768 leaves", read.leaves.len()))?;
                read.leaves.push(node.get(value)?.real()?);
                Ok(-leaf)
            }
        };
        let (left, right) = (side("left_node", "left_val")?, side("right_node", "right_val")?);
        read.nodes.push(Node { feature, split: Split::Below(node.get("threshold")?.real()?), left, right });
    }
    Ok(read)
}
