//! The checkout that the commands work on.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

/// One checkout of the workspace.
#[derive(Debug)]
pub(crate) struct Project {
    root: PathBuf,
}

impl Project {
    /// The checkout that `cargo xtask` was called in.
    pub(crate) fn find() -> Result<Self> {
        // Cargo says where the package lies when it runs this program; the compiled-in folder serves a direct start.
        let package = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        match package.ancestors().nth(2) {
            Some(root) if root.join("Cargo.toml").is_file() => Ok(Self { root: root.to_owned() }),
            _ => Err(format!("{} lies in no checkout of this workspace", package.display())),
        }
    }

    /// The folder with the workspace's manifest.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where `.cargo/config.toml` tells the build to find LibTorch.
    pub(crate) fn libtorch_link(&self) -> PathBuf {
        self.root.join(".libtorch")
    }

    /// A LibTorch that the user chose in the environment. Cargo sets the same variable from the workspace's
    /// configuration for the programs that it runs; that value is no choice of the user's.
    pub(crate) fn users_libtorch(&self) -> Option<PathBuf> {
        let chosen = PathBuf::from(std::env::var_os("LIBTORCH")?);
        (chosen != self.libtorch_link()).then_some(chosen)
    }

    /// Cargo, to be run in this checkout exactly as the user would run it.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(&self.root);
        if self.users_libtorch().is_none() {
            cargo.env_remove("LIBTORCH");
        }
        // What cargo told this program about itself would only confuse the next build.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") || text == "CARGO_BIN_NAME" {
                cargo.env_remove(&name);
            }
        }
        cargo
    }
}
