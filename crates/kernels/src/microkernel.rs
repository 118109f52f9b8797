//! The micro-kernel: an M×N tile of C (+)= A·B from panels.
//!
//! The tile fills the register file: with AVX2 6×16, twelve accumulators of eight lanes, two
//! registers for a row of B and one for a broadcast element of A; with AVX-512 12×32, twenty-four
//! of sixteen (Goto and van de Geijn 2008; Van Zee and van de Geijn 2015).

use crate::isa::Isa;

/// The greatest number of rows of a tile, of any instruction set.
pub(crate) const MOST_ROWS: usize = 12;

/// The columns of the narrowest tile.
pub(crate) const LEAST_COLUMNS: usize = 16;

/// Calls a function generic over a tile's rows and columns with those of an instruction set.
macro_rules! tiled {
    ($isa:expr, $function:ident $([$($generic:tt),*])? ($($argument:expr),* $(,)?)) => {
        match $isa {
            #[cfg(target_arch = "x86_64")]
            $crate::isa::Isa::Avx512 => $function::<12, 32, $($($generic),*)?>($($argument),*),
            _ => $function::<6, 16, $($($generic),*)?>($($argument),*),
        }
    };
}
pub(crate) use tiled;

/// A panel of the left factor: element `r` of inner index `k` is `start[r * row + k * step]`. One of
/// the two distances is 1.
#[derive(Clone, Copy)]
pub(crate) struct Left {
    pub(crate) start: *const f32,
    pub(crate) row: usize,
    pub(crate) step: usize,
}

/// What becomes of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    /// It replaces what is there.
    Replace,
    /// It replaces what is there, past the caches where rows are aligned for that. What follows
    /// must wait for [`crate::stream::fence`].
    Stream,
    /// It is added to what is there.
    Add,
}

/// Where a tile of C goes.
pub(crate) struct Tile<const M: usize> {
    /// The start of each row; those from `height` on are not touched.
    pub(crate) rows: [*mut f32; M],
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) write: Write,
}

/// C (+)= A·B for one tile.
///
/// # Safety
///
/// Every element of `left` below `M` and `depth` is valid for reading, and `right` holds
/// `depth * N` floats; each of the tile's first `height` row pointers is valid for reading and
/// writing `width` floats that no one else uses meanwhile.
#[inline]
pub(crate) unsafe fn multiply<const M: usize, const N: usize>(
    isa: Isa,
    depth: usize,
    left: Left,
    right: *const f32,
    tile: &Tile<M>,
) {
    let half = tile.width <= N / 2;
    let covered = if half { N / 2 } else { N };
    if tile.height == M && tile.width == covered {
        // SAFETY: the caller's promise, for a full tile.
        unsafe { full::<M, N>(isa, half, depth, left, right, tile) };
        return;
    }
    // A tile over the edge is computed whole, aside, and the part inside is copied.
    let mut spare = [[0.0f32; N]; M];
    let rows = spare.each_mut().map(|row| row.as_mut_ptr());
    let aside = Tile { rows, height: M, width: covered, write: Write::Replace };
    // SAFETY: the panels are the caller's promise; `rows` are the rows of `spare`.
    unsafe { full::<M, N>(isa, half, depth, left, right, &aside) };
    for (row, values) in spare.iter().enumerate().take(tile.height) {
        // SAFETY: the caller's promise for a row below `height`.
        let target = unsafe { std::slice::from_raw_parts_mut(tile.rows[row], tile.width) };
        for (place, &value) in target.iter_mut().zip(values) {
            *place = if tile.write == Write::Add { *place + value } else { value };
        }
    }
}

/// # Safety
///
/// As [`multiply`], with every row valid for `N` floats, or for half of them.
#[inline]
unsafe fn full<const M: usize, const N: usize>(
    isa: Isa,
    half: bool,
    depth: usize,
    left: Left,
    right: *const f32,
    tile: &Tile<M>,
) {
    debug_assert!(left.row == 1 || left.step == 1);
    // SAFETY: the vector variants are only made where their features were detected; the pointers
    // are the caller's promise.
    unsafe {
        match (isa, half, left.row == 1) {
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, false, true) => avx512::<M, N, 2, false>(depth, left, right, tile),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, false, false) => avx512::<M, N, 2, true>(depth, left, right, tile),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, true, true) => avx512::<M, N, 1, false>(depth, left, right, tile),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, true, false) => avx512::<M, N, 1, true>(depth, left, right, tile),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx2Fma, false, true) => avx2_fma::<M, N, 2, false>(depth, left, right, tile),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx2Fma, false, false) => avx2_fma::<M, N, 2, true>(depth, left, right, tile),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx2Fma, true, true) => avx2_fma::<M, N, 1, false>(depth, left, right, tile),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx2Fma, true, false) => avx2_fma::<M, N, 1, true>(depth, left, right, tile),
            (Isa::Portable, ..) => portable::<M, N>(depth, left, right, tile),
        }
    }
}

/// Defines the micro-kernel of one instruction set for tiles `V` vectors wide, of panels of B that
/// are `N` wide. `BY_ROWS` says which distance of the left factor is 1.
macro_rules! kernel {
    (
        $name:ident, $features:literal, $lanes:literal, $zero:ident, $load:ident, $broadcast:ident,
        $fma:ident, $add:ident, $store:ident, $stream:ident
    ) => {
        /// # Safety
        ///
        /// As [`full`], on a machine that has the features.
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        #[inline]
        unsafe fn $name<const M: usize, const N: usize, const V: usize, const BY_ROWS: bool>(
            depth: usize,
            left: Left,
            right: *const f32,
            tile: &Tile<M>,
        ) {
            use std::arch::x86_64::{
                _MM_HINT_T0, _mm_prefetch, $add, $broadcast, $fma, $load, $store, $stream, $zero,
            };
            let mut sums = [[$zero(); V]; M];
            if tile.write != Write::Stream {
                for row in &tile.rows {
                    for vector in 0..V {
                        // A prefetch may name any address.
                        _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(vector * $lanes).cast());
                    }
                }
            }
            // Of every third row; the two after it are one and two distances on.
            let [a, b, c, d] = [0, 3, 6, 9].map(|row| left.start.wrapping_add(row * left.row));
            let row = left.row;
            macro_rules! step {
                ($at:expr) => {
                    // SAFETY: `$at` is below the number of steps left.
                    unsafe {
                        let mut vectors = [$zero(); V];
                        for (index, vector) in vectors.iter_mut().enumerate() {
                            *vector = $load(right.add($at * N + index * $lanes));
                        }
                        let at = $at * left.step;
                        let [a, b, c, d] = [a, b, c, d].map(|start| start.wrapping_add(at));
                        if BY_ROWS {
                            let elements = [
                                [a, a.wrapping_add(row), a.wrapping_add(2 * row)],
                                [b, b.wrapping_add(row), b.wrapping_add(2 * row)],
                                [c, c.wrapping_add(row), c.wrapping_add(2 * row)],
                                [d, d.wrapping_add(row), d.wrapping_add(2 * row)],
                            ];
                            for (&element, sums) in elements.as_flattened().iter().zip(&mut sums) {
                                let element = $broadcast(*element);
                                for (sum, &vector) in sums.iter_mut().zip(&vectors) {
                                    *sum = $fma(element, vector, *sum);
                                }
                            }
                        } else {
                            for (row, sums) in sums.iter_mut().enumerate() {
                                let element = $broadcast(*a.add(row));
                                for (sum, &vector) in sums.iter_mut().zip(&vectors) {
                                    *sum = $fma(element, vector, *sum);
                                }
                            }
                        }
                    }
                };
            }
            // Unrolled further, the compiler runs out of registers.
            for at in 0..depth {
                step!(at);
            }
            let aligned = |row: &*mut f32| row.addr().is_multiple_of(4 * $lanes);
            let stream = tile.write == Write::Stream && tile.rows.iter().all(aligned);
            for (&row, sums) in tile.rows.iter().zip(&sums) {
                for (vector, &sum) in sums.iter().enumerate() {
                    // SAFETY: each row is valid for `V` vectors, and aligned where it must be.
                    unsafe {
                        let place = row.add(vector * $lanes);
                        match tile.write {
                            Write::Add => $store(place, $add($load(place), sum)),
                            Write::Stream if stream => $stream(place, sum),
                            Write::Replace | Write::Stream => $store(place, sum),
                        }
                    }
                }
            }
        }
    };
}

kernel!(
    avx512,
    "avx512f",
    16,
    _mm512_setzero_ps,
    _mm512_loadu_ps,
    _mm512_set1_ps,
    _mm512_fmadd_ps,
    _mm512_add_ps,
    _mm512_storeu_ps,
    _mm512_stream_ps
);
kernel!(
    avx2_fma,
    "avx2,fma",
    8,
    _mm256_setzero_ps,
    _mm256_loadu_ps,
    _mm256_set1_ps,
    _mm256_fmadd_ps,
    _mm256_add_ps,
    _mm256_storeu_ps,
    _mm256_stream_ps
);

/// # Safety
///
/// As [`full`].
unsafe fn portable<const M: usize, const N: usize>(
    depth: usize,
    left: Left,
    right: *const f32,
    tile: &Tile<M>,
) {
    // SAFETY: the caller's promise on the panel.
    let right = unsafe { std::slice::from_raw_parts(right, depth * N) };
    let mut sums = [[0.0f32; N]; M];
    for (k, vector) in right.chunks_exact(N).enumerate() {
        for (row, sum) in sums.iter_mut().enumerate() {
            // SAFETY: `row < M` and `k < depth`.
            let element = unsafe { *left.start.add(row * left.row + k * left.step) };
            for (lane, &value) in sum.iter_mut().zip(vector) {
                *lane += element * value;
            }
        }
    }
    for (&row, sum) in tile.rows.iter().zip(&sums) {
        // SAFETY: each row is valid for the width of the tile.
        let target = unsafe { std::slice::from_raw_parts_mut(row, tile.width) };
        for (place, &value) in target.iter_mut().zip(sum) {
            *place = if tile.write == Write::Add { *place + value } else { value };
        }
    }
}
