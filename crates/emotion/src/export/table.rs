//! The timeline as a table: `timeline.csv`.

use emotion_core::{Emotion, Scores};

use crate::Error;
use crate::timeline::Timeline;

/// The columns before those of the emotions.
const COLUMNS: [&str; 12] =
    ["kind", "start", "end", "frame", "track", "x", "y", "width", "height", "detected", "quality", "top"];

/// The timeline as CSV with a header, one row for each moment of a face, each window of speech and each fused moment.
///
/// | column | meaning |
/// |---|---|
/// | `kind` | `face`, `voice` or `fused` |
/// | `start`, `end` | seconds; the same for moments of a face and fused moments |
/// | `frame` | index of the frame, from 0; faces only |
/// | `track` | number of the face's track; faces and fused moments with a face |
/// | `x`, `y`, `width`, `height` | the face's box in pixels; faces only |
/// | `detected` | `true` where the detector saw the face in this frame, `false` where it was followed; faces only |
/// | `quality` | of the face's picture, from 0 to 1; faces only |
/// | `top` | the most probable emotion |
/// | `angry` … `neutral`, `calm` | probabilities; an emotion that the scores do not speak of is left empty |
///
/// Rows are in order of time within each kind: first the faces, track by track, then the voice, then both.
///
/// # Errors
/// [`Error::Table`] when the rows cannot be written.
pub fn csv(timeline: &Timeline) -> Result<String, Error> {
    let failed = |source: csv::Error| Error::Table { source: source.into() };
    let emotions = named(timeline);
    let mut writer = csv::Writer::from_writer(Vec::new());
    let header = COLUMNS.into_iter().chain(emotions.iter().map(|emotion| emotion.name()));
    writer.write_record(header).map_err(failed)?;

    let scored = |scores: &Scores, mut row: Vec<String>| {
        row.push(scores.top().0.to_string());
        for &emotion in &emotions {
            row.push(if scores.labels().contains(emotion) { scores.get(emotion).to_string() } else { String::new() });
        }
        row
    };
    for track in &timeline.tracks {
        for moment in &track.moments {
            let mut row = vec!["face".to_owned(), moment.time.to_string(), moment.time.to_string()];
            row.extend([moment.frame.to_string(), track.id.to_string()]);
            row.extend(moment.bounding_box.map(|side| side.to_string()));
            row.extend([moment.detected.to_string(), moment.quality.to_string()]);
            writer.write_record(scored(&moment.scores, row)).map_err(failed)?;
        }
    }
    for window in &timeline.speech {
        let mut row = vec!["voice".to_owned(), window.start.to_string(), window.end.to_string()];
        row.resize(COLUMNS.len() - 1, String::new());
        writer.write_record(scored(&window.scores, row)).map_err(failed)?;
    }
    for moment in &timeline.fused {
        let mut row = vec!["fused".to_owned(), moment.time.to_string(), moment.time.to_string(), String::new()];
        row.push(moment.track.map_or_else(String::new, |track| track.to_string()));
        row.resize(COLUMNS.len() - 1, String::new());
        writer.write_record(scored(&moment.scores, row)).map_err(failed)?;
    }
    let bytes = writer.into_inner().map_err(|source| Error::Table { source: source.into_error().into() })?;
    String::from_utf8(bytes).map_err(|source| Error::Table { source: source.into() })
}

/// The emotions that some scores of the timeline speak of, in their usual order; the seven of the face at least.
fn named(timeline: &Timeline) -> Vec<Emotion> {
    let moments = timeline.tracks.iter().flat_map(|track| &track.moments).map(|moment| &moment.scores);
    let speech = timeline.speech.iter().map(|window| &window.scores);
    let all: Vec<_> = moments.chain(speech).map(Scores::labels).collect();
    let common = emotion_core::LabelSet::face7();
    Emotion::ALL
        .into_iter()
        .filter(|&emotion| common.contains(emotion) || all.iter().any(|labels| labels.contains(emotion)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::tests::sample;

    #[test]
    fn one_row_for_each_moment_and_window() {
        let table = csv(&sample()).unwrap();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines.len(), 1 + 5 + 1 + 5);
        assert_eq!(
            lines[0],
            "kind,start,end,frame,track,x,y,width,height,detected,quality,top,angry,disgust,fear,happy,sad,surprise,neutral,calm"
        );
        assert!(lines[1].starts_with("face,0.36,0.36,9,1,100,80.5,200,200,true,0.8,happy,"), "{}", lines[1]);
        assert!(lines[1].ends_with(','), "a face model says nothing of calm: {}", lines[1]);
        assert_eq!(lines[6], "voice,0,2,,,,,,,,,calm,0,0,0,0.25,0,0,0.25,0.5");
        assert!(lines[7].starts_with("fused,0.36,0.36,,1,,,,,,,happy,"), "{}", lines[7]);
    }
}
