//! Where an activation goes two ways: the gradients that come back are added by our kernel, in place.

use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

use super::flex::{Number, by_number, contiguous};

/// x twice; both are used.
pub fn fork(x: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
    let (one, other) = Dispatch::fork_op(x.into_dispatch());
    (Tensor::from_dispatch(one), Tensor::from_dispatch(other))
}

#[backend_extension(Flex, Cube: cfg(feature = "wgpu"), Autodiff)]
pub(super) trait ForkOp: Backend {
    fn fork_op(x: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>) {
        (x.clone(), x)
    }

    /// The sum of two gradients, written over the first where nothing shares its memory.
    fn fork_backward_op(one: FloatTensor<Self>, other: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_add(one, other)
    }
}

#[cfg(feature = "wgpu")]
impl ForkOp for burn::backend::Cube {}

impl ForkOp for Flex {
    fn fork_backward_op(one: FloatTensor<Self>, other: FloatTensor<Self>) -> FloatTensor<Self> {
        let (mut one, other) = (contiguous(one), contiguous(other));
        by_number!(&other, N => kernels::add_assign(N::of_mut(&mut one), N::of(&other)));
        one
    }
}

/// What came back by the other way, until both are there.
type Other<B> = Arc<Mutex<Option<FloatTensor<B>>>>;

/// Of the first way, which is the parent of the second: its backward comes last.
#[derive(Debug)]
struct OneBackward;

#[derive(Debug)]
struct OtherBackward;

impl<B: Backend + ForkOp> Backward<B, 1> for OneBackward {
    type State = Other<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let one = grads.consume::<B>(&ops.node);
        let other = ops.state.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let [Some(node)] = ops.parents {
            let sum = match other {
                Some(other) => B::fork_backward_op(one, other),
                None => one,
            };
            grads.register::<B>(node.id, sum);
        }
    }
}

impl<B: Backend + ForkOp> Backward<B, 1> for OtherBackward {
    type State = Other<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let other = grads.consume::<B>(&ops.node);
        *ops.state.lock().unwrap_or_else(PoisonError::into_inner) = Some(other);
    }
}

impl<B: Backend + ForkOp, C: CheckpointStrategy> ForkOp for Autodiff<B, C> {
    fn fork_op(x: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let place = Other::<B>::default();
        let prepared = OneBackward.prepare::<C>([x.node()]).compute_bound().stateful();
        let inner = x.into_primitive();
        let one = match prepared {
            OpsKind::Tracked(prepared) => prepared.finish(place.clone(), inner.clone()),
            OpsKind::UnTracked(prepared) => prepared.finish(inner.clone()),
        };
        let prepared = OtherBackward.prepare::<C>([one.node()]).compute_bound().stateful();
        let other = match prepared {
            OpsKind::Tracked(prepared) => prepared.finish(place, inner),
            OpsKind::UnTracked(prepared) => prepared.finish(inner),
        };
        (one, other)
    }
}
