//! The memory that a loader may take, shared by its threads.
//!
//! Batches are counted first. Half of the rest is for one large image at a time, and the other half is divided equally among
//! the threads. A thread whose image needs more than its share waits until no other image is large, and afterwards gives all
//! its memory back. So the sum never exceeds the budget, and no thread that waits holds what another one waits for.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::probe::Facts;

/// Threads of a loader, and the bytes they may take together for batches, files and pictures on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resources {
    pub threads: usize,
    pub memory: u64,
}

/// This many threads, without a limit of memory.
impl From<usize> for Resources {
    fn from(threads: usize) -> Resources {
        Resources { threads, memory: u64::MAX }
    }
}

/// The edge of the largest block of pixels that a decoder works on.
const BLOCK: u64 = 32;
/// Tables and windows of a decoder of any format.
const TABLES: u64 = 1 << 17;

/// Vectors that grow may take twice what they hold.
const GROWTH: u64 = 2;

#[derive(Debug)]
pub(crate) struct Budget {
    /// Bytes of the whole loader, for messages.
    pub(crate) total: u64,
    /// Bytes that every thread may take without waiting.
    part: u64,
    /// Bytes that one image may take.
    most: u64,
    large: Mutex<()>,
}

impl Budget {
    /// The budget that `batches` bytes of batches leave; None where they leave nothing.
    pub(crate) fn new(resources: Resources, batches: u64) -> Option<Budget> {
        let Resources { threads, memory } = resources;
        let most = memory.checked_sub(batches)? / 2;
        let part = most / threads.max(1) as u64;
        (part > 0).then(|| Budget { total: memory, part, most, large: Mutex::default() })
    }
}

/// The memory that a thread has asked for, for one image.
#[derive(Debug)]
pub(crate) struct MemoryGrant<'a> {
    budget: &'a Budget,
    needed: u64,
    large: Option<MutexGuard<'a, ()>>,
}

impl<'a> MemoryGrant<'a> {
    pub(crate) fn new(budget: &'a Budget) -> MemoryGrant<'a> {
        MemoryGrant { budget, needed: 0, large: None }
    }

    /// Asks for more bytes, and waits until they may be taken. The error is how many the image needs, where that is too many.
    pub(crate) fn ask(&mut self, bytes: u64) -> Result<(), u64> {
        self.needed = self.needed.saturating_add(bytes.saturating_mul(GROWTH));
        let MemoryGrant { budget, needed, large } = self;
        if *needed > budget.most {
            return Err(*needed);
        }
        if *needed > budget.part && large.is_none() {
            // Nothing lies behind this lock.
            *large = Some(budget.large.lock().unwrap_or_else(PoisonError::into_inner));
        }
        Ok(())
    }

    /// Whether the thread has to give its memory back.
    pub(crate) fn is_large(&self) -> bool {
        self.large.is_some()
    }
}

/// Bytes that decoding a file takes at most.
pub(crate) fn decoding(facts: &Facts, file: u64) -> u64 {
    let Some((width, height)) = facts.size else { return file };
    let pixels = width.saturating_mul(height);
    if facts.sequential && !facts.cmyk {
        // Samples of the components and the picture; coefficients of two rows of blocks; the scan.
        return pixels.saturating_mul(6).saturating_add(width * 512 + file);
    }
    // The widest layout has 8 bytes a pixel, decoders keep a copy or coefficients beside it, and the picture has 3. Blocks
    // of pixels reach beyond the edges.
    let edges = (width.saturating_add(height)).saturating_mul(BLOCK);
    pixels.saturating_add(edges).saturating_mul(16).saturating_add(file + TABLES)
}

/// Bytes that an image takes on its way to a sample; both sizes are of two edges in any order.
pub(crate) fn augmenting(image: (usize, usize), sample: [usize; 2]) -> u64 {
    let side = sample[0].max(sample[1]);
    let edge = image.0.max(image.1);
    let values = sample[0] * sample[1] * 3;
    // The rows between the two passes, a strip on its side, weights, and the 8-bit sample twice.
    (edge * side * 3 + edge * 64 + values * 4) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_images_ask_nobody_and_large_ones_wait_for_each_other() {
        let budget = Budget::new(Resources { threads: 4, memory: 1000 }, 200).unwrap();
        let (mut small, mut large, mut huge) =
            (MemoryGrant::new(&budget), MemoryGrant::new(&budget), MemoryGrant::new(&budget));
        small.ask(50).unwrap();
        assert!(!small.is_large());
        large.ask(50).unwrap();
        large.ask(100).unwrap();
        assert!(large.is_large() && budget.large.try_lock().is_err());
        assert_eq!(huge.ask(201), Err(402));
        drop(large);
        assert!(budget.large.try_lock().is_ok());
    }

    #[test]
    fn batches_alone_may_be_too_much() {
        assert!(Budget::new(Resources { threads: 2, memory: 100 }, 101).is_none());
        assert!(Budget::new(Resources::from(3usize), 1 << 40).is_some());
    }
}
