//! Vectors of halves: between memory and vectors of floats.

/// Eight to a vector, with AVX2 and F16C.
pub(super) mod avx2 {
    use std::arch::x86_64::*;

    /// # Safety
    ///
    /// `from` is valid for reading eight halves.
    #[inline(always)]
    pub(in crate::lanes) unsafe fn load(from: *const u16) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { _mm_loadu_si128(from.cast()) }
    }

    /// # Safety
    ///
    /// `to` is valid for writing eight halves.
    #[inline(always)]
    pub(in crate::lanes) unsafe fn store(halves: __m128i, to: *mut u16) {
        // SAFETY: the caller's promise.
        unsafe { _mm_storeu_si128(to.cast(), halves) }
    }

    /// # Safety
    ///
    /// `to` is valid for writing eight halves, and aligned to them.
    #[inline(always)]
    pub(in crate::lanes) unsafe fn stream(halves: __m128i, to: *mut u16) {
        // SAFETY: the caller's promise.
        unsafe { _mm_stream_si128(to.cast(), halves) }
    }

    /// # Safety
    ///
    /// The machine has AVX2 and F16C; so below.
    #[inline(always)]
    pub(in crate::lanes) unsafe fn widen_f16(halves: __m128i) -> __m256 {
        // SAFETY: the caller's promise.
        unsafe { _mm256_cvtph_ps(halves) }
    }

    #[inline(always)]
    pub(in crate::lanes) unsafe fn round_f16(floats: __m256) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(floats) }
    }

    /// The upper half of a float is a bf16.
    #[inline(always)]
    pub(in crate::lanes) unsafe fn widen_bf16(halves: __m128i) -> __m256 {
        // SAFETY: the caller's promise.
        unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(halves))) }
    }

    /// Half of the last place, less one where the upper half is even, is added to the bits.
    #[inline(always)]
    pub(in crate::lanes) unsafe fn round_bf16(floats: __m256) -> __m128i {
        // SAFETY: the caller's promise.
        unsafe {
            let bits = _mm256_castps_si256(floats);
            let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
            let half = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF));
            let rounded = _mm256_add_epi32(bits, half);
            // Rounding might make an infinity of what is not a number: it becomes a quiet one.
            let quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x0040_0000));
            let nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(floats, floats));
            let upper = _mm256_srli_epi32::<16>(_mm256_blendv_epi8(rounded, quiet, nan));
            let packed = _mm256_packus_epi32(upper, upper);
            _mm256_castsi256_si128(_mm256_permute4x64_epi64::<0b1000>(packed))
        }
    }
}

/// Sixteen to a vector, with AVX-512.
pub(super) mod avx512 {
    use std::arch::x86_64::*;

    /// # Safety
    ///
    /// `from` is valid for reading sixteen halves.
    #[inline(always)]
    pub(in crate::lanes) unsafe fn load(from: *const u16) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    /// # Safety
    ///
    /// `to` is valid for writing sixteen halves.
    #[inline(always)]
    pub(in crate::lanes) unsafe fn store(halves: __m256i, to: *mut u16) {
        // SAFETY: the caller's promise.
        unsafe { _mm256_storeu_si256(to.cast(), halves) }
    }

    /// # Safety
    ///
    /// `to` is valid for writing sixteen halves, and aligned to them.
    #[inline(always)]
    pub(in crate::lanes) unsafe fn stream(halves: __m256i, to: *mut u16) {
        // SAFETY: the caller's promise.
        unsafe { _mm256_stream_si256(to.cast(), halves) }
    }

    /// # Safety
    ///
    /// The machine has AVX-512 F and BW; so below.
    #[inline(always)]
    pub(in crate::lanes) unsafe fn widen_f16(halves: __m256i) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe { _mm512_cvtph_ps(halves) }
    }

    #[inline(always)]
    pub(in crate::lanes) unsafe fn round_f16(floats: __m512) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_cvtps_ph::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(floats) }
    }

    /// The upper half of a float is a bf16.
    #[inline(always)]
    pub(in crate::lanes) unsafe fn widen_bf16(halves: __m256i) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(halves))) }
    }

    /// As with AVX2.
    #[inline(always)]
    pub(in crate::lanes) unsafe fn round_bf16(floats: __m512) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe {
            let bits = _mm512_castps_si512(floats);
            let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
            let half = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF));
            let rounded = _mm512_add_epi32(bits, half);
            let quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x0040_0000));
            let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(floats, floats);
            let chosen = _mm512_mask_mov_epi32(rounded, nan, quiet);
            _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(chosen))
        }
    }
}
