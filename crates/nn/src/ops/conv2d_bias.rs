//! Convolution with a bias and no batch norm behind it: y = act(conv(x, w) + b).

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use kernels::{Activation, Conv2d, Epilogue, LinearDims};

use super::conv2d::{Conv2dOp, ConvOptions, composed_conv2d, y_shape};
use super::flex::{Number, by_number, contiguous, filled, floats};
use super::precision::{rounded, wide, widened};

/// x `[n, h, w, c_in]`, w `[c_out, kh, kw, c_in / groups]`, b `[c_out]` → `[n, h', w', c_out]`.
#[track_caller]
pub fn conv2d_bias(
    x: Tensor<4>,
    (w, b): (Tensor<4>, Tensor<1>),
    activation: Activation,
    options: ConvOptions,
) -> Tensor<4> {
    let (c_in, [c_out, kh, kw, c_group]) = (x.dims()[3], w.dims());
    assert!(
        c_group * options.groups == c_in && b.dims() == [c_out],
        "conv2d: {options:?} of x {:?}, w {:?} and b {:?}",
        x.dims(),
        w.dims(),
        b.dims()
    );
    let dims = options.dims(x.dims(), c_out, [kh, kw]);
    Tensor::from_dispatch(Dispatch::conv2d_bias_op(
        x.into_dispatch(),
        w.into_dispatch(),
        b.into_dispatch(),
        activation,
        dims,
    ))
}

#[backend_extension(Flex, Cube: cfg(feature = "wgpu"), Autodiff)]
pub(super) trait Conv2dBiasOp: Backend {
    fn conv2d_bias_op(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        b: FloatTensor<Self>,
        activation: Activation,
        dims: Conv2d,
    ) -> FloatTensor<Self> {
        composed_conv2d_bias::<Self>(x, w, b, activation, dims)
    }

    /// Returns the gradient of the convolution's output, and db. Only the sign of y matters.
    fn bias_backward_op(
        y: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        activation: Activation,
        dims: Conv2d,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        composed_bias_backward::<Self>(y, dy, activation, dims)
    }
}

#[cfg(feature = "wgpu")]
impl Conv2dBiasOp for burn::backend::Cube {}

impl Conv2dBiasOp for Flex {
    fn conv2d_bias_op(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        b: FloatTensor<Self>,
        activation: Activation,
        dims: Conv2d,
    ) -> FloatTensor<Self> {
        let [x, w, b] = [x, w, b].map(contiguous);
        by_number!(&x, N => filled(&y_shape(&dims), |y| {
            let epilogue = Epilogue { bias: floats(&b), residual: None, activation };
            kernels::conv2d_finished(&dims, N::of(&x), floats(&w), epilogue, y);
        }))
    }

    fn bias_backward_op(
        y: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        activation: Activation,
        dims: Conv2d,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let (y, dy) = (contiguous(y), contiguous(dy));
        let dz = match activation {
            Activation::Identity => dy,
            Activation::Relu => by_number!(&y, N => filled(&y_shape(&dims), |dz| {
                kernels::relu_backward(N::of(&y), N::of(&dy), dz);
            })),
        };
        let rows = LinearDims { rows: dims.y_len() / dims.c_out, c_in: 1, c_out: dims.c_out };
        let db = by_number!(&dz, N => filled(&[dims.c_out], |db| {
            kernels::linear_bias_grad(&rows, N::of(&dz), db);
        }));
        (dz, db)
    }
}

#[derive(Debug)]
struct Conv2dBiasBackward;

impl<B: Backend + Conv2dBiasOp + Conv2dOp> Backward<B, 3> for Conv2dBiasBackward {
    /// The tensors are x, w and y.
    type State = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, Activation, Conv2d);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x_node, w_node, b_node] = ops.parents;
        let (x, w, y, activation, dims) = ops.state;
        let dy = grads.consume::<B>(&ops.node);
        let (dz, db) = B::bias_backward_op(y, dy, activation, dims);
        if let Some(node) = b_node {
            grads.register::<B>(node.id, db);
        }
        if let Some(node) = w_node {
            grads.register::<B>(node.id, B::nhwc_conv2d_weight_grad(x, dz.clone(), dims));
        }
        if let Some(node) = x_node {
            grads.register::<B>(node.id, B::nhwc_conv2d_input_grad(dz, w, dims));
        }
    }
}

impl<B: Backend + Conv2dBiasOp + Conv2dOp, C: CheckpointStrategy> Conv2dBiasOp for Autodiff<B, C> {
    fn conv2d_bias_op(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        b: FloatTensor<Self>,
        activation: Activation,
        dims: Conv2d,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), w.node(), b.node()];
        let prepared = Conv2dBiasBackward.prepare::<C>(nodes).compute_bound().stateful();
        let (x, w) = (x.into_primitive(), w.into_primitive());
        let y = B::conv2d_bias_op(x.clone(), w.clone(), b.into_primitive(), activation, dims);
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((x, w, y.clone(), activation, dims), y),
            OpsKind::UnTracked(prepared) => prepared.finish(y),
        }
    }
}

pub(super) fn composed_conv2d_bias<B: Backend>(
    x: FloatTensor<B>,
    w: FloatTensor<B>,
    b: FloatTensor<B>,
    activation: Activation,
    dims: Conv2d,
) -> FloatTensor<B> {
    let (x, dtype) = widened::<B>(x);
    let y = composed_conv2d::<B>(x, w, dims);
    let y = B::float_add(y, B::float_reshape(b, [1, 1, 1, dims.c_out].into()));
    let y = match activation {
        Activation::Identity => y,
        Activation::Relu => B::relu(y),
    };
    rounded::<B>(y, dtype)
}

pub(super) fn composed_bias_backward<B: Backend>(
    y: FloatTensor<B>,
    dy: FloatTensor<B>,
    activation: Activation,
    dims: Conv2d,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let (dy, dtype) = widened::<B>(dy);
    let dz = match activation {
        Activation::Identity => dy,
        Activation::Relu => B::relu_backward(wide::<B>(y), dy),
    };
    let rows = [dz.shape().num_elements() / dims.c_out, dims.c_out];
    let sum = B::float_sum_dim(B::float_reshape(dz.clone(), rows.into()), 0);
    (rounded::<B>(dz, dtype), B::float_reshape(sum, [dims.c_out].into()))
}
