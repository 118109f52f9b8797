//! Vectors of one instruction set behind one trait, for kernels whose shape the compiler would not
//! vectorise well by itself.

#[cfg(target_arch = "x86_64")]
mod halves;

use half::{bf16, f16};

/// A vector of floats. Its methods are inlined into functions that have its instruction set
/// enabled; nothing else may call them.
pub trait Lanes: Copy {
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

    /// # Safety
    ///
    /// As [`Self::load`].
    unsafe fn load_f16(from: *const f16) -> Self;

    /// Rounded.
    ///
    /// # Safety
    ///
    /// As [`Self::store`].
    unsafe fn store_f16(self, to: *mut f16);

    /// # Safety
    ///
    /// As [`Self::stream`].
    unsafe fn stream_f16(self, to: *mut f16);

    /// # Safety
    ///
    /// As [`Self::load`].
    unsafe fn load_bf16(from: *const bf16) -> Self;

    /// Rounded.
    ///
    /// # Safety
    ///
    /// As [`Self::store`].
    unsafe fn store_bf16(self, to: *mut bf16);

    /// # Safety
    ///
    /// As [`Self::stream`].
    unsafe fn stream_bf16(self, to: *mut bf16);

    fn add(self, other: Self) -> Self;

    fn sub(self, other: Self) -> Self;

    fn scale(self, factor: f32) -> Self;

    /// `self + factor * other`.
    fn plus(self, factor: f32, other: Self) -> Self;

    /// `self + a * b`.
    fn plus_product(self, a: Self, b: Self) -> Self;

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
    unsafe fn load_f16(from: *const f16) -> Self {
        // SAFETY: the caller's promise; an array may lie wherever its elements may.
        Self(unsafe { from.cast::<[f16; 8]>().read() }.map(f16::to_f32))
    }

    #[inline(always)]
    unsafe fn store_f16(self, to: *mut f16) {
        // SAFETY: the caller's promise; an array may lie wherever its elements may.
        unsafe { to.cast::<[f16; 8]>().write(self.0.map(f16::from_f32)) };
    }

    #[inline(always)]
    unsafe fn stream_f16(self, to: *mut f16) {
        // SAFETY: the caller's promise.
        unsafe { self.store_f16(to) };
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const bf16) -> Self {
        // SAFETY: the caller's promise; an array may lie wherever its elements may.
        Self(unsafe { from.cast::<[bf16; 8]>().read() }.map(bf16::to_f32))
    }

    #[inline(always)]
    unsafe fn store_bf16(self, to: *mut bf16) {
        // SAFETY: the caller's promise; an array may lie wherever its elements may.
        unsafe { to.cast::<[bf16; 8]>().write(self.0.map(bf16::from_f32)) };
    }

    #[inline(always)]
    unsafe fn stream_bf16(self, to: *mut bf16) {
        // SAFETY: the caller's promise.
        unsafe { self.store_bf16(to) };
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
    fn plus_product(self, a: Self, b: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane] + a.0[lane] * b.0[lane]))
    }

    #[inline(always)]
    fn at_least(self, floor: f32) -> Self {
        Self(self.0.map(|value| if value < floor { floor } else { value }))
    }
}

/// One float, for the channels that do not fill a vector.
impl Lanes for f32 {
    const COUNT: usize = 1;

    #[inline(always)]
    fn zero() -> Self {
        0.0
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise.
        unsafe { from.read() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { to.write(self) };
    }

    #[inline(always)]
    unsafe fn stream(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { self.store(to) };
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const f16) -> Self {
        // SAFETY: the caller's promise.
        unsafe { from.read() }.to_f32()
    }

    #[inline(always)]
    unsafe fn store_f16(self, to: *mut f16) {
        // SAFETY: the caller's promise.
        unsafe { to.write(f16::from_f32(self)) };
    }

    #[inline(always)]
    unsafe fn stream_f16(self, to: *mut f16) {
        // SAFETY: the caller's promise.
        unsafe { self.store_f16(to) };
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const bf16) -> Self {
        // SAFETY: the caller's promise.
        unsafe { from.read() }.to_f32()
    }

    #[inline(always)]
    unsafe fn store_bf16(self, to: *mut bf16) {
        // SAFETY: the caller's promise.
        unsafe { to.write(bf16::from_f32(self)) };
    }

    #[inline(always)]
    unsafe fn stream_bf16(self, to: *mut bf16) {
        // SAFETY: the caller's promise.
        unsafe { self.store_bf16(to) };
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self + other
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self - other
    }

    #[inline(always)]
    fn scale(self, factor: f32) -> Self {
        self * factor
    }

    #[inline(always)]
    fn plus(self, factor: f32, other: Self) -> Self {
        self + factor * other
    }

    #[inline(always)]
    fn plus_product(self, a: Self, b: Self) -> Self {
        self + a * b
    }

    #[inline(always)]
    fn at_least(self, floor: f32) -> Self {
        if self < floor { floor } else { self }
    }
}

macro_rules! lanes {
    (
        $type:ident, $count:literal, $zero:ident, $load:ident, $store:ident, $stream:ident, $set:ident, $add:ident,
        $sub:ident, $mul:ident, $fma:ident, $max:ident, $halves:ident
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
            unsafe fn load_f16(from: *const f16) -> Self {
                // SAFETY: the caller's promise.
                unsafe { halves::$halves::widen_f16(halves::$halves::load(from.cast())) }
            }

            #[inline(always)]
            unsafe fn store_f16(self, to: *mut f16) {
                // SAFETY: the caller's promise.
                unsafe { halves::$halves::store(halves::$halves::round_f16(self), to.cast()) }
            }

            #[inline(always)]
            unsafe fn stream_f16(self, to: *mut f16) {
                // SAFETY: the caller's promise.
                unsafe { halves::$halves::stream(halves::$halves::round_f16(self), to.cast()) }
            }

            #[inline(always)]
            unsafe fn load_bf16(from: *const bf16) -> Self {
                // SAFETY: the caller's promise.
                unsafe { halves::$halves::widen_bf16(halves::$halves::load(from.cast())) }
            }

            #[inline(always)]
            unsafe fn store_bf16(self, to: *mut bf16) {
                // SAFETY: the caller's promise.
                unsafe { halves::$halves::store(halves::$halves::round_bf16(self), to.cast()) }
            }

            #[inline(always)]
            unsafe fn stream_bf16(self, to: *mut bf16) {
                // SAFETY: the caller's promise.
                unsafe { halves::$halves::stream(halves::$halves::round_bf16(self), to.cast()) }
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
            fn plus_product(self, a: Self, b: Self) -> Self {
                // SAFETY: callers have the instruction set, as the trait demands.
                unsafe { std::arch::x86_64::$fma(a, b, self) }
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
    _mm512_max_ps,
    avx512
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
    _mm256_max_ps,
    avx2
);

/// Defines a function that takes an [`crate::isa::Isa`] and calls `$generic` with its vectors, compiled for it.
/// The brackets hold further generic parameters, declared and named.
macro_rules! laned {
    (
        $(#[$meta:meta])*
        $visibility:vis unsafe fn $name:ident [$($declared:tt)*] [$($generics:ident),*]
        ($($argument:ident: $type:ty),* $(,)?) = $generic:ident
    ) => {
        $(#[$meta])*
        $visibility unsafe fn $name<$($declared)*>(isa: $crate::isa::Isa, $($argument: $type),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,f16c")]
            unsafe fn avx512<$($declared)*>($($argument: $type),*) {
                // SAFETY: the caller's promise.
                unsafe { $generic::<std::arch::x86_64::__m512, $($generics),*>($($argument),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            unsafe fn avx2<$($declared)*>($($argument: $type),*) {
                // SAFETY: the caller's promise.
                unsafe { $generic::<std::arch::x86_64::__m256, $($generics),*>($($argument),*) }
            }
            // SAFETY: the variants are only made where their features were detected; the rest is
            // the caller's promise.
            unsafe {
                match isa {
                    #[cfg(target_arch = "x86_64")]
                    $crate::isa::Isa::Avx512 => avx512::<$($generics),*>($($argument),*),
                    #[cfg(target_arch = "x86_64")]
                    $crate::isa::Isa::Avx2Fma => avx2::<$($generics),*>($($argument),*),
                    $crate::isa::Isa::Portable => {
                        $generic::<$crate::lanes::Plain, $($generics),*>($($argument),*)
                    }
                }
            }
        }
    };
}
pub(crate) use laned;
