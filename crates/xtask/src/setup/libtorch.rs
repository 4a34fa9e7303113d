//! LibTorch in the cache, and the checkout's link to it.
//!
//! The index has one wheel of torch 2.11.0 for Linux, the CUDA build. Of it, `libtorch_cpu.so` needs only libc10,
//! libgomp and two small NVIDIA libraries, so the CPU layout leaves the rest out: 0.5 GB instead of 4. In it
//! `libtorch.so` is a linker script, so that nothing gets linked to CUDA. A program built against the CPU layout runs
//! on the CUDA layout as it is.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::cache::{self, Cache, Stage};
use crate::pip;
use crate::project::Project;
use crate::shell;
use crate::ui::{self, Ui};
use crate::wheels::{self, LIBTORCH_VERSION, LibTorchWheels, Wheel};

/// Which parts of LibTorch are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// What runs on the processor alone.
    Cpu,
    /// Everything, with NVIDIA's libraries.
    Cuda,
}

impl Layout {
    /// The one that suits this machine.
    fn suited() -> Self {
        if gpu_present() { Self::Cuda } else { Self::Cpu }
    }

    /// The layout of a LibTorch folder.
    pub(crate) fn of(libtorch: &Path) -> Self {
        if libtorch.join("lib/libtorch_cuda.so").is_file() { Self::Cuda } else { Self::Cpu }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }
}

/// Whether an NVIDIA GPU is there, as far as its driver says.
pub(crate) fn gpu_present() -> bool {
    Path::new("/dev/nvidiactl").exists() || shell::succeeds("nvidia-smi", &["-L"])
}

/// The version of a LibTorch folder, if it is one that can be built with.
pub(crate) fn version(libtorch: &Path) -> Option<String> {
    let whole = ["lib/libtorch_cpu.so", "lib/libc10.so", "include/torch/csrc/api/include/torch/torch.h"];
    if !whole.iter().all(|file| libtorch.join(file).is_file()) {
        return None;
    }
    Some(fs::read_to_string(libtorch.join("build-version")).ok()?.trim().to_owned())
}

/// Whether tch accepts the folder; some builds append theirs to the version, as in `2.11.0+cu130`.
pub(crate) fn fits(libtorch: &Path) -> bool {
    version(libtorch).is_some_and(|version| version.split('+').next() == Some(LIBTORCH_VERSION))
}

/// What there is to do about LibTorch.
#[derive(Debug)]
pub(crate) enum Job {
    /// The user's own is used, or the link leads to one that fits.
    Nothing,
    /// It lies in the cache; only the link is missing.
    Link(PathBuf),
    Fetch(Layout, &'static LibTorchWheels),
}

impl Job {
    pub(crate) fn new(project: &Project, cache: &Cache, asked: Option<Layout>) -> Result<Self> {
        if let Some(users) = project.users_libtorch() {
            return match version(&users) {
                Some(_) if fits(&users) => Ok(Self::Nothing),
                Some(other) => Err(format!(
                    "LIBTORCH={} is version {other}, needed is {LIBTORCH_VERSION}: unset it, and set-up fetches the right one",
                    users.display()
                )),
                None => Err(format!(
                    "LIBTORCH={} holds no LibTorch (lib/libtorch_cpu.so, include/, build-version): unset it, and set-up \
                     fetches one",
                    users.display()
                )),
            };
        }
        let link = project.libtorch_link();
        if fits(&link) && asked.is_none_or(|layout| layout == Layout::of(&link)) {
            return Ok(Self::Nothing);
        }
        if link.is_dir() && !link.is_symlink() {
            return Err(format!(
                "{} is a real folder without LibTorch {LIBTORCH_VERSION}: move it away, then run this again",
                link.display()
            ));
        }
        let layout = asked.unwrap_or_else(Layout::suited);
        // The full one serves a machine without a GPU as well: better than another download.
        let serving = if asked.is_none() { vec![layout, Layout::Cuda] } else { vec![layout] };
        if let Some(home) = serving.into_iter().map(|layout| home(cache, layout)).find(|home| fits(home)) {
            return Ok(Self::Link(home));
        }
        match wheels::libtorch() {
            Some(wheels) if cfg!(target_os = "linux") => Ok(Self::Fetch(layout, wheels)),
            _ => Err(format!(
                "set-up knows LibTorch {LIBTORCH_VERSION} for Linux on x86_64 and aarch64 only: set LIBTORCH to your own"
            )),
        }
    }

    pub(crate) fn anything_to_do(&self) -> bool {
        !matches!(self, Self::Nothing)
    }

    pub(crate) fn download_needed(&self) -> bool {
        matches!(self, Self::Fetch(..))
    }

    pub(crate) fn run(&self, project: &Project, cache: &Cache, ui: &Ui) -> Result<()> {
        let home = match self {
            Self::Nothing => return Ok(()),
            Self::Link(home) => home.clone(),
            Self::Fetch(layout, wheels) => {
                fetch(*layout, wheels, cache, ui)?;
                home(cache, *layout)
            }
        };
        let link = project.libtorch_link();
        cache::link(&home, &link)?;
        ui.line(NAME, &format!("{} -> {}", link.display(), home.display()));
        Ok(())
    }
}

const NAME: &str = "libtorch";

/// What wheels unpack to: a folder per version, layout and architecture.
fn folder(cache: &Cache, layout: Layout) -> PathBuf {
    let name = format!("{LIBTORCH_VERSION}-{}-{}", layout.name(), std::env::consts::ARCH);
    cache.root().join("libtorch").join(name)
}

/// LibTorch itself in that folder; NVIDIA's libraries lie beside it, where its own run path looks for them.
fn home(cache: &Cache, layout: Layout) -> PathBuf {
    let folder = folder(cache, layout);
    match layout {
        Layout::Cpu => folder,
        Layout::Cuda => folder.join("torch"),
    }
}

fn fetch(layout: Layout, wheels: &LibTorchWheels, cache: &Cache, ui: &Ui) -> Result<()> {
    let Some(stage) = cache.stage(&folder(cache, layout), ui, NAME)? else { return Ok(()) };
    let mut needed = vec![wheels.torch];
    needed.extend(wheels.stubs);
    if layout == Layout::Cuda {
        needed.extend(wheels.cuda);
    }
    let total: u64 = needed.iter().map(|wheel| wheel.bytes).sum();
    let text = format!("{LIBTORCH_VERSION} ({}), {} to download", layout.name(), ui::megabytes(total));
    ui.step(NAME, &text, || {
        let files = ui.watching(NAME, stage.path(), total, || pip::download(&needed, stage.path()))?;
        let made = stage.path().join("made");
        for (wheel, file) in needed.iter().zip(&files) {
            take(wheel, file, layout, &made)?;
            // The disk need not hold a wheel and its contents any longer than this.
            cache::remove(file).map_err(|e| format!("cannot remove {}: {e}", file.display()))?;
        }
        finish(&made, layout)?;
        publish(stage, &made)
    })
}

/// Unpacks what the layout keeps of a wheel.
fn take(wheel: &Wheel, file: &Path, layout: Layout, made: &Path) -> Result<()> {
    let place = match layout {
        Layout::Cpu => place_cpu,
        Layout::Cuda => place_cuda,
    };
    let files: Vec<(String, PathBuf)> =
        pip::members(file)?.into_iter().filter_map(|member| place(&member).map(|to| (member, to))).collect();
    if files.is_empty() {
        return Err(format!("the wheel of {} {} holds nothing that is needed", wheel.name, wheel.version));
    }
    pip::unpack(file, &files, made)
}

/// Where a member goes in the CPU layout.
fn place_cpu(member: &str) -> Option<PathBuf> {
    // Bindings for Python, what loads CUDA, and what the linker script replaces.
    const LEFT_OUT: [&str; 8] = [
        "libtorch.so",
        "libtorch_cuda",
        "libtorch_nvshmem",
        "libtorch_python",
        "libtorch_global_deps",
        "libc10_cuda",
        "libcaffe2_nvrtc",
        "libshm",
    ];
    let (folder, name) = member.rsplit_once('/')?;
    let under = |start: &str| member.strip_prefix(start);
    if under("torch/include/").is_some() {
        under("torch/").map(PathBuf::from)
    } else if folder == "torch/lib" && name.contains(".so") {
        (!LEFT_OUT.iter().any(|start| name.starts_with(start))).then(|| Path::new("lib").join(name))
    } else if folder.starts_with("nvidia/") {
        (name.starts_with("libcupti.so") || name.starts_with("libcudart.so")).then(|| Path::new("lib").join(name))
    } else {
        licence(member)
    }
}

/// Where a member goes in the CUDA layout: where it lies in the wheels, because the libraries' run paths count on it.
fn place_cuda(member: &str) -> Option<PathBuf> {
    let (folder, name) = member.rsplit_once('/')?;
    let library = folder == "torch/lib" && name.contains(".so") && !name.starts_with("libtorch_python");
    let nvidia = folder.starts_with("nvidia/") && folder.ends_with("/lib") && name.contains(".so");
    if library || nvidia || member.starts_with("torch/include/") {
        return Some(PathBuf::from(member));
    }
    licence(member)
}

/// Licences and notices stay with what they speak of.
fn licence(member: &str) -> Option<PathBuf> {
    let (package, name) = member.split_once(".dist-info/")?;
    let name = name.rsplit('/').next()?;
    let lower = name.to_ascii_lowercase();
    let kept = lower.starts_with("license") || lower.starts_with("notice");
    kept.then(|| Path::new("licenses").join(package).join(name))
}

/// Adds what no wheel holds.
fn finish(made: &Path, layout: Layout) -> Result<()> {
    let write =
        |file: PathBuf, text: &str| fs::write(&file, text).map_err(|e| format!("cannot write {}: {e}", file.display()));
    match layout {
        Layout::Cpu => {
            // Torch-sys links `-ltorch`; all of it that the CPU layout has is in libtorch_cpu.
            write(made.join("lib/libtorch.so"), "INPUT(-ltorch_cpu)\n")?;
            write(made.join("build-version"), LIBTORCH_VERSION)
        }
        Layout::Cuda => write(made.join("torch/build-version"), LIBTORCH_VERSION),
    }
}

fn publish(stage: Stage, made: &Path) -> Result<()> {
    let whole = [made.to_owned(), made.join("torch")].iter().any(|folder| fits(folder));
    if !whole {
        return Err("the wheels did not unpack to a whole LibTorch".to_owned());
    }
    stage.publish(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_layout_keeps_what_the_processor_needs() {
        let to = |member: &str| place_cpu(member).map(|path| path.display().to_string());
        let kept = |member: &str, path: &str| assert_eq!(to(member).as_deref(), Some(path));
        kept("torch/lib/libtorch_cpu.so", "lib/libtorch_cpu.so");
        kept("torch/lib/libgomp.so.1", "lib/libgomp.so.1");
        kept("torch/lib/libarm_compute.so", "lib/libarm_compute.so");
        kept("torch/include/ATen/ATen.h", "include/ATen/ATen.h");
        kept("nvidia/cu13/lib/libcupti.so.13", "lib/libcupti.so.13");
        kept("nvidia/cu13/lib/libcudart.so.13", "lib/libcudart.so.13");
        kept("torch-2.11.0.dist-info/licenses/LICENSE", "licenses/torch-2.11.0/LICENSE");
        for left in [
            "torch/lib/libtorch.so",
            "torch/lib/libtorch_cuda.so",
            "torch/lib/libtorch_cuda_linalg.so",
            "torch/lib/libc10_cuda.so",
            "torch/lib/libtorch_python.so",
            "torch/nn/functional.py",
            "nvidia/cu13/lib/libnvperf_host.so",
            "nvidia/cu13/include/cupti.h",
        ] {
            assert_eq!(to(left), None, "{left}");
        }
    }

    #[test]
    fn the_cuda_layout_keeps_the_wheels_folders() {
        let to = |member: &str| place_cuda(member).map(|path| path.display().to_string());
        for kept in ["torch/lib/libtorch.so", "torch/lib/libtorch_cuda.so", "nvidia/cudnn/lib/libcudnn.so.9"] {
            assert_eq!(to(kept).as_deref(), Some(kept));
        }
        assert_eq!(to("torch/lib/libtorch_python.so"), None);
        assert_eq!(to("nvidia/cu13/lib/libcudart_static.a"), None);
        assert_eq!(to("nvidia/cu13/include/cupti.h"), None);
    }

    #[test]
    fn half_a_folder_is_no_libtorch() {
        assert!(!fits(Path::new("/nowhere")));
    }
}
