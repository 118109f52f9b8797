//! Bilinear resizing with PyTorch's two grids, and the cross entropy of a map of classes over resized logits (§6.2).

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, AutodiffBackend, Backend, Dispatch, Flex, TensorMetadata, backend_extension,
};
use burn::tensor::{Tensor, TensorData};
use kernels::{Bilinear, IGNORED_CLASS};
use tricks::Precision;

use super::flex::{contiguous, filled, floats, tensor};
use super::precision::{precision_of, stored};

/// The classes of the pixels of a part: `n` maps of `height` × `width`, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassMaps {
    pub n: usize,
    pub height: usize,
    pub width: usize,
    /// Class indices; [`ClassMaps::IGNORED`] marks pixels that count for nothing.
    pub classes: Vec<u16>,
}

impl ClassMaps {
    pub const IGNORED: u16 = IGNORED_CLASS;
}

/// x `[n, h, w, c]` → `[n, height, width, c]`: centres of pixels laid over each other, or corners where `align_corners`.
pub fn bilinear(x: Tensor<4>, [height, width]: [usize; 2], align_corners: bool) -> Tensor<4> {
    let precision = precision_of(&x);
    let dims = dims(x.dims(), [height, width], align_corners);
    let x = stored(x, Precision::F32);
    stored(Tensor::from_dispatch(Dispatch::bilinear_op(x.into_dispatch(), dims)), precision)
}

/// The cross entropy `[1]` of logits z `[n, h, w, classes]`, resized to the size of the maps: the mean over the pixels that
/// are not ignored, 0 where all are.
#[track_caller]
pub fn map_cross_entropy(z: Tensor<4>, maps: &Arc<ClassMaps>, align_corners: bool) -> Tensor<1> {
    let ClassMaps { n, height, width, .. } = **maps;
    assert_eq!(z.dims()[0], n, "map cross entropy: images and maps");
    let dims = dims(z.dims(), [height, width], align_corners);
    let z = stored(z, Precision::F32);
    let (loss, _) = Dispatch::map_cross_entropy_op(z.into_dispatch(), maps.clone(), dims);
    Tensor::from_dispatch(loss)
}

/// The class of the largest of the resized logits at every pixel, `[n, height, width]` one after the other; of equal ones the
/// lower class. The host computes it, whatever the device.
pub fn bilinear_argmax(z: Tensor<4>, size: [usize; 2], align_corners: bool) -> Vec<u16> {
    let dims = dims(z.dims(), size, align_corners);
    let z = stored(z, Precision::F32).into_data();
    let z: Vec<f32> = z.try_into_vec().expect("logits are f32");
    let mut classes = vec![0; dims.n * dims.out_h * dims.out_w];
    kernels::bilinear_argmax(&dims, &z, &mut classes);
    classes
}

fn dims([n, h, w, c]: [usize; 4], [out_h, out_w]: [usize; 2], align_corners: bool) -> Bilinear {
    Bilinear { n, h, w, c, out_h, out_w, align_corners }
}

#[backend_extension(Flex, Cube: cfg(feature = "wgpu"), Autodiff)]
pub(super) trait ResizeOp: Backend {
    fn bilinear_op(x: FloatTensor<Self>, dims: Bilinear) -> FloatTensor<Self> {
        composed_bilinear::<Self>(x, dims)
    }

    fn bilinear_backward_op(dy: FloatTensor<Self>, dims: Bilinear) -> FloatTensor<Self> {
        composed_bilinear_backward::<Self>(dy, dims)
    }

    /// The loss `[1]` and its gradient with respect to z.
    fn map_cross_entropy_op(
        z: FloatTensor<Self>,
        maps: Arc<ClassMaps>,
        dims: Bilinear,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        composed_map_cross_entropy::<Self>(z, &maps, dims)
    }
}

#[cfg(feature = "wgpu")]
impl ResizeOp for burn::backend::Cube {}

impl ResizeOp for Flex {
    fn bilinear_op(x: FloatTensor<Self>, dims: Bilinear) -> FloatTensor<Self> {
        let x = contiguous(x);
        filled(&large(&dims), |y| kernels::bilinear_forward(&dims, floats(&x), y))
    }

    fn bilinear_backward_op(dy: FloatTensor<Self>, dims: Bilinear) -> FloatTensor<Self> {
        let dy = contiguous(dy);
        filled(&small(&dims), |dx| kernels::bilinear_backward(&dims, floats(&dy), dx))
    }

    fn map_cross_entropy_op(
        z: FloatTensor<Self>,
        maps: Arc<ClassMaps>,
        dims: Bilinear,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let z = contiguous(z);
        let mut loss = 0.0;
        let dz = filled(&small(&dims), |dz| {
            loss = kernels::map_cross_entropy(&dims, floats(&z), &maps.classes, dz);
        });
        (tensor(vec![loss], &[1]), dz)
    }
}

fn small(dims: &Bilinear) -> [usize; 4] {
    [dims.n, dims.h, dims.w, dims.c]
}

fn large(dims: &Bilinear) -> [usize; 4] {
    [dims.n, dims.out_h, dims.out_w, dims.c]
}

#[derive(Debug)]
struct BilinearBackward;

impl<B: Backend + ResizeOp> Backward<B, 1> for BilinearBackward {
    type State = Bilinear;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, B::bilinear_backward_op(dy, ops.state));
        }
    }
}

#[derive(Debug)]
struct MapCrossEntropyBackward;

impl<B: Backend + ResizeOp> Backward<B, 1> for MapCrossEntropyBackward {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dloss = grads.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            let dloss = B::float_reshape(dloss, [1, 1, 1, 1].into());
            grads.register::<B>(node.id, B::float_mul(ops.state, dloss));
        }
    }
}

impl<B: Backend + ResizeOp, C: CheckpointStrategy> ResizeOp for Autodiff<B, C> {
    fn bilinear_op(x: FloatTensor<Self>, dims: Bilinear) -> FloatTensor<Self> {
        let prepared = BilinearBackward.prepare::<C>([x.node()]).compute_bound().stateful();
        let y = B::bilinear_op(x.into_primitive(), dims);
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish(dims, y),
            OpsKind::UnTracked(prepared) => prepared.finish(y),
        }
    }

    fn map_cross_entropy_op(
        z: FloatTensor<Self>,
        maps: Arc<ClassMaps>,
        dims: Bilinear,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let prepared = MapCrossEntropyBackward.prepare::<C>([z.node()]).compute_bound().stateful();
        let (loss, dz) = B::map_cross_entropy_op(z.into_primitive(), maps, dims);
        let loss = match prepared {
            OpsKind::Tracked(prepared) => prepared.finish(dz.clone(), loss),
            OpsKind::UnTracked(prepared) => prepared.finish(loss),
        };
        (loss, Self::from_inner(dz))
    }
}

/// The weights of an axis as a matrix `[input, output]`.
fn axis<B: Backend>(dims: &Bilinear, vertical: bool, like: &FloatTensor<B>) -> FloatTensor<B> {
    let (input, output) = if vertical { (dims.h, dims.out_h) } else { (dims.w, dims.out_w) };
    // Resizing the unit vectors, which are the columns of one image, gives the matrix.
    let line = Bilinear { n: 1, h: 1, w: input, c: input, out_h: 1, out_w: output, ..*dims };
    let mut units = vec![0.0; input * input];
    (0..input).for_each(|at| units[at * input + at] = 1.0);
    let mut weights = vec![0.0; output * input];
    kernels::bilinear_forward(&line, &units, &mut weights);
    let weights = B::float_from_data(TensorData::new(weights, [output, input]), &like.device());
    B::float_transpose(weights)
}

/// x `[a, b, c, d]` times a matrix `[d, e]`.
fn times<B: Backend>(x: FloatTensor<B>, matrix: FloatTensor<B>) -> FloatTensor<B> {
    let [a, b, c, d] = x.shape().dims();
    let e = matrix.shape()[1];
    let x = B::float_reshape(x, [a * b * c, d].into());
    B::float_reshape(B::float_matmul(x, matrix), [a, b, c, e].into())
}

pub(super) fn composed_bilinear<B: Backend>(x: FloatTensor<B>, dims: Bilinear) -> FloatTensor<B> {
    let (down, across) = (axis::<B>(&dims, true, &x), axis::<B>(&dims, false, &x));
    // [n, h, w, c] → [n, c, h, w] → [n, c, h, W] → [n, c, W, h] → [n, c, W, H] → [n, H, W, c].
    let x = times::<B>(B::float_permute(x, &[0, 3, 1, 2]), across);
    let x = times::<B>(B::float_permute(x, &[0, 1, 3, 2]), down);
    B::float_permute(x, &[0, 3, 2, 1])
}

pub(super) fn composed_bilinear_backward<B: Backend>(
    dy: FloatTensor<B>,
    dims: Bilinear,
) -> FloatTensor<B> {
    let (down, across) = (axis::<B>(&dims, true, &dy), axis::<B>(&dims, false, &dy));
    let dx = times::<B>(B::float_permute(dy, &[0, 3, 1, 2]), B::float_transpose(across));
    let dx = times::<B>(B::float_permute(dx, &[0, 1, 3, 2]), B::float_transpose(down));
    B::float_permute(dx, &[0, 3, 2, 1])
}

/// The resized logits and a row of probabilities for every pixel exist here, unlike in the kernel.
pub(super) fn composed_map_cross_entropy<B: Backend>(
    z: FloatTensor<B>,
    maps: &ClassMaps,
    dims: Bilinear,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let device = z.device();
    let counted = maps.classes.iter().filter(|&&class| class != IGNORED_CLASS).count();
    let share = if counted == 0 { 0.0 } else { 1.0 / counted as f32 };
    let (rows, c) = (maps.classes.len(), dims.c);
    let (mut targets, mut weights) = (vec![0.0f32; rows * c], vec![0.0f32; rows]);
    for (row, &class) in maps.classes.iter().enumerate().filter(|(_, c)| **c != IGNORED_CLASS) {
        targets[row * c + usize::from(class)] = share;
        weights[row] = share;
    }
    let targets = B::float_from_data(TensorData::new(targets, [rows, c]), &device);
    let weights = B::float_from_data(TensorData::new(weights, [rows, 1]), &device);
    let large = B::float_reshape(composed_bilinear::<B>(z, dims), [rows, c].into());
    let large = B::float_sub(large.clone(), B::float_max_dim(large, 1));
    let sum = B::float_sum_dim(B::float_exp(large.clone()), 1);
    let logarithms = B::float_sub(large, B::float_log(sum));
    let loss = B::float_sum(B::float_mul(logarithms.clone(), targets.clone()));
    let loss = B::float_reshape(B::float_mul_scalar(loss, (-1.0f32).into()), [1].into());
    let dy = B::float_sub(B::float_mul(B::float_exp(logarithms), weights), targets);
    let shape = [dims.n, dims.out_h, dims.out_w, c];
    let dy = B::float_reshape(dy, shape.into());
    (loss, composed_bilinear_backward::<B>(dy, dims))
}
