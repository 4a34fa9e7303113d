//! `cargo xtask bench-mtcnn`: facenet-pytorch's speed and ours.

use std::process::ExitCode;

use crate::Result;
use crate::peers::{self, Comparison};
use crate::python::Packages;

/// The version of facenet-pytorch whose needs do not end at an old PyTorch; its MTCNN is that of 2.6.0.
const FACENET: Packages = Packages {
    name: "facenet",
    oldest: (3, 12),
    pins: &[
        ("facenet-pytorch", "2.5.3"),
        ("torch", "2.11.0"),
        ("torchvision", "0.26.0"),
        ("numpy", "2.5.5"),
        ("pillow", "13.0.0"),
    ],
};

pub(crate) fn bench(args: &[String]) -> Result<ExitCode> {
    let comparison = Comparison {
        script: "benches/peers/mtcnn.py",
        package: "face-prep",
        bench: "mtcnn_peers",
        features: "mtcnn",
        packages: FACENET,
    };
    comparison.run(peers::threads(args)?, args)
}
