//! Packing: a factor of a product, laid out in the panels the micro-kernel reads.
//!
//! A panel holds `L` rows (or columns) of a factor, interleaved: element `l` of inner index `k`
//! stands at `k * L + l`. A factor is described by its [`Rows`], runs of neighbours in memory, so
//! that patches go straight from the image into panels and are never written out as a matrix.

use std::ops::Range;

use crate::element::{self, Element, Stored};
use crate::isa::{Isa, prefetch};
#[cfg(target_arch = "x86_64")]
use crate::lanes::Lanes;

/// The most inner indices one panel may hold.
pub(crate) const MAX_DEPTH: usize = 512;

/// Floats of a cache line.
pub(crate) const LINE: usize = 16;

/// Rows copied into all panels before the next.
const TOGETHER: usize = 4;

/// How many rows ahead of the copy their memory is asked for.
const AHEAD: usize = 8;

/// Floats that packing may write past the last panel of `lanes`, for want of a masked store.
const fn slack(lanes: usize) -> usize {
    if lanes.is_multiple_of(4) { 0 } else { 8 }
}

static ZEROS: [f32; MAX_DEPTH] = [0.0; MAX_DEPTH];

/// A matrix as rows of runs. Where runs break is the same in every row.
pub(crate) trait Rows: Sync {
    type Element: Element;
    /// A row, located.
    type Row: Copy;
    /// A run of columns, located.
    type Run: Copy;

    fn locate(&self, row: usize) -> Self::Row;

    /// The run that starts at `column`, and its length.
    fn run(&self, column: usize) -> (Self::Run, usize);

    /// The first `length` elements of `run` in `row`, or `None` where they are all zero.
    fn slice(&self, row: Self::Row, run: Self::Run, length: usize) -> Option<&[Self::Element]>;

    /// The whole of it, if its rows are in memory at one distance: the elements and the distance.
    fn in_memory(&self) -> Option<(&[Self::Element], usize)> {
        None
    }
}

/// A matrix in memory, each row `stride` after the last.
pub(crate) struct Matrix<'a, E = f32> {
    pub(crate) data: &'a [E],
    pub(crate) columns: usize,
    pub(crate) stride: usize,
}

impl<E: Element> Rows for Matrix<'_, E> {
    type Element = E;
    type Row = usize;
    type Run = usize;

    #[inline]
    fn locate(&self, row: usize) -> usize {
        row * self.stride
    }

    #[inline]
    fn run(&self, column: usize) -> (usize, usize) {
        (column, self.columns - column)
    }

    #[inline]
    fn slice(&self, row: usize, run: usize, length: usize) -> Option<&[E]> {
        Some(&self.data[row + run..][..length])
    }

    fn in_memory(&self) -> Option<(&[E], usize)> {
        Some((self.data, self.stride))
    }
}

/// A factor of a product: its outer index is a row or a column of the result, its inner index is
/// summed over.
pub(crate) trait Operand: Sync {
    /// Packs `outer` × `inner` into panels of `L`; the lanes of the last one beyond `outer` are
    /// zero. `panels` is [`packed_length`] long.
    fn pack<const L: usize>(
        &self,
        isa: Isa,
        outer: Range<usize>,
        inner: Range<usize>,
        panels: &mut [f32],
    );

    /// If its elements are `f32`, its outer index moves by one distance in memory and its inner index
    /// by 1: the elements and the distance.
    fn by_rows(&self) -> Option<(&[f32], usize)> {
        None
    }

    /// If its elements are `f32`, its inner index moves by one distance in memory and its outer index
    /// by 1: the elements and the distance.
    fn by_columns(&self) -> Option<(&[f32], usize)> {
        None
    }

    /// Whether [`Self::by_rows`] has nothing to give only because elements are halves.
    fn half_rows(&self) -> bool {
        false
    }

    /// Whether [`Self::by_columns`] has nothing to give only because elements are halves.
    fn half_columns(&self) -> bool {
        false
    }

    /// Widens `outer` × `inner` of what [`Self::half_rows`] or [`Self::half_columns`] says is in memory,
    /// in the order it has there: each row, or each column, starts `stride` floats after the last.
    fn widen(
        &self,
        _isa: Isa,
        _outer: Range<usize>,
        _inner: Range<usize>,
        _stride: usize,
        _to: &mut [f32],
    ) {
        unreachable!("only halves in memory are widened");
    }

    /// What will be read to pack all of `inner`, if that is one stretch of memory, else nothing; it is
    /// for asking for, not for reading.
    fn stretch(&self, _inner: Range<usize>) -> &[f32] {
        &[]
    }
}

/// The floats that panels of `lanes` take for `outer` × `inner`, with the slack.
pub(crate) fn packed_length(lanes: usize, outer: usize, inner: usize) -> usize {
    outer.next_multiple_of(lanes) * inner + slack(lanes)
}

/// The factor whose outer index is the row of the source.
pub(crate) struct ByRows<S>(pub(crate) S);

/// The factor whose outer index is the column of the source.
pub(crate) struct ByColumns<S>(pub(crate) S);

/// The whole source, if it is `f32` in memory.
fn floats<S: Rows>(source: &S) -> Option<(&[f32], usize)> {
    let (data, stride) = source.in_memory()?;
    Some((S::Element::as_floats(data)?, stride))
}

/// Whether the source is in memory and in half precision.
fn is_half<S: Rows>(source: &S) -> bool {
    element::is_half::<S::Element>() && source.in_memory().is_some()
}

/// [`Operand::widen`] of the source's own rows and columns.
fn widen_rows<S: Rows>(
    source: &S,
    isa: Isa,
    rows: Range<usize>,
    columns: Range<usize>,
    stride: usize,
    to: &mut [f32],
) {
    let (data, distance) = source.in_memory().expect("asked before");
    for (row, to) in rows.zip(to.chunks_mut(stride)) {
        let from = &data[row * distance..][columns.clone()];
        element::widen(isa, from, &mut to[..columns.len()]);
    }
}

impl<S: Rows> Operand for ByRows<S> {
    fn by_rows(&self) -> Option<(&[f32], usize)> {
        floats(&self.0)
    }

    fn half_rows(&self) -> bool {
        is_half(&self.0)
    }

    fn widen(
        &self,
        isa: Isa,
        outer: Range<usize>,
        inner: Range<usize>,
        stride: usize,
        to: &mut [f32],
    ) {
        widen_rows(&self.0, isa, outer, inner, stride, to);
    }

    fn pack<const L: usize>(
        &self,
        isa: Isa,
        outer: Range<usize>,
        inner: Range<usize>,
        panels: &mut [f32],
    ) {
        assert!(inner.len() <= MAX_DEPTH);
        assert!(panels.len() >= packed_length(L, outer.len(), inner.len()));
        match isa {
            // SAFETY: the variants are only made after AVX2 and FMA were detected.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Avx2Fma => unsafe { self.pack_avx2::<L>(isa, outer, inner, panels) },
            Isa::Portable => self.pack_plain::<L>(isa, outer, inner, panels),
        }
    }
}

impl<S: Rows> ByRows<S> {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn pack_avx2<const L: usize>(
        &self,
        isa: Isa,
        outer: Range<usize>,
        inner: Range<usize>,
        panels: &mut [f32],
    ) {
        self.pack_plain::<L>(isa, outer, inner, panels);
    }

    #[inline(always)]
    fn pack_plain<const L: usize>(
        &self,
        isa: Isa,
        outer: Range<usize>,
        inner: Range<usize>,
        panels: &mut [f32],
    ) {
        for (index, first) in outer.clone().step_by(L).enumerate() {
            let (rows, next) =
                (self.located::<L>(first, &outer), self.located::<L>(first + L, &outer));
            let mut place = &mut panels[index * L * inner.len()..];
            let mut column = inner.start;
            while column < inner.end {
                let (run, length) = self.0.run(column);
                let length = length.min(inner.end - column);
                let mut lanes = [ZEROS.as_ptr().cast::<S::Element>(); L];
                for (lane, row) in lanes.iter_mut().zip(rows) {
                    if let Some(slice) = row.and_then(|row| self.0.slice(row, run, length)) {
                        *lane = slice.as_ptr();
                    }
                }
                for row in next.into_iter().flatten() {
                    if let Some(slice) = self.0.slice(row, run, length) {
                        slice.iter().step_by(LINE).for_each(|line| prefetch(line));
                    }
                }
                // SAFETY: each lane is the start of a slice of `length`, or of as many zeros;
                // `pack` has asserted that there is room for the last panel and the slack.
                unsafe { interleave(isa, &lanes, length, place) };
                place = &mut place[length * L..];
                column += length;
            }
        }
    }

    /// The rows of the panel that starts at `first`.
    #[inline(always)]
    fn located<const L: usize>(&self, first: usize, outer: &Range<usize>) -> [Option<S::Row>; L] {
        let mut rows = [None; L];
        for (lane, row) in rows.iter_mut().enumerate() {
            if first + lane < outer.end {
                *row = Some(self.0.locate(first + lane));
            }
        }
        rows
    }
}

impl<S: Rows> Operand for ByColumns<S> {
    fn by_columns(&self) -> Option<(&[f32], usize)> {
        floats(&self.0)
    }

    fn half_columns(&self) -> bool {
        is_half(&self.0)
    }

    fn widen(
        &self,
        isa: Isa,
        outer: Range<usize>,
        inner: Range<usize>,
        stride: usize,
        to: &mut [f32],
    ) {
        widen_rows(&self.0, isa, inner, outer, stride, to);
    }

    fn stretch(&self, inner: Range<usize>) -> &[f32] {
        let Some((data, stride)) = self.0.in_memory() else { return &[] };
        let range = (inner.start * stride).min(data.len())..(inner.end * stride).min(data.len());
        // SAFETY: halves, two by two, are floats of some kind.
        unsafe { data[range].align_to::<f32>().1 }
    }

    fn pack<const L: usize>(
        &self,
        isa: Isa,
        outer: Range<usize>,
        inner: Range<usize>,
        panels: &mut [f32],
    ) {
        assert!(panels.len() >= packed_length(L, outer.len(), inner.len()));
        let rows: Vec<S::Row> = inner.map(|row| self.0.locate(row)).collect();
        match isa {
            // SAFETY: the variants are only made after AVX2 and FMA were detected.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Avx2Fma => unsafe { self.pack_avx2::<L>(isa, outer, &rows, panels) },
            Isa::Portable => self.pack_plain::<L>(isa, outer, &rows, panels),
        }
    }
}

impl<S: Rows> ByColumns<S> {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma,f16c")]
    fn pack_avx2<const L: usize>(
        &self,
        isa: Isa,
        outer: Range<usize>,
        rows: &[S::Row],
        panels: &mut [f32],
    ) {
        self.pack_plain::<L>(isa, outer, rows, panels);
    }

    #[inline(always)]
    fn pack_plain<const L: usize>(
        &self,
        isa: Isa,
        outer: Range<usize>,
        rows: &[S::Row],
        panels: &mut [f32],
    ) {
        let size = L * rows.len();
        // The panels that are one run, a few rows at a time, so that rows are read once from afar,
        // in order, and what is written is not scattered too widely.
        let firsts = outer.clone().step_by(L);
        let runs: Vec<Option<S::Run>> = firsts
            .map(|first| {
                let (run, length) = self.0.run(first);
                (length >= L && first + L <= outer.end).then_some(run)
            })
            .collect();
        for start in (0..rows.len()).step_by(TOGETHER) {
            let later = rows.iter().skip(start + AHEAD).take(TOGETHER);
            let rows = &rows[start..(start + TOGETHER).min(rows.len())];
            for (panel, run) in panels.chunks_exact_mut(size).zip(&runs) {
                let Some(run) = *run else { continue };
                for &row in later.clone() {
                    if let Some(slice) = self.0.slice(row, run, L) {
                        prefetch(slice.as_ptr());
                    }
                }
                let places = panel[start * L..].chunks_exact_mut(L);
                for (place, &row) in places.zip(rows) {
                    match self.0.slice(row, run, L) {
                        Some(slice) => copy_run::<S::Element, L>(isa, slice, place),
                        None => place.fill(0.0),
                    }
                }
            }
        }
        let panels = panels.chunks_exact_mut(size).zip(outer.clone().step_by(L)).zip(&runs);
        for ((panel, first), _) in panels.filter(|(_, run)| run.is_none()) {
            self.pack_broken::<L>(first..(first + L).min(outer.end), rows, panel);
        }
    }

    /// One panel whose columns are several runs, or fewer than `L`.
    fn pack_broken<const L: usize>(
        &self,
        columns: Range<usize>,
        rows: &[S::Row],
        panel: &mut [f32],
    ) {
        let mut lane = 0;
        while lane < L {
            let column = columns.start + lane;
            if column >= columns.end {
                for place in panel.chunks_exact_mut(L) {
                    place[lane..].fill(0.0);
                }
                return;
            }
            let (run, length) = self.0.run(column);
            let length = length.min(columns.end - column);
            for (place, &row) in panel.chunks_exact_mut(L).zip(rows) {
                let place = &mut place[lane..lane + length];
                match self.0.slice(row, run, length) {
                    Some(slice) => copy_short(slice, place),
                    None => place.fill(0.0),
                }
            }
            lane += length;
        }
    }
}

/// Copies a run as long as a panel is wide.
#[inline(always)]
fn copy_run<E: Element, const L: usize>(isa: Isa, from: &[E], to: &mut [f32]) {
    if let Some(floats) = E::as_floats(from) {
        to.copy_from_slice(floats);
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if isa != Isa::Portable && L.is_multiple_of(8) {
        assert!(from.len() == L && to.len() == L);
        for at in (0..L).step_by(8) {
            // SAFETY: eight from `at` on are inside of both; AVX2 and F16C were detected, and callers
            // have them enabled.
            unsafe {
                E::load::<std::arch::x86_64::__m256>(from.as_ptr().add(at))
                    .store(to.as_mut_ptr().add(at));
            }
        }
        return;
    }
    let _ = isa;
    copy_short(from, to);
}

/// Copies a run too short to be worth a call to copy memory.
#[inline(always)]
fn copy_short<E: Element>(from: &[E], to: &mut [f32]) {
    let (from, from_rest) = from.as_chunks::<4>();
    let (to, to_rest) = to.as_chunks_mut::<4>();
    for (to, from) in to.iter_mut().zip(from) {
        *to = from.map(E::widened);
    }
    for at in 0..3 {
        if let (Some(to), Some(&from)) = (to_rest.get_mut(at), from_rest.get(at)) {
            *to = from.widened();
        }
    }
}

/// `place[k * L + l] = lanes[l][k]` for `k < length`, perhaps with garbage after it.
///
/// # Safety
///
/// Each lane is valid for reading `length` floats; `place` is `length * L` long, and the slack.
#[inline]
unsafe fn interleave<E: Element, const L: usize>(
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
