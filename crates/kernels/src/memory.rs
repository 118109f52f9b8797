//! An allocator for large buffers, which training allocates and frees anew in each step: it hands freed memory out again
//! instead of giving its pages back to the system.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The smallest request, in bytes, that is served from a segment. The inner allocator serves smaller ones.
const SMALLEST: usize = 256 << 10;

/// The alignment of blocks, in bytes, and the length of a block's header: one cache line.
const GRAIN: usize = 64;

/// The bytes that are requested from the inner allocator at once. Its pages cost nothing before they are touched.
const SEGMENT: usize = 1 << 30;

/// The alignment of a segment: one page.
const SEGMENT_ALIGNMENT: usize = 4 << 10;

/// A remainder of fewer bytes than this stays with its block.
const CRUMB: usize = 4 << 10;

/// An allocator of large blocks. They lie in segments that it requests from another allocator and never returns.
///
/// A training step frees what it allocated in reverse, layer by layer, so neighbours become free together. They are
/// joined, so that the memory of the activations of late layers can then hold the larger gradients of early ones.
pub struct Arena<A> {
    inner: A,
    free: Mutex<FreeList>,
}

/// The free blocks, linked in no order. A training step has some hundreds of blocks, and they are so large that
/// searching the whole list for each costs little.
struct FreeList {
    head: *mut Header,
    segments: usize,
}

// SAFETY: the headers are reached through the lock alone.
unsafe impl Send for FreeList {}

/// The header, which is in memory just before each block.
#[repr(C, align(64))]
struct Header {
    /// Bytes of the block with its header.
    size: usize,
    /// The block before it in its segment, null for the first.
    before: *mut Header,
    /// The block behind it in its segment, null for the last.
    behind: *mut Header,
    free: bool,
    previous: *mut Header,
    next: *mut Header,
    /// The number of its segment, in the order in which they were asked for.
    segment: usize,
}

impl<A: GlobalAlloc> Arena<A> {
    pub const fn new(inner: A) -> Arena<A> {
        Arena { inner, free: Mutex::new(FreeList { head: null_mut(), segments: 0 }) }
    }

    fn free(&self) -> MutexGuard<'_, FreeList> {
        // Nothing panics while it holds the lock, and an allocator must not panic.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A block of `size` bytes; null where there is no more memory.
    fn take(&self, size: usize) -> *mut u8 {
        let Some(size) = size.checked_next_multiple_of(GRAIN).and_then(|s| s.checked_add(GRAIN))
        else {
            return null_mut();
        };
        let mut free = self.free();
        let mut block = free.first(size);
        if block.is_null() {
            block = self.segment(free.segments, size);
            if block.is_null() {
                return null_mut();
            }
            free.segments += 1;
            // SAFETY: a new segment is one block that nobody else knows.
            unsafe { free.insert(block) };
        }
        // SAFETY: the block is in the list and holds `size` bytes; behind its header they are its owner's.
        unsafe {
            free.remove(block);
            free.split(block, size);
            block.cast::<u8>().add(GRAIN)
        }
    }

    /// The segment of this number, for at least `size` bytes, as one block; null where there is no more memory.
    fn segment(&self, segment: usize, size: usize) -> *mut Header {
        for whole in [SEGMENT.max(size), size] {
            let Ok(layout) = Layout::from_size_align(whole, SEGMENT_ALIGNMENT) else { continue };
            // SAFETY: a segment is not empty.
            let block = unsafe { self.inner.alloc(layout) }.cast::<Header>();
            if !block.is_null() {
                let [before, behind, previous, next] = [null_mut(); 4];
                let size = whole;
                let header = Header { size, before, behind, free: false, previous, next, segment };
                // SAFETY: the segment is aligned to more than a header, longer than one, and ours.
                unsafe { block.write(header) };
                return block;
            }
        }
        null_mut()
    }

    /// Takes back a block that its owner frees.
    ///
    /// # Safety
    /// `take` gave it, and nobody uses it any more.
    unsafe fn give_back(&self, block: *mut u8) {
        let mut free = self.free();
        // SAFETY: a header stands before each block that `take` gave. Its neighbours are headers of the same segment,
        // and those that say that they are free are in the list.
        unsafe {
            let mut block = block.sub(GRAIN).cast::<Header>();
            let Header { before, behind, .. } = *block;
            if !behind.is_null() && (*behind).free {
                free.remove(behind);
                join(block, behind);
            }
            if !before.is_null() && (*before).free {
                free.remove(before);
                join(before, block);
                block = before;
            }
            free.insert(block);
        }
    }
}

/// Joins a block with the one behind it.
///
/// # Safety
/// Both are headers, neighbours, and in no list.
unsafe fn join(block: *mut Header, behind: *mut Header) {
    // SAFETY: by the caller's promise; a header's own neighbours are headers.
    unsafe {
        (*block).size += (*behind).size;
        (*block).behind = (*behind).behind;
        if !(*block).behind.is_null() {
            (*(*block).behind).before = block;
        }
    }
}

// In all of these, the headers in the list are those of blocks that nobody owns.
impl FreeList {
    /// The first free block of at least `size` bytes, in the order of segments and addresses; null where there is none.
    ///
    /// The smallest block that fits is not taken, because that would touch new pages while larger old blocks are free.
    fn first(&self, size: usize) -> *mut Header {
        let mut first: *mut Header = null_mut();
        let mut at = self.head;
        while !at.is_null() {
            // SAFETY: what the list holds are headers.
            unsafe {
                let earlier = first.is_null() || ((*at).segment, at) < ((*first).segment, first);
                if (*at).size >= size && earlier {
                    first = at;
                }
                at = (*at).next;
            }
        }
        first
    }

    /// # Safety
    /// `block` is a header, in no list, and nobody owns its block.
    unsafe fn insert(&mut self, block: *mut Header) {
        // SAFETY: by the caller's promise, and since the list holds headers.
        unsafe {
            (*block).free = true;
            (*block).previous = null_mut();
            (*block).next = self.head;
            if !self.head.is_null() {
                (*self.head).previous = block;
            }
        }
        self.head = block;
    }

    /// # Safety
    /// `block` is a header in the list.
    unsafe fn remove(&mut self, block: *mut Header) {
        // SAFETY: by the caller's promise, and since the list holds headers.
        unsafe {
            let Header { previous, next, .. } = *block;
            (*block).free = false;
            if previous.is_null() {
                self.head = next;
            } else {
                (*previous).next = next;
            }
            if !next.is_null() {
                (*next).previous = previous;
            }
        }
    }

    /// Cuts a block to `size` bytes; what remains of it is free.
    ///
    /// # Safety
    /// `block` is a header in no list, of at least `size` bytes, which are a multiple of a grain.
    unsafe fn split(&mut self, block: *mut Header, size: usize) {
        // SAFETY: by the caller's promise the remainder lies inside the block, aligned as headers are.
        unsafe {
            let rest = (*block).size - size;
            if rest < CRUMB {
                return;
            }
            let remainder = block.cast::<u8>().add(size).cast::<Header>();
            let Header { behind, segment, .. } = *block;
            let [previous, next] = [null_mut(); 2];
            let (size_left, before, free) = (rest, block, false);
            let header = Header { size: size_left, before, behind, free, previous, next, segment };
            remainder.write(header);
            if !behind.is_null() {
                (*behind).before = remainder;
            }
            (*block).behind = remainder;
            (*block).size = size;
            self.insert(remainder);
        }
    }
}

/// Whether the arena serves a request itself. It is a function of the layout alone.
fn is_large(layout: Layout) -> bool {
    layout.size() >= SMALLEST && layout.align() <= GRAIN
}

// SAFETY: a large block lies inside a segment, is as long as was asked for, starts at a multiple of `GRAIN`, and is handed
// to one owner at a time; which requests are large is a function of the layout alone, so each block is given back to
// where it came from.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Arena<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            return self.take(layout.size());
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { self.inner.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !is_large(layout) {
            // SAFETY: the caller's promise is passed on.
            return unsafe { self.inner.alloc_zeroed(layout) };
        }
        let block = self.take(layout.size());
        if !block.is_null() {
            // SAFETY: the block holds at least `layout.size()` bytes and is ours alone.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on; `take` gave what is large.
        unsafe {
            if is_large(layout) {
                self.give_back(block);
            } else {
                self.inner.dealloc(block, layout);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::alloc::System;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 16).unwrap()
    }

    /// A generator of numbers, good enough to mix sizes.
    fn numbers(mut state: u64) -> impl FnMut(usize) -> usize {
        move |below| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % below
        }
    }

    #[test]
    fn blocks_never_overlap_and_become_one_again() {
        let arena = Arena::new(System);
        let mut random = numbers(7);
        let mut held: Vec<(*mut u8, Layout, u8)> = Vec::new();
        // SAFETY: each block is used within its layout and freed once, with the layout it was asked for by.
        unsafe {
            for step in 0..2000 {
                if held.len() < 40 && (held.is_empty() || random(2) == 0) {
                    let layout = layout(SMALLEST + random(1 << 20));
                    let block = arena.alloc(layout);
                    assert!(!block.is_null() && block.align_offset(GRAIN) == 0);
                    // Both ends tell of a neighbour that writes too far.
                    block.write(step as u8);
                    block.add(layout.size() - 1).write(step as u8);
                    held.push((block, layout, step as u8));
                } else {
                    let (block, layout, mark) = held.swap_remove(random(held.len()));
                    assert_eq!([block.read(), block.add(layout.size() - 1).read()], [mark; 2]);
                    arena.dealloc(block, layout);
                }
            }
            for (block, layout, _) in held {
                arena.dealloc(block, layout);
            }
            let free = arena.free();
            assert_eq!((*free.head).size, SEGMENT, "one segment, joined again");
            assert!((*free.head).next.is_null());
        }
    }

    #[test]
    fn what_small_blocks_held_holds_a_large_one() {
        let arena = Arena::new(System);
        let (small, large) = (layout(SMALLEST), layout(4 * SMALLEST));
        // SAFETY: each block is freed once, with the layout it was asked for by.
        unsafe {
            let blocks: Vec<*mut u8> = (0..4).map(|_| arena.alloc(small)).collect();
            let wall = arena.alloc(small);
            for &block in &blocks {
                arena.dealloc(block, small);
            }
            let block = arena.alloc(large);
            assert_eq!(block, blocks[0]);
            arena.dealloc(block, large);
            arena.dealloc(wall, small);
        }
    }

    #[test]
    fn zeroed_blocks_are_zero_after_use() {
        let arena = Arena::new(System);
        let layout = layout(SMALLEST + 5);
        // SAFETY: the block is used within its layout and freed once, with the layout it was asked for by.
        unsafe {
            let first = arena.alloc(layout);
            first.write_bytes(7, layout.size());
            arena.dealloc(first, layout);
            let again = arena.alloc_zeroed(layout);
            assert_eq!(again, first);
            assert!(std::slice::from_raw_parts(again, layout.size()).iter().all(|&b| b == 0));
            arena.dealloc(again, layout);
        }
    }

    /// Gives nothing.
    struct Nothing;

    // SAFETY: a null block says that there is no memory.
    unsafe impl GlobalAlloc for Nothing {
        unsafe fn alloc(&self, _: Layout) -> *mut u8 {
            null_mut()
        }
        unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
    }

    #[test]
    fn without_memory_there_is_no_block() {
        // SAFETY: the layouts are not empty.
        unsafe {
            assert!(Arena::new(Nothing).alloc(layout(SMALLEST)).is_null());
            let most = Layout::from_size_align(isize::MAX as usize - 63, 16).unwrap();
            assert!(Arena::new(System).alloc(most).is_null());
        }
    }
}
