//! `cargo xtask bench-loader`: the speed of PyTorch's `DataLoader` and ours.

use std::process::ExitCode;

use crate::Result;
use crate::peers::{self, Comparison};
use crate::python::Packages;

const TORCHVISION: Packages = Packages {
    name: "torchvision",
    oldest: (3, 12),
    pins: &[("torch", "2.11.0"), ("torchvision", "0.26.0"), ("numpy", "2.5.5"), ("pillow", "13.0.0")],
};

pub(crate) fn bench(args: &[String]) -> Result<ExitCode> {
    let comparison = Comparison {
        script: "benches/peers/loader.py",
        package: "fer-model",
        bench: "loader_peers",
        features: "",
        packages: TORCHVISION,
    };
    comparison.run(peers::threads(args)?, args)
}
