//! LibTorch's random generator, of which there is one for the whole process.

use std::sync::{Mutex, PoisonError};

static GENERATOR: Mutex<()> = Mutex::new(());

/// Starts LibTorch's generator from `seed` and keeps it to `work` alone until that returns.
///
/// Initialising a network and dropout both draw from it. Whatever does so goes through here, so that trainings and models
/// side by side in one process do not draw each other's numbers. Calls do not nest.
pub fn seeded<T>(seed: u64, work: impl FnOnce() -> T) -> T {
    let _guard = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    tch::manual_seed(seed as i64);
    work()
}
