//! The typeface of every chart and label: Open Sans, cut down to Latin (see `assets/README.md`; Apache License 2.0).

/// Open Sans Regular as a TrueType file, 21 kB: Latin letters (with Latin-1 and Latin Extended-A), figures, punctuation.
pub fn font_bytes() -> &'static [u8] {
    include_bytes!("../assets/OpenSans-Regular.ttf")
}

/// Open Sans Semibold as a TrueType file, with the letters of [`font_bytes`]: for titles and labels on pictures.
pub fn font_bytes_semibold() -> &'static [u8] {
    include_bytes!("../assets/OpenSans-Semibold.ttf")
}
