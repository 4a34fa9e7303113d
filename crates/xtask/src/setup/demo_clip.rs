//! The demo clip, made on the spot: a public-domain portrait, moved as a hand-held camera would, over synthetic speech.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::cache::Cache;
use crate::pip;
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
pub(crate) fn download_needed(cache: &Cache) -> bool {
    !cache.portrait().is_file()
}

/// Whether a part that the clip is made of is missing.
pub(crate) fn parts_missing(cache: &Cache) -> bool {
    download_needed(cache) || !cache.speech().is_file()
}

/// Fetches the portrait: NASA's official one of Eileen Collins, packaged with scikit-image's sample pictures.
pub(crate) fn fetch_portrait(cache: &Cache, ui: &Ui) -> Result<()> {
    if !download_needed(cache) {
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

/// Lets espeak-ng speak.
pub(crate) fn speak(cache: &Cache, ui: &Ui) -> Result<()> {
    let name = "speech";
    if cache.speech().is_file() {
        return Ok(());
    }
    let Some(stage) = cache.stage(&cache.speech(), ui, name)? else { return Ok(()) };
    ui.step(name, "espeak-ng", || {
        let made = stage.path().join("speech.wav");
        shell::quiet(Command::new("espeak-ng").args(["-v", "en-us", "-s", "150", "-w"]).arg(&made).arg(WORDS))?;
        stage.publish(&made)
    })
}

/// Puts picture and sound together with the workspace's own encoder, the example `make_demo_clip`, which is built.
pub(crate) fn encode(encoder: &Path, cache: &Cache) -> Result<()> {
    let (ui, name) = (Ui::new(), "demo clip");
    let Some(stage) = cache.stage(&cache.clip(), &ui, name)? else { return Ok(()) };
    ui.step(name, "putting portrait and speech together", || {
        let made = stage.path().join("clip.mp4");
        let mut command = Command::new(encoder);
        command.arg("--portrait").arg(cache.portrait()).arg("--speech").arg(cache.speech()).arg("--out").arg(&made);
        shell::quiet(&mut command)?;
        stage.publish(&made)
    })
}
