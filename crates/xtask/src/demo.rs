//! `cargo xtask demo`: set up, analyse a clip, say where the results are.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::Result;
use crate::cache::{self, Cache};
use crate::project::Project;
use crate::setup::{self, Layout, Wanted, demo_clip};
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

    // Both programs in one go: built one after the other, they would share less of what they have in common.
    let cache = Cache::locate()?;
    let make_clip = clip.is_none() && !demo_clip::present(&cache);
    let mut build = project.cargo();
    build.args(["build", "--release", "-p", "emotion", "--example", "analyze_video"]);
    if make_clip {
        build.args(["-p", "video-io", "--example", "make_demo_clip"]);
    }
    let code = shell::pass_through(&mut build)?;
    if code != ExitCode::SUCCESS {
        return Ok(code);
    }
    if make_clip {
        demo_clip::encode(&example("make_demo_clip")?, &cache)?;
    }

    let mut analyze = Command::new(example("analyze_video")?);
    let out = match (asked_folder(rest), &clip) {
        (Some(asked), _) => asked,
        (None, Some(clip)) => beside(clip),
        (None, None) => {
            let out = project.root().join("target").join("demo");
            analyze.arg("--out").arg(&out);
            out
        }
    };
    let clip = clip.unwrap_or_else(|| cache.clip());
    let code = shell::pass_through(analyze.arg(clip).args(rest))?;
    if code == ExitCode::SUCCESS {
        show(&out);
    }
    Ok(code)
}

/// An example that cargo has just built. This program lies in the same target folder, wherever the user keeps that.
fn example(name: &str) -> Result<PathBuf> {
    let this = std::env::current_exe().map_err(|e| format!("cannot tell where this program lies: {e}"))?;
    let target = this.ancestors().nth(2).unwrap_or(Path::new("target"));
    Ok(target.join("release").join("examples").join(name))
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
