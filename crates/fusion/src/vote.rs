//! Votes over the analysed frames: Algorithm 1 of the every-tenth-frame method.

use emotion_core::{Emotion, LabelSet, Scores};

use crate::{Error, common_labels};

/// How often each emotion was the most probable one.
///
/// Every analysed frame casts one vote for its most probable emotion; the emotion with the most votes is the clip's.
/// The share of votes per class is a probability vector, which Algorithm 3 ([`MeanFuser`](crate::MeanFuser)) averages
/// with the voice's.
///
/// ```
/// use emotion_core::{Emotion, LabelSet, Scores};
/// use fusion::Vote;
///
/// let happy = Scores::from_logits(&LabelSet::face7(), &[0.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0])?;
/// let calm = Scores::new(&LabelSet::speech8(), &[0.0, 0.0, 0.0, 0.2, 0.0, 0.0, 0.3, 0.5])?;
/// let mut vote = Vote::default();
/// vote.add(&happy)?;
/// vote.add(&happy)?;
/// vote.add(&calm)?; // counts as neutral
/// let shares = vote.shares().expect("three votes were cast");
/// assert_eq!(shares.top(), (Emotion::Happy, 2.0 / 3.0));
/// assert_eq!(vote.count(Emotion::Neutral), 1);
/// # Ok::<(), fusion::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    labels: LabelSet,
    counts: Vec<u64>,
}

impl Default for Vote {
    /// No votes yet, over the seven common labels.
    fn default() -> Self {
        let labels = common_labels();
        Self { counts: vec![0; labels.len()], labels }
    }
}

impl Vote {
    /// One vote for the most probable emotion of these scores, after bringing them onto the common labels.
    ///
    /// # Errors
    /// [`Error::Scores`] when they keep no probability there.
    pub fn add(&mut self, scores: &Scores) -> Result<(), Error> {
        let (emotion, _) = scores.project(&self.labels)?.top();
        if let Some(index) = self.labels.index_of(emotion) {
            self.counts[index] += 1;
        }
        Ok(())
    }

    /// The number of votes cast.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The number of votes for an emotion.
    pub fn count(&self, emotion: Emotion) -> u64 {
        self.labels.index_of(emotion).map_or(0, |index| self.counts[index])
    }

    /// The share of votes per class; `None` before the first vote. [`Scores::top`] names the winner, the earlier label on
    /// a tie.
    pub fn shares(&self) -> Option<Scores> {
        let counts: Vec<f32> = self.counts.iter().map(|&count| count as f32).collect();
        Scores::from_weights(&self.labels, &counts).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_votes_there_is_no_share() {
        assert_eq!(Vote::default().shares(), None);
        assert_eq!(Vote::default().total(), 0);
    }

    #[test]
    fn a_tie_goes_to_the_earlier_label() {
        let mut vote = Vote::default();
        for weights in [[0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]] {
            vote.add(&Scores::new(&LabelSet::face7(), &weights).unwrap()).unwrap();
        }
        assert_eq!(vote.shares().unwrap().top(), (Emotion::Disgust, 0.5));
    }
}
