//! Losses of single numbers (§6.1): the weighted sum of smooth L1 or of the cross entropy of logits.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use kernels::PointLoss;

use super::flex::{contiguous, filled, floats, tensor};

/// Σ w·ℓ(x, t) `[1]` over numbers, their targets and their weights, `[n]` each. No gradient for targets and weights.
#[track_caller]
pub fn point_loss(
    x: Tensor<1>,
    target: Tensor<1>,
    weight: Tensor<1>,
    loss: PointLoss,
) -> Tensor<1> {
    assert_eq!(x.dims(), target.dims(), "point loss: numbers and targets");
    assert_eq!(x.dims(), weight.dims(), "point loss: numbers and weights");
    let (x, target, weight) = (x.into_dispatch(), target.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(Dispatch::point_loss_op(x, target, weight, loss))
}

#[backend_extension(Flex, Cube: cfg(feature = "wgpu"), Autodiff)]
pub(super) trait PointLossOp: Backend {
    fn point_loss_op(
        x: FloatTensor<Self>,
        target: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        loss: PointLoss,
    ) -> FloatTensor<Self> {
        composed_point_loss::<Self>(x, target, weight, loss)
    }

    /// dx for the loss's own gradient `[1]`.
    fn point_loss_backward_op(
        x: FloatTensor<Self>,
        target: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        dloss: FloatTensor<Self>,
        loss: PointLoss,
    ) -> FloatTensor<Self> {
        composed_point_loss_backward::<Self>([x, target, weight], dloss, loss)
    }
}

#[cfg(feature = "wgpu")]
impl PointLossOp for burn::backend::Cube {}

impl PointLossOp for Flex {
    fn point_loss_op(
        x: FloatTensor<Self>,
        target: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        loss: PointLoss,
    ) -> FloatTensor<Self> {
        let [x, target, weight] = [x, target, weight].map(contiguous);
        let sum = kernels::point_loss_forward(loss, floats(&x), floats(&target), floats(&weight));
        tensor(vec![sum], &[1])
    }

    fn point_loss_backward_op(
        x: FloatTensor<Self>,
        target: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        dloss: FloatTensor<Self>,
        loss: PointLoss,
    ) -> FloatTensor<Self> {
        let [x, target, weight, dloss] = [x, target, weight, dloss].map(contiguous);
        let scale = floats(&dloss)[0];
        let inputs = [floats(&x), floats(&target), floats(&weight)];
        filled(&[inputs[0].len()], |dx| kernels::point_loss_backward(loss, inputs, scale, dx))
    }
}

#[derive(Debug)]
struct PointLossBackward;

impl<B: Backend + PointLossOp> Backward<B, 1> for PointLossBackward {
    type State = ([FloatTensor<B>; 3], PointLoss);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let ([x, target, weight], loss) = ops.state;
        let dloss = grads.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            let dx = B::point_loss_backward_op(x, target, weight, dloss, loss);
            grads.register::<B>(node.id, dx);
        }
    }
}

impl<B: Backend + PointLossOp, C: CheckpointStrategy> PointLossOp for Autodiff<B, C> {
    fn point_loss_op(
        x: FloatTensor<Self>,
        target: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        loss: PointLoss,
    ) -> FloatTensor<Self> {
        let prepared = PointLossBackward.prepare::<C>([x.node()]).compute_bound().stateful();
        let [x, target, weight] = [x, target, weight].map(|tensor| tensor.into_primitive());
        let sum = B::point_loss_op(x.clone(), target.clone(), weight.clone(), loss);
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish(([x, target, weight], loss), sum),
            OpsKind::UnTracked(prepared) => prepared.finish(sum),
        }
    }
}

pub(super) fn composed_point_loss<B: Backend>(
    x: FloatTensor<B>,
    target: FloatTensor<B>,
    weight: FloatTensor<B>,
    loss: PointLoss,
) -> FloatTensor<B> {
    let values = match loss {
        PointLoss::SmoothL1 { beta } => {
            let distance = B::float_abs(B::float_sub(x, target));
            let near = B::float_clamp_max(distance.clone(), beta.into());
            let far = B::float_sub(distance, near.clone());
            if beta == 0.0 {
                far
            } else {
                let square = B::float_mul(near.clone(), near);
                B::float_add(B::float_mul_scalar(square, (0.5 / beta).into()), far)
            }
        }
        PointLoss::Logistic => {
            let minus = B::float_neg(B::float_abs(x.clone()));
            let tail = B::float_log1p(B::float_exp(minus));
            let product = B::float_mul(x.clone(), target);
            B::float_add(B::float_sub(B::float_clamp_min(x, 0.0.into()), product), tail)
        }
    };
    B::float_reshape(B::float_sum(B::float_mul(values, weight)), [1].into())
}

pub(super) fn composed_point_loss_backward<B: Backend>(
    [x, target, weight]: [FloatTensor<B>; 3],
    dloss: FloatTensor<B>,
    loss: PointLoss,
) -> FloatTensor<B> {
    let slope = match loss {
        PointLoss::SmoothL1 { beta: 0.0 } => B::float_sign(B::float_sub(x, target)),
        PointLoss::SmoothL1 { beta } => {
            let distance = B::float_clamp(B::float_sub(x, target), (-beta).into(), beta.into());
            B::float_mul_scalar(distance, (1.0 / beta).into())
        }
        PointLoss::Logistic => {
            let below = B::float_add_scalar(B::float_exp(B::float_neg(x)), 1.0.into());
            B::float_sub(B::float_recip(below), target)
        }
    };
    let shape = slope.shape();
    B::float_mul(B::float_mul(slope, weight), B::float_expand(dloss, shape))
}
