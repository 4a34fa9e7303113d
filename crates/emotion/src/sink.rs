//! What leaves the analysis frame by frame, for drawing and live views.

use emotion_core::Scores;
use face_prep::BoundingBox;
use video_io::Frame;

use crate::Error;

/// One frame with everything that is known at its time.
#[derive(Debug, Clone)]
pub struct AnalysedFrame {
    /// The frame itself.
    pub frame: Frame,
    /// The faces in it, in the order of their tracks.
    pub faces: Vec<FaceView>,
    /// What the voice expresses in the window of speech around this frame; `None` where nobody speaks.
    pub voice: Option<Scores>,
    /// The largest face and the voice, fused; `None` where both are missing.
    pub fused: Option<Scores>,
}

/// One face in a frame.
#[derive(Debug, Clone)]
pub struct FaceView {
    /// The number of the face's track, from 1.
    pub track: u64,
    /// Where the face is, in pixels.
    pub bounding_box: BoundingBox,
    /// Whether the detector saw the face in this very frame, rather than the tracker following it.
    pub detected: bool,
    /// The track's scores, smoothed over 0.3 s so that labels do not flicker: in frames between the analysed ones those of
    /// the last analysed frame, `None` before the first.
    pub scores: Option<Scores>,
}

/// Takes every frame of a video, in order, while it is analysed.
///
/// # For implementors
/// `frame` is called once for each decoded frame. An error ends the analysis.
pub trait FrameSink {
    /// Takes the next frame.
    ///
    /// # Errors
    /// Whatever keeps the sink from taking it.
    fn frame(&mut self, frame: AnalysedFrame) -> Result<(), Error>;
}

impl<F: FnMut(AnalysedFrame) -> Result<(), Error>> FrameSink for F {
    fn frame(&mut self, frame: AnalysedFrame) -> Result<(), Error> {
        self(frame)
    }
}
