//! Where a loader's time goes, summed over its threads.

use std::time::{Duration, Instant};

/// Time spent on `images` samples, by step. Samples are written to their place in the batch; what is stored as pixels is
/// copied once before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    pub images: u64,
    /// Bytes of files.
    pub read: Duration,
    /// Step 1, of the region that is needed.
    pub decode: Duration,
    /// Of what is stored as pixels, those of the region that is needed.
    pub copy: Duration,
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
        self.copy += other.copy;
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
