//! `cargo xtask bench-faces`: OpenCV's speed at finding faces and ours.

use std::process::ExitCode;

use crate::Result;
use crate::peers::{self, Comparison};
use crate::python::Packages;

/// OpenCV 5 has no `CascadeClassifier`.
const OPENCV: Packages =
    Packages { name: "opencv", oldest: (3, 12), pins: &[("opencv-python-headless", "4.14.0.94"), ("numpy", "2.5.5")] };

pub(crate) fn bench(args: &[String]) -> Result<ExitCode> {
    let comparison = Comparison {
        script: "benches/peers/faces.py",
        package: "face-prep",
        bench: "face_peers",
        features: "",
        packages: OPENCV,
    };
    comparison.run(peers::threads(args)?, args)
}
