//! Packing: a factor of a product, laid out in the panels the micro-kernel reads.
//!
//! A panel holds `L` rows (or columns) of a factor, interleaved: element `l` of inner index `k`
//! stands at `k * L + l`. A factor is described by its [`Rows`], runs of neighbours in memory, so
//! that patches go straight from the image into panels and are never written out as a matrix.

mod interleave;

use std::ops::Range;

use crate::element::{self, Element};
use crate::isa::{Isa, prefetch};
#[cfg(target_arch = "x86_64")]
use crate::lanes::Lanes;
use interleave::{interleave, slack};

/// The most inner indices one panel may hold.
pub(crate) const MAX_DEPTH: usize = 512;

/// Floats of a cache line.
pub(crate) const LINE: usize = 16;

/// Rows copied into all panels before the next.
const TOGETHER: usize = 4;

/// How many rows before they are copied their memory is prefetched.
const AHEAD: usize = 8;

static ZEROS: [f32; MAX_DEPTH] = [0.0; MAX_DEPTH];

/// A matrix as rows of runs. Runs break at the same columns in every row.
pub(crate) trait Rows: Sync {
    type Element: Element;
    /// Where a row is.
    type Row: Copy;
    /// Where a run of columns is.
    type Run: Copy;

    fn locate(&self, row: usize) -> Self::Row;

    /// The run that starts at `column`, and its length.
    fn run(&self, column: usize) -> (Self::Run, usize);

    /// The first `length` elements of `run` in `row`, or `None` where they are all zero.
    fn slice(&self, row: Self::Row, run: Self::Run, length: usize) -> Option<&[Self::Element]>;

    /// All elements and the distance from one row to the next, if rows are in memory at one distance.
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
    type Element: Element;

    /// The factor in memory, if its elements are there at one distance.
    fn in_memory(&self) -> Option<InMemory<'_, Self::Element>>;

    /// Packs `outer` × `inner` into panels of `L`; the lanes of the last one beyond `outer` are
    /// zero. `panels` is at least [`packed_length`] long.
    fn pack<const L: usize>(
        &self,
        isa: Isa,
        outer: Range<usize>,
        inner: Range<usize>,
        panels: &mut [f32],
    ) {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma,f16c")]
        fn pack_avx2<A: Operand + ?Sized, const L: usize>(
            factor: &A,
            isa: Isa,
            outer: Range<usize>,
            inner: Range<usize>,
            panels: &mut [f32],
        ) {
            factor.pack_inlined::<L>(isa, outer, inner, panels);
        }

        assert!(panels.len() >= packed_length(L, outer.len(), inner.len()));
        match isa {
            // SAFETY: the variants are only made after AVX2 and FMA were detected.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Avx2Fma => unsafe {
                pack_avx2::<Self, L>(self, isa, outer, inner, panels);
            },
            Isa::Portable => self.pack_inlined::<L>(isa, outer, inner, panels),
        }
    }

    /// The body of [`Self::pack`], which compiles it for each instruction set.
    fn pack_inlined<const L: usize>(
        &self,
        isa: Isa,
        outer: Range<usize>,
        inner: Range<usize>,
        panels: &mut [f32],
    );

    /// The memory that packing all of `inner` reads, if that is one stretch, else nothing. It is for
    /// prefetching, not for reading.
    fn stretch(&self, inner: Range<usize>) -> &[f32] {
        self.in_memory().map_or(&[], |memory| memory.stretch(inner))
    }
}

/// Which elements of a factor are neighbours in memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Those of one outer index; as a left factor, its rows.
    Rows,
    /// Those of one inner index; as a left factor, its columns.
    Columns,
}

/// A factor in memory: its rows or columns start `stride` elements apart.
#[derive(Clone, Copy)]
pub(crate) struct InMemory<'a, E = f32> {
    data: &'a [E],
    pub(crate) stride: usize,
    pub(crate) order: Order,
}

impl<'a, E: Element> InMemory<'a, E> {
    /// The same factor, if its elements are `f32`.
    pub(crate) fn floats(&self) -> Option<InMemory<'a>> {
        let Self { stride, order, .. } = *self;
        Some(InMemory { data: E::as_floats(self.data)?, stride, order })
    }

    /// The elements from these indices on.
    pub(crate) fn from(&self, outer: usize, inner: usize) -> &'a [E] {
        match self.order {
            Order::Rows => &self.data[outer * self.stride + inner..],
            Order::Columns => &self.data[inner * self.stride + outer..],
        }
    }

    /// Widens `outer` × `inner` in the order of the memory: each row or column starts `stride` floats
    /// after the last.
    pub(crate) fn widen(
        &self,
        isa: Isa,
        outer: Range<usize>,
        inner: Range<usize>,
        stride: usize,
        to: &mut [f32],
    ) {
        let (lines, along) = match self.order {
            Order::Rows => (outer, inner),
            Order::Columns => (inner, outer),
        };
        for (line, to) in lines.zip(to.chunks_mut(stride)) {
            let from = &self.data[line * self.stride..][along.clone()];
            element::widen(isa, from, &mut to[..along.len()]);
        }
    }

    /// See [`Operand::stretch`].
    fn stretch(&self, inner: Range<usize>) -> &'a [f32] {
        if self.order == Order::Rows {
            return &[];
        }
        let [start, end] =
            [inner.start, inner.end].map(|at| (at * self.stride).min(self.data.len()));
        // SAFETY: any bits are floats: those of two halves too.
        unsafe { self.data[start..end].align_to::<f32>().1 }
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

impl<S: Rows> Operand for ByRows<S> {
    type Element = S::Element;

    fn in_memory(&self) -> Option<InMemory<'_, S::Element>> {
        let (data, stride) = self.0.in_memory()?;
        Some(InMemory { data, stride, order: Order::Rows })
    }

    #[inline(always)]
    fn pack_inlined<const L: usize>(
        &self,
        isa: Isa,
        outer: Range<usize>,
        inner: Range<usize>,
        panels: &mut [f32],
    ) {
        assert!(inner.len() <= MAX_DEPTH);
        assert!(panels.len() >= packed_length(L, outer.len(), inner.len()));
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
                // SAFETY: each lane is the start of a slice of `length`, or of as many zeros; the
                // assertion covers the last panel and the slack.
                unsafe { interleave(isa, &lanes, length, place) };
                place = &mut place[length * L..];
                column += length;
            }
        }
    }
}

impl<S: Rows> ByRows<S> {
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
    type Element = S::Element;

    fn in_memory(&self) -> Option<InMemory<'_, S::Element>> {
        let (data, stride) = self.0.in_memory()?;
        Some(InMemory { data, stride, order: Order::Columns })
    }

    #[inline(always)]
    fn pack_inlined<const L: usize>(
        &self,
        isa: Isa,
        outer: Range<usize>,
        inner: Range<usize>,
        panels: &mut [f32],
    ) {
        let rows: Vec<S::Row> = inner.map(|row| self.0.locate(row)).collect();
        let size = L * rows.len();
        // First the panels that are one run, a few rows at a time: so the rows are read from memory once
        // and in order, and the writes are not scattered too widely.
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
            self.pack_broken::<L>(first..(first + L).min(outer.end), &rows, panel);
        }
    }
}

impl<S: Rows> ByColumns<S> {
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

/// Copies a run so short that a call to `memcpy` would not pay.
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
