//! A tensor that a network owns. The one place that says networks may be shared between threads.

#![allow(unsafe_code, reason = "the compiler cannot see what LibTorch does with a tensor that nobody writes to")]

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use tch::Tensor;

/// A weight, a bias or a statistic of a layer: a [`Tensor`] that threads may read at the same time.
///
/// A network whose tensors are all parameters is [`Sync`], so that any number of threads predict with one copy of the
/// weights. Training it, or running it with batch norm in training mode, is for one thread at a time, as everywhere in
/// LibTorch.
pub struct Parameter(Tensor);

// SAFETY: LibTorch's operations may read one tensor from several threads at once; its reference counts and version
// counters are atomic. `Tensor` is already `Send`, and a shallow clone of it can be sent to another thread, so a shared
// reference allows nothing there that safe code could not do without this line.
unsafe impl Sync for Parameter {}

impl From<Tensor> for Parameter {
    fn from(tensor: Tensor) -> Self {
        Self(tensor)
    }
}

impl Deref for Parameter {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        &self.0
    }
}

impl Borrow<Tensor> for Parameter {
    fn borrow(&self) -> &Tensor {
        &self.0
    }
}

impl fmt::Debug for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
