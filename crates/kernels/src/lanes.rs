//! Vectors of one instruction set behind one trait, for kernels whose shape the compiler would not
//! vectorise well by itself.

/// A vector of floats. Its methods are inlined into functions that have its instruction set
/// enabled; nothing else may call them.
pub(crate) trait Lanes: Copy {
    const COUNT: usize;

    fn zero() -> Self;

    /// # Safety
    ///
    /// `from` is valid for reading `COUNT` floats; the machine has the instruction set.
    unsafe fn load(from: *const f32) -> Self;

    /// # Safety
    ///
    /// `to` is valid for writing `COUNT` floats; the machine has the instruction set.
    unsafe fn store(self, to: *mut f32);

    /// [`Self::store`] past the caches; what follows must wait for [`crate::stream::fence`].
    ///
    /// # Safety
    ///
    /// As [`Self::store`], and `to` is aligned to the whole vector.
    unsafe fn stream(self, to: *mut f32);

    fn add(self, other: Self) -> Self;

    fn sub(self, other: Self) -> Self;

    fn scale(self, factor: f32) -> Self;

    /// `self + factor * other`.
    fn plus(self, factor: f32, other: Self) -> Self;

    /// The greater of a lane and `floor`; what is not a number stays so.
    fn at_least(self, floor: f32) -> Self;
}

/// Eight floats that the compiler may or may not keep in vectors.
#[derive(Clone, Copy)]
pub(crate) struct Plain([f32; 8]);

impl Lanes for Plain {
    const COUNT: usize = 8;

    #[inline(always)]
    fn zero() -> Self {
        Self([0.0; 8])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise; an array of floats may lie wherever a float may.
        Self(unsafe { from.cast::<[f32; 8]>().read() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise; an array of floats may lie wherever a float may.
        unsafe { to.cast::<[f32; 8]>().write(self.0) };
    }

    #[inline(always)]
    unsafe fn stream(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { self.store(to) };
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane] + other.0[lane]))
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane] - other.0[lane]))
    }

    #[inline(always)]
    fn scale(self, factor: f32) -> Self {
        Self(self.0.map(|value| value * factor))
    }

    #[inline(always)]
    fn plus(self, factor: f32, other: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane] + factor * other.0[lane]))
    }

    #[inline(always)]
    fn at_least(self, floor: f32) -> Self {
        Self(self.0.map(|value| if value < floor { floor } else { value }))
    }
}

macro_rules! lanes {
    (
        $type:ident, $count:literal, $zero:ident, $load:ident, $store:ident, $stream:ident, $set:ident, $add:ident,
        $sub:ident, $mul:ident, $fma:ident, $max:ident
    ) => {
        #[cfg(target_arch = "x86_64")]
        impl Lanes for std::arch::x86_64::$type {
            const COUNT: usize = $count;

            #[inline(always)]
            fn zero() -> Self {
                // SAFETY: callers have the instruction set, as the trait demands.
                unsafe { std::arch::x86_64::$zero() }
            }

            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: the caller's promise.
                unsafe { std::arch::x86_64::$load(from) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: the caller's promise.
                unsafe { std::arch::x86_64::$store(to, self) }
            }

            #[inline(always)]
            unsafe fn stream(self, to: *mut f32) {
                // SAFETY: the caller's promise.
                unsafe { std::arch::x86_64::$stream(to, self) }
            }

            #[inline(always)]
            fn add(self, other: Self) -> Self {
                // SAFETY: callers have the instruction set, as the trait demands.
                unsafe { std::arch::x86_64::$add(self, other) }
            }

            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                // SAFETY: callers have the instruction set, as the trait demands.
                unsafe { std::arch::x86_64::$sub(self, other) }
            }

            #[inline(always)]
            fn scale(self, factor: f32) -> Self {
                // SAFETY: callers have the instruction set, as the trait demands.
                unsafe { std::arch::x86_64::$mul(self, std::arch::x86_64::$set(factor)) }
            }

            #[inline(always)]
            fn plus(self, factor: f32, other: Self) -> Self {
                // SAFETY: callers have the instruction set, as the trait demands.
                unsafe { std::arch::x86_64::$fma(std::arch::x86_64::$set(factor), other, self) }
            }

            #[inline(always)]
            fn at_least(self, floor: f32) -> Self {
                // The second operand is the result where one of them is not a number.
                // SAFETY: callers have the instruction set, as the trait demands.
                unsafe { std::arch::x86_64::$max(std::arch::x86_64::$set(floor), self) }
            }
        }
    };
}

lanes!(
    __m512,
    16,
    _mm512_setzero_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_stream_ps,
    _mm512_set1_ps,
    _mm512_add_ps,
    _mm512_sub_ps,
    _mm512_mul_ps,
    _mm512_fmadd_ps,
    _mm512_max_ps
);
lanes!(
    __m256,
    8,
    _mm256_setzero_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_stream_ps,
    _mm256_set1_ps,
    _mm256_add_ps,
    _mm256_sub_ps,
    _mm256_mul_ps,
    _mm256_fmadd_ps,
    _mm256_max_ps
);
