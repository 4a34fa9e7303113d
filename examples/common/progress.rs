//! Progress of an analysis on stderr: a bar on a terminal, a line now and then elsewhere.

use std::time::{Duration, Instant};

use emotion::{Progress, Stage};
use indicatif::{ProgressBar, ProgressStyle};

/// How often a line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// A closure for `Analyzer::builder().progress(…)`.
pub(crate) fn reporter(terminal: bool) -> Box<dyn FnMut(Progress) + Send> {
    if terminal { Box::new(bar()) } else { Box::new(lines()) }
}

fn bar() -> impl FnMut(Progress) + Send {
    let mut current: Option<(Stage, Bar)> = None;
    move |progress| {
        if current.as_ref().is_none_or(|(stage, _)| *stage != progress.stage) {
            current = Some((progress.stage, Bar::new(&progress)));
        }
        if let Some((_, Bar(bar))) = &current {
            bar.set_position(milliseconds(progress.seconds));
            if progress.frames > 0 {
                bar.set_message(format!("{} frames", progress.frames));
            }
        }
    }
}

/// A bar that leaves its line when its stage is over.
struct Bar(ProgressBar);

impl Bar {
    fn new(progress: &Progress) -> Self {
        let (bar, template) = match progress.duration {
            Some(duration) => {
                (ProgressBar::new(milliseconds(duration)), "{prefix:>9} {bar:32.cyan/dim} {percent:>3} %  {msg}")
            }
            None => (ProgressBar::new_spinner(), "{prefix:>9} {spinner}  {msg}"),
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.set_prefix(name(progress.stage));
        Self(bar)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn lines() -> impl FnMut(Progress) + Send {
    let mut last: Option<(Stage, Instant)> = None;
    move |progress| {
        let due = last.is_none_or(|(stage, printed)| stage != progress.stage || printed.elapsed() >= LINE_EVERY);
        if due {
            let of = progress.duration.map_or(String::new(), |duration| format!(" of {duration:.1}"));
            eprintln!("{}: {:.1}{of} s", name(progress.stage), progress.seconds);
            last = Some((progress.stage, Instant::now()));
        }
    }
}

fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Sound => "listening",
        Stage::Video => "looking",
    }
}

fn milliseconds(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1e3) as u64
}
