//! Writing past the caches: a result that would not stay in one anyway costs a read of what it
//! replaces otherwise.

/// A result of at least this many floats is written past the caches (in tests, a small one, so that
/// they see both ways).
pub(crate) const STREAMED: usize = if cfg!(test) { 4 << 10 } else { 4 << 20 };

/// Floats of a cache line: what is streamed is aligned to it.
pub(crate) const ALIGNED: usize = 16;

/// Makes what was streamed visible before anything that follows.
#[inline]
pub(crate) fn fence() {
    // SAFETY: SSE is part of the architecture's baseline.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}
