//! The user's cache: everything that is downloaded once and shared by all checkouts.
//!
//! Work happens in a stage, a folder beside its target that belongs to this process alone, and is renamed at the end.
//! So what lies in the cache under its real name is always whole, and two set-ups at once do no harm: the second one
//! waits for the first, and should both start in the same instant, one result simply replaces the other.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Result;
use crate::ui::Ui;

/// The cache folder and the names in it.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// `$EMOTION_CACHE`, else `$XDG_CACHE_HOME/emotion`, else `~/.cache/emotion`. Nothing is created yet.
    pub(crate) fn locate() -> Result<Self> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = if let Some(folder) = set("EMOTION_CACHE") {
            std::path::absolute(&folder).map_err(|e| format!("EMOTION_CACHE={}: {e}", folder.display()))?
        } else if let Some(folder) = set("XDG_CACHE_HOME").filter(|folder| folder.is_absolute()) {
            folder.join("emotion")
        } else if let Some(home) = set("HOME") {
            home.join(".cache").join("emotion")
        } else {
            return Err("no place for downloads: set EMOTION_CACHE to a folder (HOME is not set)".to_owned());
        };
        Ok(Self { root })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// MTCNN's weights, converted.
    pub(crate) fn mtcnn(&self) -> PathBuf {
        self.root.join("models").join("mtcnn.safetensors")
    }

    /// A link to the folder with OpenCV's cascades.
    pub(crate) fn cascades(&self) -> PathBuf {
        self.root.join("cascades")
    }

    /// The portrait that the demo clip shows.
    pub(crate) fn portrait(&self) -> PathBuf {
        self.root.join("demo").join("astronaut.png")
    }

    /// The words that the demo clip speaks.
    pub(crate) fn speech(&self) -> PathBuf {
        self.root.join("demo").join("speech.wav")
    }

    /// The demo clip.
    pub(crate) fn clip(&self) -> PathBuf {
        self.root.join("demo").join("clip.mp4")
    }

    /// The Python environment of that name.
    pub(crate) fn python(&self, name: &str) -> PathBuf {
        self.root.join("python").join(name)
    }

    /// The full conformance suite of audio-features.
    pub(crate) fn conformance(&self) -> PathBuf {
        self.root.join("conformance").join("librosa-1.0.0")
    }

    /// Opens a stage for `target`, unless another process finishes it first: then `None`, and `target` is there.
    pub(crate) fn stage(&self, target: &Path, ui: &Ui, name: &str) -> Result<Option<Stage>> {
        let folder = target.parent().ok_or_else(|| format!("{} has no folder", target.display()))?;
        fs::create_dir_all(folder).map_err(|e| format!("cannot create {}: {e}", folder.display()))?;
        let stem = format!("{}.part-", file_name(target));
        let mut waited = false;
        while another_works(folder, &stem) {
            if !waited {
                ui.line(name, "another set-up is at it; waiting for it");
                waited = true;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        if waited && target.exists() {
            return Ok(None);
        }
        let work = folder.join(format!("{stem}{}", myself()));
        remove(&work)
            .and_then(|()| fs::create_dir(&work))
            .map_err(|e| format!("cannot create {}: {e}", work.display()))?;
        Ok(Some(Stage { work, target: target.to_owned() }))
    }
}

/// A folder of this process alone, removed when dropped.
#[derive(Debug)]
pub(crate) struct Stage {
    work: PathBuf,
    target: PathBuf,
}

impl Stage {
    /// The folder to work in.
    pub(crate) fn path(&self) -> &Path {
        &self.work
    }

    /// Moves `made`, a finished file or folder in the stage, to the target.
    pub(crate) fn publish(self, made: &Path) -> Result<()> {
        let outcome = match fs::rename(made, &self.target) {
            // A folder cannot be renamed over a full one: the old one, incomplete or of another process, goes first.
            Err(_) if self.target.is_dir() => remove(&self.target).and_then(|()| fs::rename(made, &self.target)),
            outcome => outcome,
        };
        outcome.map_err(|e| format!("cannot move {} to {}: {e}", made.display(), self.target.display()))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // A stage that cannot be removed now is removed by the next set-up.
        let _ = remove(&self.work);
    }
}

/// Removes a file, a link or a whole folder; nothing there is fine.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    }
}

/// Makes `link` a symbolic link to `target`, replacing an older link, but never a real file or folder.
pub(crate) fn link(target: &Path, link: &Path) -> Result<()> {
    let fail = |e: io::Error| format!("cannot link {} to {}: {e}", link.display(), target.display());
    if fs::read_link(link).is_ok_and(|old| old == target) {
        return Ok(());
    }
    match fs::symlink_metadata(link) {
        Ok(meta) if !meta.is_symlink() => {
            return Err(format!(
                "{} is a real file or folder, not a link: move it away, then run this again",
                link.display()
            ));
        }
        Ok(_) => fs::remove_file(link).map_err(fail)?,
        Err(_) => {}
    }
    #[cfg(unix)]
    return std::os::unix::fs::symlink(target, link).map_err(fail);
    #[cfg(not(unix))]
    return Err(fail(io::Error::from(io::ErrorKind::Unsupported)));
}

/// Bytes in a file or, without following links, in a whole folder.
pub(crate) fn size(path: &Path) -> u64 {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => {
            fs::read_dir(path).map_or(0, |entries| entries.flatten().map(|entry| size(&entry.path())).sum())
        }
        Ok(meta) if meta.is_file() => meta.len(),
        _ => 0,
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// This process, told apart from those of other machines and containers that share the folder.
fn myself() -> String {
    format!("{}-{}", host(), std::process::id())
}

fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(char::is_ascii_alphanumeric).collect();
    if name.is_empty() { "here".to_owned() } else { name }
}

/// Whether a living process of this machine has a stage of that stem. Stages of dead ones are swept away.
fn another_works(folder: &Path, stem: &str) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    let mine = format!("{stem}{}-", host());
    let mut works = false;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(process) = name.strip_prefix(&mine) else { continue };
        if process == std::process::id().to_string() {
            continue;
        }
        if Path::new("/proc").join(process).exists() {
            works = true;
        } else {
            let _ = remove(&entry.path());
        }
    }
    works
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of this test alone, removed when dropped.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
            remove(&folder).unwrap();
            fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = remove(&self.0);
        }
    }

    #[test]
    fn a_stage_publishes_whole_and_leaves_nothing_behind() {
        let scratch = Scratch::new("stage");
        let cache = Cache { root: scratch.0.clone() };
        let target = cache.mtcnn();
        let ui = Ui::new();

        let dropped = cache.stage(&target, &ui, "test").unwrap().unwrap();
        fs::write(dropped.path().join("half"), "half").unwrap();
        drop(dropped);
        assert!(!target.exists(), "an abandoned stage must not look whole");

        let stage = cache.stage(&target, &ui, "test").unwrap().unwrap();
        let made = stage.path().join("made");
        fs::write(&made, "whole").unwrap();
        stage.publish(&made).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "whole");
        assert_eq!(fs::read_dir(target.parent().unwrap()).unwrap().count(), 1, "stages are removed");
    }

    #[test]
    fn a_folder_replaces_an_incomplete_one() {
        let scratch = Scratch::new("replace");
        let cache = Cache { root: scratch.0.clone() };
        let target = scratch.0.join("libtorch");
        fs::create_dir_all(target.join("lib")).unwrap();
        fs::write(target.join("lib/old"), "old").unwrap();
        let stage = cache.stage(&target, &Ui::new(), "test").unwrap().unwrap();
        let made = stage.path().join("made");
        fs::create_dir_all(made.join("lib")).unwrap();
        fs::write(made.join("lib/new"), "new").unwrap();
        stage.publish(&made).unwrap();
        assert!(target.join("lib/new").is_file() && !target.join("lib/old").exists());
    }

    #[test]
    fn stages_of_dead_processes_are_swept_away() {
        let scratch = Scratch::new("dead");
        let cache = Cache { root: scratch.0.clone() };
        let target = scratch.0.join("thing");
        // Process numbers stay far below this one.
        let dead = scratch.0.join(format!("thing.part-{}-4294967295", host()));
        fs::create_dir(&dead).unwrap();
        let stage = cache.stage(&target, &Ui::new(), "test").unwrap();
        assert!(stage.is_some() && !dead.exists());
    }

    #[test]
    fn links_replace_links_but_never_real_folders() {
        let scratch = Scratch::new("link");
        let at = scratch.0.join("link");
        link(Path::new("/nowhere"), &at).unwrap();
        link(&scratch.0, &at).unwrap();
        assert_eq!(fs::read_link(&at).unwrap(), scratch.0);
        let real = scratch.0.join("real");
        fs::create_dir(&real).unwrap();
        assert!(link(&scratch.0, &real).unwrap_err().contains("real file or folder"));
    }
}
