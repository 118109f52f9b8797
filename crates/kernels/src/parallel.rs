//! Cutting work into chunks whose bounds depend on the shape alone.

use rayon::prelude::*;

/// Elements of a chunk of an element-wise operation: big enough to hide the cost of a task, small
/// enough that a layer has more chunks than a machine has threads.
pub(crate) const ELEMENTS: usize = 16 * 1024;

/// Calls `body(chunk index, chunk)` on the pool; a single chunk runs where it is.
pub(crate) fn chunks<T: Send>(
    data: &mut [T],
    chunk: usize,
    body: impl Fn(usize, &mut [T]) + Sync + Send,
) {
    if data.len() <= chunk {
        if !data.is_empty() {
            body(0, data);
        }
        return;
    }
    data.par_chunks_mut(chunk).enumerate().for_each(|(index, part)| body(index, part));
}

/// [`chunks`] over two slices cut into equally many chunks.
pub(crate) fn chunks2<T: Send, U: Send>(
    (first, first_chunk): (&mut [T], usize),
    (second, second_chunk): (&mut [U], usize),
    body: impl Fn(usize, &mut [T], &mut [U]) + Sync + Send,
) {
    debug_assert_eq!(first.len().div_ceil(first_chunk), second.len().div_ceil(second_chunk));
    if first.len() <= first_chunk {
        if !first.is_empty() {
            body(0, first, second);
        }
        return;
    }
    first
        .par_chunks_mut(first_chunk)
        .zip(second.par_chunks_mut(second_chunk))
        .enumerate()
        .for_each(|(index, (a, b))| body(index, a, b));
}

/// [`chunks`] over three slices cut into equally many chunks.
pub(crate) fn chunks3<T: Send, U: Send>(
    (first, first_chunk): (&mut [T], usize),
    (second, second_chunk): (&mut [T], usize),
    (third, third_chunk): (&mut [U], usize),
    body: impl Fn(usize, &mut [T], &mut [T], &mut [U]) + Sync + Send,
) {
    debug_assert_eq!(first.len().div_ceil(first_chunk), third.len().div_ceil(third_chunk));
    first
        .par_chunks_mut(first_chunk)
        .zip(second.par_chunks_mut(second_chunk))
        .zip(third.par_chunks_mut(third_chunk))
        .enumerate()
        .for_each(|(index, ((a, b), c))| body(index, a, b, c));
}

/// Calls `body(index)` for every index below `count`.
pub(crate) fn indices(count: usize, body: impl Fn(usize) + Sync + Send) {
    match count {
        0 => {}
        1 => body(0),
        _ => (0..count).into_par_iter().for_each(body),
    }
}

/// `out = Σ partials`, where `partials` are whole copies of `out` side by side, added in order.
pub(crate) fn sum_in_order(partials: &[f32], out: &mut [f32]) {
    let length = out.len();
    chunks(out, ELEMENTS, |index, part| {
        let start = index * ELEMENTS;
        let mut copies = partials.chunks_exact(length);
        let first = copies.next().expect("at least one partial sum");
        part.copy_from_slice(&first[start..start + part.len()]);
        for copy in copies {
            for (sum, &value) in part.iter_mut().zip(&copy[start..]) {
                *sum += value;
            }
        }
    });
}
