//! What runs over all parameters once a step beside the update: y ← a y + b x and y ← a y in place, Σ x², and whether all
//! of x is finite.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

use super::flex::{contiguous, floats, tensor};

/// a y + b x, written over y where no other tensor shares its memory. Records no gradient.
pub(crate) fn blend(a: f32, y: Tensor<1>, b: f32, x: &Tensor<1>) -> Tensor<1> {
    assert!(y.dims() == x.dims(), "blend: y {:?}, x {:?}", y.dims(), x.dims());
    Tensor::from_dispatch(Dispatch::blend(y.into_dispatch(), x.clone().into_dispatch(), a, b))
}

/// a y, written over y where no other tensor shares its memory. Records no gradient.
pub(crate) fn scale(a: f32, y: Tensor<1>) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::scale(y.into_dispatch(), a))
}

/// Σ x².
pub(crate) fn sum_of_squares(x: &Tensor<1>) -> f64 {
    let sum: Tensor<1> = Tensor::from_dispatch(Dispatch::sum_of_squares(x.clone().into_dispatch()));
    f64::from(sum.into_scalar::<f32>())
}

/// Whether every number of x is one and finite.
pub(crate) fn all_finite(x: &Tensor<1>) -> bool {
    let yes: Tensor<1> = Tensor::from_dispatch(Dispatch::all_finite(x.clone().into_dispatch()));
    yes.into_scalar::<f32>() == 1.0
}

#[backend_extension(Flex, Cube: cfg(feature = "wgpu"))]
pub(super) trait BlendOp: Backend {
    fn blend(y: FloatTensor<Self>, x: FloatTensor<Self>, a: f32, b: f32) -> FloatTensor<Self> {
        composed_blend::<Self>(y, x, a, b)
    }

    fn scale(y: FloatTensor<Self>, a: f32) -> FloatTensor<Self> {
        Self::float_mul_scalar(y, a.into())
    }

    /// `[1]`.
    fn sum_of_squares(x: FloatTensor<Self>) -> FloatTensor<Self> {
        composed_sum_of_squares::<Self>(x)
    }

    /// `[1]`: 1 where all of x is finite, else anything else.
    fn all_finite(x: FloatTensor<Self>) -> FloatTensor<Self> {
        composed_all_finite::<Self>(x)
    }
}

#[cfg(feature = "wgpu")]
impl BlendOp for burn::backend::Cube {}

impl BlendOp for Flex {
    fn blend(y: FloatTensor<Self>, x: FloatTensor<Self>, a: f32, b: f32) -> FloatTensor<Self> {
        let (mut y, x) = (contiguous(y), contiguous(x));
        kernels::blend(a, y.storage_mut::<f32>(), b, floats(&x));
        y
    }

    fn scale(y: FloatTensor<Self>, a: f32) -> FloatTensor<Self> {
        let mut y = contiguous(y);
        kernels::scale(a, y.storage_mut::<f32>());
        y
    }

    fn sum_of_squares(x: FloatTensor<Self>) -> FloatTensor<Self> {
        tensor(vec![kernels::sum_of_squares(floats(&contiguous(x))) as f32], &[1])
    }

    fn all_finite(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let yes = kernels::all_finite(floats(&contiguous(x)));
        tensor(vec![if yes { 1.0 } else { 0.0 }], &[1])
    }
}

pub(super) fn composed_blend<B: Backend>(
    y: FloatTensor<B>,
    x: FloatTensor<B>,
    a: f32,
    b: f32,
) -> FloatTensor<B> {
    B::float_add(B::float_mul_scalar(y, a.into()), B::float_mul_scalar(x, b.into()))
}

pub(super) fn composed_sum_of_squares<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    B::float_sum(B::float_mul(x.clone(), x))
}

/// exp(Σ 0·x): 0·∞ is not a number.
pub(super) fn composed_all_finite<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    B::float_exp(B::float_sum(B::float_mul_scalar(x, 0.0f32.into())))
}
