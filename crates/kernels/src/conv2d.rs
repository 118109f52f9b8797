//! Convolution in two dimensions: y[n,oy,ox,o] = Σ x[n, oy·s−p+ky·d, ox·s−p+kx·d, i] · w[o,ky,kx,i],
//! as a cross-correlation with zeros around the image, and both of its gradients.
//!
//! All three products are matrix products over patches that are packed straight from the image
//! (Chetlur et al. 2014, arXiv 1410.0759, §3):
//!
//! - forward: Y = P(x)·Wᵀ;
//! - input gradient: dX = P(dy)·W', one product for each phase of the stride, in which it is a
//!   convolution of stride 1 with the taps that reach that phase;
//! - weight gradient: dW = dYᵀ·P(x), summed over all positions in chunks.
//!
//! A depthwise convolution has no sum over channels and has loops of its own.

mod depthwise;
mod forward;
mod inference;
mod merged;
mod norm_depthwise;
mod patches;
mod winograd;

use crate::check;
use crate::element::{self, Element};
use crate::gemm::{self, Destination, Shape};
use crate::isa::Isa;
use crate::output::Output;
use crate::pack::{ByColumns, ByRows, Matrix, Operand};
use crate::parallel;
use crate::scratch::Slot;
use forward::forward_by;
pub use inference::{Epilogue, PreparedWeights, conv2d_finished, conv2d_inference};
pub use norm_depthwise::{
    NormDepthwise, NormDepthwiseGradients, NormDepthwiseSaved, norm_depthwise,
    norm_depthwise_backward,
};
use patches::{Patches, TurnedWeights};
use winograd::Method;

/// The dims of a convolution; pairs are `[vertical, horizontal]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conv2d {
    pub n: usize,
    pub h: usize,
    pub w: usize,
    pub c_in: usize,
    pub c_out: usize,
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    pub dilation: [usize; 2],
    pub groups: usize,
}

impl Conv2d {
    fn out_extent(&self, input: usize, axis: usize) -> usize {
        let reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
        let padded = input + 2 * self.padding[axis];
        assert!(padded >= reach, "conv2d: the kernel reaches beyond the padded image: {self:?}");
        (padded - reach) / self.stride[axis] + 1
    }

    /// Height of the output.
    pub fn out_h(&self) -> usize {
        self.out_extent(self.h, 0)
    }

    /// Width of the output.
    pub fn out_w(&self) -> usize {
        self.out_extent(self.w, 1)
    }

    /// Length of `x`, `[n, h, w, c_in]`.
    pub fn x_len(&self) -> usize {
        self.n * self.h * self.w * self.c_in
    }

    /// Length of `w`, `[c_out, kh, kw, c_in / groups]`.
    pub fn w_len(&self) -> usize {
        self.c_out * self.patch()
    }

    /// Length of `y`, `[n, out_h, out_w, c_out]`.
    pub fn y_len(&self) -> usize {
        self.positions() * self.c_out
    }

    /// Multiply-adds of the forward product, positions in the padding included.
    pub fn multiply_adds(&self) -> u64 {
        self.positions() as u64 * self.w_len() as u64
    }

    /// Output positions in the batch.
    fn positions(&self) -> usize {
        self.n * self.out_h() * self.out_w()
    }

    fn group_in(&self) -> usize {
        self.c_in / self.groups
    }

    fn group_out(&self) -> usize {
        self.c_out / self.groups
    }

    /// Elements of a patch, which is a row of the weights.
    fn patch(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.group_in()
    }

    fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.c_in && self.groups == self.c_out
    }

    /// Whether a patch is just its pixel.
    fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.padding == [0, 0]
    }

    /// Whether to copy the image into a border of zeros first. With few channels a tap is a very
    /// short run; without padding, the taps of a row join into one.
    fn wants_border(&self) -> bool {
        self.c_in < 16 && self.groups == 1 && self.kernel[1] > 1 && self.dilation[1] == 1
    }

    #[track_caller]
    fn check(&self, operation: &str, x: usize, w: usize, y: usize) {
        assert!(
            self.groups > 0
                && self.c_in.is_multiple_of(self.groups)
                && self.c_out.is_multiple_of(self.groups),
            "{operation}: {} groups do not divide {} and {} channels",
            self.groups,
            self.c_in,
            self.c_out
        );
        let positive = |pair: [usize; 2]| pair[0] > 0 && pair[1] > 0;
        assert!(
            positive(self.kernel) && positive(self.stride) && positive(self.dilation),
            "{operation}: kernel, stride and dilation must be positive: {self:?}"
        );
        check::length(operation, "x", x, self.x_len());
        check::length(operation, "w", w, self.w_len());
        check::length(operation, "y", y, self.y_len());
    }
}

/// The convolution of `x` by `w`, into `y`.
#[track_caller]
pub fn conv2d_forward<'a, E: Element>(d: &Conv2d, x: &[E], w: &[f32], y: impl Into<Output<'a, E>>) {
    let y = &mut *y.into().writer();
    d.check("conv2d_forward", x.len(), w.len(), y.len());
    forward_by(d, winograd::method, x, w, None, y);
}

/// The gradient with respect to the input, into `dx`, from that of the output, `dy`.
#[track_caller]
pub fn conv2d_input_grad<'a, E: Element>(
    d: &Conv2d,
    dy: &[E],
    w: &[f32],
    dx: impl Into<Output<'a, E>>,
) {
    let dx = &mut *dx.into().writer();
    d.check("conv2d_input_grad", dx.len(), w.len(), dy.len());
    input_grad_by(d, winograd::method(d), dy, w, dx);
}

fn input_grad_by<E: Element>(d: &Conv2d, method: Method, dy: &[E], w: &[f32], dx: &mut [E]) {
    if d.is_depthwise() {
        return depthwise::input_grad(d, dy, w, dx);
    }
    if let Some(wide) = merged::of(d) {
        return merged::input_grad(d, &wide, dy, w, dx);
    }
    if method != Method::Direct {
        let taps = (0..d.kernel[0] * d.kernel[1]).rev().map(|tap| tap * d.c_in).collect();
        return winograd::input_grad(d, method, dy, &turned(d, taps, 0, w), dx);
    }
    let phases = phases(d);
    if phases.iter().any(|phase| phase.taps.is_empty()) {
        parallel::chunks(dx, parallel::ELEMENTS, |_, part| part.fill(E::default()));
    }
    for phase in phases.iter().filter(|phase| !phase.taps.is_empty()) {
        for group in 0..d.groups {
            if d.is_pointwise() {
                let pixels = pixels(dy, d.c_out, group, d.group_out());
                input_grad_group(d, phase, group, &ByRows(pixels), w, dx);
            } else {
                let patches = Patches::of_output(d, dy, group, phase);
                input_grad_group(d, phase, group, &ByRows(patches), w, dx);
            }
        }
    }
}

fn input_grad_group<A: Operand, E: Element>(
    d: &Conv2d,
    phase: &Phase,
    group: usize,
    patches: &A,
    w: &[f32],
    dx: &mut [E],
) {
    let (inputs, outputs) = (d.group_in(), d.group_out());
    let taps = phase.taps.iter().map(|tap| tap.index * inputs).collect();
    let weights = turned(d, taps, group, w);
    let [height, width] = phase.grid;
    let shape =
        Shape { rows: d.n * height * width, columns: inputs, inner: phase.taps.len() * outputs };
    let offset = |row: usize| {
        let (image, row) = (row / (height * width), row % (height * width));
        let y = phase.first[0] + row / width * d.stride[0];
        let x = phase.first[1] + row % width * d.stride[1];
        ((image * d.h + y) * d.w + x) * d.c_in + group * inputs
    };
    // SAFETY: rows are different pixels, `c_in` apart, and a group is at most that wide.
    let output = unsafe { Destination::new(dx, offset) };
    gemm::multiply(Isa::current(), shape, patches, &weights, &output);
}

/// The weights of one group as a factor whose inner index is a tap and an output channel. `taps` says
/// where each tap starts in a patch.
fn turned<'a>(
    d: &Conv2d,
    taps: Vec<usize>,
    group: usize,
    w: &'a [f32],
) -> ByColumns<TurnedWeights<'a>> {
    let (inputs, outputs, patch) = (d.group_in(), d.group_out(), d.patch());
    let weights = &w[group * outputs * patch..][..outputs * patch];
    ByColumns(TurnedWeights { weights, taps, outputs, inputs, patch })
}

/// The gradient with respect to the weights, into `dw`, from that of the output, `dy`.
#[track_caller]
pub fn conv2d_weight_grad<'a, E: Element>(
    d: &Conv2d,
    x: &[E],
    dy: &[E],
    dw: impl Into<Output<'a, f32>>,
) {
    let dw = &mut *dw.into().writer();
    d.check("conv2d_weight_grad", x.len(), dw.len(), dy.len());
    weight_grad_by(d, winograd::method(d), x, dy, dw);
}

fn weight_grad_by<E: Element>(d: &Conv2d, method: Method, x: &[E], dy: &[E], dw: &mut [f32]) {
    if d.is_depthwise() {
        return depthwise::weight_grad(d, x, dy, dw);
    }
    if let Some(wide) = merged::of(d) {
        return merged::weight_grad(d, &wide, x, dy, dw);
    }
    if method != Method::Direct {
        return winograd::weight_grad(d, method, x, dy, dw);
    }
    with_border(d, x, |d, x| {
        let (outputs, patch) = (d.group_out(), d.patch());
        let shape = Shape { rows: outputs, columns: patch, inner: d.positions() };
        for (group, dw) in dw.chunks_exact_mut((outputs * patch).max(1)).enumerate() {
            let left = ByColumns(pixels(dy, d.c_out, group, outputs));
            if d.is_pointwise() {
                let right = ByColumns(pixels(x, d.c_in, group, d.group_in()));
                gemm::multiply_reduce(Isa::current(), shape, &left, &right, dw);
            } else {
                let right = ByColumns(Patches::of_input(d, x, group));
                gemm::multiply_reduce(Isa::current(), shape, &left, &right, dw);
            }
        }
    });
}

/// The `width` channels of one group, a row for each pixel.
fn pixels<E>(image: &[E], channels: usize, group: usize, width: usize) -> Matrix<'_, E> {
    let first = (group * width).min(image.len());
    Matrix { data: &image[first..], columns: width, stride: channels }
}

/// Calls `body` with the image inside a border of zeros and its dims, if that is faster; else with the
/// image as it is.
fn with_border<E: Element>(d: &Conv2d, x: &[E], body: impl FnOnce(&Conv2d, &[E])) {
    if !d.wants_border() || d.padding == [0, 0] {
        return body(d, x);
    }
    let [top, left] = d.padding;
    let bordered = Conv2d { h: d.h + 2 * top, w: d.w + 2 * left, padding: [0, 0], ..*d };
    element::with(Slot::Padded, bordered.x_len(), |padded| {
        let row = bordered.w * d.c_in;
        parallel::chunks(padded, row, |index, target| {
            let (image, y) = (index / bordered.h, index % bordered.h);
            target.fill(E::default());
            if (top..top + d.h).contains(&y) {
                let source = &x[(image * d.h + y - top) * d.w * d.c_in..][..d.w * d.c_in];
                target[left * d.c_in..][..source.len()].copy_from_slice(source);
            }
        });
        body(&bordered, padded);
    });
}

/// A tap of the kernel, relative to a position of the grid that the kernel is applied on.
#[derive(Clone, Copy, Debug)]
struct Tap {
    /// The pixel it reads, relative to that position.
    y: isize,
    x: isize,
    /// Its place in the kernel, `ky * kw + kx`.
    index: usize,
}

/// The input positions that are `first` modulo the stride, and the taps that reach them.
#[derive(Debug)]
struct Phase {
    first: [usize; 2],
    /// How many rows and columns of positions there are.
    grid: [usize; 2],
    taps: Vec<Tap>,
}

/// An input position `first + stride * t` receives, by tap k, the output position
/// `t + (first + padding - k * dilation) / stride`, if the division is exact.
fn phases(d: &Conv2d) -> Vec<Phase> {
    let reach = |axis: usize, first: usize| {
        let stride = d.stride[axis] as isize;
        (0..d.kernel[axis]).filter_map(move |k| {
            let reached = (first + d.padding[axis]) as isize - (k * d.dilation[axis]) as isize;
            (reached % stride == 0).then_some((k, reached / stride))
        })
    };
    let mut phases = Vec::new();
    for top in 0..d.stride[0].min(d.h) {
        for left in 0..d.stride[1].min(d.w) {
            let taps = reach(0, top).flat_map(|(ky, y)| {
                reach(1, left).map(move |(kx, x)| Tap { y, x, index: ky * d.kernel[1] + kx })
            });
            let grid = [(d.h - top).div_ceil(d.stride[0]), (d.w - left).div_ceil(d.stride[1])];
            phases.push(Phase { first: [top, left], grid, taps: taps.collect() });
        }
    }
    phases
}
