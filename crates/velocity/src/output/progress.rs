//! Progress bars: on a terminal, for what takes longer than a second.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

/// Before that nothing is drawn: what is over in a moment should not flicker.
const PATIENCE: Duration = Duration::from_secs(1);

/// A bar that shows itself when the work takes long.
pub(crate) struct Progress {
    bar: ProgressBar,
    since: Instant,
    visible: bool,
    quiet: bool,
}

impl Progress {
    /// Of a known number of bytes.
    pub(crate) fn bytes(total: Option<u64>, quiet: bool) -> Self {
        let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
        let template = if total.is_some() {
            "{wide_bar} {percent:>3}%  {bytes}/{total_bytes}  {msg}  {eta} left"
        } else {
            "{spinner} {bytes}  {msg}  {elapsed}"
        };
        Self::with(bar, template, quiet)
    }

    /// Of something that ends when it ends.
    pub(crate) fn waiting(message: String, quiet: bool) -> Self {
        let progress = Self::with(ProgressBar::no_length(), "{spinner} {msg}  {elapsed}", quiet);
        progress.bar.set_message(message);
        progress
    }

    fn with(bar: ProgressBar, template: &str, quiet: bool) -> Self {
        bar.set_draw_target(ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, since: Instant::now(), visible: false, quiet }
    }

    /// How far it is, and what to say beside it.
    pub(crate) fn at(&mut self, position: u64, message: String) {
        self.bar.set_position(position);
        self.bar.set_message(message);
        self.show();
    }

    /// Something is still going on.
    pub(crate) fn tick(&mut self) {
        self.bar.tick();
        self.show();
    }

    fn show(&mut self) {
        if !self.visible && !self.quiet && self.since.elapsed() > PATIENCE {
            // stderr() draws nothing where stderr is no terminal.
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.visible = true;
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
