//! Convolution: y[n, i, j, o] = Σ_{a, b, c} x[n, i·s + a·d − p, j·s + b·d − p, c] w[o, a, b, c].

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::ConvOptions as BurnConvOptions;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{FloatDType, Tensor};
use kernels::Conv2d;

use super::flex::{Number, by_number, contiguous, filled, floats};
use super::precision::{rounded, wide, widened};

/// How the window moves. Heights come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvOptions {
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    pub dilation: [usize; 2],
    pub groups: usize,
}

impl ConvOptions {
    /// The dims of this convolution over x `[n, h, w, c_in]`.
    pub fn dims(self, [n, h, w, c_in]: [usize; 4], c_out: usize, kernel: [usize; 2]) -> Conv2d {
        let ConvOptions { stride, padding, dilation, groups } = self;
        Conv2d { n, h, w, c_in, c_out, kernel, stride, padding, dilation, groups }
    }
}

/// x `[n, h, w, c_in]`, w `[c_out, kh, kw, c_in / groups]` → `[n, h', w', c_out]`.
#[track_caller]
pub fn conv2d(x: Tensor<4>, w: Tensor<4>, options: ConvOptions) -> Tensor<4> {
    let (c_in, [c_out, kh, kw, c_group]) = (x.dims()[3], w.dims());
    assert!(
        c_group * options.groups == c_in && c_out % options.groups == 0,
        "conv2d: {options:?} of x {:?} and w {:?}",
        x.dims(),
        w.dims()
    );
    let dims = options.dims(x.dims(), c_out, [kh, kw]);
    Tensor::from_dispatch(Dispatch::nhwc_conv2d(x.into_dispatch(), w.into_dispatch(), dims))
}

#[backend_extension(Flex, Cube: cfg(feature = "wgpu"), Autodiff)]
pub(super) trait Conv2dOp: Backend {
    fn nhwc_conv2d(x: FloatTensor<Self>, w: FloatTensor<Self>, dims: Conv2d) -> FloatTensor<Self> {
        composed_conv2d::<Self>(x, w, dims)
    }

    /// Gradient for x. Of x itself only the shape matters.
    fn nhwc_conv2d_input_grad(
        dy: FloatTensor<Self>,
        w: FloatTensor<Self>,
        dims: Conv2d,
    ) -> FloatTensor<Self> {
        composed_conv2d_input_grad::<Self>(dy, w, dims)
    }

    fn nhwc_conv2d_weight_grad(
        x: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        dims: Conv2d,
    ) -> FloatTensor<Self> {
        composed_conv2d_weight_grad::<Self>(x, dy, dims)
    }
}

#[cfg(feature = "wgpu")]
impl Conv2dOp for burn::backend::Cube {}

impl Conv2dOp for Flex {
    fn nhwc_conv2d(x: FloatTensor<Self>, w: FloatTensor<Self>, dims: Conv2d) -> FloatTensor<Self> {
        let (x, w) = (contiguous(x), contiguous(w));
        by_number!(&x, N => filled(&y_shape(&dims), |y| {
            kernels::conv2d_forward(&dims, N::of(&x), floats(&w), y);
        }))
    }

    fn nhwc_conv2d_input_grad(
        dy: FloatTensor<Self>,
        w: FloatTensor<Self>,
        dims: Conv2d,
    ) -> FloatTensor<Self> {
        let (dy, w) = (contiguous(dy), contiguous(w));
        by_number!(&dy, N => filled(&x_shape(&dims), |dx| {
            kernels::conv2d_input_grad(&dims, N::of(&dy), floats(&w), dx);
        }))
    }

    fn nhwc_conv2d_weight_grad(
        x: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        dims: Conv2d,
    ) -> FloatTensor<Self> {
        let (x, dy) = (contiguous(x), contiguous(dy));
        by_number!(&x, N => filled(&w_shape(&dims), |dw| {
            kernels::conv2d_weight_grad(&dims, N::of(&x), N::of(&dy), dw);
        }))
    }
}

#[derive(Debug)]
struct Conv2dBackward;

impl<B: Backend + Conv2dOp> Backward<B, 2> for Conv2dBackward {
    type State = (Option<FloatTensor<B>>, Option<FloatTensor<B>>, Conv2d);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x_node, w_node] = ops.parents;
        let (x, w, dims) = ops.state;
        let dy = grads.consume::<B>(&ops.node);
        // An input's value is kept only where the other input's gradient is wanted.
        if let (Some(node), Some(x)) = (w_node, x) {
            grads.register::<B>(node.id, B::nhwc_conv2d_weight_grad(x, dy.clone(), dims));
        }
        if let (Some(node), Some(w)) = (x_node, w) {
            grads.register::<B>(node.id, B::nhwc_conv2d_input_grad(dy, w, dims));
        }
    }
}

impl<B: Backend + Conv2dOp, C: CheckpointStrategy> Conv2dOp for Autodiff<B, C> {
    fn nhwc_conv2d(x: FloatTensor<Self>, w: FloatTensor<Self>, dims: Conv2d) -> FloatTensor<Self> {
        let kept_x = w.is_tracked().then(|| x.primitive().clone());
        let kept_w = x.is_tracked().then(|| w.primitive().clone());
        let prepared = Conv2dBackward.prepare::<C>([x.node(), w.node()]).compute_bound().stateful();
        let y = B::nhwc_conv2d(x.into_primitive(), w.into_primitive(), dims);
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((kept_x, kept_w, dims), y),
            OpsKind::UnTracked(prepared) => prepared.finish(y),
        }
    }
}

fn x_shape(d: &Conv2d) -> [usize; 4] {
    [d.n, d.h, d.w, d.c_in]
}

fn w_shape(d: &Conv2d) -> [usize; 4] {
    [d.c_out, d.kernel[0], d.kernel[1], d.c_in / d.groups]
}

pub(super) fn y_shape(d: &Conv2d) -> [usize; 4] {
    [d.n, d.out_h(), d.out_w(), d.c_out]
}

fn burn_options(d: &Conv2d) -> BurnConvOptions<2> {
    BurnConvOptions::new(d.stride, d.padding, d.dilation, d.groups)
}

pub(super) const TO_NCHW: [usize; 4] = [0, 3, 1, 2];
pub(super) const TO_NHWC: [usize; 4] = [0, 2, 3, 1];

pub(super) fn composed_conv2d<B: Backend>(
    x: FloatTensor<B>,
    w: FloatTensor<B>,
    dims: Conv2d,
) -> FloatTensor<B> {
    let (x, dtype) = widened::<B>(x);
    let (x, w) = (B::float_permute(x, &TO_NCHW), B::float_permute(w, &TO_NCHW));
    let y = B::float_permute(B::conv2d(x, w, None, burn_options(&dims)), &TO_NHWC);
    rounded::<B>(y, dtype)
}

pub(super) fn composed_conv2d_input_grad<B: Backend>(
    dy: FloatTensor<B>,
    w: FloatTensor<B>,
    dims: Conv2d,
) -> FloatTensor<B> {
    let x = B::float_zeros(x_shape(&dims).into(), &w.device(), FloatDType::F32);
    let (x, w) = (B::float_permute(x, &TO_NCHW), B::float_permute(w, &TO_NCHW));
    let (dy, dtype) = widened::<B>(dy);
    let dy = B::float_permute(dy, &TO_NCHW);
    let dx = B::float_permute(B::conv2d_x_backward(x, w, dy, burn_options(&dims)), &TO_NHWC);
    rounded::<B>(dx, dtype)
}

pub(super) fn composed_conv2d_weight_grad<B: Backend>(
    x: FloatTensor<B>,
    dy: FloatTensor<B>,
    dims: Conv2d,
) -> FloatTensor<B> {
    let (x, dy) = (wide::<B>(x), wide::<B>(dy));
    let w = B::float_zeros(w_shape(&dims).into(), &x.device(), FloatDType::F32);
    let (x, w) = (B::float_permute(x, &TO_NCHW), B::float_permute(w, &TO_NCHW));
    let dy = B::float_permute(dy, &TO_NCHW);
    B::float_permute(B::conv2d_weight_backward(x, w, dy, burn_options(&dims)), &TO_NHWC)
}
