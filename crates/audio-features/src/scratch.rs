//! Working memory that planners keep between calls.

use std::any::Any;
use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

/// Buffers of any type, lent to one call at a time, so that a planner can be shared between threads (`&self`) and still
/// allocates nothing after the first call of each thread.
#[derive(Default)]
pub(crate) struct Pool(Mutex<Vec<Box<dyn Any + Send>>>);

impl Pool {
    /// A buffer of this type that an earlier call gave back, or a new one.
    pub(crate) fn take<S: Default + Send + 'static>(&self) -> Lent<'_, S> {
        let kept = {
            // A panic while the lock is held cannot leave the list half-changed, so poison means nothing here.
            let mut shelf = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            shelf.iter().rposition(|buffer| buffer.is::<S>()).map(|index| shelf.swap_remove(index))
        };
        let buffer = kept.and_then(|buffer| buffer.downcast::<S>().ok()).unwrap_or_default();
        Lent { pool: self, buffer: Some(buffer) }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pool")
    }
}

/// A clone starts with an empty shelf: working memory is no part of a planner's value.
impl Clone for Pool {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// A buffer on loan; it goes back on drop.
pub(crate) struct Lent<'a, S: Send + 'static> {
    pool: &'a Pool,
    buffer: Option<Box<S>>,
}

impl<S: Send + 'static> Deref for Lent<'_, S> {
    type Target = S;

    fn deref(&self) -> &S {
        self.buffer.as_ref().unwrap_or_else(|| unreachable!("the buffer is present until drop"))
    }
}

impl<S: Send + 'static> DerefMut for Lent<'_, S> {
    fn deref_mut(&mut self) -> &mut S {
        self.buffer.as_mut().unwrap_or_else(|| unreachable!("the buffer is present until drop"))
    }
}

impl<S: Send + 'static> Drop for Lent<'_, S> {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            self.pool.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(buffer);
        }
    }
}
