//! `cargo xtask bench-librosa`: librosa's speed and ours.

use std::process::ExitCode;

use crate::Result;
use crate::peers::{self, Comparison};
use crate::python::Packages;

/// What librosa 1.0.0 computes its numbers with.
const PINS: [(&str, &str); 6] = [
    ("librosa", "1.0.0"),
    ("numpy", "2.5.5"),
    ("scipy", "1.18.1"),
    ("numba", "0.68.1"),
    ("soxr", "1.1.0"),
    ("safetensors", "0.8.0"),
];

/// The same for timing, with PyTorch's library for sound.
const WITH_TORCH: [(&str, &str); 7] =
    [PINS[0], PINS[1], PINS[2], PINS[3], PINS[4], ("torch", "2.11.0"), ("torchaudio", "2.11.0")];

const LIBROSA: Packages = Packages { name: "librosa", oldest: (3, 12), pins: &PINS };
const TORCHAUDIO: Packages = Packages { name: "torchaudio", oldest: (3, 12), pins: &WITH_TORCH };

pub(crate) fn bench(args: &[String]) -> Result<ExitCode> {
    let torch = args.iter().any(|arg| arg == "--torchaudio");
    let comparison = Comparison {
        script: "benches/peers/audio.py",
        package: "audio-features",
        bench: "audio_peers",
        features: "",
        packages: if torch { TORCHAUDIO } else { LIBROSA },
    };
    comparison.run(peers::threads(args)?, args)
}
