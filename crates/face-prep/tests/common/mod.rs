//! How much boxes tremble, for the tests of the tracker.

use std::fmt;

use face_prep::BoundingBox;

/// Standard deviations of a box over a clip, as shares of its mean width.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Jitter {
    /// Of the centre (the worse of x and y) and of the width, about their means: what a face that rests should not have.
    pub(crate) place: [f32; 2],
    /// Of their changes from frame to frame: what also a moving face should not have.
    pub(crate) step: [f32; 2],
}

impl Jitter {
    pub(crate) fn of(boxes: &[BoundingBox]) -> Self {
        let width = boxes.iter().map(|bbox| bbox.width).sum::<f32>() / boxes.len() as f32;
        let lines = [
            boxes.iter().map(|bbox| bbox.center().x).collect::<Vec<_>>(),
            boxes.iter().map(|bbox| bbox.center().y).collect(),
            boxes.iter().map(|bbox| bbox.width).collect(),
        ];
        let [x, y, size] = lines.map(|line| {
            let steps: Vec<f32> = line.windows(2).map(|pair| pair[1] - pair[0]).collect();
            [deviation(&line) / width, deviation(&steps) / width]
        });
        Self { place: [x[0].max(y[0]), size[0]], step: [x[1].max(y[1]), size[1]] }
    }

    pub(crate) fn worst_step(&self) -> f32 {
        self.step.into_iter().fold(0.0, f32::max)
    }
}

impl fmt::Display for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [place, step] = [self.place, self.step].map(|[center, size]| [100.0 * center, 100.0 * size]);
        write!(f, "centre {:.2} %, size {:.2} %; per frame {:.2} %, {:.2} %", place[0], place[1], step[0], step[1])
    }
}

fn deviation(values: &[f32]) -> f32 {
    let mean = values.iter().sum::<f32>() / values.len() as f32;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / values.len() as f32).sqrt()
}
