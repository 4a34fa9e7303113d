//! Spans of media time.

use serde::{Deserialize, Serialize};

use crate::Error;

/// From `start` to `end`, both in seconds from the beginning of the medium, `start <= end`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TimeSpan {
    /// The first moment, in seconds.
    pub start: f64,
    /// The last moment, in seconds.
    pub end: f64,
}

impl TimeSpan {
    /// A checked span.
    ///
    /// # Errors
    /// [`Error::InvalidTimeSpan`] when a bound is not finite or the end lies before the start.
    pub fn new(start: f64, end: f64) -> Result<Self, Error> {
        if start.is_finite() && end.is_finite() && start <= end {
            Ok(Self { start, end })
        } else {
            Err(Error::InvalidTimeSpan { start, end })
        }
    }

    /// The length in seconds.
    pub fn duration(&self) -> f64 {
        self.end - self.start
    }

    /// Whether the moment lies in the span; the start does, the end does not.
    pub fn contains(&self, time: f64) -> bool {
        self.start <= time && time < self.end
    }

    /// The length of what two spans share, in seconds; 0 when they share nothing.
    pub fn overlap(&self, other: &TimeSpan) -> f64 {
        (self.end.min(other.end) - self.start.max(other.start)).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reversed_and_endless_spans_are_refused() {
        assert!(TimeSpan::new(2.0, 1.0).is_err());
        assert!(TimeSpan::new(f64::NAN, 1.0).is_err());
        assert!(TimeSpan::new(0.0, f64::INFINITY).is_err());
    }

    #[test]
    fn overlap_is_what_both_share() {
        let first = TimeSpan::new(0.0, 2.0).unwrap();
        assert_eq!(first.overlap(&TimeSpan::new(1.5, 4.0).unwrap()), 0.5);
        assert_eq!(first.overlap(&TimeSpan::new(3.0, 4.0).unwrap()), 0.0);
        assert!(first.contains(0.0) && !first.contains(2.0));
    }
}
