//! Batch normalization, fused with the residual add and with ReLU (§3.1, §4.1):
//! y = act(γ (x − mean) / √(variance + ε) + β [+ residual]), per channel over all rows n·h·w.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, AutodiffBackend, Backend, Dispatch, ExtensionType, Flex, TensorMetadata,
    backend_extension,
};
use burn::tensor::Tensor;
use kernels::{Activation, BatchNorm, Output};

use super::flex::{Number, by_number, contiguous, filled, floats};
use super::precision::{rounded, wide, widened};

/// γ and β `[channels]` and ε.
pub struct Affine {
    pub gamma: Tensor<1>,
    pub beta: Tensor<1>,
    pub epsilon: f32,
}

/// Normalizes with the batch's own statistics. Returns y, and the batch's mean and biased variance `[channels]`,
/// which carry no gradient.
pub fn batch_norm_train(
    x: Tensor<4>,
    affine: Affine,
    residual: Option<Tensor<4>>,
    activation: Activation,
) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    let dims = dims(&x, &affine, residual.as_ref(), activation);
    let (y, mean, variance) = Dispatch::batch_norm_train_op(
        x.into_dispatch(),
        affine.gamma.into_dispatch(),
        affine.beta.into_dispatch(),
        Optional::from(residual),
        dims,
    );
    let statistic = |tensor| Tensor::<1>::from_dispatch(tensor).without_autodiff();
    (Tensor::from_dispatch(y), statistic(mean), statistic(variance))
}

/// Normalizes with given statistics `[channels]`, which get no gradient.
pub fn batch_norm_eval(
    x: Tensor<4>,
    affine: Affine,
    statistics: [Tensor<1>; 2],
    residual: Option<Tensor<4>>,
    activation: Activation,
) -> Tensor<4> {
    let dims = dims(&x, &affine, residual.as_ref(), activation);
    let [mean, variance] = statistics;
    Tensor::from_dispatch(Dispatch::batch_norm_eval_op(
        x.into_dispatch(),
        affine.gamma.into_dispatch(),
        affine.beta.into_dispatch(),
        mean.into_dispatch(),
        variance.into_dispatch(),
        Optional::from(residual),
        dims,
    ))
}

#[track_caller]
fn dims(
    x: &Tensor<4>,
    affine: &Affine,
    residual: Option<&Tensor<4>>,
    activation: Activation,
) -> BatchNorm {
    let [n, height, width, channels] = x.dims();
    assert_eq!(affine.gamma.dims(), [channels], "batch norm: γ for x {:?}", x.dims());
    assert_eq!(affine.beta.dims(), [channels], "batch norm: β for x {:?}", x.dims());
    if let Some(residual) = residual {
        assert_eq!(residual.dims(), x.dims(), "batch norm: the residual's shape and x's");
    }
    BatchNorm { rows: n * height * width, channels, epsilon: affine.epsilon, activation }
}

/// A tensor that may be missing, as the extension's macro can carry it.
#[derive(ExtensionType)]
pub(super) enum Optional<B: Backend> {
    Absent,
    Present(FloatTensor<B>),
}

impl From<Option<Tensor<4>>> for Optional<Dispatch> {
    fn from(residual: Option<Tensor<4>>) -> Self {
        residual.map_or(Optional::Absent, |tensor| Optional::Present(tensor.into_dispatch()))
    }
}

/// What the backward pass needs of the forward pass.
#[derive(ExtensionType)]
pub(super) struct Saved<B: Backend> {
    pub x: FloatTensor<B>,
    /// The output where ReLU followed an add: its sign is then ReLU's mask. Else x tells the mask.
    #[extension_type]
    pub y: Optional<B>,
    pub gamma: FloatTensor<B>,
    pub beta: FloatTensor<B>,
    pub mean: FloatTensor<B>,
    pub variance: FloatTensor<B>,
}

impl<B: Backend> Clone for Saved<B> {
    fn clone(&self) -> Self {
        let Saved { x, y, gamma, beta, mean, variance } = self;
        let y = match y {
            Optional::Absent => Optional::Absent,
            Optional::Present(y) => Optional::Present(y.clone()),
        };
        let [x, gamma, beta, mean, variance] =
            [x, gamma, beta, mean, variance].map(|tensor: &FloatTensor<B>| tensor.clone());
        Saved { x, y, gamma, beta, mean, variance }
    }
}

impl<B: Backend> std::fmt::Debug for Saved<B> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Saved").finish_non_exhaustive()
    }
}

/// The origin of the statistics that x was normalized by: only a batch's own depend on x.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Statistics {
    Batch,
    Running,
}

type Gradient<B> = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, Optional<B>);

#[backend_extension(Flex, Cube: cfg(feature = "wgpu"), Autodiff)]
pub(super) trait BatchNormOp: Backend {
    /// Returns y, the mean and the biased variance.
    fn batch_norm_train_op(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        #[extension_type] residual: Optional<Self>,
        dims: BatchNorm,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        composed_train::<Self>(x, gamma, beta, residual, dims)
    }

    fn batch_norm_eval_op(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        #[extension_type] residual: Optional<Self>,
        dims: BatchNorm,
    ) -> FloatTensor<Self> {
        composed_eval::<Self>(x, [gamma, beta, mean, variance], residual, dims)
    }

    /// Returns dx, dγ, dβ, and, if `add`, the gradient of the residual.
    fn batch_norm_backward_op(
        #[extension_type] saved: Saved<Self>,
        dy: FloatTensor<Self>,
        statistics: Statistics,
        add: bool,
        dims: BatchNorm,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, Optional<Self>) {
        composed_backward::<Self>(saved, dy, statistics, add, dims)
    }
}

#[cfg(feature = "wgpu")]
impl BatchNormOp for burn::backend::Cube {}

impl BatchNormOp for Flex {
    fn batch_norm_train_op(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        residual: Optional<Self>,
        dims: BatchNorm,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (x, gamma, beta) = (contiguous(x), contiguous(gamma), contiguous(beta));
        let residual = residual.contiguous();
        let (mut mean, mut variance) = (vec![0.0; dims.channels], vec![0.0; dims.channels]);
        let y = by_number!(&x, N => filled(&x.shape().to_vec(), |y| {
            kernels::batch_norm_train(
                &dims,
                N::of(&x),
                kernels::GammaBeta { gamma: floats(&gamma), beta: floats(&beta) },
                residual.as_ref().map(N::of),
                y,
                kernels::Moments { mean: &mut mean, variance: &mut variance },
            );
        }));
        (y, vector(mean), vector(variance))
    }

    fn batch_norm_eval_op(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        residual: Optional<Self>,
        dims: BatchNorm,
    ) -> FloatTensor<Self> {
        let (x, gamma, beta) = (contiguous(x), contiguous(gamma), contiguous(beta));
        let (mean, variance, residual) =
            (contiguous(mean), contiguous(variance), residual.contiguous());
        by_number!(&x, N => filled(&x.shape().to_vec(), |y| {
            kernels::batch_norm_eval(
                &dims,
                N::of(&x),
                kernels::GammaBeta { gamma: floats(&gamma), beta: floats(&beta) },
                kernels::MeanVariance { mean: floats(&mean), variance: floats(&variance) },
                residual.as_ref().map(N::of),
                y,
            );
        }))
    }

    fn batch_norm_backward_op(
        saved: Saved<Self>,
        dy: FloatTensor<Self>,
        statistics: Statistics,
        add: bool,
        dims: BatchNorm,
    ) -> Gradient<Self> {
        by_number!(&dy, N => backward::<N>(saved, dy, statistics, add, &dims))
    }
}

fn backward<N: Number>(
    saved: Saved<Flex>,
    dy: FloatTensor<Flex>,
    statistics: Statistics,
    add: bool,
    dims: &BatchNorm,
) -> Gradient<Flex> {
    let shape = saved.x.shape().to_vec();
    let dy = contiguous(dy);
    // The tensors that forward was given may be views.
    let [x, gamma, beta, mean, variance] =
        [saved.x, saved.gamma, saved.beta, saved.mean, saved.variance].map(contiguous);
    let y = saved.y.contiguous();
    let forward = kernels::BatchNormSaved {
        x: N::of(&x),
        y: y.as_ref().map(N::of),
        affine: kernels::GammaBeta { gamma: floats(&gamma), beta: floats(&beta) },
        statistics: kernels::MeanVariance { mean: floats(&mean), variance: floats(&variance) },
    };
    let (mut dgamma, mut dbeta) = (vec![0.0; dims.channels], vec![0.0; dims.channels]);
    let mut backward = |dresidual: Option<Output<'_, N>>| {
        filled(&shape, |dx| {
            let (dgamma, dbeta) = (&mut dgamma[..], &mut dbeta[..]);
            let gradients = kernels::BatchNormGradients { dx, dgamma, dbeta, dresidual };
            match statistics {
                Statistics::Batch => {
                    kernels::batch_norm_train_backward(dims, forward, N::of(&dy), gradients);
                }
                Statistics::Running => {
                    kernels::batch_norm_eval_backward(dims, forward, N::of(&dy), gradients);
                }
            }
        })
    };
    let (dx, dresidual) = if add {
        let mut dx = None;
        let dresidual = filled(&shape, |dresidual| dx = Some(backward(Some(dresidual))));
        (dx.expect("filled calls its closure"), Optional::Present(dresidual))
    } else {
        (backward(None), Optional::Absent)
    };
    (dx, vector(dgamma), vector(dbeta), dresidual)
}

impl Optional<Flex> {
    pub(super) fn contiguous(self) -> Option<FloatTensor<Flex>> {
        match self {
            Optional::Absent => None,
            Optional::Present(tensor) => Some(contiguous(tensor)),
        }
    }
}

pub(super) fn vector(values: Vec<f32>) -> FloatTensor<Flex> {
    let channels = values.len();
    super::flex::tensor(values, &[channels])
}

#[derive(Debug)]
struct BatchNormBackward;

impl<B: Backend + BatchNormOp> Backward<B, 4> for BatchNormBackward {
    type State = (Saved<B>, Statistics, BatchNorm);

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let [x_node, gamma_node, beta_node, residual_node] = ops.parents;
        let (saved, statistics, dims) = ops.state;
        let dy = grads.consume::<B>(&ops.node);
        let (dx, dgamma, dbeta, dresidual) =
            B::batch_norm_backward_op(saved, dy, statistics, residual_node.is_some(), dims);
        for (node, gradient) in [(x_node, dx), (gamma_node, dgamma), (beta_node, dbeta)] {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
        if let (Some(node), Optional::Present(gradient)) = (residual_node, dresidual) {
            grads.register::<B>(node.id, gradient);
        }
    }
}

impl<B: Backend + BatchNormOp, C: CheckpointStrategy> BatchNormOp for Autodiff<B, C> {
    fn batch_norm_train_op(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        residual: Optional<Self>,
        dims: BatchNorm,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [x.node(), gamma.node(), beta.node(), residual.node(&gamma)];
        let prepared = BatchNormBackward.prepare::<C>(nodes).compute_bound().stateful();
        let [x, gamma, beta] = [x, gamma, beta].map(FloatTensor::<Self>::into_primitive);
        let residual = residual.into_inner();
        let added = matches!(residual, Optional::Present(_));
        let (y, mean, variance) =
            B::batch_norm_train_op(x.clone(), gamma.clone(), beta.clone(), residual, dims);
        let statistics = (Self::from_inner(mean.clone()), Self::from_inner(variance.clone()));
        let y = match prepared {
            OpsKind::Tracked(prepared) => {
                let y_kept = mask(&y, added, dims);
                let saved = Saved { x, y: y_kept, gamma, beta, mean, variance };
                prepared.finish((saved, Statistics::Batch, dims), y)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(y),
        };
        (y, statistics.0, statistics.1)
    }

    fn batch_norm_eval_op(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        residual: Optional<Self>,
        dims: BatchNorm,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), gamma.node(), beta.node(), residual.node(&gamma)];
        let prepared = BatchNormBackward.prepare::<C>(nodes).compute_bound().stateful();
        let [x, gamma, beta, mean, variance] =
            [x, gamma, beta, mean, variance].map(FloatTensor::<Self>::into_primitive);
        let residual = residual.into_inner();
        let added = matches!(residual, Optional::Present(_));
        let y = B::batch_norm_eval_op(
            x.clone(),
            gamma.clone(),
            beta.clone(),
            mean.clone(),
            variance.clone(),
            residual,
            dims,
        );
        match prepared {
            OpsKind::Tracked(prepared) => {
                let y_kept = mask(&y, added, dims);
                let saved = Saved { x, y: y_kept, gamma, beta, mean, variance };
                prepared.finish((saved, Statistics::Running, dims), y)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(y),
        }
    }
}

/// The output, if the backward pass needs it for ReLU's mask.
fn mask<B: Backend>(y: &FloatTensor<B>, added: bool, dims: BatchNorm) -> Optional<B> {
    match dims.activation {
        Activation::Relu if added => Optional::Present(y.clone()),
        _ => Optional::Absent,
    }
}

impl<B: Backend, C: CheckpointStrategy> Optional<Autodiff<B, C>> {
    /// The residual's place in the graph; without one, an untracked constant made of `stand_in`.
    fn node(
        &self,
        stand_in: &FloatTensor<Autodiff<B, C>>,
    ) -> burn::backend::autodiff::ops::NodeGuard {
        match self {
            Optional::Absent => Autodiff::<B, C>::from_inner(stand_in.primitive().clone()).node(),
            Optional::Present(tensor) => tensor.node(),
        }
    }

    fn into_inner(self) -> Optional<B> {
        match self {
            Optional::Absent => Optional::Absent,
            Optional::Present(tensor) => Optional::Present(tensor.into_primitive()),
        }
    }
}

pub(super) fn composed_train<B: Backend>(
    x: FloatTensor<B>,
    gamma: FloatTensor<B>,
    beta: FloatTensor<B>,
    residual: Optional<B>,
    dims: BatchNorm,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let rows = B::float_reshape(wide::<B>(x.clone()), [dims.rows, dims.channels].into());
    let mean = B::float_mean_dim(rows.clone(), 0);
    let centered = B::float_sub(rows, mean.clone());
    let variance = B::float_mean_dim(B::float_mul(centered.clone(), centered), 0);
    let flat = |tensor| B::float_reshape(tensor, [dims.channels].into());
    let (mean, variance) = (flat(mean), flat(variance));
    let y = composed_eval::<B>(x, [gamma, beta, mean.clone(), variance.clone()], residual, dims);
    (y, mean, variance)
}

pub(super) fn composed_eval<B: Backend>(
    x: FloatTensor<B>,
    [gamma, beta, mean, variance]: [FloatTensor<B>; 4],
    residual: Optional<B>,
    dims: BatchNorm,
) -> FloatTensor<B> {
    let shape = x.shape();
    let (x, dtype) = widened::<B>(x);
    let row = |tensor| B::float_reshape(tensor, [1, dims.channels].into());
    let scale = B::float_mul(row(gamma), inverse_deviation::<B>(row(variance), dims));
    let x = B::float_reshape(x, [dims.rows, dims.channels].into());
    let y = B::float_mul(B::float_sub(x, row(mean)), scale);
    let y = B::float_reshape(B::float_add(y, row(beta)), shape);
    let y = match residual {
        Optional::Absent => y,
        Optional::Present(residual) => B::float_add(y, wide::<B>(residual)),
    };
    let y = match dims.activation {
        Activation::Identity => y,
        Activation::Relu => B::relu(y),
    };
    rounded::<B>(y, dtype)
}

pub(super) fn composed_backward<B: Backend>(
    saved: Saved<B>,
    dy: FloatTensor<B>,
    statistics: Statistics,
    add: bool,
    dims: BatchNorm,
) -> Gradient<B> {
    let shape = saved.x.shape();
    let (x, dtype) = widened::<B>(saved.x);
    let dy = wide::<B>(dy);
    let rows = |tensor| B::float_reshape(tensor, [dims.rows, dims.channels].into());
    let row = |tensor| B::float_reshape(tensor, [1, dims.channels].into());
    let dz = match (dims.activation, saved.y) {
        (Activation::Identity, _) => dy,
        (Activation::Relu, Optional::Present(y)) => B::relu_backward(wide::<B>(y), dy),
        (Activation::Relu, Optional::Absent) => {
            let (gamma, beta) = (saved.gamma.clone(), saved.beta);
            let given = [gamma, beta, saved.mean.clone(), saved.variance.clone()];
            let y = composed_eval::<B>(x.clone(), given, Optional::Absent, dims);
            B::relu_backward(y, dy)
        }
    };
    let dresidual =
        if add { Optional::Present(rounded::<B>(dz.clone(), dtype)) } else { Optional::Absent };
    let dz = rows(dz);
    let inverse = inverse_deviation::<B>(row(saved.variance), dims);
    let normalized = B::float_mul(B::float_sub(rows(x), row(saved.mean)), inverse.clone());
    let dbeta = B::float_sum_dim(dz.clone(), 0);
    let dgamma = B::float_sum_dim(B::float_mul(dz.clone(), normalized.clone()), 0);
    let scale = B::float_mul(row(saved.gamma), inverse);
    let dz = match statistics {
        Statistics::Running => dz,
        Statistics::Batch => {
            let share = (1.0 / dims.rows as f32).into();
            let through_statistics =
                B::float_add(dbeta.clone(), B::float_mul(normalized, dgamma.clone()));
            B::float_sub(dz, B::float_mul_scalar(through_statistics, share))
        }
    };
    let dx = rounded::<B>(B::float_reshape(B::float_mul(dz, scale), shape), dtype);
    let flat = |tensor| B::float_reshape(tensor, [dims.channels].into());
    (dx, flat(dgamma), flat(dbeta), dresidual)
}

fn inverse_deviation<B: Backend>(variance: FloatTensor<B>, dims: BatchNorm) -> FloatTensor<B> {
    B::float_recip(B::float_sqrt(B::float_add_scalar(variance, dims.epsilon.into())))
}
