//! The progress of a long command, on standard error where that is a terminal.

use crate::output;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar, or nothing where nobody would see it.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// For bytes that are read; of how many, if that is known.
    pub(crate) fn of_bytes(total: Option<u64>) -> Progress {
        let template = match total {
            Some(_) => "{wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
            None => "{spinner} {bytes}, {bytes_per_sec}",
        };
        Progress::new(total, template)
    }

    /// For documents that are written.
    pub(crate) fn of_documents(total: u64) -> Progress {
        Progress::new(Some(total), "{wide_bar} {human_pos} of {human_len} documents, {eta} left")
    }

    /// For entries of an index that go.
    pub(crate) fn of_entries(total: u64) -> Progress {
        Progress::new(Some(total), "{wide_bar} {human_pos} of {human_len} entries, {eta} left")
    }

    fn new(total: Option<u64>, template: &str) -> Progress {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        bar.set_style(ProgressStyle::with_template(template).expect("the template is one of those above"));
        Progress(bar)
    }

    /// Nothing is shown: something else has the terminal.
    pub(crate) fn hidden() -> Progress {
        Progress(ProgressBar::hidden())
    }

    pub(crate) fn set(&self, position: u64) {
        self.0.set_position(position);
    }

    /// A line above the bar.
    pub(crate) fn tell(&self, message: &str) {
        self.0.suspend(|| output::tell(message));
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}
