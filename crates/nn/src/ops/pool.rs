//! Pools: the maximum or the mean of a window, and the mean of the whole image.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::MaxPool2dWithIndices;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{FloatDType, IntDType, Tensor};
use kernels::{GlobalPool, Pool2d};
use tricks::Precision;

use super::conv2d::{TO_NCHW, TO_NHWC};
use super::flex::{Number, by_number, bytes, contiguous, filled, floats};
use super::precision::{precision_of_primitive, rounded, rounded_to, wide, widened};

/// The window of a pool. Heights come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolOptions {
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    /// Round the output size up: the last window may hang over the edge.
    pub ceil_mode: bool,
    /// Whether the mean counts padding as zeros.
    pub count_include_pad: bool,
}

impl PoolOptions {
    /// The dims of this pool over x `[n, h, w, c]`.
    pub fn dims(self, [n, h, w, c]: [usize; 4]) -> Pool2d {
        let PoolOptions { kernel, stride, padding, ceil_mode, count_include_pad } = self;
        Pool2d { n, h, w, c, kernel, stride, padding, ceil_mode, count_include_pad }
    }
}

/// x `[n, h, w, c]` → `[n, h', w', c]`, the maximum of each window; padding never wins.
pub fn max_pool(x: Tensor<4>, options: PoolOptions) -> Tensor<4> {
    let dims = options.dims(x.dims());
    let (y, _) = Dispatch::nhwc_max_pool(x.into_dispatch(), dims);
    Tensor::from_dispatch(y)
}

/// x `[n, h, w, c]` → `[n, h', w', c]`, the mean of each window.
pub fn avg_pool(x: Tensor<4>, options: PoolOptions) -> Tensor<4> {
    let dims = options.dims(x.dims());
    Tensor::from_dispatch(Dispatch::nhwc_avg_pool(x.into_dispatch(), dims))
}

/// x `[n, h, w, c]` → `[n, c]`, the mean of each channel, in f32 however x is stored.
pub fn global_avg_pool(x: Tensor<4>) -> Tensor<2> {
    let [n, height, width, c] = x.dims();
    let dims = GlobalPool { n, hw: height * width, c };
    Tensor::from_dispatch(Dispatch::nhwc_global_pool(x.into_dispatch(), [height, width], dims))
}

#[backend_extension(Flex, Cube: cfg(feature = "wgpu"), Autodiff)]
pub(super) trait PoolOp: Backend {
    /// y, and where each window's maximum stood (in a form of the backend's own).
    fn nhwc_max_pool(x: FloatTensor<Self>, dims: Pool2d) -> (FloatTensor<Self>, IntTensor<Self>) {
        composed_max_pool::<Self>(x, dims)
    }

    fn nhwc_max_pool_backward(
        argmax: IntTensor<Self>,
        dy: FloatTensor<Self>,
        dims: Pool2d,
    ) -> FloatTensor<Self> {
        composed_max_pool_backward::<Self>(argmax, dy, dims)
    }

    fn nhwc_avg_pool(x: FloatTensor<Self>, dims: Pool2d) -> FloatTensor<Self> {
        composed_avg_pool::<Self>(x, dims)
    }

    fn nhwc_avg_pool_backward(dy: FloatTensor<Self>, dims: Pool2d) -> FloatTensor<Self> {
        composed_avg_pool_backward::<Self>(dy, dims)
    }

    fn nhwc_global_pool(
        x: FloatTensor<Self>,
        _size: [usize; 2],
        dims: GlobalPool,
    ) -> FloatTensor<Self> {
        composed_global_pool::<Self>(x, dims)
    }

    /// dx, stored as x was.
    fn nhwc_global_pool_backward(
        dy: FloatTensor<Self>,
        size: [usize; 2],
        dims: GlobalPool,
        precision: Precision,
    ) -> FloatTensor<Self> {
        composed_global_pool_backward::<Self>(dy, size, dims, precision)
    }
}

#[cfg(feature = "wgpu")]
impl PoolOp for burn::backend::Cube {}

impl PoolOp for Flex {
    fn nhwc_max_pool(x: FloatTensor<Self>, dims: Pool2d) -> (FloatTensor<Self>, IntTensor<Self>) {
        let x = contiguous(x);
        let shape = y_shape(&dims);
        let mut argmax = vec![0; shape.iter().product()];
        let y = by_number!(&x, N => filled(&shape, |y| {
            kernels::max_pool_forward(&dims, N::of(&x), y, &mut argmax);
        }));
        (y, bytes(argmax, &shape))
    }

    fn nhwc_max_pool_backward(
        argmax: IntTensor<Self>,
        dy: FloatTensor<Self>,
        dims: Pool2d,
    ) -> FloatTensor<Self> {
        let dy = contiguous(dy);
        by_number!(&dy, N => filled(&x_shape(&dims), |dx| {
            kernels::max_pool_backward(&dims, argmax.storage::<u8>(), N::of(&dy), dx);
        }))
    }

    fn nhwc_avg_pool(x: FloatTensor<Self>, dims: Pool2d) -> FloatTensor<Self> {
        let x = contiguous(x);
        by_number!(&x, N => filled(&y_shape(&dims), |y| {
            kernels::avg_pool_forward(&dims, N::of(&x), y);
        }))
    }

    fn nhwc_avg_pool_backward(dy: FloatTensor<Self>, dims: Pool2d) -> FloatTensor<Self> {
        let dy = contiguous(dy);
        by_number!(&dy, N => filled(&x_shape(&dims), |dx| {
            kernels::avg_pool_backward(&dims, N::of(&dy), dx);
        }))
    }

    fn nhwc_global_pool(
        x: FloatTensor<Self>,
        _size: [usize; 2],
        dims: GlobalPool,
    ) -> FloatTensor<Self> {
        let x = contiguous(x);
        by_number!(&x, N => filled(&[dims.n, dims.c], |y| {
            kernels::global_avg_pool_forward(&dims, N::of(&x), y);
        }))
    }

    fn nhwc_global_pool_backward(
        dy: FloatTensor<Self>,
        [height, width]: [usize; 2],
        dims: GlobalPool,
        precision: Precision,
    ) -> FloatTensor<Self> {
        let dy = contiguous(dy);
        let shape = [dims.n, height, width, dims.c];
        match precision {
            Precision::F32 => spread::<f32>(&shape, floats(&dy), dims),
            Precision::F16 => spread::<kernels::f16>(&shape, floats(&dy), dims),
            Precision::Bf16 => spread::<kernels::bf16>(&shape, floats(&dy), dims),
        }
    }
}

fn spread<N: Number>(shape: &[usize; 4], dy: &[f32], dims: GlobalPool) -> FloatTensor<Flex> {
    filled::<N>(shape, |dx| kernels::global_avg_pool_backward(&dims, dy, dx))
}

/// Backward of one pool; what it needs is its state.
#[derive(Clone, Debug)]
enum Pooled<I> {
    Max(I, Pool2d),
    Average(Pool2d),
    Global([usize; 2], GlobalPool, Precision),
}

#[derive(Debug)]
struct PoolBackward;

impl<B: Backend + PoolOp> Backward<B, 1> for PoolBackward {
    type State = Pooled<IntTensor<B>>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<B>(&ops.node);
        let [Some(node)] = ops.parents else { return };
        let dx = match ops.state {
            Pooled::Max(argmax, dims) => B::nhwc_max_pool_backward(argmax, dy, dims),
            Pooled::Average(dims) => B::nhwc_avg_pool_backward(dy, dims),
            Pooled::Global(size, dims, precision) => {
                B::nhwc_global_pool_backward(dy, size, dims, precision)
            }
        };
        grads.register::<B>(node.id, dx);
    }
}

impl<B: Backend + PoolOp, C: CheckpointStrategy> PoolOp for Autodiff<B, C> {
    fn nhwc_max_pool(x: FloatTensor<Self>, dims: Pool2d) -> (FloatTensor<Self>, IntTensor<Self>) {
        let node = x.node();
        let (y, argmax) = B::nhwc_max_pool(x.into_primitive(), dims);
        let state = Pooled::Max(argmax.clone(), dims);
        (finish::<B, C>(node, state, y), argmax)
    }

    fn nhwc_avg_pool(x: FloatTensor<Self>, dims: Pool2d) -> FloatTensor<Self> {
        let node = x.node();
        let y = B::nhwc_avg_pool(x.into_primitive(), dims);
        finish::<B, C>(node, Pooled::Average(dims), y)
    }

    fn nhwc_global_pool(
        x: FloatTensor<Self>,
        size: [usize; 2],
        dims: GlobalPool,
    ) -> FloatTensor<Self> {
        let (node, precision) = (x.node(), precision_of_primitive(x.primitive()));
        let y = B::nhwc_global_pool(x.into_primitive(), size, dims);
        finish::<B, C>(node, Pooled::Global(size, dims, precision), y)
    }
}

fn finish<B: Backend + PoolOp, C: CheckpointStrategy>(
    node: burn::backend::autodiff::ops::NodeGuard,
    state: Pooled<IntTensor<B>>,
    y: FloatTensor<B>,
) -> FloatTensor<Autodiff<B, C>> {
    match PoolBackward.prepare::<C>([node]).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(state, y),
        OpsKind::UnTracked(prepared) => prepared.finish(y),
    }
}

fn x_shape(d: &Pool2d) -> [usize; 4] {
    [d.n, d.h, d.w, d.c]
}

fn y_shape(d: &Pool2d) -> [usize; 4] {
    [d.n, d.out_h(), d.out_w(), d.c]
}

/// Zeros `[n, c, h, w]`: Burn's pools ask for x in backward, of which only the shape matters.
fn nchw_zeros<B: Backend>(like: &FloatTensor<B>, d: &Pool2d) -> FloatTensor<B> {
    B::float_zeros([d.n, d.c, d.h, d.w].into(), &like.device(), FloatDType::F32)
}

pub(super) fn composed_max_pool<B: Backend>(
    x: FloatTensor<B>,
    d: Pool2d,
) -> (FloatTensor<B>, IntTensor<B>) {
    let (x, dtype) = widened::<B>(x);
    let x = B::float_permute(x, &TO_NCHW);
    let MaxPool2dWithIndices { output, indices } = B::max_pool2d_with_indices(
        x,
        d.kernel,
        d.stride,
        d.padding,
        [1, 1],
        d.ceil_mode,
        IntDType::I32,
    );
    (rounded::<B>(B::float_permute(output, &TO_NHWC), dtype), indices)
}

pub(super) fn composed_max_pool_backward<B: Backend>(
    argmax: IntTensor<B>,
    dy: FloatTensor<B>,
    d: Pool2d,
) -> FloatTensor<B> {
    let (dy, dtype) = widened::<B>(dy);
    let x = nchw_zeros::<B>(&dy, &d);
    let dy = B::float_permute(dy, &TO_NCHW);
    let dx = B::max_pool2d_with_indices_backward(
        x,
        d.kernel,
        d.stride,
        d.padding,
        [1, 1],
        d.ceil_mode,
        dy,
        argmax,
    );
    rounded::<B>(B::float_permute(dx.x_grad, &TO_NHWC), dtype)
}

pub(super) fn composed_avg_pool<B: Backend>(x: FloatTensor<B>, d: Pool2d) -> FloatTensor<B> {
    let (x, dtype) = widened::<B>(x);
    let x = B::float_permute(x, &TO_NCHW);
    let y = B::avg_pool2d(x, d.kernel, d.stride, d.padding, d.count_include_pad, d.ceil_mode);
    rounded::<B>(B::float_permute(y, &TO_NHWC), dtype)
}

pub(super) fn composed_avg_pool_backward<B: Backend>(
    dy: FloatTensor<B>,
    d: Pool2d,
) -> FloatTensor<B> {
    let (dy, dtype) = widened::<B>(dy);
    let x = nchw_zeros::<B>(&dy, &d);
    let dy = B::float_permute(dy, &TO_NCHW);
    let dx = B::avg_pool2d_backward(
        x,
        dy,
        d.kernel,
        d.stride,
        d.padding,
        d.count_include_pad,
        d.ceil_mode,
    );
    rounded::<B>(B::float_permute(dx, &TO_NHWC), dtype)
}

pub(super) fn composed_global_pool<B: Backend>(x: FloatTensor<B>, d: GlobalPool) -> FloatTensor<B> {
    let x = wide::<B>(x);
    let x = B::float_reshape(x, [d.n, d.hw, d.c].into());
    B::float_reshape(B::float_mean_dim(x, 1), [d.n, d.c].into())
}

pub(super) fn composed_global_pool_backward<B: Backend>(
    dy: FloatTensor<B>,
    [height, width]: [usize; 2],
    d: GlobalPool,
    precision: Precision,
) -> FloatTensor<B> {
    let dy = B::float_mul_scalar(dy, (1.0 / d.hw as f32).into());
    let dy = B::float_reshape(dy, [d.n, 1, 1, d.c].into());
    rounded_to::<B>(B::float_expand(dy, [d.n, height, width, d.c].into()), precision)
}
