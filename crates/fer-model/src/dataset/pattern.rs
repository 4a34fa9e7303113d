//! What a file's path says about its picture.

use crate::error::{Error, Result};

/// Where subject and label stand in the path of a picture, from the root of its set, with `/` between folders.
///
/// `{subject}` and `{label}` each stand for at least one character, as few as will do, `*` for any number of characters,
/// `?` for one; none of them for a `/`. Everything else stands for itself, and the pattern is about the whole path.
///
/// | set | path | pattern |
/// |---|---|---|
/// | CK+ in class folders | `anger/S010_004_00000017.png` | `{label}/{subject}_*` |
/// | JAFFE | `KA.AN1.39.png` | `{subject}.{label}?.*` |
/// | a folder for each person | `anna/happy/0001.jpg` | `{subject}/{label}/*` |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Char(char),
    One,
    Many,
    Subject,
    Label,
}

impl PathPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] unless `{subject}` and `{label}` stand in it once each, and for other braces.
    pub fn new(text: &str) -> Result<Self> {
        let wrong = || Error::InvalidConfig {
            field: "pattern",
            expected: "{subject} and {label} once each, and no other braces".into(),
            got: text.to_owned(),
        };
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let (piece, length) = if rest.starts_with("{subject}") {
                (Piece::Subject, "{subject}".len())
            } else if rest.starts_with("{label}") {
                (Piece::Label, "{label}".len())
            } else {
                let piece = match first {
                    '*' => Piece::Many,
                    '?' => Piece::One,
                    '{' | '}' => return Err(wrong()),
                    other => Piece::Char(other),
                };
                (piece, first.len_utf8())
            };
            pieces.push(piece);
            rest = &rest[length..];
        }
        let once = |wanted: Piece| pieces.iter().filter(|&&piece| piece == wanted).count() == 1;
        if once(Piece::Subject) && once(Piece::Label) { Ok(Self { pieces }) } else { Err(wrong()) }
    }

    /// Subject and label of a path; `None` for one that does not match.
    pub fn read<'a>(&self, path: &'a str) -> Option<(&'a str, &'a str)> {
        let mut found = [None; 2];
        if !matches(&self.pieces, path, &mut found) {
            return None;
        }
        Some((found[0]?, found[1]?))
    }
}

/// Whether the pieces match the whole text; `found` then holds subject and label.
fn matches<'a>(pieces: &[Piece], text: &'a str, found: &mut [Option<&'a str>; 2]) -> bool {
    let Some((piece, rest)) = pieces.split_first() else { return text.is_empty() };
    let next = text.chars().next();
    match piece {
        Piece::Char(wanted) => next == Some(*wanted) && matches(rest, &text[wanted.len_utf8()..], found),
        Piece::One => next.is_some_and(|next| next != '/' && matches(rest, &text[next.len_utf8()..], found)),
        Piece::Many | Piece::Subject | Piece::Label => {
            let place = [Piece::Subject, Piece::Label].iter().position(|name| name == piece);
            let least = usize::from(place.is_some());
            // Every end within the folder, the nearest first.
            let within = text.find('/').unwrap_or(text.len());
            let ends = text.char_indices().map(|(end, _)| end).chain([text.len()]).take_while(|&end| end <= within);
            for end in ends.filter(|&end| end >= least) {
                if let Some(place) = place {
                    found[place] = Some(&text[..end]);
                }
                if matches(rest, &text[end..], found) {
                    return true;
                }
            }
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subject_and_label_are_read_from_the_published_shapes() {
        for (pattern, path, wanted) in [
            ("{label}/{subject}_*", "anger/S010_004_00000017.png", Some(("S010", "anger"))),
            ("{subject}.{label}?.*", "KA.AN1.39.tiff", Some(("KA", "AN"))),
            ("{subject}/{label}/*", "anna/happy/0001.jpg", Some(("anna", "happy"))),
            ("*/{subject}-{label}.png", "a set/süß-neutral.png", Some(("süß", "neutral"))),
            ("{label}/{subject}_*", "anger/deeper/S010_004.png", None),
            ("{label}/{subject}_*", "anger/S010.png", None),
            ("{label}/{subject}_*", "anger/_x.png", None),
            ("{subject}.{label}?.*", "", None),
        ] {
            assert_eq!(PathPattern::new(pattern).unwrap().read(path), wanted, "{pattern} on {path}");
        }
    }

    #[test]
    fn patterns_without_a_name_or_with_a_strange_one_are_refused() {
        for pattern in
            ["", "{subject}", "{label}/*", "{subject}{subject}{label}", "{subject}/{label}/{take}", "{subject}{label}}"]
        {
            assert!(PathPattern::new(pattern).is_err(), "{pattern}");
        }
    }
}
