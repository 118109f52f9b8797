//! The weight gradient by Winograd's algorithm.

use super::{
    Block, Conv2d, Element, Four, Isa, Lanes, Method, Panels, Places, Plan, SKEW, Scheme, Slot,
    Spread, Two, UNIT, Write, both, inputs_to, laned, parallel, piece, scratch, tiled,
};

/// Floats of transformed tiles that are kept at once, in a third-level cache.
const KEPT: usize = 5 << 19;
/// The fewest and the most tiles of a block.
const BLOCK: [usize; 2] = [48, 512];
/// Tiles that one task transforms.
const TOGETHER: usize = 8;

/// The gradient of the weights; `which` is not `Direct`.
pub(crate) fn weight_grad<E: Element>(
    d: &Conv2d,
    which: Method,
    x: &[E],
    dy: &[E],
    dw: &mut [f32],
) {
    let isa = Isa::current();
    match which {
        Method::Two => run::<Two, 4, 2, E>(isa, &Plan::forward(d, 2), x, dy, dw),
        _ => run::<Four, 6, 4, E>(isa, &Plan::forward(d, 4), x, dy, dw),
    }
}

fn run<S: Scheme<A, M>, const A: usize, const M: usize, E: Element>(
    isa: Isa,
    plan: &Plan,
    x: &[E],
    dy: &[E],
    dw: &mut [f32],
) {
    let (inputs, outputs) = (plan.from.channels, plan.to.channels);
    let [least, most] = BLOCK;
    let block = (KEPT / (A * A * (inputs + outputs))).clamp(least, most);
    let block = piece(plan.tiles, block, TOGETHER);
    scratch::with(Slot::Transformed, A * A * inputs * outputs, |sums| {
        let length = A * A * block * (inputs.next_multiple_of(2 * UNIT) + outputs + SKEW) + SKEW;
        scratch::with(Slot::Tiles, length, |space| {
            for first in (0..plan.tiles).step_by(block) {
                let step = Step { plan, x, dy, first, count: block.min(plan.tiles - first) };
                tiled!(isa, add_block[S, A, M, E](isa, &step, space, sums));
            }
        });
        let sums = &*sums;
        parallel::chunks(dw, 9 * inputs, |output, dw| {
            assert!(sums.len() == A * A * inputs * outputs && dw.len() == 9 * inputs);
            let from = sums[output * inputs..].as_ptr();
            // SAFETY: each element has a row of `inputs` from here on.
            unsafe { back::<S, A, M>(isa, from, inputs * outputs, inputs, dw) };
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

/// Adds what a block of tiles gives to the transformed gradient, `[element, output, input]`.
fn add_block<
    const R: usize,
    const N: usize,
    S: Scheme<A, M>,
    const A: usize,
    const M: usize,
    E: Element,
>(
    isa: Isa,
    step: &Step<'_, E>,
    space: &mut [f32],
    sums: &mut [f32],
) {
    let (plan, count) = (step.plan, step.count);
    let (inputs, outputs) = (plan.from.channels, plan.to.channels);
    let stride = outputs + SKEW;
    let size = inputs.next_multiple_of(N) * count;
    let out_size = stride * count;
    let (right, left) = space.split_at_mut(A * A * size);
    let (right_places, left_places) = (Places::of(right), Places::of(left));
    parallel::indices(count.div_ceil(TOGETHER), |task| {
        for tile in task * TOGETHER..((task + 1) * TOGETHER).min(count) {
            let pixels = plan.inputs::<A, E>(step.x, step.first + tile);
            let next = plan.inputs::<A, E>(step.x, (step.first + tile + 1).min(plan.tiles - 1));
            let spread = Spread { apart: size, width: N, panel: N * count };
            let to = right_places.at(tile * N, A * A * size - tile * N);
            // SAFETY: each pixel has `inputs` floats; the tile's rows of the panels of all elements
            // are inside, and no one else writes them.
            unsafe { inputs_to::<S, A, M, E>(isa, &pixels, &next, inputs, to, spread) };
            let pixels = plan.results::<M, E>(step.dy, step.first + tile);
            let to = left_places.at(tile * stride, A * A * out_size - tile * stride);
            // SAFETY: each pixel has `outputs` floats; the tile's rows of all elements are inside,
            // and no one else writes them.
            unsafe { gradients_to::<S, A, M, E>(isa, &pixels, outputs, to, out_size) };
        }
    });
    let (right, left) = (&*right, &*left);
    let rows: Vec<usize> = (0..outputs).map(|output| output * inputs).collect();
    parallel::chunks(sums, inputs * outputs, |element, sums| {
        let block = Block {
            isa,
            depth: count,
            left: Panels::WholeColumns { data: &left[element * out_size..], stride },
            right: &right[element * size..][..size],
            rows: &rows,
            first_column: 0,
            columns: inputs,
            ahead: [&[]; 2],
            finish: None,
            write: if step.first > 0 { Write::Add } else { Write::Replace },
        };
        assert_eq!(sums.len(), inputs * outputs);
        // SAFETY: the rows are those of `sums`.
        unsafe { block.multiply::<R, N>(sums.as_mut_ptr()) };
    });
}

/// # Safety
///
/// Each of `pixels` is valid for reading `channels` floats, a multiple of every vector; `to` is
/// valid for writing as many for each element, `apart` from the last.
#[inline(always)]
unsafe fn gradients_of<V: Lanes, S: Scheme<A, M>, const A: usize, const M: usize, E: Element>(
    pixels: &[[*const E; M]; M],
    channels: usize,
    to: *mut f32,
    apart: usize,
) {
    for channel in (0..channels).step_by(V::COUNT) {
        let mut tile = [[V::zero(); M]; M];
        for row in 0..M {
            for column in 0..M {
                // SAFETY: below `channels`.
                tile[row][column] = unsafe { E::load::<V>(pixels[row][column].add(channel)) };
            }
        }
        let done = both!(V, M, A, tile, S::output_gradient);
        for (element, value) in done.as_flattened().iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { value.store(to.add(element * apart + channel)) };
        }
    }
}

laned! {
    /// # Safety
    ///
    /// As [`gradients_of`].
    unsafe fn gradients_to[S: Scheme<A, M>, const A: usize, const M: usize, E: Element][S, A, M, E](
        pixels: &[[*const E; M]; M],
        channels: usize,
        to: *mut f32,
        apart: usize,
    ) = gradients_of
}

/// Transforms the gradient of one output channel's weights back.
///
/// # Safety
///
/// `from` is valid for reading `channels` floats, a multiple of every vector, for each element,
/// `apart` from the last; `dw` is nine times `channels` long.
#[inline(always)]
unsafe fn back_of<V: Lanes, S: Scheme<A, M>, const A: usize, const M: usize>(
    from: *const f32,
    apart: usize,
    channels: usize,
    dw: &mut [f32],
) {
    for channel in (0..channels).step_by(V::COUNT) {
        let mut elements = [[V::zero(); A]; A];
        for (element, value) in elements.as_flattened_mut().iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *value = unsafe { V::load(from.add(element * apart + channel)) };
        }
        let done = both!(V, A, 3, elements, S::weight_gradient);
        for (tap, value) in done.as_flattened().iter().enumerate() {
            // SAFETY: below nine times `channels`.
            unsafe { value.store(dw.as_mut_ptr().add(tap * channels + channel)) };
        }
    }
}

laned! {
    /// # Safety
    ///
    /// As [`back_of`].
    unsafe fn back[S: Scheme<A, M>, const A: usize, const M: usize][S, A, M](from: *const f32, apart: usize, channels: usize, dw: &mut [f32]) = back_of
}
