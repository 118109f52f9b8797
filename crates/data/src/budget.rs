//! The memory that a loader may take, shared by its threads.
//!
//! Batches come first. Of the rest a half is for one large image at a time, and the other half is parted equally: a thread
//! whose image needs more than its part waits until it alone is large, and afterwards gives all its memory back. So
//! the sum never exceeds the budget, and nobody who waits holds what another waits for.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::probe::Facts;

/// Threads of a loader, and the bytes they may take together for batches, files and pictures on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resources {
    pub threads: usize,
    pub memory: u64,
}

/// So many threads, without a limit.
impl From<usize> for Resources {
    fn from(threads: usize) -> Resources {
        Resources { threads, memory: u64::MAX }
    }
}

/// Vectors that grow may take twice what they hold.
const GROWTH: u64 = 2;

#[derive(Debug)]
pub(crate) struct Budget {
    /// Of the whole loader, for messages.
    pub(crate) total: u64,
    /// What every thread may take without asking.
    part: u64,
    /// What one image may take.
    most: u64,
    large: Mutex<()>,
}

impl Budget {
    /// What `batches` bytes of batches leave; nothing where that is nothing.
    pub(crate) fn new(resources: Resources, batches: u64) -> Option<Budget> {
        let Resources { threads, memory } = resources;
        let most = memory.checked_sub(batches)? / 2;
        let part = most / threads.max(1) as u64;
        (part > 0).then(|| Budget { total: memory, part, most, large: Mutex::default() })
    }
}

/// What a thread has asked for, for one image.
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

    /// Asks for as many bytes more, and waits until they may be taken; or gives what the image needs, where that is too much.
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
    if facts.sequential {
        // Samples of the components and the picture; coefficients of two rows of blocks; the scan.
        let components = if facts.cmyk { 4 } else { 3 };
        return pixels.saturating_mul(components + 3).saturating_add(width * 512 + file);
    }
    // The widest layout has 8 bytes a pixel, decoders keep a copy or coefficients beside it, and the picture has 3.
    pixels.saturating_mul(16).saturating_add(file)
}

/// Bytes that samples of so many values take on their way from an image.
pub(crate) fn augmenting(facts_size: (usize, usize), values: usize) -> u64 {
    let side = (values / 3).isqrt();
    let edge = facts_size.0.max(facts_size.1);
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
