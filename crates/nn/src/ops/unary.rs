//! Operations on each number of a tensor by itself: dropout, and a ceiling (which turns a ReLU into a ReLU6).

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{FloatDType, Tensor, TensorData};
use kernels::DropoutDraw;

use super::flex::{Number, by_number, contiguous, filled};
use super::precision::{rounded, wide, widened};

/// Sets a share of x's numbers to 0 and multiplies the others by 1/(1 − share). It is for train mode only.
pub fn dropout<const D: usize>(x: Tensor<D>, dropout: DropoutDraw) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::unary_op(x.into_dispatch(), Unary::Dropout(dropout)))
}

/// Computes min(x, ceiling). No gradient passes where x reaches the ceiling.
pub fn at_most<const D: usize>(x: Tensor<D>, ceiling: f32) -> Tensor<D> {
    Tensor::from_dispatch(Dispatch::unary_op(x.into_dispatch(), Unary::AtMost(ceiling)))
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Unary {
    Dropout(DropoutDraw),
    AtMost(f32),
}

#[backend_extension(Flex, Cube: cfg(feature = "wgpu"), Autodiff)]
pub(super) trait UnaryOp: Backend {
    fn unary_op(x: FloatTensor<Self>, unary: Unary) -> FloatTensor<Self> {
        composed_unary::<Self>(x, unary)
    }

    /// Computes dx from dy and the output y.
    fn unary_backward_op(
        y: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        unary: Unary,
    ) -> FloatTensor<Self> {
        composed_unary_backward::<Self>(y, dy, unary)
    }
}

#[cfg(feature = "wgpu")]
impl UnaryOp for burn::backend::Cube {}

impl UnaryOp for Flex {
    fn unary_op(x: FloatTensor<Self>, unary: Unary) -> FloatTensor<Self> {
        let x = contiguous(x);
        by_number!(&x, N => filled(&x.shape().to_vec(), |y| match unary {
            Unary::Dropout(dropout) => kernels::dropout(&dropout, N::of(&x), y),
            Unary::AtMost(ceiling) => kernels::at_most(ceiling, N::of(&x), y),
        }))
    }

    fn unary_backward_op(
        y: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        unary: Unary,
    ) -> FloatTensor<Self> {
        let (y, dy) = (contiguous(y), contiguous(dy));
        by_number!(&dy, N => filled(&dy.shape().to_vec(), |dx| match unary {
            Unary::Dropout(dropout) => kernels::dropout(&dropout, N::of(&dy), dx),
            Unary::AtMost(ceiling) => {
                kernels::at_most_backward(ceiling, N::of(&y), N::of(&dy), dx);
            }
        }))
    }
}

#[derive(Debug)]
struct UnaryBackward;

impl<B: Backend + UnaryOp> Backward<B, 1> for UnaryBackward {
    type State = (FloatTensor<B>, Unary);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (y, unary) = ops.state;
        let dy = grads.consume::<B>(&ops.node);
        let [Some(node)] = ops.parents else { return };
        grads.register::<B>(node.id, B::unary_backward_op(y, dy, unary));
    }
}

impl<B: Backend + UnaryOp, C: CheckpointStrategy> UnaryOp for Autodiff<B, C> {
    fn unary_op(x: FloatTensor<Self>, unary: Unary) -> FloatTensor<Self> {
        let prepared = UnaryBackward.prepare::<C>([x.node()]).compute_bound().stateful();
        let y = B::unary_op(x.into_primitive(), unary);
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((y.clone(), unary), y),
            OpsKind::UnTracked(prepared) => prepared.finish(y),
        }
    }
}

/// The factors of a dropout. The host makes them, so that they are the same on every device.
fn factors<B: Backend>(dropout: DropoutDraw, like: &FloatTensor<B>) -> FloatTensor<B> {
    let shape = like.shape();
    let values: Vec<f32> = (0..shape.num_elements()).map(|at| dropout.factor(at)).collect();
    B::float_from_data(TensorData::new(values, shape), &like.device())
}

pub(super) fn composed_unary<B: Backend>(x: FloatTensor<B>, unary: Unary) -> FloatTensor<B> {
    let (x, dtype) = widened::<B>(x);
    let y = match unary {
        Unary::Dropout(dropout) => {
            let factors = factors::<B>(dropout, &x);
            B::float_mul(x, factors)
        }
        Unary::AtMost(ceiling) => B::float_clamp_max(x, ceiling.into()),
    };
    rounded::<B>(y, dtype)
}

pub(super) fn composed_unary_backward<B: Backend>(
    y: FloatTensor<B>,
    dy: FloatTensor<B>,
    unary: Unary,
) -> FloatTensor<B> {
    let (y, (dy, dtype)) = (wide::<B>(y), widened::<B>(dy));
    let dx = match unary {
        Unary::Dropout(dropout) => {
            let factors = factors::<B>(dropout, &dy);
            B::float_mul(dy, factors)
        }
        // The sign of the distance to the ceiling: 1 below it, 0 at it.
        Unary::AtMost(ceiling) => {
            let full = B::float_full(dy.shape(), ceiling.into(), &dy.device(), FloatDType::F32);
            B::float_mul(dy, B::float_sign(B::float_sub(full, y)))
        }
    };
    rounded::<B>(dx, dtype)
}
