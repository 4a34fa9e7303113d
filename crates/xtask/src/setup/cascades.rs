//! OpenCV's cascade files: they stay where the system keeps them, and the cache holds a link to that folder.

use std::path::PathBuf;

use crate::Result;
use crate::cache::{self, Cache};
use crate::ui::Ui;

/// The one that every detector example starts from.
const FRONTAL: &str = "haarcascade_frontalface_default.xml";

/// The folder with the files, if the system has it.
pub(crate) fn find() -> Option<PathBuf> {
    ["/usr/share/opencv4", "/usr/share/opencv", "/usr/local/share/opencv4", "/usr/share/OpenCV"]
        .map(|folder| PathBuf::from(folder).join("haarcascades"))
        .into_iter()
        .find(|folder| folder.join(FRONTAL).is_file())
}

/// Links the cache to the folder.
pub(crate) fn link(cache: &Cache, ui: &Ui) -> Result<()> {
    let Some(folder) = find() else { return Ok(()) };
    let link = cache.cascades();
    if std::fs::read_link(&link).is_ok_and(|old| old == folder) {
        return Ok(());
    }
    std::fs::create_dir_all(cache.root()).map_err(|e| format!("cannot create {}: {e}", cache.root().display()))?;
    cache::link(&folder, &link)?;
    ui.line("cascades", &format!("{} -> {}", link.display(), folder.display()));
    Ok(())
}
