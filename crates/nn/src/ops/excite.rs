//! The end of a squeeze-and-excitation block: y = act(x σ(z) + residual), a gate for each channel of each image.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, Backend, Dispatch, ExtensionType, Flex, TensorMetadata, backend_extension,
};
use burn::tensor::Tensor;
use kernels::{Activation, Excite};

use super::flex::{Number, by_number, contiguous, filled, floats};
use super::precision::{rounded, wide, widened};

/// x and the residual `[n, h, w, c]`, the gates' logits z `[n, c]` → `[n, h, w, c]`.
#[track_caller]
pub fn excite(
    x: Tensor<4>,
    z: Tensor<2>,
    residual: Tensor<4>,
    activation: Activation,
) -> Tensor<4> {
    let [n, height, width, c] = x.dims();
    assert_eq!(z.dims(), [n, c], "excite: gates of x {:?}", x.dims());
    assert_eq!(residual.dims(), x.dims(), "excite: the residual's shape and x's");
    let dims = Excite { n, hw: height * width, c, activation };
    Tensor::from_dispatch(Dispatch::excite_op(
        x.into_dispatch(),
        z.into_dispatch(),
        residual.into_dispatch(),
        dims,
    ))
}

/// What backward needs of forward.
#[derive(ExtensionType)]
pub(super) struct Excited<B: Backend> {
    pub x: FloatTensor<B>,
    pub z: FloatTensor<B>,
    /// Forward's output, whose sign is ReLU's mask.
    pub y: FloatTensor<B>,
}

impl<B: Backend> Clone for Excited<B> {
    fn clone(&self) -> Self {
        Excited { x: self.x.clone(), z: self.z.clone(), y: self.y.clone() }
    }
}

impl<B: Backend> std::fmt::Debug for Excited<B> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Excited").finish_non_exhaustive()
    }
}

#[backend_extension(Flex, Cube: cfg(feature = "wgpu"), Autodiff)]
pub(super) trait ExciteOp: Backend {
    fn excite_op(
        x: FloatTensor<Self>,
        z: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        dims: Excite,
    ) -> FloatTensor<Self> {
        composed_excite::<Self>(x, z, residual, dims)
    }

    /// dx, dz, and what the residual gets.
    fn excite_backward_op(
        #[extension_type] saved: Excited<Self>,
        dy: FloatTensor<Self>,
        dims: Excite,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        composed_excite_backward::<Self>(saved, dy, dims)
    }
}

#[cfg(feature = "wgpu")]
impl ExciteOp for burn::backend::Cube {}

impl ExciteOp for Flex {
    fn excite_op(
        x: FloatTensor<Self>,
        z: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        dims: Excite,
    ) -> FloatTensor<Self> {
        let [x, z, residual] = [x, z, residual].map(contiguous);
        by_number!(&x, N => filled(&x.shape().to_vec(), |y| {
            kernels::excite_forward(&dims, N::of(&x), floats(&z), N::of(&residual), y);
        }))
    }

    fn excite_backward_op(
        saved: Excited<Self>,
        dy: FloatTensor<Self>,
        dims: Excite,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        by_number!(&dy, N => backward::<N>(saved, dy, dims))
    }
}

/// dx, dz, and what the residual gets.
fn backward<N: Number>(
    saved: Excited<Flex>,
    dy: FloatTensor<Flex>,
    dims: Excite,
) -> (FloatTensor<Flex>, FloatTensor<Flex>, FloatTensor<Flex>) {
    let [x, z, y, dy] = [saved.x, saved.z, saved.y, dy].map(contiguous);
    let forward = kernels::ExciteSaved { x: N::of(&x), z: floats(&z), y: N::of(&y) };
    let (shape, gates) = (x.shape().to_vec(), [dims.n, dims.c]);
    let (mut dz, mut dresidual) = (None, None);
    let dx = filled::<N>(&shape, |dx| {
        dz = Some(filled(&gates, |dz| {
            dresidual = Some(filled(&shape, |dresidual| {
                let gradients = kernels::ExciteGradients { dx, dz, dresidual };
                kernels::excite_backward(&dims, forward, N::of(&dy), gradients);
            }));
        }));
    });
    let filled = "filled calls its closure";
    (dx, dz.expect(filled), dresidual.expect(filled))
}

#[derive(Debug)]
struct ExciteBackward;

impl<B: Backend + ExciteOp> Backward<B, 3> for ExciteBackward {
    type State = (Excited<B>, Excite);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (saved, dims) = ops.state;
        let dy = grads.consume::<B>(&ops.node);
        let (dx, dz, dresidual) = B::excite_backward_op(saved, dy, dims);
        for (node, gradient) in ops.parents.into_iter().zip([dx, dz, dresidual]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: Backend + ExciteOp, C: CheckpointStrategy> ExciteOp for Autodiff<B, C> {
    fn excite_op(
        x: FloatTensor<Self>,
        z: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        dims: Excite,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), z.node(), residual.node()];
        let prepared = ExciteBackward.prepare::<C>(nodes).compute_bound().stateful();
        let (x, z) = (x.into_primitive(), z.into_primitive());
        let y = B::excite_op(x.clone(), z.clone(), residual.into_primitive(), dims);
        match prepared {
            OpsKind::Tracked(prepared) => {
                prepared.finish((Excited { x, z, y: y.clone() }, dims), y)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(y),
        }
    }
}

fn gates<B: Backend>(z: FloatTensor<B>, dims: Excite) -> FloatTensor<B> {
    B::float_reshape(B::sigmoid(z), [dims.n, 1, 1, dims.c].into())
}

pub(super) fn composed_excite<B: Backend>(
    x: FloatTensor<B>,
    z: FloatTensor<B>,
    residual: FloatTensor<B>,
    dims: Excite,
) -> FloatTensor<B> {
    let (x, dtype) = widened::<B>(x);
    let y = B::float_add(B::float_mul(x, gates::<B>(z, dims)), wide::<B>(residual));
    let y = match dims.activation {
        Activation::Identity => y,
        Activation::Relu => B::relu(y),
    };
    rounded::<B>(y, dtype)
}

pub(super) fn composed_excite_backward<B: Backend>(
    saved: Excited<B>,
    dy: FloatTensor<B>,
    dims: Excite,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let (dy, dtype) = widened::<B>(dy);
    let dresidual = match dims.activation {
        Activation::Identity => dy,
        Activation::Relu => B::relu_backward(wide::<B>(saved.y), dy),
    };
    let gates = gates::<B>(saved.z, dims);
    let dx = B::float_mul(dresidual.clone(), gates.clone());
    let product = B::float_mul(dresidual.clone(), wide::<B>(saved.x));
    let product = B::float_reshape(product, [dims.n, dims.hw, dims.c].into());
    let dgate = B::float_reshape(B::float_sum_dim(product, 1), [dims.n, dims.c].into());
    let gates = B::float_reshape(gates, [dims.n, dims.c].into());
    let slope = B::float_sub(gates.clone(), B::float_mul(gates.clone(), gates));
    let stored = |tensor| rounded::<B>(tensor, dtype);
    (stored(dx), B::float_mul(dgate, slope), stored(dresidual))
}
