//! FER-2013 and FER+ themselves, where the environment variable `EMOTION_DATA` names a folder that has them.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests that say when they are skipped")]

use std::path::PathBuf;

use fer_model::dataset::{Fer2013, FerPlus, Split};

#[test]
fn the_published_counts() {
    let Some(root) = std::env::var_os("EMOTION_DATA").map(PathBuf::from) else {
        eprintln!("skipped: EMOTION_DATA is not set");
        return;
    };
    let data = Fer2013::load(root.join("fer2013/fer2013.csv")).unwrap();
    let (training, public) = (data.split(Split::Training), data.split(Split::Public));
    assert_eq!(training.class_counts(), [3995, 436, 4097, 7215, 4830, 3171, 4965]);
    assert_eq!(public.class_counts(), [467, 56, 496, 895, 653, 415, 607]);
    let (mean, deviation) = training.statistics().unwrap();
    assert!((mean - 0.5077).abs() < 1e-3 && (deviation - 0.2550).abs() < 1e-3, "{mean}, {deviation}");

    let votes = FerPlus::load(root.join("fer2013/fer2013new.csv"), &data).unwrap();
    // The counts that the rule of FER+'s authors gives in their own code.
    for (split, pictures) in [(Split::Training, 25_060), (Split::Public, 3_199)] {
        let (set, left_out) = votes.majority(&data, Some(split)).unwrap();
        assert_eq!((set.len(), left_out.total()), (pictures, data.split(split).len() - pictures));
    }
    let (soft, left_out) = votes.soft(&data, Some(Split::Public)).unwrap();
    assert_eq!((soft.len(), left_out.total()), (3_566, 23));
}

#[cfg(feature = "pretrained")]
#[test]
fn the_shipped_models_do_what_their_cards_say() {
    use fer_model::dataset::{FaceData, FaceDataOptions, VotesAs};
    use fer_model::{FerModel, Pretrained};
    use model_kit::device::Device;

    let Some(root) = std::env::var_os("EMOTION_DATA").map(PathBuf::from) else {
        eprintln!("skipped: EMOTION_DATA is not set");
        return;
    };
    let votes = Some(root.join("fer2013/fer2013new.csv"));
    let options = FaceDataOptions { votes, ..FaceDataOptions::default() };
    let data = FaceData::open(root.join("fer2013"), &options).unwrap();
    // Other processors round a picture or two to the other side.
    for (which, votes_as, expected, of) in [
        (Pretrained::Face7, VotesAs::Ignored, 2_463, 3_589),
        (Pretrained::Tiny, VotesAs::Ignored, 2_341, 3_589),
        (Pretrained::FerPlus8, VotesAs::Majority, 2_775, 3_199),
    ] {
        let public = data.part("public", votes_as).unwrap().faces;
        let pictures: Vec<_> = (0..public.len()).map(|index| public.image(index)).collect();
        let scores = FerModel::pretrained_as(which, Device::Cpu).unwrap().predict_batch(&pictures).unwrap();
        let right = (0..public.len()).filter(|&index| scores[index].top().0 == public.emotion(index)).count();
        assert!(right.abs_diff(expected) <= 5 && public.len() == of, "{which}: {right} right of {}", public.len());
    }
}
