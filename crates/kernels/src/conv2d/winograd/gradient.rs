//! The weight gradient by Winograd's algorithm.

use super::{
    Block, Conv2d, Element, Four, FourByFour, Isa, Lanes, Method, Panels, Places, Plan, SKEW,
    Scheme, Slot, Spread, Three, TwoByTwo, UNIT, Write, by_scheme, forward_plan, inputs_to, laned,
    of_elements, of_pixels, parallel, piece, scratch, tiled, to_elements,
};

/// Floats of transformed tiles that are kept at once, in a third-level cache.
const KEPT: usize = 5 << 19;
/// The fewest and the most tiles of a block.
const BLOCK: [usize; 2] = [48, 512];
/// Tiles that one task transforms.
const TOGETHER: usize = 8;

/// The gradient of the weights. `which` is not `Direct`.
pub(crate) fn weight_grad<E: Element>(
    d: &Conv2d,
    which: Method,
    x: &[E],
    dy: &[E],
    dw: &mut [f32],
) {
    by_scheme!(which, run[E](Isa::current(), &forward_plan(d, which), x, dy, dw));
}

fn run<S: Scheme<A, M, T>, const A: usize, const M: usize, const T: usize, E: Element>(
    isa: Isa,
    plan: &Plan,
    x: &[E],
    dy: &[E],
    dw: &mut [f32],
) {
    let (inputs, depth, outputs) = (plan.from.channels, plan.depth(), plan.to.channels);
    let [least, most] = BLOCK;
    let block = (KEPT / (A * (depth + outputs))).clamp(least, most);
    let block = piece(plan.tiles, block, TOGETHER);
    scratch::with(Slot::Transformed, A * depth * outputs, |sums| {
        let length = A * block * (depth.next_multiple_of(2 * UNIT) + outputs + SKEW) + SKEW;
        scratch::with(Slot::Tiles, length, |space| {
            for first in (0..plan.tiles).step_by(block) {
                let step = Step { plan, x, dy, first, count: block.min(plan.tiles - first) };
                tiled!(isa, add_block[S, A, M, T, E](isa, &step, space, sums));
            }
        });
        let sums = &*sums;
        parallel::chunks(dw, plan.kernel[0] * plan.kernel[1] * inputs, |output, dw| {
            assert!(sums.len() == A * depth * outputs);
            for part in 0..plan.parts() {
                let from = sums[output * depth + part * inputs..].as_ptr();
                let taps = plan.tile.taps_of::<T>(plan.kernel, part).map(|tap| tap * inputs);
                // SAFETY: each element has a row of `depth` for each output, and a part of it is
                // `inputs` long.
                unsafe { back::<S, A, M, T>(isa, from, depth * outputs, inputs, dw, &taps) };
            }
        });
    });
}

/// A block of tiles.
struct Step<'a, E> {
    plan: &'a Plan,
    x: &'a [E],
    dy: &'a [E],
    first: usize,
    count: usize,
}

/// Adds the products of a block of tiles to the transformed gradient, `[element, output, input]`.
fn add_block<
    const R: usize,
    const N: usize,
    S: Scheme<A, M, T>,
    const A: usize,
    const M: usize,
    const T: usize,
    E: Element,
>(
    isa: Isa,
    step: &Step<'_, E>,
    space: &mut [f32],
    sums: &mut [f32],
) {
    let (plan, count) = (step.plan, step.count);
    let (inputs, depth, outputs) = (plan.from.channels, plan.depth(), plan.to.channels);
    let stride = outputs + SKEW;
    let size = depth.next_multiple_of(N) * count;
    let out_size = stride * count;
    let (right, left) = space.split_at_mut(A * size);
    let (right_places, left_places) = (Places::of(right), Places::of(left));
    parallel::indices(count.div_ceil(TOGETHER), |task| {
        for tile in task * TOGETHER..((task + 1) * TOGETHER).min(count) {
            let to = right_places.at(tile * N, A * size - tile * N);
            for part in 0..plan.parts() {
                let pixels = plan.inputs::<A, E>(step.x, step.first + tile, part);
                let (ahead, beyond) = plan.ahead::<A, E>(step.x, step.first + tile, part);
                let ahead = &ahead[..beyond];
                let first = part * inputs;
                let spread = Spread { apart: size, first, width: N, panel: N * count };
                // SAFETY: each pixel has `inputs` floats; the tile's rows of the panels of all
                // elements are inside, and no one else writes them.
                unsafe { inputs_to::<S, A, M, T, E>(isa, &pixels, ahead, inputs, to, spread) };
            }
            let pixels = plan.results::<M, E>(step.dy, step.first + tile);
            let to = left_places.at(tile * stride, A * out_size - tile * stride);
            // SAFETY: each pixel has `outputs` floats; the tile's rows of all elements are inside,
            // and no one else writes them.
            unsafe { gradients_to::<S, A, M, T, E>(isa, &pixels, outputs, to, out_size) };
        }
    });
    let (right, left) = (&*right, &*left);
    let rows: Vec<usize> = (0..outputs).map(|output| output * depth).collect();
    parallel::chunks(sums, depth * outputs, |element, sums| {
        let block = Block {
            isa,
            depth: count,
            left: Panels::columns(&left[element * out_size..], stride),
            right: &right[element * size..][..size],
            rows: &rows,
            first_column: 0,
            columns: depth,
            ahead: [&[]; 2],
            finish: None,
            write: if step.first > 0 { Write::Add } else { Write::Replace },
        };
        assert_eq!(sums.len(), depth * outputs);
        // SAFETY: the rows are those of `sums`.
        unsafe { block.multiply::<R, N>(sums.as_mut_ptr()) };
    });
}

/// Transforms the gradients of a tile of results.
///
/// # Safety
///
/// Each of `pixels` is valid for reading `channels` floats, a multiple of every vector; `to` is
/// valid for writing as many for each element, `apart` from the last.
#[inline(always)]
unsafe fn gradients_of<
    V: Lanes,
    S: Scheme<A, M, T>,
    const A: usize,
    const M: usize,
    const T: usize,
    E: Element,
>(
    pixels: &[*const E; M],
    channels: usize,
    to: *mut f32,
    apart: usize,
) {
    for channel in (0..channels).step_by(V::COUNT) {
        // SAFETY: the channels are below `channels`; the places are the caller's promise.
        unsafe {
            let tile = of_pixels::<V, E, M>(pixels, channel);
            to_elements(&S::output_gradient(tile), to.add(channel), apart);
        }
    }
}

laned! {
    /// # Safety
    ///
    /// As [`gradients_of`].
    unsafe fn gradients_to[S: Scheme<A, M, T>, const A: usize, const M: usize, const T: usize, E: Element][S, A, M, T, E](
        pixels: &[*const E; M],
        channels: usize,
        to: *mut f32,
        apart: usize,
    ) = gradients_of
}

/// Transforms the gradient of one output channel's weights back, for one part of the kernel. `taps` says
/// where each tap starts in `dw`; those that start at its end are outside of the kernel.
///
/// # Safety
///
/// `from` is valid for reading `channels` floats, a multiple of every vector, for each element,
/// `apart` from the last.
#[inline(always)]
unsafe fn back_of<V: Lanes, S: Scheme<A, M, T>, const A: usize, const M: usize, const T: usize>(
    from: *const f32,
    apart: usize,
    channels: usize,
    dw: &mut [f32],
    taps: &[usize; T],
) {
    assert!(taps.iter().all(|&tap| tap + channels <= dw.len() || tap == dw.len()));
    for channel in (0..channels).step_by(V::COUNT) {
        // SAFETY: the caller's promise.
        let elements = unsafe { of_elements::<V, A>(from.add(channel), apart) };
        let done = S::weight_gradient(elements);
        for (&tap, value) in taps.iter().zip(&done) {
            if tap < dw.len() {
                // SAFETY: the assertion.
                unsafe { value.store(dw.as_mut_ptr().add(tap + channel)) };
            }
        }
    }
}

laned! {
    /// # Safety
    ///
    /// As [`back_of`].
    unsafe fn back[S: Scheme<A, M, T>, const A: usize, const M: usize, const T: usize][S, A, M, T](
        from: *const f32,
        apart: usize,
        channels: usize,
        dw: &mut [f32],
        taps: &[usize; T],
    ) = back_of
}
