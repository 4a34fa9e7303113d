//! `cargo xtask demo`: set up, analyse a clip, say where the results are.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::Result;
use crate::cache::{self, Cache};
use crate::project::Project;
use crate::setup::{self, Layout, Wanted};
use crate::shell;
use crate::ui;

pub(crate) fn run(layout: Option<Layout>, args: &[String]) -> Result<ExitCode> {
    let project = Project::find()?;
    let (clip, rest) = match args.split_first() {
        Some((first, rest)) if !first.starts_with('-') => (Some(PathBuf::from(first)), rest),
        _ => (None, args),
    };
    if let Some(clip) = clip.as_deref().filter(|clip| !clip.exists()) {
        return Err(format!("{}: no such file", clip.display()));
    }
    setup::run(&project, &Wanted { layout, demo_clip: clip.is_none() })?;

    let mut analyze = project.cargo();
    analyze.args(["run", "--release", "-p", "emotion", "--example", "analyze_video", "--"]);
    let out = match (asked_folder(rest), &clip) {
        (Some(asked), _) => asked,
        (None, Some(clip)) => beside(clip),
        (None, None) => {
            let out = project.root().join("target").join("demo");
            analyze.arg("--out").arg(&out);
            out
        }
    };
    let clip = match clip {
        Some(clip) => clip,
        None => Cache::locate()?.clip(),
    };
    let code = shell::pass_through(analyze.arg(clip).args(rest))?;
    if code == ExitCode::SUCCESS {
        show(&out);
    }
    Ok(code)
}

/// The folder that the user names with `--out`.
fn asked_folder(args: &[String]) -> Option<PathBuf> {
    let at = args.iter().position(|arg| arg == "--out" || arg.starts_with("--out="))?;
    match args[at].strip_prefix("--out=") {
        Some(folder) => Some(PathBuf::from(folder)),
        None => args.get(at + 1).map(PathBuf::from),
    }
}

/// Where analyze_video writes by default: `CLIP.emotion/` beside the clip.
fn beside(clip: &Path) -> PathBuf {
    let mut name = clip.as_os_str().to_owned();
    name.push(".emotion");
    PathBuf::from(name)
}

fn show(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    eprintln!("\nThe results are in {}:", folder.display());
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        eprintln!("  {name:<24} {}", ui::megabytes(cache::size(&file)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_folder_is_the_one_that_analyze_video_uses() {
        let args = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(asked_folder(&args("--stride 1 --out here")), Some(PathBuf::from("here")));
        assert_eq!(asked_folder(&args("--out=there")), Some(PathBuf::from("there")));
        assert_eq!(asked_folder(&args("--stride 1")), None);
        assert_eq!(beside(Path::new("a/clip.mp4")), PathBuf::from("a/clip.mp4.emotion"));
    }
}
