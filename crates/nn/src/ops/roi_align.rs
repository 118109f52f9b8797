//! RoIAlign (§6.1): the features of regions, resampled to a grid of one size.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Tensor, TensorData};
use kernels::RoiAlign;

use super::flex::{contiguous, filled, floats};
use super::precision::{precision_of, stored};
use tricks::Precision;

/// How regions are resampled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RoiOptions {
    /// Rows and columns of the grid.
    pub size: usize,
    /// Features' pixels for a pixel of the image.
    pub scale: f32,
    /// Samples of each place of the grid in each direction; 0 for as many as pixels lie under it.
    pub samples: usize,
    /// Whether the centre of the first pixel lies at ½ and not at 0.
    pub half_pixel: bool,
}

/// The features x `[1, h, w, c]` of an image → those of its regions `[regions, size, size, c]`. `boxes` are x₀, y₀, x₁, y₁
/// in pixels of the image, finite numbers.
#[track_caller]
pub fn roi_align(x: Tensor<4>, boxes: &[[f32; 4]], options: RoiOptions) -> Tensor<4> {
    let [n, h, w, c] = x.dims();
    assert_eq!(n, 1, "RoIAlign: regions of one image");
    let RoiOptions { size, scale, samples, half_pixel } = options;
    let (out_h, out_w, regions) = (size, size, boxes.len());
    let dims = RoiAlign { h, w, c, regions, out_h, out_w, scale, samples, half_pixel };
    let precision = precision_of(&x);
    let x = stored(x, Precision::F32);
    let boxes = Regions(Arc::new(boxes.as_flattened().to_vec()));
    let y = Tensor::from_dispatch(Dispatch::roi_align_op(x.into_dispatch(), boxes, dims));
    stored(y, precision)
}

/// The corners of the regions, four numbers each; shared by forward and backward.
#[derive(Clone, Debug)]
pub(super) struct Regions(pub(super) Arc<Vec<f32>>);

#[backend_extension(Flex, Cube: cfg(feature = "wgpu"), Autodiff)]
pub(super) trait RoiAlignOp: Backend {
    fn roi_align_op(x: FloatTensor<Self>, boxes: Regions, dims: RoiAlign) -> FloatTensor<Self> {
        composed_roi_align::<Self>(x, &boxes, dims)
    }

    fn roi_align_backward_op(
        dy: FloatTensor<Self>,
        boxes: Regions,
        dims: RoiAlign,
    ) -> FloatTensor<Self> {
        composed_roi_align_backward::<Self>(dy, &boxes, dims)
    }
}

#[cfg(feature = "wgpu")]
impl RoiAlignOp for burn::backend::Cube {}

impl RoiAlignOp for Flex {
    fn roi_align_op(x: FloatTensor<Self>, boxes: Regions, d: RoiAlign) -> FloatTensor<Self> {
        let x = contiguous(x);
        filled(&[d.regions, d.out_h, d.out_w, d.c], |y| {
            kernels::roi_align_forward(&d, floats(&x), &boxes.0, y);
        })
    }

    fn roi_align_backward_op(
        dy: FloatTensor<Self>,
        boxes: Regions,
        d: RoiAlign,
    ) -> FloatTensor<Self> {
        let dy = contiguous(dy);
        filled(&[1, d.h, d.w, d.c], |dx| {
            kernels::roi_align_backward(&d, &boxes.0, floats(&dy), dx);
        })
    }
}

#[derive(Debug)]
struct RoiAlignBackward;

impl<B: Backend + RoiAlignOp> Backward<B, 1> for RoiAlignBackward {
    type State = (Regions, RoiAlign);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (boxes, dims) = ops.state;
        let dy = grads.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, B::roi_align_backward_op(dy, boxes, dims));
        }
    }
}

impl<B: Backend + RoiAlignOp, C: CheckpointStrategy> RoiAlignOp for Autodiff<B, C> {
    fn roi_align_op(x: FloatTensor<Self>, boxes: Regions, dims: RoiAlign) -> FloatTensor<Self> {
        let prepared = RoiAlignBackward.prepare::<C>([x.node()]).compute_bound().stateful();
        let y = B::roi_align_op(x.into_primitive(), boxes.clone(), dims);
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish((boxes, dims), y),
            OpsKind::UnTracked(prepared) => prepared.finish(y),
        }
    }
}

/// The weights of rows `[regions · out_h, h]` and of columns `[regions, out_w, w]`.
fn matrices<B: Backend>(
    like: &FloatTensor<B>,
    boxes: &Regions,
    d: &RoiAlign,
) -> [FloatTensor<B>; 2] {
    let [rows, columns] = d.matrices(&boxes.0);
    let rows = TensorData::new(rows, [d.regions * d.out_h, d.h]);
    let columns = TensorData::new(columns, [d.regions, d.out_w, d.w]);
    [rows, columns].map(|data| B::float_from_data(data, &like.device()))
}

pub(super) fn composed_roi_align<B: Backend>(
    x: FloatTensor<B>,
    boxes: &Regions,
    d: RoiAlign,
) -> FloatTensor<B> {
    let [rows, columns] = matrices::<B>(&x, boxes, &d);
    let x = B::float_reshape(x, [d.h, d.w * d.c].into());
    let y = B::float_matmul(rows, x);
    let y = B::float_reshape(y, [d.regions, d.out_h, d.w, d.c].into());
    let y = B::float_permute(y, &[0, 2, 1, 3]);
    let y = B::float_reshape(y, [d.regions, d.w, d.out_h * d.c].into());
    let y = B::float_matmul(columns, y);
    let y = B::float_reshape(y, [d.regions, d.out_w, d.out_h, d.c].into());
    B::float_permute(y, &[0, 2, 1, 3])
}

pub(super) fn composed_roi_align_backward<B: Backend>(
    dy: FloatTensor<B>,
    boxes: &Regions,
    d: RoiAlign,
) -> FloatTensor<B> {
    let [rows, columns] = matrices::<B>(&dy, boxes, &d);
    let dy = B::float_permute(dy, &[0, 2, 1, 3]);
    let dy = B::float_reshape(dy, [d.regions, d.out_w, d.out_h * d.c].into());
    let dy = B::float_matmul(B::float_permute(columns, &[0, 2, 1]), dy);
    let dy = B::float_reshape(dy, [d.regions, d.w, d.out_h, d.c].into());
    let dy = B::float_permute(dy, &[0, 2, 1, 3]);
    let dy = B::float_reshape(dy, [d.regions * d.out_h, d.w * d.c].into());
    let dx = B::float_matmul(B::float_permute(rows, &[1, 0]), dy);
    B::float_reshape(dx, [1, d.h, d.w, d.c].into())
}
