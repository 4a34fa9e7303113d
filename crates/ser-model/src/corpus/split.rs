//! Speaker-disjoint parts of a list of clips.

use super::{Clip, Corpus};

/// The five published actor folds of RAVDESS (Luna-Jiménez et al. 2021), each the test part once.
pub const RAVDESS_FOLDS: [&[u8]; 5] =
    [&[2, 5, 14, 15, 16], &[3, 6, 7, 13, 18], &[10, 11, 12, 19, 20], &[8, 17, 21, 23, 24], &[1, 4, 9, 22]];

/// Parts the clips in two: those of other speakers, and those of `corpus` whose speaker is named (see [`Clip::is_by`]).
/// Both keep the order of the list. Speakers that do not occur are no error: a corpus may lie here in part.
pub fn held_out(clips: Vec<Clip>, corpus: Corpus, speakers: &[String]) -> (Vec<Clip>, Vec<Clip>) {
    clips.into_iter().partition(|clip| clip.corpus != corpus || !speakers.iter().any(|speaker| clip.is_by(speaker)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn folds_name_each_of_the_24_actors_once() {
        let mut actors: Vec<u8> = RAVDESS_FOLDS.concat();
        actors.sort_unstable();
        assert_eq!(actors, (1..=24).collect::<Vec<u8>>());
    }

    #[test]
    fn only_the_named_speakers_of_the_named_corpus_are_held_out() {
        let clips = vec![
            Corpus::Ravdess.clip(Path::new(""), Path::new("03-01-05-01-01-01-03.wav")).unwrap(),
            Corpus::Ravdess.clip(Path::new(""), Path::new("03-01-05-01-01-01-17.wav")).unwrap(),
            Corpus::EmoDb.clip(Path::new(""), Path::new("03a01Fa.wav")).unwrap(),
        ];
        let (rest, held) = held_out(clips, Corpus::Ravdess, &["3".into(), "99".into()]);
        assert_eq!((rest.len(), held.len()), (2, 1));
        assert_eq!(held[0].speaker, "03");
    }
}
