//! Where a loader's time goes, summed over its threads.

use std::time::{Duration, Instant};

/// Time spent on `images` samples, by step. Nothing is copied afterwards: samples are written to their place in the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    pub images: u64,
    /// Bytes of files.
    pub read: Duration,
    /// Step 1, of the region that is needed.
    pub decode: Duration,
    /// Steps 2 and 3.
    pub resize: Duration,
    /// Steps 4 to 6.
    pub color: Duration,
}

impl Times {
    pub(crate) fn add(&mut self, other: Times) {
        self.images += other.images;
        self.read += other.read;
        self.decode += other.decode;
        self.resize += other.resize;
        self.color += other.color;
    }
}

/// Adds the time since `start` to `to`, and starts anew.
pub(crate) fn lap(start: &mut Instant, to: &mut Duration) {
    let now = Instant::now();
    *to += now - *start;
    *start = now;
}
