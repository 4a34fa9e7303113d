//! The demo clip, made on the spot: a public-domain portrait, moved as a hand-held camera would, over synthetic speech.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use crate::Result;
use crate::cache::Cache;
use crate::pip;
use crate::project::Project;
use crate::shell;
use crate::ui::{self, Ui};
use crate::wheels::SCIKIT_IMAGE;

/// What the clip says: about nine seconds.
const WORDS: &str = "Hello, and welcome! This is a short clip, made for you on this very machine. \
    My face is a photograph, and my voice is a computer. What do you hear in it?";

pub(crate) fn present(cache: &Cache) -> bool {
    cache.clip().is_file()
}

/// Whether making the clip needs a download.
pub(crate) fn parts_missing(cache: &Cache) -> bool {
    !cache.portrait().is_file()
}

/// Fetches the portrait: NASA's official one of Eileen Collins, packaged with scikit-image's sample pictures.
pub(crate) fn fetch_portrait(cache: &Cache, ui: &Ui) -> Result<()> {
    if !parts_missing(cache) {
        return Ok(());
    }
    let name = "portrait";
    let Some(stage) = cache.stage(&cache.portrait(), ui, name)? else { return Ok(()) };
    ui.step(name, &format!("NASA's astronaut, {}", ui::megabytes(SCIKIT_IMAGE.bytes)), || {
        let wheels = pip::download(&[SCIKIT_IMAGE], stage.path())?;
        let file = PathBuf::from("astronaut.png");
        pip::unpack(&wheels[0], &[("skimage/data/astronaut.png".to_owned(), file.clone())], stage.path())?;
        let made = stage.path().join(file);
        stage.publish(&made)
    })
}

/// Lets espeak-ng speak, then puts picture and sound together with the workspace's own encoder.
pub(crate) fn make(project: &Project, cache: &Cache, ui: &Ui) -> Result<()> {
    let name = "speech";
    if !cache.speech().is_file()
        && let Some(stage) = cache.stage(&cache.speech(), ui, name)?
    {
        ui.step(name, "espeak-ng", || {
            let made = stage.path().join("speech.wav");
            shell::quiet(Command::new("espeak-ng").args(["-v", "en-us", "-s", "150", "-w"]).arg(&made).arg(WORDS))?;
            stage.publish(&made)
        })?;
    }
    let name = "demo clip";
    let Some(stage) = cache.stage(&cache.clip(), ui, name)? else { return Ok(()) };
    ui.line(name, "building the encoder, then the clip");
    let made = stage.path().join("clip.mp4");
    let mut cargo = project.cargo();
    cargo.args(["run", "--release", "-p", "video-io", "--example", "make_demo_clip", "--"]);
    cargo.arg("--portrait").arg(cache.portrait()).arg("--speech").arg(cache.speech()).arg("--out").arg(&made);
    // In the open: a first build takes minutes, and cargo shows its own progress.
    if shell::pass_through(cargo.stdout(Stdio::null()))? != ExitCode::SUCCESS {
        return Err("the demo clip could not be made; cargo says why above".to_owned());
    }
    stage.publish(&made)
}
