//! What holds for every fuser and every score vector.

#![allow(clippy::unwrap_used, reason = "a failing test may panic, in its helpers too")]

use emotion_core::{LabelSet, Scores};
use fusion::{
    Evidence, Fuser, MaxFuser, MeanFuser, ProductFuser, QualityFuser, Temperature, Vote, WeightedFuser, disagreement,
};
use proptest::prelude::*;

fn fusers() -> Vec<Box<dyn Fuser>> {
    vec![
        Box::new(MeanFuser),
        Box::new(WeightedFuser::new(&[0.7, 0.3]).unwrap()),
        Box::new(ProductFuser),
        Box::new(MaxFuser),
        Box::new(QualityFuser),
    ]
}

fn scores(labels: LabelSet) -> impl Strategy<Value = Scores> {
    let count = labels.len();
    prop::collection::vec(prop_oneof![4 => 0.0f32..1.0, 1 => Just(0.0)], count)
        // The first label keeps some probability, so that every vector survives every projection.
        .prop_map(move |mut weights| {
            weights[0] += 0.01;
            Scores::from_weights(&labels, &weights).unwrap()
        })
}

fn face() -> impl Strategy<Value = Scores> {
    scores(LabelSet::face7())
}

fn voice() -> impl Strategy<Value = Scores> {
    scores(LabelSet::speech8())
}

fn close(first: &Scores, second: &Scores) -> bool {
    first.labels() == second.labels() && first.values().iter().zip(second.values()).all(|(a, b)| (a - b).abs() < 1e-5)
}

proptest! {
    #[test]
    fn every_fuser_gives_probabilities_over_the_seven(face in face(), voice in voice()) {
        for fuser in fusers() {
            let fused = fuser.fuse(&[Some(&face), Some(&voice)]).unwrap();
            prop_assert_eq!(fused.labels(), &LabelSet::face7(), "{}", fuser.name());
            prop_assert!((fused.values().iter().sum::<f32>() - 1.0).abs() < 1e-5, "{}", fuser.name());
        }
    }

    #[test]
    fn a_missing_modality_leaves_the_other_as_it_is(face in face(), voice in voice()) {
        for fuser in fusers() {
            prop_assert!(close(&fuser.fuse(&[Some(&face), None]).unwrap(), &face), "{}", fuser.name());
            let projected = voice.project(&LabelSet::face7()).unwrap();
            prop_assert!(close(&fuser.fuse(&[None, Some(&voice)]).unwrap(), &projected), "{}", fuser.name());
        }
    }

    #[test]
    fn equal_modalities_agree_and_keep_their_answer(face in face()) {
        for fuser in fusers() {
            let fused = fuser.fuse(&[Some(&face), Some(&face)]).unwrap();
            let (top, _) = face.top();
            prop_assert!((fused.get(top) - fused.top().1).abs() < 1e-6, "{}", fuser.name());
        }
        prop_assert_eq!(disagreement(&face, &face).unwrap(), 0.0);
    }

    #[test]
    fn disagreement_is_symmetric_and_at_most_one_bit(face in face(), voice in voice()) {
        let there = disagreement(&face, &voice).unwrap();
        prop_assert!((0.0..=1.0).contains(&there));
        prop_assert!((there - disagreement(&voice, &face).unwrap()).abs() < 1e-6);
    }

    #[test]
    fn better_quality_pulls_the_result_towards_its_modality(face in face(), voice in face(), low in 0.0f32..0.5) {
        let fuse = |quality| {
            let parts = [Some(Evidence { scores: &face, quality }), Some(Evidence { scores: &voice, quality: 0.5 })];
            QualityFuser.fuse_evidence(&parts).unwrap()
        };
        prop_assume!(voice.uncertainty() < 0.99 && face.uncertainty() < 0.99);
        let (poor, good) = (fuse(low), fuse(1.0));
        let distance = |fused: &Scores| -> f32 {
            fused.values().iter().zip(face.values()).map(|(a, b)| (a - b).abs()).sum()
        };
        prop_assert!(distance(&good) <= distance(&poor) + 1e-5);
    }

    #[test]
    fn temperature_keeps_the_order_of_the_emotions(face in face(), temperature in 0.2f32..5.0) {
        let scaled = Temperature::new(temperature).unwrap().apply(&face).unwrap();
        for first in 0..7 {
            for second in 0..7 {
                if face.values()[first] > face.values()[second] {
                    prop_assert!(scaled.values()[first] >= scaled.values()[second]);
                }
            }
        }
    }

    #[test]
    fn votes_add_up(frames in prop::collection::vec(voice(), 1..30)) {
        let mut vote = Vote::default();
        for frame in &frames {
            vote.add(frame).unwrap();
        }
        prop_assert_eq!(vote.total(), frames.len() as u64);
        let shares = vote.shares().unwrap();
        for (emotion, share) in shares.iter() {
            prop_assert!((share - vote.count(emotion) as f32 / frames.len() as f32).abs() < 1e-6);
        }
    }
}
