//! What both passes found, made into the timeline's fused moments, verdict and notes.

use emotion_core::{LabelSet, Scores};
use fusion::{Evidence, Fuser, disagreement};

use super::{Heard, Seen, microseconds};
use crate::Error;
use crate::timeline::{FusedMoment, Opinion, SpeechWindow, Verdict};

/// Face and voice together.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) fused: Vec<FusedMoment>,
    pub(crate) verdict: Verdict,
}

/// Fuses the moments and the verdicts.
pub(crate) fn assemble(seen: &Seen, heard: &Heard, hop: f64, fuser: &dyn Fuser) -> Result<Found, Error> {
    let mut fused = Vec::new();
    for track in &seen.tracks {
        for moment in &track.moments {
            let voice = heard.at(moment.time);
            let face = Evidence { scores: &moment.scores, quality: moment.quality };
            fused.push(FusedMoment {
                time: moment.time,
                track: Some(track.id),
                scores: fuser.fuse_evidence(&[Some(face), voice.map(Evidence::new)])?,
                disagreement: voice.map(|voice| disagreement(&moment.scores, voice)).transpose()?,
            });
        }
    }
    for window in heard.windows() {
        let middle = (window.start + window.end) / 2.0;
        if !any_moment_within(seen, middle - hop / 2.0, middle + hop / 2.0) {
            fused.push(FusedMoment {
                time: microseconds(middle),
                track: None,
                scores: fuser.fuse(&[None, Some(&window.scores)])?,
                disagreement: None,
            });
        }
    }
    fused.sort_by(|a, b| a.time.total_cmp(&b.time));

    let face = seen.vote.shares();
    let voice = mean_by_length(heard.windows())?;
    let quality = mean_quality(seen);
    let both = match (&face, &voice) {
        (None, None) => None,
        (face, voice) => {
            let face = face.as_ref().map(|scores| Evidence { scores, quality });
            Some(fuser.fuse_evidence(&[face, voice.as_ref().map(Evidence::new)])?)
        }
    };
    let verdict = Verdict {
        face: face.map(|scores| Opinion::new("vote", scores)),
        voice: voice.map(|scores| Opinion::new("mean", scores)),
        fused: both.map(|scores| Opinion::new(fuser.name(), scores)),
    };
    Ok(Found { fused, verdict })
}

fn any_moment_within(seen: &Seen, start: f64, end: f64) -> bool {
    seen.tracks.iter().any(|track| {
        let first = track.moments.partition_point(|moment| moment.time < start);
        track.moments.get(first).is_some_and(|moment| moment.time <= end)
    })
}

/// The mean of the windows' scores, weighted by their lengths; `None` without windows.
fn mean_by_length(windows: &[SpeechWindow]) -> Result<Option<Scores>, Error> {
    let Some(first) = windows.first() else { return Ok(None) };
    let labels: &LabelSet = first.scores.labels();
    let mut sums = vec![0.0f32; labels.len()];
    for window in windows {
        let length = (window.end - window.start) as f32;
        for (sum, emotion) in sums.iter_mut().zip(labels.iter()) {
            *sum += length * window.scores.get(emotion);
        }
    }
    Ok(Some(Scores::from_weights(labels, &sums).map_err(fusion::Error::from)?))
}

/// The mean quality of all moments; 1 without any.
fn mean_quality(seen: &Seen) -> f32 {
    let moments = || seen.tracks.iter().flat_map(|track| &track.moments);
    let count = moments().count();
    if count == 0 {
        return 1.0;
    }
    moments().map(|moment| moment.quality).sum::<f32>() / count as f32
}
