//! §3.2 the precision that activations and their gradients are stored in.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, FloatDType, Tensor};
use tricks::Precision;

use super::flex::{Number, by_number, contiguous, filled};

/// The precision that a tensor is stored in.
#[track_caller]
pub(crate) fn precision_of<const D: usize>(x: &Tensor<D>) -> Precision {
    of_dtype(x.dtype())
}

#[track_caller]
pub(super) fn precision_of_primitive(x: &impl TensorMetadata) -> Precision {
    of_dtype(x.dtype())
}

fn dtype(precision: Precision) -> FloatDType {
    match precision {
        Precision::F32 => FloatDType::F32,
        Precision::F16 => FloatDType::F16,
        Precision::Bf16 => FloatDType::BF16,
    }
}

#[track_caller]
fn of_dtype(dtype: DType) -> Precision {
    match dtype {
        DType::F32 => Precision::F32,
        DType::F16 => Precision::F16,
        DType::BF16 => Precision::Bf16,
        other => panic!("activations are stored in f32, f16 or bf16, not in {other:?}"),
    }
}

/// x, rounded to a precision, or widened to it. What a network computes of it is stored as it is, up to the mean over
/// the pixels, which is f32 again; the gradient of x is stored as x.
pub fn stored<const D: usize>(x: Tensor<D>, precision: Precision) -> Tensor<D> {
    if precision_of(&x) == precision {
        return x;
    }
    Tensor::from_dispatch(Dispatch::stored_op(x.into_dispatch(), precision))
}

#[backend_extension(Flex, Cube: cfg(feature = "wgpu"), Autodiff)]
pub(super) trait StoredOp: Backend {
    fn stored_op(x: FloatTensor<Self>, precision: Precision) -> FloatTensor<Self> {
        Self::float_cast(x, dtype(precision))
    }
}

#[cfg(feature = "wgpu")]
impl StoredOp for burn::backend::Cube {}

impl StoredOp for Flex {
    fn stored_op(x: FloatTensor<Self>, precision: Precision) -> FloatTensor<Self> {
        let x = contiguous(x);
        let shape = x.shape().to_vec();
        by_number!(&x, From => match precision {
            Precision::F32 => converted::<From, f32>(&shape, From::of(&x)),
            Precision::F16 => converted::<From, kernels::f16>(&shape, From::of(&x)),
            Precision::Bf16 => converted::<From, kernels::bf16>(&shape, From::of(&x)),
        })
    }
}

fn converted<A: Number, B: Number>(shape: &[usize], x: &[A]) -> FloatTensor<Flex> {
    filled::<B>(shape, |to| kernels::convert(x, to))
}

#[derive(Debug)]
struct StoredBackward;

impl<B: Backend + StoredOp> Backward<B, 1> for StoredBackward {
    /// What x was stored in.
    type State = Precision;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, B::stored_op(dy, ops.state));
        }
    }
}

impl<B: Backend + StoredOp, C: CheckpointStrategy> StoredOp for Autodiff<B, C> {
    fn stored_op(x: FloatTensor<Self>, precision: Precision) -> FloatTensor<Self> {
        let before = of_dtype(x.dtype());
        let prepared = StoredBackward.prepare::<C>([x.node()]).compute_bound().stateful();
        let y = B::stored_op(x.into_primitive(), precision);
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish(before, y),
            OpsKind::UnTracked(prepared) => prepared.finish(y),
        }
    }
}

/// For default bodies: x in f32, and what to store the result as.
pub(super) fn widened<B: Backend>(x: FloatTensor<B>) -> (FloatTensor<B>, DType) {
    let dtype = x.dtype();
    let x = if dtype == DType::F32 { x } else { B::float_cast(x, FloatDType::F32) };
    (x, dtype)
}

/// For default bodies: x in f32.
pub(super) fn wide<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    widened::<B>(x).0
}

/// For default bodies: the result, stored as its input was.
pub(super) fn rounded<B: Backend>(y: FloatTensor<B>, dtype: DType) -> FloatTensor<B> {
    rounded_to::<B>(y, of_dtype(dtype))
}

/// For default bodies: y, which is f32, in a precision.
pub(super) fn rounded_to<B: Backend>(y: FloatTensor<B>, precision: Precision) -> FloatTensor<B> {
    if precision == Precision::F32 { y } else { B::float_cast(y, dtype(precision)) }
}
