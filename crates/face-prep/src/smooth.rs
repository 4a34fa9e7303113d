//! The One-Euro filter (Casiez, Roussel & Vogel 2012): steady when the signal rests, quick when it moves.

use std::f32::consts::TAU;

/// The cutoff for the speed itself, in Hz; the paper's value.
const SPEED_CUTOFF: f32 = 1.0;

/// One smoothed number and its speed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct OneEuro {
    value: f32,
    speed: f32,
}

impl OneEuro {
    pub(crate) fn new(value: f32) -> Self {
        Self { value, speed: 0.0 }
    }

    /// The smoothed value.
    pub(crate) fn value(&self) -> f32 {
        self.value
    }

    /// The smoothed speed, per second.
    pub(crate) fn speed(&self) -> f32 {
        self.speed
    }

    /// Takes a new value, `seconds` (above 0) after the last one. The cutoff is `cutoff + beta·|speed| / unit` Hz.
    pub(crate) fn update(&mut self, value: f32, seconds: f32, cutoff: f32, beta: f32, unit: f32) {
        let speed = (value - self.value) / seconds;
        self.speed += share(SPEED_CUTOFF, seconds) * (speed - self.speed);
        let cutoff = cutoff + beta * self.speed.abs() / unit;
        self.value += share(cutoff, seconds) * (value - self.value);
    }

    /// Goes on without a new value: the speed dies away within about `rest` seconds.
    pub(crate) fn coast(&mut self, seconds: f32, rest: f32) {
        self.value += self.speed * seconds;
        self.speed *= (-seconds / rest).exp();
    }
}

/// How much of a new value a low-pass of this cutoff takes over.
fn share(cutoff: f32, seconds: f32) -> f32 {
    1.0 / (1.0 + 1.0 / (TAU * cutoff * seconds))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn stays_between_old_and_new(values in prop::collection::vec(-1e3f32..1e3, 1..50)) {
            let mut filter = OneEuro::new(values[0]);
            for &value in &values {
                let before = filter.value();
                filter.update(value, 0.04, 1.0, 1.0, 100.0);
                prop_assert!(filter.value() >= before.min(value) - 1e-3 && filter.value() <= before.max(value) + 1e-3);
            }
        }
    }
}
