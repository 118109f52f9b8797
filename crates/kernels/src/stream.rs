//! Writing past the caches, for results so large that they would not stay in one. An ordinary store
//! would first read the memory that it replaces.

/// A result of at least this many floats is written past the caches (in tests, a small one, so that
/// they see both ways).
pub(crate) const STREAMED: usize = if cfg!(test) { 4 << 10 } else { 4 << 20 };

/// Floats of a cache line: what is streamed is aligned to it.
pub(crate) const ALIGNED: usize = 16;

/// Makes what was streamed visible to everything that follows.
#[inline]
pub(crate) fn fence() {
    // SAFETY: SSE is part of the architecture's baseline.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}
