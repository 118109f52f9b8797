//! Linear layer: y = x wᵀ + b.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use kernels::LinearDims;

use super::flex::{contiguous, filled, floats};

/// Computes y `[rows, c_out]` from x `[rows, c_in]`, w `[c_out, c_in]` and b `[c_out]`.
#[track_caller]
pub fn linear(x: Tensor<2>, w: Tensor<2>, b: Tensor<1>) -> Tensor<2> {
    let ([_, c_in], [c_out, w_in], [b_out]) = (x.dims(), w.dims(), b.dims());
    assert!(
        c_in == w_in && c_out == b_out,
        "linear: x {:?}, w {:?}, b {:?}",
        x.dims(),
        w.dims(),
        b.dims()
    );
    Tensor::from_dispatch(Dispatch::linear_op(
        x.into_dispatch(),
        w.into_dispatch(),
        b.into_dispatch(),
    ))
}

#[backend_extension(Flex, Cube: cfg(feature = "wgpu"), Autodiff)]
pub(super) trait LinearOp: Backend {
    fn linear_op(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        b: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        composed_linear::<Self>(x, w, b)
    }

    /// Returns dx, dw and db.
    fn linear_backward_op(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        dy: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        composed_linear_backward::<Self>(x, w, dy)
    }
}

#[cfg(feature = "wgpu")]
impl LinearOp for burn::backend::Cube {}

impl LinearOp for Flex {
    fn linear_op(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        b: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let (x, w, b) = (contiguous(x), contiguous(w), contiguous(b));
        let dims = dims(&x.shape().to_vec(), &w.shape().to_vec());
        filled(&[dims.rows, dims.c_out], |y| {
            kernels::linear_forward(&dims, floats(&x), floats(&w), Some(floats(&b)), y);
        })
    }

    fn linear_backward_op(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        dy: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (x, w, dy) = (contiguous(x), contiguous(w), contiguous(dy));
        let d = dims(&x.shape().to_vec(), &w.shape().to_vec());
        let dx = filled(&[d.rows, d.c_in], |dx| {
            kernels::linear_input_grad(&d, floats(&dy), floats(&w), dx);
        });
        let dw = filled(&[d.c_out, d.c_in], |dw| {
            kernels::linear_weight_grad(&d, floats(&x), floats(&dy), dw);
        });
        let db = filled(&[d.c_out], |db| kernels::linear_bias_grad(&d, floats(&dy), db));
        (dx, dw, db)
    }
}

fn dims(x: &[usize], w: &[usize]) -> LinearDims {
    LinearDims { rows: x[0], c_in: x[1], c_out: w[0] }
}

#[derive(Debug)]
struct LinearBackward;

impl<B: Backend + LinearOp> Backward<B, 3> for LinearBackward {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (x, w) = ops.state;
        let dy = grads.consume::<B>(&ops.node);
        let (dx, dw, db) = B::linear_backward_op(x, w, dy);
        for (node, gradient) in ops.parents.into_iter().zip([dx, dw, db]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: Backend + LinearOp, C: CheckpointStrategy> LinearOp for Autodiff<B, C> {
    fn linear_op(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        b: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let kept = (x.primitive().clone(), w.primitive().clone());
        let prepared =
            LinearBackward.prepare::<C>([x.node(), w.node(), b.node()]).compute_bound().stateful();
        let y = B::linear_op(x.into_primitive(), w.into_primitive(), b.into_primitive());
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish(kept, y),
            OpsKind::UnTracked(prepared) => prepared.finish(y),
        }
    }
}

pub(super) fn composed_linear<B: Backend>(
    x: FloatTensor<B>,
    w: FloatTensor<B>,
    b: FloatTensor<B>,
) -> FloatTensor<B> {
    let c_out = b.shape()[0];
    let y = B::float_matmul(x, B::float_transpose(w));
    B::float_add(y, B::float_reshape(b, [1, c_out].into()))
}

pub(super) fn composed_linear_backward<B: Backend>(
    x: FloatTensor<B>,
    w: FloatTensor<B>,
    dy: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let c_out = w.shape()[0];
    let dx = B::float_matmul(dy.clone(), w);
    let dw = B::float_matmul(B::float_transpose(dy.clone()), x);
    let db = B::float_reshape(B::float_sum_dim(dy, 0), [c_out].into());
    (dx, dw, db)
}
