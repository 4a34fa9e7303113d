//! MTCNN's trained weights, out of the Python package that publishes them, as safetensors.

use std::process::Command;

use crate::Result;
use crate::cache::Cache;
use crate::pip;
use crate::project::Project;
use crate::shell;
use crate::ui::{self, Ui};
use crate::wheels::MTCNN;

const CONVERTER: &str = "crates/face-prep/scripts/convert_mtcnn.py";

pub(crate) fn present(cache: &Cache) -> bool {
    cache.mtcnn().is_file()
}

/// Fetches and converts the weights.
pub(crate) fn provide(project: &Project, cache: &Cache, ui: &Ui) -> Result<()> {
    let name = "mtcnn";
    let Some(stage) = cache.stage(&cache.mtcnn(), ui, name)? else { return Ok(()) };
    ui.step(name, &format!("weights, {}", ui::megabytes(MTCNN.bytes)), || {
        let wheels = pip::download(&[MTCNN], stage.path())?;
        let made = stage.path().join("mtcnn.safetensors");
        let python = pip::python().unwrap_or("python3");
        shell::quiet(Command::new(python).arg(project.root().join(CONVERTER)).args(&wheels).arg(&made))?;
        stage.publish(&made)
    })
}
