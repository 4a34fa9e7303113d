//! Progress lines: plain ones when piped, and on a terminal one more line at the bottom that tells what runs now.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::cache;

/// Speaks to the user on the error stream; several threads may share one.
#[derive(Debug)]
pub(crate) struct Ui {
    terminal: bool,
    /// What runs now, by name.
    running: Mutex<Vec<(String, String)>>,
}

impl Ui {
    pub(crate) fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), running: Mutex::default() }
    }

    /// One line that stays: `  name        text`.
    pub(crate) fn line(&self, name: &str, text: &str) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(&format!("  {name:<14} {text}\n"), &running);
    }

    /// Does `work` under a headline, with its duration in the closing line.
    pub(crate) fn step<T>(&self, name: &str, text: &str, work: impl FnOnce() -> crate::Result<T>) -> crate::Result<T> {
        self.line(name, text);
        self.now(name, Some(text));
        let start = Instant::now();
        let outcome = work();
        self.now(name, None);
        if outcome.is_ok() {
            self.line(name, &format!("done in {}", seconds(start.elapsed())));
        }
        outcome
    }

    /// Does `work`, and meanwhile tells how much of `total` bytes has arrived in `folder`.
    pub(crate) fn watching<T>(&self, name: &str, folder: &Path, total: u64, work: impl FnOnce() -> T) -> T {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut quarter = 0;
                while !done.load(Ordering::Relaxed) {
                    let arrived = cache::size(folder).min(total);
                    let text = format!("{:3} % of {}", arrived * 100 / total.max(1), megabytes(total));
                    self.now(name, Some(&text));
                    // Piped output gets a line at each quarter instead of a moving one.
                    if !self.terminal && arrived * 4 / total.max(1) > quarter {
                        quarter = arrived * 4 / total.max(1);
                        self.line(name, &text);
                    }
                    std::thread::sleep(Duration::from_millis(200));
                }
            });
            let outcome = work();
            done.store(true, Ordering::Relaxed);
            outcome
        })
    }

    /// Sets or clears what the moving line says of `name`.
    fn now(&self, name: &str, text: Option<&str>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        match (running.iter().position(|(known, _)| known == name), text) {
            (Some(at), Some(text)) => text.clone_into(&mut running[at].1),
            (Some(at), None) => drop(running.remove(at)),
            (None, Some(text)) => running.push((name.to_owned(), text.to_owned())),
            (None, None) => {}
        }
        self.write("", &running);
    }

    fn write(&self, line: &str, running: &[(String, String)]) {
        let mut out = std::io::stderr().lock();
        // A closed error stream is no reason to stop working.
        let _ = if self.terminal {
            let now: Vec<String> = running.iter().map(|(name, text)| format!("{name}: {}", text.trim())).collect();
            let now: String = now.join("   ").chars().take(78).collect();
            write!(out, "\r\x1b[2K{line}{now}")
        } else {
            write!(out, "{line}")
        };
        let _ = out.flush();
    }
}

/// `12.3 s`, or `2 min 05 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    match duration.as_secs() {
        0..100 => format!("{:.1} s", duration.as_secs_f64()),
        long => format!("{} min {:02} s", long / 60, long % 60),
    }
}

/// `498 MB`, or `4.6 GB`.
pub(crate) fn megabytes(bytes: u64) -> String {
    match bytes {
        0..10_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        10_000_000..1_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(seconds(Duration::from_millis(1250)), "1.2 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 05 s");
        assert_eq!(megabytes(2_260_416), "2.3 MB");
        assert_eq!(megabytes(498_000_000), "498 MB");
        assert_eq!(megabytes(4_600_000_000), "4.6 GB");
    }
}
