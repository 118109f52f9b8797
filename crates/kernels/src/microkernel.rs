//! The micro-kernel: a 6×16 tile of C (+)= A·B from two packed panels.
//!
//! The tile's size is that of the AVX2 register file: twelve accumulators of eight lanes, two
//! registers for a row of B and one for a broadcast element of A (Goto and van de Geijn 2008; Van
//! Zee and van de Geijn 2015).

use crate::isa::Isa;

/// Rows of a tile.
pub(crate) const MR: usize = 6;
/// Columns of a tile.
pub(crate) const NR: usize = 16;

/// Where a tile of C goes.
pub(crate) struct Tile {
    /// The start of each row; those from `height` on are not touched.
    pub(crate) rows: [*mut f32; MR],
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// Whether the product is added to what is there, or replaces it.
    pub(crate) accumulate: bool,
}

/// C (+)= A·B for one tile.
///
/// # Safety
///
/// `left` holds `depth * MR` floats and `right` `depth * NR`; each of the tile's first `height`
/// row pointers is valid for reading and writing `width` floats that no one else uses meanwhile.
#[inline]
pub(crate) unsafe fn multiply(
    isa: Isa,
    depth: usize,
    left: *const f32,
    right: *const f32,
    tile: &Tile,
) {
    if tile.height == MR && tile.width == NR {
        // SAFETY: the caller's promise, for a full tile.
        unsafe { full(isa, depth, left, right, &tile.rows, tile.accumulate) };
        return;
    }
    // A tile over the edge is computed whole, aside, and the part inside is copied.
    let mut spare = [[0.0f32; NR]; MR];
    let rows = spare.each_mut().map(|row| row.as_mut_ptr());
    // SAFETY: the panels are the caller's promise; `rows` are the rows of `spare`.
    unsafe { full(isa, depth, left, right, &rows, false) };
    for (row, values) in spare.iter().enumerate().take(tile.height) {
        // SAFETY: the caller's promise for a row below `height`.
        let target = unsafe { std::slice::from_raw_parts_mut(tile.rows[row], tile.width) };
        for (place, &value) in target.iter_mut().zip(values) {
            *place = if tile.accumulate { *place + value } else { value };
        }
    }
}

/// # Safety
///
/// As [`multiply`], with every row valid for `NR` floats.
#[inline]
unsafe fn full(
    isa: Isa,
    depth: usize,
    left: *const f32,
    right: *const f32,
    rows: &[*mut f32; MR],
    accumulate: bool,
) {
    match isa {
        // SAFETY: the variant is only made where AVX2 and FMA were detected; the pointers are the
        // caller's promise.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2Fma => unsafe { avx2_fma(depth, left, right, rows, accumulate) },
        // SAFETY: the caller's promise.
        Isa::Portable => unsafe { portable(depth, left, right, rows, accumulate) },
    }
}

/// # Safety
///
/// As [`full`], on a machine with AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn avx2_fma(
    depth: usize,
    mut left: *const f32,
    mut right: *const f32,
    rows: &[*mut f32; MR],
    accumulate: bool,
) {
    use std::arch::x86_64::{
        _MM_HINT_T0, _mm_prefetch, _mm256_add_ps, _mm256_broadcast_ss, _mm256_fmadd_ps,
        _mm256_loadu_ps, _mm256_setzero_ps, _mm256_storeu_ps,
    };
    let mut sums = [[_mm256_setzero_ps(); 2]; MR];
    for row in rows {
        // A prefetch may name any address.
        _mm_prefetch::<_MM_HINT_T0>(row.cast_const().cast());
    }
    macro_rules! step {
        ($at:expr) => {
            // SAFETY: `$at` is below the number of steps left, and each step has `MR` floats in
            // `left` and `NR` in `right`.
            unsafe {
                let low = _mm256_loadu_ps(right.add($at * NR));
                let high = _mm256_loadu_ps(right.add($at * NR + 8));
                for (row, sum) in sums.iter_mut().enumerate() {
                    let element = _mm256_broadcast_ss(&*left.add($at * MR + row));
                    sum[0] = _mm256_fmadd_ps(element, low, sum[0]);
                    sum[1] = _mm256_fmadd_ps(element, high, sum[1]);
                }
            }
        };
    }
    for _ in 0..depth / 4 {
        step!(0);
        step!(1);
        step!(2);
        step!(3);
        // SAFETY: four steps were there, so the ends are within or just past the panels.
        unsafe {
            left = left.add(4 * MR);
            right = right.add(4 * NR);
        }
    }
    for at in 0..depth % 4 {
        step!(at);
    }
    for (&row, sum) in rows.iter().zip(&sums) {
        // SAFETY: each row is valid for `NR` floats.
        unsafe {
            if accumulate {
                _mm256_storeu_ps(row, _mm256_add_ps(_mm256_loadu_ps(row), sum[0]));
                _mm256_storeu_ps(row.add(8), _mm256_add_ps(_mm256_loadu_ps(row.add(8)), sum[1]));
            } else {
                _mm256_storeu_ps(row, sum[0]);
                _mm256_storeu_ps(row.add(8), sum[1]);
            }
        }
    }
}

/// # Safety
///
/// As [`full`].
unsafe fn portable(
    depth: usize,
    left: *const f32,
    right: *const f32,
    rows: &[*mut f32; MR],
    accumulate: bool,
) {
    // SAFETY: the caller's promise on the panels.
    let (left, right) = unsafe {
        (
            std::slice::from_raw_parts(left, depth * MR),
            std::slice::from_raw_parts(right, depth * NR),
        )
    };
    let mut sums = [[0.0f32; NR]; MR];
    for (elements, vector) in left.chunks_exact(MR).zip(right.chunks_exact(NR)) {
        for (sum, &element) in sums.iter_mut().zip(elements) {
            for (lane, &value) in sum.iter_mut().zip(vector) {
                *lane += element * value;
            }
        }
    }
    for (&row, sum) in rows.iter().zip(&sums) {
        // SAFETY: each row is valid for `NR` floats.
        let target = unsafe { std::slice::from_raw_parts_mut(row, NR) };
        for (place, &value) in target.iter_mut().zip(sum) {
            *place = if accumulate { *place + value } else { value };
        }
    }
}
