//! The patches of an image, and the weights turned for the input gradient, as rows to pack.

use super::{Conv2d, Phase, Tap};
use crate::element::Element;
use crate::pack::Rows;

/// The matrix with a row for each position of a grid over each image, and in it, for each tap, the
/// channels of the pixel the tap reads there.
pub(super) struct Patches<'a, E = f32> {
    image: &'a [E],
    h: usize,
    w: usize,
    /// Channels of the image, those of other groups included.
    channels: usize,
    first_channel: usize,
    /// Elements a tap reads.
    run: usize,
    taps: Vec<Tap>,
    grid: [usize; 2],
    stride: [usize; 2],
}

impl<'a, E> Patches<'a, E> {
    /// The patches of the input that the kernel covers, a row for each output position.
    pub(super) fn of_input(d: &Conv2d, x: &'a [E], group: usize) -> Self {
        let mut patches = Self {
            image: x,
            h: d.h,
            w: d.w,
            channels: d.c_in,
            first_channel: group * d.group_in(),
            run: d.group_in(),
            taps: input_taps(d),
            grid: [d.out_h(), d.out_w()],
            stride: d.stride,
        };
        if d.wants_border() && d.padding == [0, 0] {
            // Nothing is outside, so the taps of a row of the kernel are one run.
            patches.taps.retain(|tap| tap.x == 0);
            patches.run = d.kernel[1] * d.c_in;
        }
        patches
    }

    /// The patches of the output that reach the input positions of `phase`, a row for each.
    pub(super) fn of_output(d: &Conv2d, dy: &'a [E], group: usize, phase: &Phase) -> Self {
        Self {
            image: dy,
            h: d.out_h(),
            w: d.out_w(),
            channels: d.c_out,
            first_channel: group * d.group_out(),
            run: d.group_out(),
            taps: phase.taps.clone(),
            grid: phase.grid,
            stride: [1, 1],
        }
    }
}

/// The taps of the kernel from the output position whose window starts at `stride * position`.
pub(super) fn input_taps(d: &Conv2d) -> Vec<Tap> {
    let place = |axis: usize, k: usize| (k * d.dilation[axis]) as isize - d.padding[axis] as isize;
    (0..d.kernel[0] * d.kernel[1])
        .map(|index| Tap {
            y: place(0, index / d.kernel[1]),
            x: place(1, index % d.kernel[1]),
            index,
        })
        .collect()
}

/// Where a position of the grid is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    start: isize,
    y: isize,
    x: isize,
}

/// What a tap adds to it.
#[derive(Clone, Copy)]
pub(super) struct Step {
    offset: isize,
    y: isize,
    x: isize,
}

impl<E: Element> Rows for Patches<'_, E> {
    type Element = E;
    type Row = Place;
    type Run = Step;

    #[inline]
    fn locate(&self, row: usize) -> Place {
        let [height, width] = self.grid;
        let (image, row) = (row / (height * width), row % (height * width));
        let y = row / width * self.stride[0];
        let x = row % width * self.stride[1];
        let start = ((image * self.h + y) * self.w + x) * self.channels + self.first_channel;
        Place { start: start as isize, y: y as isize, x: x as isize }
    }

    #[inline]
    fn run(&self, column: usize) -> (Step, usize) {
        let tap = self.taps[column / self.run];
        let channel = column % self.run;
        let offset = (tap.y * self.w as isize + tap.x) * self.channels as isize + channel as isize;
        (Step { offset, y: tap.y, x: tap.x }, self.run - channel)
    }

    #[inline]
    fn slice(&self, row: Place, run: Step, length: usize) -> Option<&[E]> {
        // A negative coordinate becomes a huge one.
        let inside = ((row.y + run.y) as usize) < self.h && ((row.x + run.x) as usize) < self.w;
        inside.then(|| &self.image[(row.start + run.offset) as usize..][..length])
    }
}

/// The weights of one group with a row for each tap and output channel, and in it the input
/// channels.
pub(super) struct TurnedWeights<'a> {
    pub(super) weights: &'a [f32],
    /// Where in a patch each tap starts.
    pub(super) taps: Vec<usize>,
    pub(super) outputs: usize,
    pub(super) inputs: usize,
    pub(super) patch: usize,
}

impl Rows for TurnedWeights<'_> {
    type Element = f32;
    type Row = usize;
    type Run = usize;

    #[inline]
    fn locate(&self, row: usize) -> usize {
        self.taps[row / self.outputs] + row % self.outputs * self.patch
    }

    #[inline]
    fn run(&self, column: usize) -> (usize, usize) {
        (column, self.inputs - column)
    }

    #[inline]
    fn slice(&self, row: usize, run: usize, length: usize) -> Option<&[f32]> {
        Some(&self.weights[row + run..][..length])
    }
}
