//! `cargo xtask doctor`: what is found, where, which version, and what to do about the rest.

use std::path::Path;
use std::process::ExitCode;

use crate::Result;
use crate::cache::{self, Cache};
use crate::pip;
use crate::project::Project;
use crate::setup::libtorch::{self, Layout};
use crate::setup::system::{self, Item};
use crate::shell;
use crate::ui::megabytes;

/// Asks the CUDA runtime itself, which both layouts hold; prints what it sees.
const CUDA_PROBE: &str = include_str!("cuda_probe.py");

enum State {
    Ok,
    /// Needed, and not there.
    Missing,
    /// Not there, and not needed for building and testing.
    Optional,
}

struct Row {
    state: State,
    what: &'static str,
    found: String,
}

pub(crate) fn run() -> Result<ExitCode> {
    let project = Project::find()?;
    let cache = Cache::locate()?;

    let mut rows = vec![rust()];
    rows.extend(system::BUILD.iter().map(needed));
    rows.push(libtorch_row(&project));
    rows.push(optional(&system::CASCADES, "one is compiled in; for others"));
    rows.push(file_row("MTCNN weights", &cache.mtcnn(), State::Missing, SETUP));
    rows.push(optional(&system::PIP, "only for downloads"));
    rows.push(optional(&system::ESPEAK, "only for making the demo clip"));
    rows.push(file_row("demo clip", &cache.clip(), State::Optional, "made by: cargo xtask demo"));
    rows.push(gpu(&project));
    rows.push(Row {
        state: State::Ok,
        what: "cache",
        found: format!("{}, {}", cache.root().display(), megabytes(cache::size(cache.root()))),
    });

    for row in &rows {
        let state = match row.state {
            State::Ok => "ok",
            State::Missing => "missing",
            State::Optional => "-",
        };
        let mut lines = row.found.lines();
        println!("{state:<8} {:<14} {}", row.what, lines.next().unwrap_or_default());
        for line in lines {
            println!("{:23} {line}", "");
        }
    }
    let missing = rows.iter().filter(|row| matches!(row.state, State::Missing)).count();
    if missing == 0 {
        println!("\nEverything that building and testing need is there.");
        return Ok(ExitCode::SUCCESS);
    }
    println!("\nNeeded and missing: {missing}. Provided by: cargo xtask setup");
    Ok(ExitCode::FAILURE)
}

const SETUP: &str = "provided by: cargo xtask setup";

fn rust() -> Row {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    match shell::answer(&rustc, &["--version"]) {
        Some(found) => Row { state: State::Ok, what: "rustc", found },
        None => Row { state: State::Missing, what: "rustc", found: "not found in PATH".to_owned() },
    }
}

fn needed(item: &Item) -> Row {
    match (item.found)() {
        Some(found) => Row { state: State::Ok, what: item.what, found },
        None => Row {
            state: State::Missing,
            what: item.what,
            found: format!("{SETUP}, or install: {}", system::packages(std::slice::from_ref(item)).join(" ")),
        },
    }
}

fn optional(item: &Item, why: &str) -> Row {
    match (item.found)() {
        Some(found) => Row { state: State::Ok, what: item.what, found },
        None => {
            let packages = system::packages(std::slice::from_ref(item)).join(" ");
            Row { state: State::Optional, what: item.what, found: format!("not found ({why}); install: {packages}") }
        }
    }
}

fn file_row(what: &'static str, file: &Path, otherwise: State, fix: &str) -> Row {
    if file.is_file() {
        let found = format!("{}, {}", file.display(), megabytes(cache::size(file)));
        Row { state: State::Ok, what, found }
    } else {
        Row { state: otherwise, what, found: fix.to_owned() }
    }
}

/// The LibTorch that builds use: the environment's, else the checkout's link.
fn libtorch_row(project: &Project) -> Row {
    let what = "LibTorch";
    let users = project.users_libtorch();
    let at = users.clone().unwrap_or_else(|| project.libtorch_link());
    let origin = if users.is_some() { "LIBTORCH in the environment" } else { ".libtorch" };
    let Some(version) = libtorch::version(&at) else {
        let fix = if users.is_some() { "unset LIBTORCH, then: cargo xtask setup" } else { SETUP };
        return Row { state: State::Missing, what, found: format!("none at {} ({origin}); {fix}", at.display()) };
    };
    let real = at.canonicalize().unwrap_or(at);
    let layout = Layout::of(&real);
    // NVIDIA's libraries lie beside the folder in the CUDA layout.
    let whole = if layout == Layout::Cuda { real.parent().unwrap_or(&real) } else { &real };
    let size = megabytes(cache::size(whole));
    let found = format!("{version} ({} layout), {size}, {origin} -> {}", layout.name(), real.display());
    if libtorch::fits(&real) {
        return Row { state: State::Ok, what, found };
    }
    let wanted = crate::wheels::LIBTORCH_VERSION;
    Row { state: State::Missing, what, found: format!("{found}\nbut {wanted} is needed: cargo xtask setup") }
}

/// The GPU as its driver and as the CUDA runtime see it.
fn gpu(project: &Project) -> Row {
    let what = "GPU";
    let query = ["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"];
    let Some(driver) = shell::answer("nvidia-smi", &query) else {
        let text = if libtorch::gpu_present() {
            "an NVIDIA device is there, but nvidia-smi does not answer: check the driver"
        } else {
            "no NVIDIA GPU found; everything runs on the processor"
        };
        return Row { state: State::Optional, what, found: text.to_owned() };
    };
    let at = project.users_libtorch().unwrap_or_else(|| project.libtorch_link());
    let seen =
        runtime(&at).unwrap_or_else(|| "the CUDA runtime could not be asked (needs LibTorch and Python)".to_owned());
    let (state, layout) = match Layout::of(&at) {
        Layout::Cuda => (State::Ok, "LibTorch has its CUDA part"),
        Layout::Cpu => (State::Optional, "LibTorch has no CUDA part; get it with: cargo xtask setup --cuda"),
    };
    Row { state, what, found: format!("{driver}\n{seen}\n{layout}") }
}

fn runtime(libtorch: &Path) -> Option<String> {
    let places = [libtorch.join("lib"), libtorch.join("../nvidia/cu13/lib")];
    let library = places.iter().map(|folder| folder.join("libcudart.so.13")).find(|file| file.is_file())?;
    shell::answer(pip::python()?, &["-c", CUDA_PROBE, &library.to_string_lossy()])
}
