//! Following faces through a video: the same number for the same face, a box in every frame.
//!
//! A full search of the frame is the dear part, so the [`Tracker`] asks for one every few frames only, and between them has the
//! detector look near the known faces alone ([`FaceDetector::detect_near`]). What was found is assigned to the tracks by overlap with
//! and distance from where each should be by now, the best pair first: the assignment with the best sum (Kuhn's and Munkres's) may
//! give up a sure pair for two doubtful ones, and a number that jumps to another face is the worse mistake. A new face is reported
//! once it has been found often and surely enough ([`TrackerConfig::confirm`]); a face that is lost coasts for a moment, is remembered
//! a while longer, and gets its number back when it reappears near; one that another face hides is expected to go on behind it.
//! Boxes are smoothed by a One-Euro filter.

use image::RgbImage;

use crate::smooth::OneEuro;
use crate::{BoundingBox, Detection, Error, FaceDetector, Point};

/// How faces are followed.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(default, deny_unknown_fields))]
pub struct TrackerConfig {
    /// The whole frame is searched every so many frames, at least 1. Where no face is known every frame is searched, and where a
    /// known face was not found near its place the search comes early, but not in two frames in a row. Default 5.
    pub detect_every: u64,
    /// The scores that a new face must gather before it is reported, at least 0: 0 reports every hit at once, the default of
    /// 1 asks for two good hits of a cascade or three weak ones.
    pub confirm: f32,
    /// How long a face that is no longer found is still reported at its predicted place, in seconds. Default 0.25.
    pub coast: f64,
    /// How long after it was last found a face that reappears near its last place keeps its number, in seconds; at least
    /// `coast`. Default 2.
    pub remember: f64,
    /// The most faces that are followed at once, 1 to 256; the least sure ones are left out. Default 16.
    pub max_faces: usize,
    /// The cutoff of the smoothing for a face that rests, in Hz, above 0: less is steadier and slower. Default 1.
    pub min_cutoff: f32,
    /// By how many Hz the cutoff rises for a speed of one face width a second, at least 0. Default 6.
    pub beta: f32,
}

impl Default for TrackerConfig {
    fn default() -> Self {
        Self { detect_every: 5, confirm: 1.0, coast: 0.25, remember: 2.0, max_faces: 16, min_cutoff: 1.0, beta: 6.0 }
    }
}

impl TrackerConfig {
    fn check(&self) -> Result<(), Error> {
        let check = |name, fine: bool, expected: &str, got: String| {
            if fine { Ok(()) } else { Err(Error::config(name, expected, got)) }
        };
        check("detect_every", self.detect_every >= 1, "at least 1", self.detect_every.to_string())?;
        check("confirm", self.confirm.is_finite() && self.confirm >= 0.0, "at least 0", self.confirm.to_string())?;
        check("coast", self.coast.is_finite() && self.coast >= 0.0, "at least 0 seconds", self.coast.to_string())?;
        check(
            "remember",
            self.remember.is_finite() && self.remember >= self.coast,
            "at least coast",
            self.remember.to_string(),
        )?;
        check("max_faces", (1..=256).contains(&self.max_faces), "1 to 256", self.max_faces.to_string())?;
        check(
            "min_cutoff",
            self.min_cutoff.is_finite() && self.min_cutoff > 0.0,
            "above 0 Hz",
            self.min_cutoff.to_string(),
        )?;
        check("beta", self.beta.is_finite() && self.beta >= 0.0, "at least 0", self.beta.to_string())
    }
}

/// A face in one frame of a video.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TrackedFace {
    /// The number of the face, from 1; never given twice by one tracker.
    pub track: u64,
    /// Where it is, smoothed over time, in pixels.
    pub bbox: BoundingBox,
    /// Whether the detector found it in this frame; otherwise the place is predicted.
    pub detected: bool,
    /// The score of the last hit.
    pub score: f32,
    /// The landmarks of this frame's hit, as found (not smoothed).
    pub landmarks: Option<[Point; 5]>,
}

/// Follows faces. Its memory is bounded by [`TrackerConfig::max_faces`], however long the video.
///
/// ```
/// use face_prep::{Cascade, CascadeConfig, CascadeDetector, Tracker, TrackerConfig};
/// use image::RgbImage;
///
/// let mut detector = CascadeDetector::new(Cascade::frontal_default(), CascadeConfig::default())?;
/// let mut tracker = Tracker::new(TrackerConfig::default())?;
/// for (index, frame) in [RgbImage::new(320, 240), RgbImage::new(320, 240)].iter().enumerate() {
///     let faces = tracker.step(frame, index as u64, index as f64 / 25.0, &mut detector)?;
///     assert!(faces.is_empty());
/// }
/// # Ok::<(), face_prep::Error>(())
/// ```
#[derive(Debug)]
pub struct Tracker {
    config: TrackerConfig,
    tracks: Vec<Track>,
    next: u64,
    last: Option<Last>,
}

/// The frame before.
#[derive(Debug, Clone, Copy)]
struct Last {
    index: u64,
    time: f64,
    /// The frame that was last searched whole.
    searched: u64,
    size: (u32, u32),
}

#[derive(Debug)]
struct Track {
    /// Its number, once it is confirmed.
    id: Option<u64>,
    x: OneEuro,
    y: OneEuro,
    width: OneEuro,
    height: OneEuro,
    /// When it was last found.
    found: f64,
    evidence: f32,
    score: f32,
    landmarks: Option<[Point; 5]>,
    detected: bool,
}

/// Near a known face the detector looks in a square so many times as wide as the face, …
const NEAR: f32 = 1.5;

/// … for faces between these multiples of its size.
const NEAR_SIDES: [f32; 2] = [0.75, 1.35];

/// A hit and a track that overlap less, and whose centres lie further apart than half a face just after the face was found, are not the
/// same face.
const LEAST_OVERLAP: f32 = 0.25;
const FARTHEST: f32 = 0.5;

/// Two hits, or a hit and a track, that overlap more are the same face.
const DOUBLE: f32 = 0.5;

/// A lost face may have moved this many face widths before it reappears.
const FARTHEST_LOST: f32 = 1.0;

/// Two sizes whose ratio is larger are not the same face.
const LARGEST_RATIO: f32 = 1.7;

/// The speed of a face that is not found dies away within about so many seconds, …
const REST: f32 = 0.15;

/// … or so many where another face covers more than this share of it: it is hidden and goes on behind.
const REST_HIDDEN: f32 = 1.0;
const HIDDEN: f32 = 0.2;

/// Faces come nearer more slowly than they move aside, while detectors tell sizes worse than places: sizes are smoothed by this share
/// of the cutoffs.
const SIZE_CALM: f32 = 0.5;

/// What a full search that does not find an unconfirmed face takes from its evidence.
const DOUBT: f32 = 0.5;

impl Tracker {
    /// A tracker that knows no face yet.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for a value outside of its documented range.
    pub fn new(config: TrackerConfig) -> Result<Self, Error> {
        config.check()?;
        Ok(Self { config, tracks: Vec::new(), next: 1, last: None })
    }

    /// The config in use.
    pub fn config(&self) -> &TrackerConfig {
        &self.config
    }

    /// Forgets all faces, as for a new video. Numbers go on and are not given again.
    pub fn reset(&mut self) {
        self.tracks.clear();
        self.last = None;
    }

    /// Takes the next frame and says which faces are in it, by number. `index` counts frames and `time` is in seconds; both
    /// grow from frame to frame, and frames may be left out. A frame of another size starts afresh, as [`reset`](Self::reset).
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for an index or a time that does not grow, and the errors of the detector. After an error the
    /// tracker can go on with the next frame.
    pub fn step(
        &mut self,
        image: &RgbImage,
        index: u64,
        time: f64,
        detector: &mut dyn FaceDetector,
    ) -> Result<Vec<TrackedFace>, Error> {
        if !time.is_finite() {
            return Err(Error::input("time", "finite seconds", time));
        }
        if self.last.is_some_and(|last| last.size != image.dimensions()) {
            self.reset();
        }
        if let Some(last) = self.last
            && (index <= last.index || time <= last.time)
        {
            let expected = format!("a frame after {} at {} s", last.index, last.time);
            return Err(Error::input("frame", expected, format!("{index} at {time} s")));
        }
        let seconds = self.last.map_or(0.0, |last| time - last.time);
        for track in &mut self.tracks {
            track.detected = false;
            track.landmarks = None;
        }

        let due = self.last.is_none_or(|last| index - last.searched >= self.config.detect_every);
        let mut whole = due || self.tracks.iter().all(|track| track.is_lost(time, self.config.coast));
        let mut hits = Vec::new();
        if !whole {
            let (near, missed) = self.look_near(image, time, seconds, detector)?;
            hits = near;
            // A face that is not where it should be may have turned or jumped: see at once, but not frame after frame.
            whole = missed && self.last.is_none_or(|last| index - last.searched >= 2);
        }
        if whole {
            hits = detector.detect(image)?;
        }
        let searched = if whole { index } else { self.last.map_or(index, |last| last.searched) };
        self.last = Some(Last { index, time, searched, size: image.dimensions() });
        hits.retain(|hit| hit.bbox.check().is_ok() && hit.score.is_finite());
        hits.sort_by(|first, second| second.score.total_cmp(&first.score));
        let mut apart: Vec<Detection> = Vec::with_capacity(hits.len());
        for hit in hits {
            if apart.iter().all(|surer| surer.bbox.iou(&hit.bbox) <= DOUBLE) {
                apart.push(hit);
            }
        }
        let hits = apart;

        self.assign(&hits, time, seconds, whole);
        Ok(self.report(time))
    }

    /// Hits near the faces that are known, and whether a reported face was not among them.
    fn look_near(
        &self,
        image: &RgbImage,
        time: f64,
        seconds: f64,
        detector: &mut dyn FaceDetector,
    ) -> Result<(Vec<Detection>, bool), Error> {
        let mut hits: Vec<Detection> = Vec::new();
        let mut missed = false;
        for track in self.tracks.iter().filter(|track| !track.is_lost(time, self.config.coast)) {
            let expected = track.predict(seconds);
            let side = expected.longer_side();
            let region = BoundingBox::square(expected.center(), side * NEAR);
            let near = detector.detect_near(image, &region, NEAR_SIDES.map(|factor| factor * side))?;
            missed |= track.id.is_some() && near.is_empty();
            for hit in near {
                // Two neighbours may both have seen the same face.
                if !hits.iter().any(|known| known.bbox.iou(&hit.bbox) > DOUBLE) {
                    hits.push(hit);
                }
            }
        }
        Ok((hits, missed))
    }

    /// Gives each track its best hit and makes new tracks of the rest.
    fn assign(&mut self, hits: &[Detection], time: f64, seconds: f64, whole: bool) {
        let mut pairs = Vec::new();
        for (place, track) in self.tracks.iter().enumerate() {
            let expected = track.predict(seconds);
            let lost = track.is_lost(time, self.config.coast);
            // Where it is now is the less sure the longer it was not found.
            let unsure = if lost { 1.0 } else { ((time - track.found) / self.config.coast) as f32 };
            let farthest = FARTHEST + unsure * (FARTHEST_LOST - FARTHEST);
            for (number, hit) in hits.iter().enumerate() {
                if let Some(likeness) = likeness(&expected, &hit.bbox, farthest, lost) {
                    pairs.push((likeness, place, number));
                }
            }
        }
        pairs.sort_by(|first, second| second.0.total_cmp(&first.0));
        let mut assigned = vec![false; self.tracks.len()];
        let mut used = vec![false; hits.len()];
        for (_, place, number) in pairs {
            if !assigned[place] && !used[number] {
                assigned[place] = true;
                used[number] = true;
                self.tracks[place].found(&hits[number], time, seconds, &self.config);
            }
        }
        let seen: Vec<BoundingBox> = self
            .tracks
            .iter()
            .zip(&assigned)
            .filter(|&(_, &assigned)| assigned)
            .map(|(track, _)| track.bbox())
            .collect();
        for (track, assigned) in self.tracks.iter_mut().zip(&assigned) {
            if !assigned {
                let bbox = track.bbox();
                let share =
                    |seen: &BoundingBox| seen.intersection(&bbox).map_or(0.0, |shared| shared.area() / bbox.area());
                let hidden = seen.iter().any(|seen| share(seen) > HIDDEN);
                track.coast(seconds, if hidden { REST_HIDDEN } else { REST });
                if track.id.is_none() && whole {
                    track.evidence -= DOUBT;
                }
            }
        }
        let remember = self.config.remember;
        self.tracks.retain(|track| match track.id {
            Some(_) => time - track.found <= remember,
            None => track.evidence > 0.0 && time - track.found <= remember,
        });
        self.tracks.extend(hits.iter().zip(&used).filter(|&(_, &used)| !used).map(|(hit, _)| Track::new(hit, time)));
        self.drop_doubles();
        for track in &mut self.tracks {
            if track.id.is_none() && track.evidence >= self.config.confirm {
                track.id = Some(self.next);
                self.next += 1;
            }
        }
        if self.tracks.len() > self.config.max_faces {
            // Confirmed ones first, older before younger, then the surest.
            self.tracks.sort_by(|first, second| {
                let id = |track: &Track| track.id.unwrap_or(u64::MAX);
                id(first).cmp(&id(second)).then(second.evidence.total_cmp(&first.evidence))
            });
            self.tracks.truncate(self.config.max_faces);
        }
    }

    /// A new track on a face that already has one goes. Two numbers in one place stay: one face hides the other.
    fn drop_doubles(&mut self) {
        let boxes: Vec<(bool, BoundingBox)> =
            self.tracks.iter().map(|track| (track.id.is_some(), track.bbox())).collect();
        let mut place = 0;
        self.tracks.retain(|track| {
            let own = place;
            place += 1;
            let taken = |(other, &(confirmed, ref bbox)): (usize, &(bool, BoundingBox))| {
                (confirmed || other < own) && other != own && bbox.iou(&track.bbox()) > DOUBLE
            };
            track.id.is_some() || !boxes.iter().enumerate().any(taken)
        });
    }

    fn report(&self, time: f64) -> Vec<TrackedFace> {
        let mut faces: Vec<TrackedFace> = self
            .tracks
            .iter()
            .filter(|track| !track.is_lost(time, self.config.coast))
            .filter_map(|track| {
                Some(TrackedFace {
                    track: track.id?,
                    bbox: track.bbox(),
                    detected: track.detected,
                    score: track.score,
                    landmarks: track.landmarks,
                })
            })
            .collect();
        faces.sort_by_key(|face| face.track);
        faces
    }
}

impl Track {
    fn new(hit: &Detection, time: f64) -> Self {
        let center = hit.bbox.center();
        Self {
            id: None,
            x: OneEuro::new(center.x),
            y: OneEuro::new(center.y),
            width: OneEuro::new(hit.bbox.width),
            height: OneEuro::new(hit.bbox.height),
            found: time,
            evidence: hit.score,
            score: hit.score,
            landmarks: hit.landmarks,
            detected: true,
        }
    }

    /// Whether it has not been found for too long to say where it is.
    fn is_lost(&self, time: f64, coast: f64) -> bool {
        time - self.found > coast
    }

    fn bbox(&self) -> BoundingBox {
        let (width, height) = (self.width.value().max(1.0), self.height.value().max(1.0));
        BoundingBox::new(self.x.value() - width / 2.0, self.y.value() - height / 2.0, width, height)
    }

    /// Where it should be after so many seconds. Speeds are noisy: no face goes further than half its width unseen.
    fn predict(&self, seconds: f64) -> BoundingBox {
        let mut bbox = self.bbox();
        let farthest = bbox.width * 0.5;
        let shift = |filter: &OneEuro| (filter.speed() * seconds as f32).clamp(-farthest, farthest);
        bbox.x += shift(&self.x);
        bbox.y += shift(&self.y);
        bbox
    }

    fn found(&mut self, hit: &Detection, time: f64, seconds: f64, config: &TrackerConfig) {
        let center = hit.bbox.center();
        let unit = self.width.value().max(1.0);
        let values = [center.x, center.y, hit.bbox.width, hit.bbox.height];
        if self.is_lost(time, config.coast) {
            // It may be anywhere now: smoothing towards the old place would only drag.
            let [x, y, width, height] = values.map(OneEuro::new);
            (self.x, self.y, self.width, self.height) = (x, y, width, height);
        } else {
            let filters = [&mut self.x, &mut self.y, &mut self.width, &mut self.height];
            for ((filter, value), calm) in filters.into_iter().zip(values).zip([1.0, 1.0, SIZE_CALM, SIZE_CALM]) {
                filter.update(value, seconds as f32, calm * config.min_cutoff, calm * config.beta, unit);
            }
        }
        self.found = time;
        self.evidence = (self.evidence + hit.score).min(config.confirm.max(1.0));
        self.score = hit.score;
        self.landmarks = hit.landmarks;
        self.detected = true;
    }

    fn coast(&mut self, seconds: f64, rest: f32) {
        self.x.coast(seconds as f32, rest);
        self.y.coast(seconds as f32, rest);
    }
}

/// How well a hit suits a track, or `None` when it cannot be the same face. Overlapping pairs always rank before others.
fn likeness(expected: &BoundingBox, hit: &BoundingBox, farthest: f32, lost: bool) -> Option<f32> {
    let ratio = expected.longer_side() / hit.longer_side();
    if !(1.0 / LARGEST_RATIO..=LARGEST_RATIO).contains(&ratio) {
        return None;
    }
    let overlap = expected.iou(hit);
    let distance = expected.center().distance(hit.center()) / expected.longer_side().max(hit.longer_side());
    if overlap < LEAST_OVERLAP && distance > farthest {
        return None;
    }
    // A face that is seen all the time has the first claim.
    Some(overlap - distance - if lost { 10.0 } else { 0.0 })
}
