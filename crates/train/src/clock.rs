//! How long a run has worked.

use std::time::{Duration, Instant, SystemTime};

/// Time of work, counted on from what earlier sessions of the run worked.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    before: Duration,
}

impl Clock {
    pub(crate) fn after(before: Duration) -> Clock {
        Clock { started: Instant::now(), before }
    }

    /// Work of the whole run.
    pub(crate) fn worked(&self) -> Duration {
        self.before + self.started.elapsed()
    }

    /// When the run would have started had it never paused.
    pub(crate) fn start_of_run(&self) -> SystemTime {
        SystemTime::now() - self.worked()
    }
}
