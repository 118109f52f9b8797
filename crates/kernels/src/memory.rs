//! Memory for large buffers, which training allocates and frees anew each step: an allocator that keeps freed blocks for
//! the next step instead of giving their pages back, and results that are not zeroed before they are written.

use std::alloc::{GlobalAlloc, Layout};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Smaller blocks are the inner allocator's business.
const SMALLEST: usize = 256 << 10;

/// Cache lines and vectors start where blocks do.
const ALIGNMENT: usize = 64;

/// Classes of block sizes: eight to each power of two.
const CLASSES: usize = 8 * usize::BITS as usize;

/// An allocator that recycles large blocks of another one.
///
/// What is cached and in use together stays within a quarter above the most that was ever in use at once.
pub struct Recycling<A> {
    inner: A,
    cache: Mutex<Cache>,
}

/// Free blocks by class, each list linked through the first word of its blocks.
struct Cache {
    heads: [usize; CLASSES],
    live: usize,
    most_live: usize,
    cached: usize,
}

impl<A> Recycling<A> {
    pub const fn new(inner: A) -> Recycling<A> {
        let cache = Cache { heads: [0; CLASSES], live: 0, most_live: 0, cached: 0 };
        Recycling { inner, cache: Mutex::new(cache) }
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        // Nothing in here panics while it holds the lock, and an allocator may not panic itself.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A cached block of this class, now in use; null where there is none.
    fn take(&self, class: usize, size: usize) -> *mut u8 {
        let mut cache = self.cache();
        cache.live += size;
        cache.most_live = cache.most_live.max(cache.live);
        let block = cache.heads[class] as *mut u8;
        if !block.is_null() {
            // SAFETY: a block in a list is large enough for a word, is aligned to more than a word, belongs to nobody
            // else, and `keep` wrote the next block's address there.
            cache.heads[class] = unsafe { block.cast::<usize>().read() };
            cache.cached -= size;
        }
        block
    }

    /// Takes a block out of use; false where it should go back to the inner allocator.
    fn keep(&self, block: *mut u8, class: usize, size: usize) -> bool {
        let mut cache = self.cache();
        cache.live -= size;
        if cache.live + cache.cached + size > cache.most_live + cache.most_live / 4 {
            return false;
        }
        // SAFETY: the block was allocated with at least `SMALLEST` bytes at `ALIGNMENT`, and its owner gave it up.
        unsafe { block.cast::<usize>().write(cache.heads[class]) };
        cache.heads[class] = block as usize;
        cache.cached += size;
        true
    }
}

/// The class of a large request, and the layout of every block of that class.
fn class_of(layout: Layout) -> Option<(usize, Layout)> {
    if layout.size() < SMALLEST || layout.align() > ALIGNMENT {
        return None;
    }
    let step = 1usize << (layout.size().ilog2() - 3);
    let size = layout.size().checked_next_multiple_of(step)?;
    let exponent = size.ilog2();
    let eighth = (size >> (exponent - 3)) & 7;
    let layout = Layout::from_size_align(size, ALIGNMENT).ok()?;
    Some((8 * exponent as usize + eighth, layout))
}

// SAFETY: every block comes from the inner allocator with the layout of its class, which is a function of the request's
// layout alone and at least as large and as aligned; it is handed to one owner at a time, and returned with that layout.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Recycling<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some((class, whole)) = class_of(layout) else {
            // SAFETY: the caller's promise is passed on.
            return unsafe { self.inner.alloc(layout) };
        };
        let block = self.take(class, whole.size());
        if block.is_null() {
            // SAFETY: a class's layout is not empty.
            return unsafe { self.inner.alloc(whole) };
        }
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some((class, whole)) = class_of(layout) else {
            // SAFETY: the caller's promise is passed on.
            return unsafe { self.inner.alloc_zeroed(layout) };
        };
        let block = self.take(class, whole.size());
        if block.is_null() {
            // SAFETY: a class's layout is not empty.
            return unsafe { self.inner.alloc_zeroed(whole) };
        }
        // SAFETY: the block holds at least `layout.size()` bytes and is ours alone.
        unsafe { block.write_bytes(0, layout.size()) };
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match class_of(layout) {
            // SAFETY: the caller's promise is passed on.
            None => unsafe { self.inner.dealloc(block, layout) },
            Some((class, whole)) => {
                if !self.keep(block, class, whole.size()) {
                    // SAFETY: blocks of a class were allocated with the class's layout.
                    unsafe { self.inner.dealloc(block, whole) };
                }
            }
        }
    }
}

/// A new vector of `length` numbers that `fill` writes, every one. What it holds before is anything: `fill` may not read
/// it. Zeroing it first would cost another pass over memory for each result of a step.
///
/// In debug builds it holds NaN before, so that a number left unwritten is seen.
#[allow(clippy::uninit_vec)]
pub fn overwritten(length: usize, fill: impl FnOnce(&mut [f32])) -> Vec<f32> {
    let mut values = Vec::with_capacity(length);
    if cfg!(debug_assertions) {
        values.resize(length, f32::NAN);
    } else {
        // SAFETY: the capacity is there, any bits are an f32, and `fill` writes each number before anyone reads it:
        // every kernel's tests start from NaN and would find it left in the result.
        unsafe { values.set_len(length) };
    }
    fill(&mut values);
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::alloc::System;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 16).unwrap()
    }

    #[test]
    fn classes_hold_what_they_promise() {
        let mut size = SMALLEST;
        while size < 1 << 40 {
            for size in [size, size + 1, size + size / 3, 2 * size - 1] {
                let (class, whole) = class_of(layout(size)).unwrap();
                assert!(whole.size() >= size && whole.size() - size <= size / 8, "{size}");
                assert_eq!(class_of(whole).unwrap(), (class, whole), "{size}");
            }
            size *= 2;
        }
        assert!(class_of(layout(SMALLEST - 1)).is_none());
        assert!(class_of(Layout::from_size_align(SMALLEST, 4096).unwrap()).is_none());
    }

    #[test]
    fn a_freed_block_is_the_next_one_of_its_class() {
        let allocator = Recycling::new(System);
        let (one, other) = (layout(1 << 20), layout((1 << 20) - 1000));
        // SAFETY: each block is written within its layout and freed once, with the layout it was asked for by.
        unsafe {
            let first = allocator.alloc(one);
            first.write_bytes(7, one.size());
            allocator.dealloc(first, one);
            let again = allocator.alloc_zeroed(other);
            assert_eq!(again, first);
            let bytes = std::slice::from_raw_parts(again, other.size());
            assert!(bytes.iter().all(|&byte| byte == 0));
            allocator.dealloc(again, other);
        }
    }

    #[test]
    fn the_cache_stays_within_a_quarter_above_the_most_in_use() {
        let allocator = Recycling::new(System);
        // SAFETY: each block is freed once, with the layout it was asked for by, and never read.
        unsafe {
            for size in (1..64).map(|step| (1 << 20) + step * (64 << 10)) {
                let block = allocator.alloc(layout(size));
                assert!(!block.is_null());
                allocator.dealloc(block, layout(size));
                let cache = allocator.cache();
                assert_eq!(cache.live, 0);
                assert!(cache.cached <= cache.most_live + cache.most_live / 4);
            }
        }
    }

    #[test]
    fn overwritten_gives_what_was_written() {
        let values = overwritten(5, |values| values.copy_from_slice(&[1.0, 2.0, 3.0, 4.0, 5.0]));
        assert_eq!(values, [1.0, 2.0, 3.0, 4.0, 5.0]);
    }
}
