//! §2 and §5.2: the loss ℓ(p, z) = −Σ_k p_k log q_k with q = softmax(z), mean over the rows of a batch.
//!
//! A target is always a distribution p, so smoothing, mixup and distillation share this one loss.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, AutodiffBackend, Backend, Dispatch, Flex, TensorMetadata, backend_extension,
};
use burn::tensor::{Tensor, activation::softmax};

use super::flex::{contiguous, filled, floats, tensor};

/// Logits z `[rows, classes]`, target p `[rows, classes]` → the mean loss `[1]`. No gradient for p.
#[track_caller]
pub fn cross_entropy(z: Tensor<2>, p: Tensor<2>) -> Tensor<1> {
    assert_eq!(z.dims(), p.dims(), "cross entropy: logits and target differ in shape");
    let (loss, _) = Dispatch::cross_entropy(z.into_dispatch(), p.into_dispatch());
    Tensor::from_dispatch(loss)
}

/// softmax(z/T) `[rows, classes]` (§5.3), of logits that are on no graph; it stays on the device.
pub fn soften(z: Tensor<2>, temperature: f64) -> Tensor<2> {
    softmax(z / temperature, 1)
}

#[backend_extension(Flex, Cube: cfg(feature = "wgpu"), Autodiff)]
pub(super) trait CrossEntropyOp: Backend {
    /// The mean loss `[1]` and softmax(z), which backward needs.
    fn cross_entropy(
        z: FloatTensor<Self>,
        p: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        composed_cross_entropy::<Self>(z, p)
    }

    /// dz for the loss's own gradient `[1]`.
    fn cross_entropy_backward(
        softmax: FloatTensor<Self>,
        p: FloatTensor<Self>,
        dloss: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        composed_cross_entropy_backward::<Self>(softmax, p, dloss)
    }
}

#[cfg(feature = "wgpu")]
impl CrossEntropyOp for burn::backend::Cube {}

impl CrossEntropyOp for Flex {
    fn cross_entropy(
        z: FloatTensor<Self>,
        p: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [rows, classes] = z.shape().dims();
        let (z, p) = (contiguous(z), contiguous(p));
        let mut loss = 0.0;
        let softmax = filled(&[rows, classes], |softmax| {
            loss = kernels::cross_entropy_forward(rows, classes, floats(&z), floats(&p), softmax);
        });
        (tensor(vec![loss], &[1]), softmax)
    }

    fn cross_entropy_backward(
        softmax: FloatTensor<Self>,
        p: FloatTensor<Self>,
        dloss: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let [rows, classes] = p.shape().dims();
        let (softmax, p, dloss) = (contiguous(softmax), contiguous(p), contiguous(dloss));
        let scale = floats(&dloss)[0];
        filled(&[rows, classes], |dz| {
            kernels::cross_entropy_backward(rows, classes, floats(&softmax), floats(&p), scale, dz);
        })
    }
}

#[derive(Debug)]
struct CrossEntropyBackward;

impl<B: Backend + CrossEntropyOp> Backward<B, 1> for CrossEntropyBackward {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (softmax, p) = ops.state;
        let dloss = grads.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, B::cross_entropy_backward(softmax, p, dloss));
        }
    }
}

impl<B: Backend + CrossEntropyOp, C: CheckpointStrategy> CrossEntropyOp for Autodiff<B, C> {
    fn cross_entropy(
        z: FloatTensor<Self>,
        p: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let p = p.into_primitive();
        let prepared = CrossEntropyBackward.prepare::<C>([z.node()]).compute_bound().stateful();
        let (loss, softmax) = B::cross_entropy(z.into_primitive(), p.clone());
        let loss = match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((softmax.clone(), p), loss),
            OpsKind::UnTracked(prepared) => prepared.finish(loss),
        };
        (loss, Self::from_inner(softmax))
    }
}

pub(super) fn composed_cross_entropy<B: Backend>(
    z: FloatTensor<B>,
    p: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let rows = z.shape()[0];
    let z = B::float_sub(z.clone(), B::float_max_dim(z, 1));
    let sum = B::float_sum_dim(B::float_exp(z.clone()), 1);
    let log_softmax = B::float_sub(z, B::float_log(sum));
    let softmax = B::float_exp(log_softmax.clone());
    let total = B::float_sum(B::float_mul(p, log_softmax));
    let loss = B::float_mul_scalar(total, (-1.0 / rows as f32).into());
    (B::float_reshape(loss, [1].into()), softmax)
}

pub(super) fn composed_cross_entropy_backward<B: Backend>(
    softmax: FloatTensor<B>,
    p: FloatTensor<B>,
    dloss: FloatTensor<B>,
) -> FloatTensor<B> {
    let rows = p.shape()[0];
    let scale =
        B::float_mul_scalar(B::float_reshape(dloss, [1, 1].into()), (1.0 / rows as f32).into());
    let dz = B::float_sub(B::float_mul(softmax, B::float_sum_dim(p.clone(), 1)), p);
    B::float_mul(dz, scale)
}
