//! What runs over all parameters once a step beside the update: y ← a y + b x in place, and Σ x².

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

use super::flex::{contiguous, floats, tensor};

/// a y + b x, written over y where no other tensor shares its memory. Records no gradient.
pub(crate) fn blend(a: f32, y: Tensor<1>, b: f32, x: &Tensor<1>) -> Tensor<1> {
    assert!(y.dims() == x.dims(), "blend: y {:?}, x {:?}", y.dims(), x.dims());
    Tensor::from_dispatch(Dispatch::blend(y.into_dispatch(), x.clone().into_dispatch(), a, b))
}

/// Σ x².
pub(crate) fn sum_of_squares(x: &Tensor<1>) -> f64 {
    let sum: Tensor<1> = Tensor::from_dispatch(Dispatch::sum_of_squares(x.clone().into_dispatch()));
    f64::from(sum.into_scalar::<f32>())
}

#[backend_extension(Flex, Cube: cfg(feature = "wgpu"))]
pub(super) trait BlendOp: Backend {
    fn blend(y: FloatTensor<Self>, x: FloatTensor<Self>, a: f32, b: f32) -> FloatTensor<Self> {
        composed_blend::<Self>(y, x, a, b)
    }

    /// `[1]`.
    fn sum_of_squares(x: FloatTensor<Self>) -> FloatTensor<Self> {
        composed_sum_of_squares::<Self>(x)
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

    fn sum_of_squares(x: FloatTensor<Self>) -> FloatTensor<Self> {
        tensor(vec![kernels::sum_of_squares(floats(&contiguous(x))) as f32], &[1])
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
