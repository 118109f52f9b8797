//! §2.1 Nesterov accelerated gradient, in place: g ← g + λw, v ← μv + g, w ← w − η(g + μv).
//!
//! The rate stays outside the velocity, as in PyTorch and in the authors' code, so that a rate that changes (a
//! warm-up) does not rescale what the velocity remembers.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use kernels::Nag;

use super::flex::{contiguous, floats};

/// One update of a parameter; w, g and v `[len]` hold no gradient themselves. Returns the new w and v.
///
/// Panics where w or v is shared: an update in place would then silently become a copy.
pub(crate) fn nag(hyper: Nag, w: Tensor<1>, g: Tensor<1>, v: Tensor<1>) -> (Tensor<1>, Tensor<1>) {
    assert!(
        w.dims() == g.dims() && w.dims() == v.dims(),
        "nag: w {:?}, g {:?}, v {:?}",
        w.dims(),
        g.dims(),
        v.dims()
    );
    let (w, v) = Dispatch::nag(w.into_dispatch(), g.into_dispatch(), v.into_dispatch(), hyper);
    (Tensor::from_dispatch(w), Tensor::from_dispatch(v))
}

#[backend_extension(Flex, Cube: cfg(feature = "wgpu"))]
pub(super) trait NagOp: Backend {
    fn nag(
        w: FloatTensor<Self>,
        g: FloatTensor<Self>,
        v: FloatTensor<Self>,
        hyper: Nag,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        composed_nag::<Self>(w, g, v, hyper)
    }
}

#[cfg(feature = "wgpu")]
impl NagOp for burn::backend::Cube {}

impl NagOp for Flex {
    fn nag(
        mut w: FloatTensor<Self>,
        g: FloatTensor<Self>,
        mut v: FloatTensor<Self>,
        hyper: Nag,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let g = contiguous(g);
        {
            let w = w.try_storage_mut::<f32>().expect("nag: the parameter is still shared");
            let v = v.try_storage_mut::<f32>().expect("nag: the velocity is still shared");
            kernels::nag(&hyper, w, floats(&g), v);
        }
        (w, v)
    }
}

pub(super) fn composed_nag<B: Backend>(
    w: FloatTensor<B>,
    g: FloatTensor<B>,
    v: FloatTensor<B>,
    hyper: Nag,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let g = B::float_add(g, B::float_mul_scalar(w.clone(), hyper.decay.into()));
    let v = B::float_add(B::float_mul_scalar(v, hyper.momentum.into()), g.clone());
    let step = B::float_add(g, B::float_mul_scalar(v.clone(), hyper.momentum.into()));
    (B::float_sub(w, B::float_mul_scalar(step, hyper.rate.into())), v)
}
