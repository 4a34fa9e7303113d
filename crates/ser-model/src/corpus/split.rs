//! Who is learnt from and who is measured: the protocols of speech corpora, and splits in files.
//!
//! | protocol | what its figure says |
//! |---|---|
//! | [`ravdess_folds`] | strangers' voices in a known studio; comparable with papers on RAVDESS |
//! | [`leave_one_speaker_out`], [`speakers_apart`] | strangers' voices in known studios |
//! | [`clips_apart`] | other clips of **known** voices: flattering, and what most papers report |
//!
//! | [`strangers`] | a stranger of every corpus at once: strangers' voices in known studios, corpora merged |
//! | [`corpora_apart`] | strangers' voices in a studio that was never heard, acted otherwise: what to expect elsewhere |
//!
//! [`Protocol`] names them on a command line. Each gives [`NamedFold`]s over a list of clips, numbered by their place in it, which [`to_saved`] turns into a file with
//! a hash and [`from_saved`] reads back. All of them split recordings, never changed copies: augment after splitting.
//!
//! ```
//! use std::path::Path;
//!
//! use ser_model::corpus::{Corpus, split};
//!
//! let names = ["03-01-05-01-01-01-01.wav", "03-01-05-01-01-01-02.wav", "03-01-04-01-01-01-02.wav"];
//! let clips = names.map(|name| Corpus::Ravdess.clip(Path::new(""), Path::new(name))).into_iter().collect::<Result<Vec<_>, _>>()?;
//! let folds = split::leave_one_speaker_out(&clips)?;
//! assert_eq!((folds[1].name.as_str(), folds[1].fold.test.as_slice()), ("ravdess/02", [1, 2].as_slice()));
//! # Ok::<(), ser_model::Error>(())
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use emotion_core::Emotion;
use model_kit::split::{Fold, SavedSplit, grouped_k_fold, leave_one_group_out, stratified_k_fold};

use super::{Clip, Corpus};
use crate::Error;

/// The five published actor folds of RAVDESS (Luna-Jiménez et al. 2021), each the test part once.
pub const RAVDESS_FOLDS: [&[u8]; 5] =
    [&[2, 5, 14, 15, 16], &[3, 6, 7, 13, 18], &[10, 11, 12, 19, 20], &[8, 17, 21, 23, 24], &[1, 4, 9, 22]];

/// A fold and what it is called in reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFold {
    /// Such as `ravdess fold 1` or the speaker's name.
    pub name: String,
    /// The places of the clips in the list.
    pub fold: Fold,
}

/// Parts the clips in two: those of other speakers, and those of `corpus` whose speaker is named (see [`Clip::is_by`]).
/// Both keep the order of the list. Speakers that do not occur are no error: a corpus may lie here in part.
pub fn held_out(clips: Vec<Clip>, corpus: Corpus, speakers: &[String]) -> (Vec<Clip>, Vec<Clip>) {
    clips.into_iter().partition(|clip| clip.corpus != corpus || !speakers.iter().any(|speaker| clip.is_by(speaker)))
}

/// RAVDESS's five published folds, restricted to the actors that occur. A fold without a clip is left out; the clips of
/// other corpora are always learnt from.
///
/// # Errors
/// [`Error::InvalidConfig`] when the actors are of fewer than two folds.
pub fn ravdess_folds(clips: &[Clip]) -> Result<Vec<NamedFold>, Error> {
    let fold_of = |clip: &Clip| -> Option<usize> {
        let actor = clip.speaker.parse::<u8>().ok().filter(|_| clip.corpus == Corpus::Ravdess)?;
        RAVDESS_FOLDS.iter().position(|actors| actors.contains(&actor))
    };
    let folds: Vec<Option<usize>> = clips.iter().map(fold_of).collect();
    let named = (0..RAVDESS_FOLDS.len()).map(|number| {
        let (test, train) = (0..clips.len()).partition(|&clip| folds[clip] == Some(number));
        NamedFold { name: format!("ravdess fold {}", number + 1), fold: Fold { train, test } }
    });
    let named: Vec<NamedFold> = named.filter(|named| !named.fold.test.is_empty()).collect();
    if named.len() < 2 {
        let got = format!("those of {}", named.len());
        return Err(Error::InvalidConfig { name: "the clips", expected: "RAVDESS actors of two folds or more", got });
    }
    Ok(named)
}

/// One fold for each speaker of each corpus, measured on that speaker's clips alone.
///
/// # Errors
/// [`Error::Model`] for fewer than two speakers.
pub fn leave_one_speaker_out(clips: &[Clip]) -> Result<Vec<NamedFold>, Error> {
    let folds = leave_one_group_out(&speakers(clips))?;
    Ok(folds.into_iter().map(|(name, fold)| NamedFold { name, fold }).collect())
}

/// `k` folds of about equal size with no speaker on both sides of one, drawn from the seed.
///
/// # Errors
/// [`Error::Model`] for `k` below 2, and for fewer speakers than folds.
pub fn speakers_apart(clips: &[Clip], k: usize, seed: u64) -> Result<Vec<NamedFold>, Error> {
    Ok(numbered("speakers apart", grouped_k_fold(&speakers(clips), k, seed)?))
}

/// `k` folds of about equal size by single recordings, each emotion spread over them alike, drawn from the seed. The same
/// speakers stand on both sides. Files that are known to hold the same recording ([`Clip::recording`]) stay together.
///
/// # Errors
/// [`Error::Model`] for `k` below 2.
pub fn clips_apart(clips: &[Clip], k: usize, seed: u64) -> Result<Vec<NamedFold>, Error> {
    let mut places: HashMap<PathBuf, usize> = HashMap::new();
    let (mut emotions, mut members): (Vec<Emotion>, Vec<Vec<usize>>) = (Vec::new(), Vec::new());
    for (index, clip) in clips.iter().enumerate() {
        let place = *places.entry(clip.recording()).or_insert_with(|| {
            emotions.push(clip.emotion);
            members.push(Vec::new());
            members.len() - 1
        });
        members[place].push(index);
    }
    let all = |recordings: &[usize]| {
        let mut clips: Vec<usize> =
            recordings.iter().flat_map(|&recording| members[recording].iter().copied()).collect();
        clips.sort_unstable();
        clips
    };
    let folds = stratified_k_fold(&emotions, k, seed)?;
    Ok(numbered("clips apart", folds.iter().map(|fold| Fold { train: all(&fold.train), test: all(&fold.test) })))
}

/// A fold as a file's content, its clips by their [keys](Clip::key).
///
/// # Errors
/// [`Error::Model`] when two clips have one key.
pub fn to_saved(named: &NamedFold, clips: &[Clip]) -> Result<SavedSplit, Error> {
    let keys: Vec<String> = clips.iter().map(Clip::key).collect();
    let NamedFold { name, fold } = named;
    Ok(SavedSplit::new(name, &keys, &[("train", &fold.train), ("test", &fold.test)])?)
}

/// The places of each part's clips in the list, by the part's name. A file that names clips of one corpus by their path
/// below its folder, without the corpus, is read too. Clips that the file does not name are in no part.
///
/// # Errors
/// [`Error::Model`] when the file names a clip that is not in the list.
pub fn from_saved(split: &SavedSplit, clips: &[Clip]) -> Result<Vec<(String, Vec<usize>)>, Error> {
    let keys: Vec<String> = clips.iter().map(Clip::key).collect();
    let first = split.parts().iter().flat_map(|part| &part.samples).next();
    let by_name =
        first.is_some_and(|first| !keys.contains(first)) && clips.iter().all(|clip| clip.corpus == clips[0].corpus);
    let names = if by_name { clips.iter().map(|clip| clip.name.clone()).collect() } else { keys };
    Ok(split.parts().iter().map(|part| part.name.clone()).zip(split.numbers(&names)?).collect())
}

/// Merged corpora with strangers held out of each: fold i tests on RAVDESS's published fold i and on one speaker of every
/// other corpus, the i-th in turn, and learns from all other speakers. As many folds as RAVDESS has here, or as the corpus
/// with the most speakers, 5 at most, where RAVDESS is not among them.
///
/// # Errors
/// [`Error::InvalidConfig`] when a corpus has fewer than two speakers (or, of RAVDESS, actors of two folds).
pub fn strangers(clips: &[Clip]) -> Result<Vec<NamedFold>, Error> {
    let mut groups: BTreeMap<Corpus, Vec<Vec<usize>>> = BTreeMap::new();
    for corpus in clips.iter().map(|clip| clip.corpus) {
        groups.entry(corpus).or_default();
    }
    for (&corpus, groups) in &mut groups {
        let own: Vec<usize> = (0..clips.len()).filter(|&clip| clips[clip].corpus == corpus).collect();
        if corpus == Corpus::Ravdess {
            *groups = ravdess_folds(clips)?.into_iter().map(|named| named.fold.test).collect();
            continue;
        }
        let mut by_speaker: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        own.into_iter().for_each(|clip| by_speaker.entry(&clips[clip].speaker).or_default().push(clip));
        *groups = by_speaker.into_values().collect();
        if groups.len() < 2 {
            let got = format!("one of {corpus}");
            return Err(Error::InvalidConfig { name: "the speakers", expected: "two or more of each corpus", got });
        }
    }
    let most = groups.values().map(Vec::len).max().unwrap_or(0).min(RAVDESS_FOLDS.len());
    let count = groups.get(&Corpus::Ravdess).map_or(most, Vec::len);
    let folds = (0..count).map(|number| {
        let mut test: Vec<usize> = groups.values().flat_map(|groups| groups[number % groups.len()].clone()).collect();
        test.sort_unstable();
        let train = (0..clips.len()).filter(|clip| test.binary_search(clip).is_err()).collect();
        Fold { train, test }
    });
    Ok(numbered("strangers", folds))
}

/// One fold for each corpus that is learnt from, and measured on all the others.
///
/// # Errors
/// [`Error::InvalidConfig`] for fewer than two corpora.
pub fn corpora_apart(clips: &[Clip]) -> Result<Vec<NamedFold>, Error> {
    let corpora: BTreeSet<Corpus> = clips.iter().map(|clip| clip.corpus).collect();
    if corpora.len() < 2 {
        let got = format!("{} corpora", corpora.len());
        return Err(Error::InvalidConfig { name: "the clips", expected: "two corpora or more", got });
    }
    let fold = |corpus: Corpus| {
        let (train, test) = (0..clips.len()).partition(|&clip| clips[clip].corpus == corpus);
        NamedFold { name: format!("learnt from {corpus}"), fold: Fold { train, test } }
    };
    Ok(corpora.into_iter().map(fold).collect())
}

/// A protocol by the name it has on a command line; see the [table](self).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `ravdess-folds`: [`ravdess_folds`].
    RavdessFolds,
    /// `loso`: [`leave_one_speaker_out`].
    LeaveOneSpeakerOut,
    /// `speakers-K`: [`speakers_apart`] with K folds.
    Speakers(usize),
    /// `clips-K`: [`clips_apart`] with K folds.
    Clips(usize),
    /// `strangers`: [`strangers`].
    Strangers,
    /// `corpora`: [`corpora_apart`].
    Corpora,
}

impl Protocol {
    /// The folds of these clips; the random ones are drawn from the seed.
    ///
    /// # Errors
    /// Those of the protocol's own function.
    pub fn folds(self, clips: &[Clip], seed: u64) -> Result<Vec<NamedFold>, Error> {
        match self {
            Self::RavdessFolds => ravdess_folds(clips),
            Self::LeaveOneSpeakerOut => leave_one_speaker_out(clips),
            Self::Speakers(k) => speakers_apart(clips, k, seed),
            Self::Clips(k) => clips_apart(clips, k, seed),
            Self::Strangers => strangers(clips),
            Self::Corpora => corpora_apart(clips),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RavdessFolds => f.pad("ravdess-folds"),
            Self::LeaveOneSpeakerOut => f.pad("loso"),
            Self::Speakers(k) => f.pad(&format!("speakers-{k}")),
            Self::Clips(k) => f.pad(&format!("clips-{k}")),
            Self::Strangers => f.pad("strangers"),
            Self::Corpora => f.pad("corpora"),
        }
    }
}

impl FromStr for Protocol {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let plain = name.trim().to_lowercase();
        let numbered = |prefix| plain.strip_prefix(prefix).and_then(|count| count.parse::<usize>().ok());
        match plain.as_str() {
            "ravdess-folds" => Ok(Self::RavdessFolds),
            "loso" => Ok(Self::LeaveOneSpeakerOut),
            "strangers" => Ok(Self::Strangers),
            "corpora" => Ok(Self::Corpora),
            _ => None
                .or_else(|| numbered("speakers-").map(Self::Speakers))
                .or_else(|| numbered("clips-").map(Self::Clips))
                .ok_or_else(|| Error::InvalidConfig {
                    name: "the protocol",
                    expected: "ravdess-folds, loso, speakers-K, clips-K, strangers or corpora",
                    got: name.to_owned(),
                }),
        }
    }
}

fn speakers(clips: &[Clip]) -> Vec<String> {
    clips.iter().map(Clip::speaker_key).collect()
}

fn numbered(name: &str, folds: impl IntoIterator<Item = Fold>) -> Vec<NamedFold> {
    let number = |(index, fold)| NamedFold { name: format!("{name}, fold {}", index + 1), fold };
    folds.into_iter().enumerate().map(number).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Every emotion of the actors, in two takes each.
    fn ravdess(actors: &[u8]) -> Vec<Clip> {
        let mut clips = Vec::new();
        for actor in actors {
            for emotion in 1..=8 {
                for take in 1..=2 {
                    let name = format!("Actor_{actor:02}/03-01-{emotion:02}-01-02-{take:02}-{actor:02}.wav");
                    clips.push(Corpus::Ravdess.clip(Path::new(""), Path::new(&name)).unwrap());
                }
            }
        }
        clips
    }

    fn tess() -> Clip {
        Corpus::Tess.clip(Path::new(""), Path::new("OAF_Fear/OAF_back_fear.wav")).unwrap()
    }

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

    #[test]
    fn published_folds_keep_their_numbers_when_actors_are_missing() {
        let mut clips = ravdess(&(1..=20).collect::<Vec<u8>>());
        clips.push(tess());
        let folds = ravdess_folds(&clips).unwrap();
        assert_eq!(folds.iter().map(|named| named.fold.test.len() / 16).collect::<Vec<_>>(), [5, 5, 5, 2, 3]);
        for named in &folds {
            assert!(named.fold.train.contains(&320), "the clip of another corpus is always learnt from");
            assert_eq!(named.fold.train.len() + named.fold.test.len(), clips.len());
        }

        // Of actors 2, 3 and 22, folds 3 and 4 have none.
        let names: Vec<String> =
            ravdess_folds(&ravdess(&[2, 3, 22])).unwrap().into_iter().map(|named| named.name).collect();
        assert_eq!(names, ["ravdess fold 1", "ravdess fold 2", "ravdess fold 5"]);
        assert!(matches!(ravdess_folds(&ravdess(&[2, 5])), Err(Error::InvalidConfig { .. })));
    }

    #[test]
    fn speakers_are_kept_apart() {
        let mut clips = ravdess(&[1, 2, 3, 4, 5]);
        clips.push(tess());
        for folds in [leave_one_speaker_out(&clips).unwrap(), speakers_apart(&clips, 3, 7).unwrap()] {
            let mut tested = Vec::new();
            for NamedFold { fold, .. } in folds {
                let heard = |clip: usize| {
                    fold.train.iter().any(|&other| clips[other].speaker_key() == clips[clip].speaker_key())
                };
                assert!(!fold.test.iter().any(|&clip| heard(clip)));
                tested.extend(fold.test);
            }
            tested.sort_unstable();
            assert_eq!(tested, (0..clips.len()).collect::<Vec<_>>());
        }
        assert_eq!(leave_one_speaker_out(&clips).unwrap().len(), 6);
    }

    #[test]
    fn strangers_of_every_corpus_are_held_out_together() {
        let mut clips = ravdess(&[1, 2, 3, 4]);
        let named = |corpus: Corpus, name: &str| corpus.clip(Path::new(""), Path::new(name)).unwrap();
        clips.extend(["OAF_Fear/OAF_back_fear.wav", "YAF_sad/YAF_bar_sad.wav"].map(|name| named(Corpus::Tess, name)));
        clips.extend(["DC_a01.wav", "JE_a01.wav", "JK_h02.wav", "KL_n03.wav"].map(|name| named(Corpus::Savee, name)));
        let folds = strangers(&clips).unwrap();
        assert_eq!(folds.len(), 3);
        for (number, NamedFold { fold, .. }) in folds.iter().enumerate() {
            assert_eq!(fold.train.len() + fold.test.len(), clips.len());
            let heard: BTreeSet<String> = fold.train.iter().map(|&clip| clips[clip].speaker_key()).collect();
            let tested: BTreeSet<String> = fold.test.iter().map(|&clip| clips[clip].speaker_key()).collect();
            assert!(heard.is_disjoint(&tested), "{tested:?}");
            let corpora: BTreeSet<Corpus> = fold.test.iter().map(|&clip| clips[clip].corpus).collect();
            assert_eq!(corpora.len(), 3, "fold {number}");
        }
        assert!(strangers(&clips[..65]).is_err(), "TESS has one speaker here");

        let folds = corpora_apart(&clips).unwrap();
        assert_eq!(folds.iter().map(|named| named.fold.train.len()).collect::<Vec<_>>(), [64, 2, 4]);
        assert!(folds.iter().all(|named| named.fold.train.len() + named.fold.test.len() == clips.len()));
        assert!(corpora_apart(&clips[..64]).is_err());
    }

    #[test]
    fn protocols_are_read_by_the_name_they_print() {
        let all = [
            Protocol::RavdessFolds,
            Protocol::LeaveOneSpeakerOut,
            Protocol::Speakers(4),
            Protocol::Clips(5),
            Protocol::Strangers,
            Protocol::Corpora,
        ];
        for protocol in all {
            assert_eq!(protocol.to_string().parse::<Protocol>().unwrap(), protocol);
        }
        for wrong in ["", "clips", "clips-", "speakers-x", "folds"] {
            assert!(matches!(wrong.parse::<Protocol>(), Err(Error::InvalidConfig { .. })), "{wrong}");
        }
        let clips = ravdess(&[1, 2, 3, 4]);
        assert_eq!(Protocol::Clips(3).folds(&clips, 1).unwrap(), clips_apart(&clips, 3, 1).unwrap());
    }

    #[test]
    fn clips_are_spread_by_emotion_and_the_recording_published_twice_stays_together() {
        let clips = ravdess(&[6, 7]);
        let twins: Vec<usize> = (0..clips.len())
            .filter(|&clip| clips[clip].speaker == "07" && clips[clip].emotion == Emotion::Happy)
            .collect();
        for seed in 0..20 {
            for NamedFold { fold, .. } in clips_apart(&clips, 2, seed).unwrap() {
                assert_eq!(fold.test.contains(&twins[0]), fold.test.contains(&twins[1]), "seed {seed}");
                let sad = fold.test.iter().filter(|&&clip| clips[clip].emotion == Emotion::Sad).count();
                assert_eq!(sad, 2);
            }
        }
    }

    #[test]
    fn a_fold_comes_back_from_its_file_for_a_list_in_another_order() {
        let mut clips = ravdess(&[1, 2, 3, 4]);
        let named = &ravdess_folds(&clips).unwrap()[0];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fold.json");
        to_saved(named, &clips).unwrap().save(&path).unwrap();

        let read = SavedSplit::load(&path).unwrap();
        assert_eq!((read.description(), read.hash().len()), ("ravdess fold 1", 64));
        assert_eq!(from_saved(&read, &clips).unwrap()[1], ("test".to_owned(), named.fold.test.clone()));
        clips.reverse();
        clips.push(tess());
        let parts = from_saved(&read, &clips).unwrap();
        assert!(parts[1].1.iter().all(|&clip| clips[clip].speaker == "02"));
        assert_eq!((parts[0].1.len(), parts[1].1.len()), (48, 16));
        assert!(from_saved(&read, &clips[..3]).is_err());
    }

    #[test]
    fn a_file_without_corpora_is_read_for_one_corpus() {
        let clips = ravdess(&[1]);
        let names: Vec<&str> = clips.iter().map(|clip| clip.name.as_str()).collect();
        let saved = SavedSplit::new("by hand", &names, &[("test", &[3, 5])]).unwrap();
        assert_eq!(from_saved(&saved, &clips).unwrap(), [("test".to_owned(), vec![3, 5])]);
    }
}
