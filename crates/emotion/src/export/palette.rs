//! One colour for each emotion, the same on every picture.

use emotion_core::Emotion;

use super::canvas::Colour;

/// The colour of an emotion: bright enough for video on a dark ground, deep enough for a chart on a white one.
pub(crate) fn colour(emotion: Emotion) -> Colour {
    match emotion {
        Emotion::Angry => [229, 72, 77],
        Emotion::Disgust => [124, 179, 66],
        Emotion::Fear => [148, 103, 212],
        Emotion::Happy => [247, 181, 0],
        Emotion::Sad => [58, 124, 222],
        Emotion::Surprise => [34, 184, 207],
        Emotion::Neutral => [148, 158, 170],
        Emotion::Calm => [124, 196, 164],
        Emotion::Contempt => [191, 115, 84],
    }
}

/// Text on white.
pub(crate) const INK: Colour = [31, 38, 46];
/// Lesser text on white.
pub(crate) const MUTED: Colour = [112, 122, 134];
/// Lines and empty bars on white.
pub(crate) const FAINT: Colour = [229, 233, 238];
