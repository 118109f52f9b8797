//! Interleaving: rows that are runs in memory become the lanes of a panel.

use crate::element::Element;
use crate::isa::Isa;

/// Floats that [`interleave`] may write past the last panel of `lanes`, for want of a masked store.
pub(super) const fn slack(lanes: usize) -> usize {
    if lanes.is_multiple_of(4) { 0 } else { 8 }
}

/// `place[k * L + l] = lanes[l][k]` for `k < length`, perhaps with garbage after it.
///
/// # Safety
///
/// Each lane is valid for reading `length` floats; `place` is `length * L` long, and the slack.
#[inline]
pub(super) unsafe fn interleave<E: Element, const L: usize>(
    isa: Isa,
    lanes: &[*const E; L],
    length: usize,
    place: &mut [f32],
) {
    debug_assert!(place.len() >= length * L + slack(L));
    let done = match isa {
        // SAFETY: the variants are only made where AVX2 was detected; the rest is the caller's
        // promise.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 | Isa::Avx2Fma => unsafe { interleave_avx2(lanes, length, place.as_mut_ptr()) },
        Isa::Portable => 0,
    };
    for (k, group) in place[..length * L].chunks_exact_mut(L).enumerate().skip(done) {
        for (to, &lane) in group.iter_mut().zip(lanes) {
            // SAFETY: `k < length`, the caller's promise.
            *to = unsafe { *lane.add(k) }.widened();
        }
    }
}

/// The whole groups of eight of [`interleave`]; returns how many inner indices are done.
///
/// # Safety
///
/// As [`interleave`], on a machine with AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,f16c")]
#[inline]
unsafe fn interleave_avx2<E: Element, const L: usize>(
    lanes: &[*const E; L],
    length: usize,
    place: *mut f32,
) -> usize {
    use std::arch::x86_64::{__m256, _mm256_setzero_ps, _mm256_storeu_ps};
    let done = length / 8 * 8;
    for k in (0..done).step_by(8) {
        if L % 8 == 4 {
            // SAFETY: `k + 8 <= length`, within the lanes, and the places are within `length * L`.
            unsafe { interleave_last_four(lanes, k, place) };
        }
        for first in (0..L).step_by(8).filter(|first| L % 8 != 4 || first + 8 <= L) {
            let mut block = [_mm256_setzero_ps(); 8];
            for (row, lane) in block.iter_mut().zip(&lanes[first..]) {
                // SAFETY: `k + 8 <= length`, within the lane.
                *row = unsafe { E::load::<__m256>(lane.add(k)) };
            }
            for (at, column) in transpose(block).into_iter().enumerate() {
                // Where `L` is no multiple of eight, this spills over the next group's lanes,
                // which are written after it; after the last group, into the slack.
                // SAFETY: within the slack past `length * L`.
                unsafe { _mm256_storeu_ps(place.add((k + at) * L + first), column) };
            }
        }
    }
    done
}

/// The last four lanes of eight inner indices from `k` on.
///
/// # Safety
///
/// Each lane is valid for reading `k + 8` elements, `place` for writing `(k + 8) * L`.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,f16c")]
#[inline]
unsafe fn interleave_last_four<E: Element, const L: usize>(
    lanes: &[*const E; L],
    k: usize,
    place: *mut f32,
) {
    use std::arch::x86_64::{
        __m256, _mm_movehl_ps, _mm_movelh_ps, _mm_storeu_ps, _mm_unpackhi_ps, _mm_unpacklo_ps,
        _mm256_castps256_ps128, _mm256_extractf128_ps,
    };
    // SAFETY: `k + 8` elements of each lane, the caller's promise.
    let rows = [4, 3, 2, 1].map(|back| unsafe { E::load::<__m256>(lanes[L - back].add(k)) });
    for upper in [false, true] {
        let [a, b, c, d] = rows.map(|row| {
            if upper { _mm256_extractf128_ps::<1>(row) } else { _mm256_castps256_ps128(row) }
        });
        let (low, high) = (
            (_mm_unpacklo_ps(a, b), _mm_unpacklo_ps(c, d)),
            (_mm_unpackhi_ps(a, b), _mm_unpackhi_ps(c, d)),
        );
        let columns = [
            _mm_movelh_ps(low.0, low.1),
            _mm_movehl_ps(low.1, low.0),
            _mm_movelh_ps(high.0, high.1),
            _mm_movehl_ps(high.1, high.0),
        ];
        let k = if upper { k + 4 } else { k };
        for (at, column) in columns.into_iter().enumerate() {
            // SAFETY: the last four lanes of a group below the caller's `k + 8`.
            unsafe { _mm_storeu_ps(place.add((k + at) * L + L - 4), column) };
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
fn transpose(rows: [std::arch::x86_64::__m256; 8]) -> [std::arch::x86_64::__m256; 8] {
    use std::arch::x86_64::{
        _mm256_permute2f128_ps, _mm256_shuffle_ps, _mm256_unpackhi_ps, _mm256_unpacklo_ps,
    };
    let [a, b, c, d, e, f, g, h] = rows;
    let pairs = [
        (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d)),
        (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d)),
        (_mm256_unpacklo_ps(e, f), _mm256_unpacklo_ps(g, h)),
        (_mm256_unpackhi_ps(e, f), _mm256_unpackhi_ps(g, h)),
    ];
    let [first, second, third, fourth] =
        pairs.map(|(x, y)| (_mm256_shuffle_ps::<0x44>(x, y), _mm256_shuffle_ps::<0xEE>(x, y)));
    [
        _mm256_permute2f128_ps::<0x20>(first.0, third.0),
        _mm256_permute2f128_ps::<0x20>(first.1, third.1),
        _mm256_permute2f128_ps::<0x20>(second.0, fourth.0),
        _mm256_permute2f128_ps::<0x20>(second.1, fourth.1),
        _mm256_permute2f128_ps::<0x31>(first.0, third.0),
        _mm256_permute2f128_ps::<0x31>(first.1, third.1),
        _mm256_permute2f128_ps::<0x31>(second.0, fourth.0),
        _mm256_permute2f128_ps::<0x31>(second.1, fourth.1),
    ]
}
