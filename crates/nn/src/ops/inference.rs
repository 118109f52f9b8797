//! Convolution for inference: y = act(conv(x, w) + b [+ residual]). The batch norm behind it is folded into w and b.

use std::sync::Arc;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use kernels::{Activation, Conv2d, Epilogue, PreparedWeights};

use super::batch_norm::Optional;
use super::conv2d::{ConvOptions, composed_conv2d, y_shape};
use super::flex::{contiguous, filled, floats};

/// A convolution's numbers for inference. What a kernel prepares of the weights is kept with them.
#[derive(Clone, Debug)]
pub struct FoldedConv {
    /// `[c_out, kh, kw, c_in / groups]`.
    w: Tensor<4>,
    /// `[c_out]`.
    b: Tensor<1>,
    prepared: Arc<PreparedWeights>,
}

impl FoldedConv {
    pub fn new(w: Tensor<4>, b: Tensor<1>) -> FoldedConv {
        FoldedConv { w, b, prepared: Arc::default() }
    }
}

/// x `[n, h, w, c_in]` → `[n, h', w', c_out]`. Records no gradient.
pub fn conv2d_inference(
    x: Tensor<4>,
    FoldedConv { w, b, prepared }: FoldedConv,
    residual: Option<Tensor<4>>,
    activation: Activation,
    options: ConvOptions,
) -> Tensor<4> {
    let [c_out, kh, kw, _] = w.dims();
    let dims = options.dims(x.dims(), c_out, [kh, kw]);
    Tensor::from_dispatch(Dispatch::conv2d_inference_op(
        x.into_dispatch(),
        w.into_dispatch(),
        b.into_dispatch(),
        Optional::from(residual),
        activation,
        dims,
        prepared,
    ))
}

#[backend_extension(Flex, Cube: cfg(feature = "wgpu"))]
pub(super) trait InferenceOp: Backend {
    fn conv2d_inference_op(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        b: FloatTensor<Self>,
        #[extension_type] residual: Optional<Self>,
        activation: Activation,
        dims: Conv2d,
        _prepared: Arc<PreparedWeights>,
    ) -> FloatTensor<Self> {
        composed_inference::<Self>(x, (w, b), residual, activation, dims)
    }
}

#[cfg(feature = "wgpu")]
impl InferenceOp for burn::backend::Cube {}

impl InferenceOp for Flex {
    fn conv2d_inference_op(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        b: FloatTensor<Self>,
        residual: Optional<Self>,
        activation: Activation,
        dims: Conv2d,
        prepared: Arc<PreparedWeights>,
    ) -> FloatTensor<Self> {
        let (x, w, b) = (contiguous(x), contiguous(w), contiguous(b));
        let residual = residual.contiguous();
        filled(&y_shape(&dims), |y| {
            let residual = residual.as_ref().map(floats);
            let epilogue = Epilogue { bias: floats(&b), residual, activation };
            kernels::conv2d_inference(&dims, floats(&x), (floats(&w), &prepared), epilogue, y);
        })
    }
}

pub(super) fn composed_inference<B: Backend>(
    x: FloatTensor<B>,
    (w, b): (FloatTensor<B>, FloatTensor<B>),
    residual: Optional<B>,
    activation: Activation,
    dims: Conv2d,
) -> FloatTensor<B> {
    let channels = b.shape()[0];
    let y = composed_conv2d::<B>(x, w, dims);
    let y = B::float_add(y, B::float_reshape(b, [1, 1, 1, channels].into()));
    let y = match residual {
        Optional::Absent => y,
        Optional::Present(residual) => B::float_add(y, residual),
    };
    match activation {
        Activation::Identity => y,
        Activation::Relu => B::relu(y),
    }
}
