//! What `train_ser` shows while it trains.

use std::io::IsTerminal;

use emotion_core::BoxError;
use indicatif::{ProgressBar, ProgressStyle};
use model_kit::callback::{Callback, Flow, StepInfo};
use model_kit::trainer::EpochRecord;

/// A bar within each epoch on a terminal, and one line after each epoch anywhere.
pub(crate) struct Console {
    bar: Option<ProgressBar>,
}

impl Console {
    pub(crate) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg}");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar }
    }
}

impl Callback for Console {
    fn on_step(&mut self, step: &StepInfo) -> Result<Flow, BoxError> {
        if let Some(bar) = &self.bar {
            bar.set_prefix(format!("{}/{}", step.epoch, step.epochs));
            bar.set_length(step.steps_per_epoch);
            bar.set_position(step.step);
            bar.set_message(format!("loss {:.3}, {:.0} clips/s", step.loss, step.samples_per_second));
        }
        Ok(Flow::Continue)
    }

    fn on_epoch(&mut self, history: &[EpochRecord]) -> Result<Flow, BoxError> {
        let Some(record) = history.last() else { return Ok(Flow::Continue) };
        let watched =
            [("validation", &record.validation), ("averaged weights", &record.averaged)].map(|(name, score)| {
                score.map_or_else(String::new, |score| {
                    format!(", {name}: mean recall {:.1} %, loss {:.3}", 100.0 * score.uar, score.loss)
                })
            });
        let line = format!(
            "{:>3}: training loss {:.3}{}{}, {:.0} clips/s",
            record.epoch, record.train_loss, watched[0], watched[1], record.samples_per_second
        );
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
        Ok(Flow::Continue)
    }
}
