//! Makes LibTorch findable at run time, wherever torch-sys found it at build time.

use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let Some(lib) = std::env::var_os("DEP_TCH_LIBTORCH_LIB").map(PathBuf::from) else { return };

    // For tests and examples of this crate that are started directly.
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());

    // For everything that cargo starts, doctests included: cargo puts the library folders that build scripts name on
    // the loader's path, but only those inside the target folder. So name one there that leads to LibTorch.
    let Some(out) = std::env::var_os("OUT_DIR") else { return };
    let link = Path::new(&out).join("libtorch");
    let _ = std::fs::remove_file(&link);
    #[cfg(unix)]
    if std::os::unix::fs::symlink(&lib, &link).is_ok() {
        println!("cargo::rustc-link-search=native={}", link.display());
    }
}
