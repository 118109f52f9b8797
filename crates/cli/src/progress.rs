//! How far a long look at many images is: a bar on a terminal, a plain line each 30 seconds elsewhere.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use fetch::Transfer;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output;

/// Between two plain lines.
const INTERVAL: Duration = Duration::from_secs(30);

/// Counts images.
pub(crate) struct Counter {
    /// What is being done, such as `checking`.
    what: &'static str,
    bar: ProgressBar,
    started: Instant,
    /// The last plain line, and what was done before the start.
    told: Instant,
    first: Option<usize>,
}

impl Counter {
    pub(crate) fn new(what: &'static str) -> Counter {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(5));
        let style = "{msg} {bar:20} {human_pos}/{human_len} images, {per_sec}, ETA {eta}";
        let style = ProgressStyle::with_template(style).expect("the template is a constant");
        bar.set_style(style);
        bar.set_message(what);
        let now = Instant::now();
        Counter { what, bar, started: now, told: now, first: None }
    }

    /// `done` of `total` images are done.
    pub(crate) fn at(&mut self, done: usize, total: usize) -> ControlFlow<()> {
        let first = *self.first.get_or_insert(done.saturating_sub(1));
        if !self.bar.is_hidden() {
            self.bar.set_length(total as u64);
            self.bar.set_position(done as u64);
            if done == total {
                self.bar.finish_and_clear();
            }
        } else if self.told.elapsed() >= INTERVAL {
            self.told = Instant::now();
            let each = self.started.elapsed().as_secs_f64() / (done - first) as f64;
            let left = output::duration(each * (total - done) as f64);
            output::note(&format!("{} {done}/{total} images, ETA {left}", self.what));
        }
        ControlFlow::Continue(())
    }
}

/// Shows how far a file has come that is being fetched: a bar on a terminal, a plain line each 30 seconds elsewhere.
pub(crate) struct Fetching {
    bar: ProgressBar,
    told: Instant,
}

impl Fetching {
    pub(crate) fn new() -> Fetching {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(5));
        let style = "{msg} {bar:20} {bytes}/{total_bytes}, {bytes_per_sec}, ETA {eta}";
        bar.set_style(ProgressStyle::with_template(style).expect("the template is a constant"));
        Fetching { bar, told: Instant::now() }
    }

    pub(crate) fn at(&mut self, transfer: &Transfer) {
        let Transfer { file, done, total } = transfer;
        if !self.bar.is_hidden() {
            if self.bar.message() != *file {
                self.bar.reset();
                self.bar.set_message(file.clone());
            }
            self.bar.set_length(total.unwrap_or(*done));
            self.bar.set_position(*done);
            if Some(*done) == *total {
                self.bar.finish_and_clear();
            }
        } else if self.told.elapsed() >= INTERVAL {
            self.told = Instant::now();
            let of = total.map_or(String::new(), |total| format!(" of {}", output::bytes(total)));
            output::note(&format!("{file}: {}{of}", output::bytes(*done)));
        }
    }
}
