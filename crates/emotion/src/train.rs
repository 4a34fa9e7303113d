//! Training, reached from here: the trainers of both models under one roof.
//!
//! [`face`] trains face models on FER-2013 and FER+, [`speech`] trains speech models on RAVDESS, TESS, SAVEE and the other
//! corpora. What they have in common (devices, optimisers, schedules, callbacks, metrics) is [`kit`].

#[cfg(feature = "face")]
pub use fer_model::train as face;
pub use model_kit as kit;
#[cfg(feature = "speech")]
pub use ser_model::train as speech;
