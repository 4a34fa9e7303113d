//! `cargo xtask bench-train`: PyTorch's speed at the networks of this workspace, and ours.

use std::process::ExitCode;

use crate::Result;
use crate::peers::{self, Comparison};
use crate::python::Packages;

/// The PyTorch whose libraries this workspace builds with.
const PYTORCH: Packages = Packages {
    name: "pytorch",
    oldest: (3, 12),
    pins: &[("torch", "2.11.0"), ("numpy", "2.5.5"), ("safetensors", "0.8.0")],
};

pub(crate) fn bench(args: &[String]) -> Result<ExitCode> {
    let comparison = Comparison {
        script: "benches/peers/train.py",
        package: "emotion",
        bench: "train_peers",
        features: "",
        packages: PYTORCH,
    };
    comparison.run(peers::threads(args)?, args)
}
