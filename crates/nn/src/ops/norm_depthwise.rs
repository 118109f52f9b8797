//! A batch norm, its activation and the depthwise convolution behind them as one operation, which never writes what is
//! between them to memory.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, AutodiffBackend, Backend, Dispatch, Flex, TensorMetadata, backend_extension,
};
use burn::tensor::Tensor;
use kernels::{Activation, NormDepthwise};

use super::batch_norm::{
    Affine, Optional, Saved, Statistics, composed_backward, composed_eval, composed_train, vector,
};
use super::conv2d::{
    ConvOptions, composed_conv2d, composed_conv2d_input_grad, composed_conv2d_weight_grad, y_shape,
};
use super::flex::{contiguous, filled, floats, tensor};

/// Computes `[n, h', w', c]` from x `[n, h, w, c]` and w `[c, kh, kw, 1]`. Also returns the batch's mean and biased
/// variance `[c]` of x.
#[track_caller]
pub(crate) fn norm_depthwise_train(
    x: Tensor<4>,
    affine: Affine,
    activation: Activation,
    w: Tensor<4>,
    options: ConvOptions,
) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    let [c_out, kh, kw, _] = w.dims();
    let convolution = options.dims(x.dims(), c_out, [kh, kw]);
    let dims = NormDepthwise { convolution, epsilon: affine.epsilon, activation };
    let (y, mean, variance) = Dispatch::norm_depthwise_train_op(
        x.into_dispatch(),
        affine.gamma.into_dispatch(),
        affine.beta.into_dispatch(),
        w.into_dispatch(),
        dims,
    );
    let statistic = |tensor| Tensor::<1>::from_dispatch(tensor).without_autodiff();
    (Tensor::from_dispatch(y), statistic(mean), statistic(variance))
}

type Floats<B, const N: usize> = [FloatTensor<B>; N];

#[backend_extension(Flex, Cube: cfg(feature = "wgpu"), Autodiff)]
pub(super) trait NormDepthwiseOp: Backend {
    /// Returns y, the mean and the biased variance.
    fn norm_depthwise_train_op(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        w: FloatTensor<Self>,
        dims: NormDepthwise,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        composed_norm_depthwise::<Self>(x, [gamma, beta, w], dims)
    }

    /// Returns the gradients of x, γ, β and w.
    fn norm_depthwise_backward_op(
        #[extension_type] saved: Saved<Self>,
        w: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        dims: NormDepthwise,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        composed_norm_depthwise_backward::<Self>(saved, w, dy, dims)
    }
}

#[cfg(feature = "wgpu")]
impl NormDepthwiseOp for burn::backend::Cube {}

impl NormDepthwiseOp for Flex {
    fn norm_depthwise_train_op(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        w: FloatTensor<Self>,
        dims: NormDepthwise,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [x, gamma, beta, w] = [x, gamma, beta, w].map(contiguous);
        let channels = dims.convolution.c_in;
        let (mut mean, mut variance) = (vec![0.0; channels], vec![0.0; channels]);
        let y = filled(&y_shape(&dims.convolution), |y| {
            let affine = kernels::GammaBeta { gamma: floats(&gamma), beta: floats(&beta) };
            let moments = kernels::Moments { mean: &mut mean, variance: &mut variance };
            kernels::norm_depthwise(&dims, floats(&x), affine, floats(&w), y, moments);
        });
        (y, vector(mean), vector(variance))
    }

    fn norm_depthwise_backward_op(
        saved: Saved<Self>,
        w: FloatTensor<Self>,
        dy: FloatTensor<Self>,
        dims: NormDepthwise,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let Saved { x, gamma, beta, mean, variance, .. } = saved;
        let [x, gamma, beta, mean, variance] = [x, gamma, beta, mean, variance].map(contiguous);
        let [w, dy] = [w, dy].map(contiguous);
        let forward = kernels::NormDepthwiseSaved {
            x: floats(&x),
            affine: kernels::GammaBeta { gamma: floats(&gamma), beta: floats(&beta) },
            statistics: kernels::MeanVariance { mean: floats(&mean), variance: floats(&variance) },
            w: floats(&w),
        };
        let channels = dims.convolution.c_in;
        let (mut dgamma, mut dbeta) = (vec![0.0; channels], vec![0.0; channels]);
        let mut dw = vec![0.0; dims.convolution.w_len()];
        let dx = filled(&x.shape().to_vec(), |dx| {
            let (dgamma, dbeta, dw) = (&mut dgamma[..], &mut dbeta[..], &mut dw[..]);
            let gradients = kernels::NormDepthwiseGradients { dx, dgamma, dbeta, dw };
            kernels::norm_depthwise_backward(&dims, forward, floats(&dy), gradients);
        });
        (dx, vector(dgamma), vector(dbeta), tensor(dw, &w.shape().to_vec()))
    }
}

#[derive(Debug)]
struct NormDepthwiseBackward;

impl<B: Backend + NormDepthwiseOp> Backward<B, 4> for NormDepthwiseBackward {
    type State = (Saved<B>, FloatTensor<B>, NormDepthwise);

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (saved, w, dims) = ops.state;
        let dy = grads.consume::<B>(&ops.node);
        let (dx, dgamma, dbeta, dw) = B::norm_depthwise_backward_op(saved, w, dy, dims);
        for (node, gradient) in ops.parents.into_iter().zip([dx, dgamma, dbeta, dw]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: Backend + NormDepthwiseOp, C: CheckpointStrategy> NormDepthwiseOp for Autodiff<B, C> {
    fn norm_depthwise_train_op(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        w: FloatTensor<Self>,
        dims: NormDepthwise,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [x.node(), gamma.node(), beta.node(), w.node()];
        let prepared = NormDepthwiseBackward.prepare::<C>(nodes).compute_bound().stateful();
        let [x, gamma, beta, w] = [x, gamma, beta, w].map(FloatTensor::<Self>::into_primitive);
        let (y, mean, variance) =
            B::norm_depthwise_train_op(x.clone(), gamma.clone(), beta.clone(), w.clone(), dims);
        let statistics = [&mean, &variance].map(|tensor| Self::from_inner(tensor.clone()));
        let y = match prepared {
            OpsKind::Tracked(prepared) => {
                let saved = Saved { x, y: Optional::Absent, gamma, beta, mean, variance };
                prepared.finish((saved, w, dims), y)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(y),
        };
        let [mean, variance] = statistics;
        (y, mean, variance)
    }
}

pub(super) fn composed_norm_depthwise<B: Backend>(
    x: FloatTensor<B>,
    [gamma, beta, w]: Floats<B, 3>,
    dims: NormDepthwise,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let (z, mean, variance) = composed_train::<B>(x, gamma, beta, Optional::Absent, dims.norm());
    (composed_conv2d::<B>(z, w, dims.convolution), mean, variance)
}

pub(super) fn composed_norm_depthwise_backward<B: Backend>(
    saved: Saved<B>,
    w: FloatTensor<B>,
    dy: FloatTensor<B>,
    dims: NormDepthwise,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let Saved { x, gamma, beta, mean, variance, .. } = saved.clone();
    let given = [gamma, beta, mean, variance];
    let z = composed_eval::<B>(x, given, Optional::Absent, dims.norm());
    let dw = composed_conv2d_weight_grad::<B>(z, dy.clone(), dims.convolution);
    let dz = composed_conv2d_input_grad::<B>(dy, w, dims.convolution);
    let (dx, dgamma, dbeta, _) =
        composed_backward::<B>(saved, dz, Statistics::Batch, false, dims.norm());
    (dx, dgamma, dbeta, dw)
}
