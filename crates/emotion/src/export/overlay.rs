//! What is drawn on the annotated video: a box, the track's number, the label and seven bars for each face, and a strip at
//! the bottom with what the voice and both together express.

use std::collections::HashMap;

use super::canvas::{Canvas, Colour, Rect, Style, Typeface};
use super::palette::colour;
use crate::Error;
use crate::sink::{AnalysedFrame, FaceView};
use emotion_core::Scores;
use face_prep::BoundingBox;

/// The ground of labels.
const NIGHT: Colour = [16, 20, 26];

/// Text.
const SNOW: Colour = [250, 251, 252];

/// Only the largest faces get bars; the others keep their box and label.
const MOST_BARS: usize = 3;

/// Draws on frames. Sizes follow the shorter side of the picture: as designed at 512 pixels, scaled otherwise.
#[derive(Debug)]
pub struct Overlay {
    typeface: Typeface,
    /// Where each track's bars stand, so that they stay there as long as they fit.
    sides: HashMap<u64, Side>,
}

/// Where the bars stand beside a face.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Right,
    Left,
    /// In the upper right corner of the picture: there is no room beside the face.
    Corner,
}

impl Overlay {
    /// An overlay for one video.
    ///
    /// # Errors
    /// [`Error::Drawing`] when the embedded typeface cannot be read.
    pub fn new() -> Result<Self, Error> {
        Ok(Self { typeface: Typeface::load()?, sides: HashMap::new() })
    }

    /// Draws what is known on the frame's picture.
    pub fn draw(&mut self, frame: &mut AnalysedFrame) {
        let AnalysedFrame { frame, faces, voice, fused } = frame;
        let unit = (frame.image.width().min(frame.image.height()) as f32 / 512.0).clamp(0.4, 6.0);
        let mut largest: Vec<&FaceView> = faces.iter().collect();
        largest.sort_by(|a, b| b.bounding_box.area().total_cmp(&a.bounding_box.area()));
        self.sides.retain(|track, _| largest.iter().take(MOST_BARS).any(|face| face.track == *track));

        let mut canvas = Canvas::new(&mut frame.image);
        // Small faces first, so that what belongs to the nearest face lies on top.
        for (place, face) in largest.iter().enumerate().rev() {
            self.face(&mut canvas, unit, face);
            if let Some(scores) = face.scores.as_ref().filter(|_| place < MOST_BARS) {
                self.bars(&mut canvas, unit, face, scores);
            }
        }
        self.strip(&mut canvas, unit, frame.time, voice.as_ref(), fused.as_ref());
    }

    /// The box and the label above it.
    fn face(&self, canvas: &mut Canvas<'_>, unit: f32, face: &FaceView) {
        let tint = face.scores.as_ref().map_or(SNOW, |scores| colour(scores.top().0));
        let BoundingBox { x, y, width, height } = face.bounding_box;
        let rect = Rect::new(x, y, width, height);
        let radius = 10.0 * unit;
        canvas.stroke(rect, radius, 5.5 * unit, NIGHT, 0.30);
        canvas.stroke(rect, radius, 2.5 * unit, tint, if face.detected { 1.0 } else { 0.85 });

        let number = Style::regular(17.0 * unit, [206, 212, 220]);
        let label = Style::bold(19.0 * unit, SNOW);
        let id = format!("#{}", face.track);
        let text = face.scores.as_ref().map(|scores| {
            let (emotion, share) = scores.top();
            format!("{emotion}  {:.0} %", share * 100.0)
        });
        let id_width = self.typeface.width(&id, number);
        let label_width = text.as_ref().map_or(0.0, |text| 30.0 * unit + self.typeface.width(text, label));
        let pill_width = id_width + label_width + 20.0 * unit;
        let pill_height = 25.0 * unit;
        // Above the box; inside its upper edge where the picture ends.
        let top = if y >= pill_height + 8.0 * unit { y - pill_height - 6.0 * unit } else { y.max(0.0) + 7.0 * unit };
        let left = (x + 1.0).min(canvas.width() - pill_width - 4.0 * unit).max(4.0 * unit);
        let pill = Rect::new(left, top, pill_width, pill_height);
        canvas.fill(pill, pill_height / 2.0, NIGHT, 0.72);
        let middle = top + pill_height / 2.0;
        let end = canvas.text(&self.typeface, &id, left + 10.0 * unit, middle, number);
        if let Some(text) = text {
            dot(canvas, end + 14.0 * unit, middle, 5.0 * unit, tint);
            canvas.text(&self.typeface, &text, end + 26.0 * unit, middle, label);
        }
    }

    /// One bar for each label, on a panel beside the face.
    fn bars(&mut self, canvas: &mut Canvas<'_>, unit: f32, face: &FaceView, scores: &Scores) {
        let row = 16.5 * unit;
        let (width, height) = (126.0 * unit, scores.labels().len() as f32 * row + 14.0 * unit);
        let gap = 9.0 * unit;
        let bounds = &face.bounding_box;
        let room = |side: Side| match side {
            Side::Right => canvas.width() - bounds.x - bounds.width - 2.0 * gap - width,
            Side::Left => bounds.x - 2.0 * gap - width,
            Side::Corner => 0.0,
        };
        let kept = self.sides.get(&face.track).copied().filter(|&side| side != Side::Corner && room(side) >= 0.0);
        // A panel that moved into the corner for lack of room moves back only when there is plenty, not at every wobble.
        let wanted = if self.sides.contains_key(&face.track) { 2.0 * gap } else { 0.0 };
        let side = kept
            .or_else(|| [Side::Right, Side::Left].into_iter().find(|&side| room(side) >= wanted))
            .unwrap_or(Side::Corner);
        self.sides.insert(face.track, side);

        let x = match side {
            Side::Right => bounds.x + bounds.width + gap,
            Side::Left => bounds.x - gap - width,
            Side::Corner => canvas.width() - width - gap,
        };
        let lowest = canvas.height() - strip_height(unit) - height - gap;
        let y = match side {
            Side::Corner => gap,
            Side::Right | Side::Left => (bounds.y + (bounds.height - height) / 2.0).min(lowest).max(gap),
        };
        canvas.fill(Rect::new(x, y, width, height), 9.0 * unit, NIGHT, 0.62);
        let top = scores.top().0;
        for (place, (emotion, value)) in scores.iter().enumerate() {
            let middle = y + 7.0 * unit + (place as f32 + 0.5) * row;
            let style = if emotion == top {
                Style::bold(14.5 * unit, SNOW)
            } else {
                Style { opacity: 0.85, ..Style::regular(14.5 * unit, SNOW) }
            };
            canvas.text(&self.typeface, emotion.name(), x + 9.0 * unit, middle, style);
            let thickness = 6.0 * unit;
            let bar = Rect::new(x + 64.0 * unit, middle - thickness / 2.0, 53.0 * unit, thickness);
            canvas.fill(bar, thickness / 2.0, SNOW, 0.16);
            let filled = Rect { width: bar.width * value, ..bar };
            if filled.width >= 0.5 {
                canvas.fill(filled, thickness / 2.0, colour(emotion), 1.0);
            }
        }
    }

    /// The strip at the bottom: voice, both, and the time.
    fn strip(&self, canvas: &mut Canvas<'_>, unit: f32, time: f64, voice: Option<&Scores>, fused: Option<&Scores>) {
        let height = strip_height(unit);
        let top = canvas.height() - height;
        let width = canvas.width();
        canvas.fill(Rect::new(0.0, top, width, height), 0.0, NIGHT, 0.62);
        let middle = top + height / 2.0;
        for (name, scores, x) in [("voice", voice, 0.03), ("both", fused, 0.40)] {
            let caption = Style { opacity: 0.75, ..Style::regular(16.0 * unit, SNOW) };
            let end = canvas.text(&self.typeface, name, x * width, middle, caption);
            match scores {
                Some(scores) => {
                    let (emotion, share) = scores.top();
                    dot(canvas, end + 15.0 * unit, middle, 5.0 * unit, colour(emotion));
                    let text = format!("{emotion}  {:.0} %", share * 100.0);
                    canvas.text(&self.typeface, &text, end + 27.0 * unit, middle, Style::bold(18.0 * unit, SNOW));
                }
                None => {
                    canvas.text(&self.typeface, "–", end + 10.0 * unit, middle, caption);
                }
            }
        }
        let clock = format!("{}:{:04.1}", (time / 60.0) as u64, time % 60.0);
        let style = Style { opacity: 0.75, ..Style::regular(16.0 * unit, SNOW) };
        let x = 0.97 * width - self.typeface.width(&clock, style);
        canvas.text(&self.typeface, &clock, x, middle, style);
    }
}

/// The height of the strip at the bottom.
fn strip_height(unit: f32) -> f32 {
    34.0 * unit
}

fn dot(canvas: &mut Canvas<'_>, x: f32, y: f32, radius: f32, tint: Colour) {
    canvas.fill(Rect::new(x - radius, y - radius, 2.0 * radius, 2.0 * radius), radius, tint, 1.0);
}

#[cfg(test)]
mod tests {
    use emotion_core::LabelSet;
    use image::RgbImage;
    use video_io::Frame;

    use super::*;

    fn view(track: u64, x: f32, side: f32) -> FaceView {
        let scores = Scores::from_logits(&LabelSet::face7(), &[0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0]).ok();
        FaceView { track, bounding_box: BoundingBox::new(x, 60.0, side, side), detected: true, scores }
    }

    fn frame(width: u32, height: u32, faces: Vec<FaceView>) -> AnalysedFrame {
        let frame = Frame { index: 0, time: 61.5, image: RgbImage::new(width, height) };
        AnalysedFrame { frame, faces, voice: None, fused: None }
    }

    #[test]
    fn bars_stand_where_there_is_room_and_stay_there() {
        let mut overlay = Overlay::new().unwrap();
        overlay.draw(&mut frame(512, 512, vec![view(1, 20.0, 200.0)]));
        assert_eq!(overlay.sides[&1], Side::Right);
        overlay.draw(&mut frame(512, 512, vec![view(1, 250.0, 200.0)]));
        assert_eq!(overlay.sides[&1], Side::Left);
        overlay.draw(&mut frame(512, 512, vec![view(1, 160.0, 200.0)]));
        assert_eq!(overlay.sides[&1], Side::Left, "there is still room");
        overlay.draw(&mut frame(512, 512, vec![view(1, 60.0, 400.0)]));
        assert_eq!(overlay.sides[&1], Side::Corner);
        overlay.draw(&mut frame(512, 512, Vec::new()));
        assert!(overlay.sides.is_empty());
    }

    #[test]
    fn any_size_of_picture_and_face_can_be_drawn_on() {
        for (width, height) in [(1, 1), (16, 900), (900, 16), (512, 512)] {
            let faces = vec![view(1, -500.0, 90.0), view(2, 5.0, 4000.0), view(3, 2.0, 3.0), view(4, 0.0, 1.0)];
            let mut frame = frame(width, height, faces);
            frame.voice = frame.faces[0].scores.clone();
            Overlay::new().unwrap().draw(&mut frame);
        }
    }

    #[test]
    fn the_box_has_the_top_emotions_colour() {
        let mut frame = frame(512, 512, vec![view(1, 100.0, 200.0)]);
        Overlay::new().unwrap().draw(&mut frame);
        assert_eq!(frame.frame.image.get_pixel(200, 60).0, colour(emotion_core::Emotion::Happy));
    }
}
