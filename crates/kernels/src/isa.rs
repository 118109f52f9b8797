//! Which instruction set the kernels run on, chosen at run time.

/// An instruction set. It is read once where a kernel is entered and handed down from there, so
/// that one call never mixes two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isa {
    /// AVX-512 F, BW, DQ and VL, and what [`Self::Avx2Fma`] has.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2Fma,
    Portable,
}

#[cfg(test)]
thread_local! {
    static FORCED: std::cell::Cell<Option<Isa>> = const { std::cell::Cell::new(None) };
}

/// Runs `body` with every kernel entered on this thread on the path of `isa`.
#[cfg(test)]
pub(crate) fn with<R>(isa: Isa, body: impl FnOnce() -> R) -> R {
    FORCED.set(Some(isa));
    let result = body();
    FORCED.set(None);
    result
}

impl Isa {
    pub(crate) fn current() -> Self {
        #[cfg(test)]
        if let Some(isa) = FORCED.get() {
            return isa;
        }
        Self::best()
    }

    fn best() -> Self {
        // The standard library caches the answers; each is one load.
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
        {
            let wide = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            return if wide { Self::Avx512 } else { Self::Avx2Fma };
        }
        Self::Portable
    }

    /// Every instruction set this machine has.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<Self> {
        match Self::best() {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => vec![Self::Avx512, Self::Avx2Fma, Self::Portable],
            #[cfg(target_arch = "x86_64")]
            Self::Avx2Fma => vec![Self::Avx2Fma, Self::Portable],
            Self::Portable => vec![Self::Portable],
        }
    }

    /// Runs a short plain loop compiled for this instruction set: `body` is inlined into a function
    /// that has it enabled, and the compiler vectorises it there. The compiler may decline to inline
    /// a long one; [`vectorised!`] is for those.
    #[inline(always)]
    pub(crate) fn run<R>(self, body: impl FnOnce() -> R) -> R {
        match self {
            // SAFETY: the variant is only made after its features were detected.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { run_avx512(body) },
            // SAFETY: the variant is only made after AVX2 and FMA were detected.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2Fma => unsafe { run_avx2_fma(body) },
            Self::Portable => body(),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
fn run_avx512<R>(body: impl FnOnce() -> R) -> R {
    body()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
fn run_avx2_fma<R>(body: impl FnOnce() -> R) -> R {
    body()
}

/// Asks for the cache line at `place`, which may be any address.
#[inline(always)]
pub(crate) fn prefetch<T>(place: *const T) {
    // SAFETY: SSE is part of the architecture's baseline, and a prefetch reads nothing.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(place.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// Asks for the cache lines of `data` in the second-level cache.
#[inline(always)]
pub(crate) fn prefetch_all(data: &[f32]) {
    for line in data.chunks(16) {
        // SAFETY: SSE is part of the architecture's baseline, and a prefetch reads nothing.
        #[cfg(target_arch = "x86_64")]
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = line;
    }
}

/// Defines a function of plain loops that takes an [`Isa`] before its own arguments and is compiled
/// once for each.
macro_rules! vectorised {
    (
        $(#[$meta:meta])*
        $visibility:vis fn $name:ident $(<$(const $generic:ident: $kind:ty),+>)?
        ($($argument:ident: $type:ty),* $(,)?) $body:block
    ) => {
        $(#[$meta])*
        #[inline]
        $visibility fn $name $(<$(const $generic: $kind),+>)? (isa: $crate::isa::Isa, $($argument: $type),*) {
            #[inline(always)]
            fn plain $(<$(const $generic: $kind),+>)? ($($argument: $type),*) $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            fn avx2_fma $(<$(const $generic: $kind),+>)? ($($argument: $type),*) {
                plain $(::<$($generic),+>)? ($($argument),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")]
            fn avx512 $(<$(const $generic: $kind),+>)? ($($argument: $type),*) {
                plain $(::<$($generic),+>)? ($($argument),*)
            }

            match isa {
                // SAFETY: the variant is only made after its features were detected.
                #[cfg(target_arch = "x86_64")]
                $crate::isa::Isa::Avx512 => unsafe {
                    avx512 $(::<$($generic),+>)? ($($argument),*)
                },
                // SAFETY: the variant is only made after AVX2 and FMA were detected.
                #[cfg(target_arch = "x86_64")]
                $crate::isa::Isa::Avx2Fma => unsafe {
                    avx2_fma $(::<$($generic),+>)? ($($argument),*)
                },
                $crate::isa::Isa::Portable => plain $(::<$($generic),+>)? ($($argument),*),
            }
        }
    };
}
pub(crate) use vectorised;

/// The instruction set the kernels run on here: `"avx512"`, `"avx2+fma"` or `"portable"`.
pub fn instruction_set() -> &'static str {
    match Isa::current() {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => "avx512",
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2Fma => "avx2+fma",
        Isa::Portable => "portable",
    }
}
