//! Operations on all parameters once a step, beside updates: y ← a y + b x and y ← a y in place; and the health of x:
//! Σ x² and whether all of x is finite.

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

/// The health of x as `[2]`: Σ x², and 0 where all of x is finite, NaN otherwise. It stays on the device.
pub(crate) fn health(x: &Tensor<1>) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::health(x.clone().into_dispatch()))
}

#[backend_extension(Flex, Cube: cfg(feature = "wgpu"))]
pub(super) trait BlendOp: Backend {
    fn blend(y: FloatTensor<Self>, x: FloatTensor<Self>, a: f32, b: f32) -> FloatTensor<Self> {
        composed_blend::<Self>(y, x, a, b)
    }

    fn scale(y: FloatTensor<Self>, a: f32) -> FloatTensor<Self> {
        Self::float_mul_scalar(y, a.into())
    }

    fn health(x: FloatTensor<Self>) -> FloatTensor<Self> {
        composed_health::<Self>(x)
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

    fn health(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let (squares, finite) = kernels::health(floats(&contiguous(x)));
        tensor(vec![squares as f32, if finite { 0.0 } else { f32::NAN }], &[2])
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

/// Σ x² and Σ 0·x: 0·∞ is not a number.
pub(super) fn composed_health<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let squares = B::float_sum(B::float_mul(x.clone(), x.clone()));
    let zero = B::float_sum(B::float_mul_scalar(x, 0.0f32.into()));
    let one = |sum| B::float_reshape(sum, [1].into());
    B::float_cat(vec![one(squares), one(zero)], 0)
}
