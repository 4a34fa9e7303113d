//! Which window of speech belongs to which moment of the face.

use emotion_core::TimeSpan;

use crate::Error;

/// Finds the speech window that a moment belongs to: of the windows that contain it, the one whose middle is nearest.
///
/// Windows of speech are long (two seconds) and overlap, moments of a face are points in time; a moment that no window
/// contains, in a pause or beyond the end of the sound, belongs to none. [`find`](Self::find) looks only at windows that
/// can contain the moment.
///
/// ```
/// use emotion_core::TimeSpan;
/// use fusion::Aligner;
///
/// let windows = vec![TimeSpan::new(0.0, 2.0)?, TimeSpan::new(1.0, 3.0)?, TimeSpan::new(6.0, 8.0)?];
/// let aligner = Aligner::new(windows)?;
/// assert_eq!(aligner.find(0.4), Some(0));
/// assert_eq!(aligner.find(1.6), Some(1)); // both contain it, the second's middle is nearer
/// assert_eq!(aligner.find(4.0), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Aligner {
    windows: Vec<TimeSpan>,
    longest: f64,
}

impl Aligner {
    /// An aligner over windows in the order of their starts. They may overlap and differ in length.
    ///
    /// # Errors
    /// [`Error::TimeReversed`] when a window starts before the one that stands before it.
    pub fn new(windows: Vec<TimeSpan>) -> Result<Self, Error> {
        for pair in windows.windows(2) {
            if pair[1].start < pair[0].start {
                return Err(Error::TimeReversed { last: pair[0].start, got: pair[1].start });
            }
        }
        let longest = windows.iter().map(TimeSpan::duration).fold(0.0, f64::max);
        Ok(Self { windows, longest })
    }

    /// The place of the window that `time` (in seconds) belongs to, the earlier one on a tie; `None` in a gap.
    pub fn find(&self, time: f64) -> Option<usize> {
        let started = self.windows.partition_point(|window| window.start <= time);
        let mut best: Option<(usize, f64)> = None;
        for (index, window) in self.windows[..started].iter().enumerate().rev() {
            if window.start < time - self.longest {
                break;
            }
            let distance = (time - (window.start + window.end) / 2.0).abs();
            if window.contains(time) && best.is_none_or(|(_, nearest)| distance <= nearest) {
                best = Some((index, distance));
            }
        }
        best.map(|(index, _)| index)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn windows_must_come_in_order() {
        let windows = vec![TimeSpan::new(1.0, 2.0).unwrap(), TimeSpan::new(0.0, 1.0).unwrap()];
        assert_eq!(Aligner::new(windows).unwrap_err(), Error::TimeReversed { last: 1.0, got: 0.0 });
        assert_eq!(Aligner::default().find(1.0), None);
    }

    proptest! {
        #[test]
        fn the_search_finds_what_looking_at_every_window_finds(
            bounds in prop::collection::vec((0.0f64..20.0, 0.0f64..3.0), 0..20),
            time in -1.0f64..25.0,
        ) {
            let mut windows: Vec<_> =
                bounds.iter().map(|&(start, length)| TimeSpan::new(start, start + length).unwrap()).collect();
            windows.sort_by(|a, b| a.start.total_cmp(&b.start));
            let middle = |index: usize| (time - (windows[index].start + windows[index].end) / 2.0).abs();
            let naive = (0..windows.len())
                .filter(|&index| windows[index].contains(time))
                .min_by(|&a, &b| middle(a).total_cmp(&middle(b)));
            prop_assert_eq!(Aligner::new(windows).unwrap().find(time), naive);
        }
    }
}
