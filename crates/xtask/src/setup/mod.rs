//! Set-up: finds out what is missing, then provides it, several things at once.

pub(crate) mod cascades;
pub(crate) mod demo_clip;
pub(crate) mod libtorch;
pub(crate) mod mtcnn;
pub(crate) mod system;

use std::time::Instant;

pub(crate) use self::libtorch::Layout;
use crate::Result;
use crate::cache::Cache;
use crate::project::Project;
use crate::ui::{self, Ui};

/// What this set-up is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// Which LibTorch, where the user said so.
    pub(crate) layout: Option<Layout>,
    /// Whether what the demo clip is made of is needed too.
    pub(crate) demo_clip: bool,
}

/// Makes sure that everything is there. Silent and quick when nothing is missing.
pub(crate) fn run(project: &Project, wanted: &Wanted) -> Result<()> {
    let cache = Cache::locate()?;
    let ui = Ui::new();
    let start = Instant::now();

    let libtorch = libtorch::Job::new(project, &cache, wanted.layout)?;
    let weights = !mtcnn::present(&cache);
    // The clip itself is made once the program that makes it can be built: see `demo.rs`.
    let clip = wanted.demo_clip && !demo_clip::present(&cache) && demo_clip::parts_missing(&cache);
    let downloads = libtorch.download_needed() || weights || (clip && demo_clip::download_needed(&cache));
    let mut missing = system::missing(&system::For { downloads, speech: clip });
    let apt = if missing.is_empty() { None } else { system::Apt::find() };
    if apt.is_none() {
        missing.retain(|item| item.needed);
        if !missing.is_empty() {
            return Err(system::by_hand(&missing));
        }
    }

    let nothing = missing.is_empty() && !libtorch.anything_to_do() && !weights && !clip;
    if !nothing {
        ui.line("setting up", &format!("what is downloaded is kept in {}", cache.root().display()));
        let (first, rest): (Vec<_>, Vec<_>) = missing.into_iter().partition(|item| item.what == system::PIP.what);
        let install = |items: &[system::Item]| apt.as_ref().map_or(Ok(()), |apt| system::install(items, apt, &ui));
        // Pip first, because the large downloads wait for it; they then run beside the larger part of the packages.
        install(&first)?;
        let outcomes = std::thread::scope(|scope| {
            let packages = scope.spawn(|| install(&rest));
            let library = scope.spawn(|| libtorch.run(project, &cache, &ui));
            let small = scope.spawn(|| {
                let network = if weights { mtcnn::provide(project, &cache, &ui) } else { Ok(()) };
                let parts = if clip { demo_clip::fetch_portrait(&cache, &ui) } else { Ok(()) };
                network.and(parts)
            });
            [packages, library, small]
                .map(|job| job.join().unwrap_or_else(|_| Err("a set-up step panicked".to_owned())))
        });
        let failures: Vec<String> = outcomes.into_iter().filter_map(Result::err).collect();
        if !failures.is_empty() {
            return Err(failures.join("\nerror: "));
        }
        if clip {
            demo_clip::speak(&cache, &ui)?;
        }
    }
    cascades::link(&cache, &ui)?;
    if !nothing {
        ui.line("set up", &format!("in {}", ui::seconds(start.elapsed())));
    }
    Ok(())
}
