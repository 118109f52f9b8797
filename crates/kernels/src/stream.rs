//! Writing past the caches: a result that would not stay in one anyway costs a read of what it
//! replaces otherwise.

use crate::isa::Isa;

/// A result of at least this many floats is written past the caches (in tests, a small one, so that
/// they see both ways).
pub(crate) const STREAMED: usize = if cfg!(test) { 4 << 10 } else { 4 << 20 };

/// Floats of a cache line: what is streamed is aligned to it.
pub(crate) const ALIGNED: usize = 16;

/// Copies; what follows must wait for [`fence`].
pub(crate) fn copy(isa: Isa, from: &[f32], to: &mut [f32]) {
    assert_eq!(from.len(), to.len());
    match isa {
        // SAFETY: the variants are only made after AVX2 was detected.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Avx2Fma => unsafe { copy_avx2(from, to) },
        Isa::Portable => to.copy_from_slice(from),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn copy_avx2(from: &[f32], to: &mut [f32]) {
    use std::arch::x86_64::{_mm256_loadu_ps, _mm256_stream_ps};
    // SAFETY: eight floats are a vector, of whatever bits.
    let (head, body, tail) = unsafe { to.align_to_mut::<std::arch::x86_64::__m256>() };
    let (start, rest) = from.split_at(head.len());
    let (middle, end) = rest.split_at(8 * body.len());
    head.copy_from_slice(start);
    tail.copy_from_slice(end);
    for (to, from) in body.iter_mut().zip(middle.as_chunks::<8>().0) {
        // SAFETY: `from` is eight floats, `to` is an aligned vector.
        unsafe { _mm256_stream_ps(std::ptr::from_mut(to).cast(), _mm256_loadu_ps(from.as_ptr())) };
    }
}

/// Makes what was streamed visible before anything that follows.
#[inline]
pub(crate) fn fence() {
    // SAFETY: SSE is part of the architecture's baseline.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}
