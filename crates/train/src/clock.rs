//! The working time of a run.

use std::time::{Duration, Instant, SystemTime};

/// A clock of working time that continues the time of the run's earlier sessions.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    before: Duration,
}

impl Clock {
    pub(crate) fn after(before: Duration) -> Clock {
        Clock { started: Instant::now(), before }
    }

    /// The working time of the whole run.
    pub(crate) fn worked(&self) -> Duration {
        self.before + self.started.elapsed()
    }

    /// The time at which the run would have started if it had never paused.
    pub(crate) fn start_of_run(&self) -> SystemTime {
        SystemTime::now() - self.worked()
    }
}
