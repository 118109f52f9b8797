//! Concatenation of images in their channels, which joins the branches of a block.

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, AutodiffBackend, Backend, Dispatch, ExtensionType, Flex, TensorMetadata,
    backend_extension,
};
use burn::tensor::{Slice, Tensor};
use kernels::ConcatInput;

use super::flex::{Number, by_number, contiguous, filled};

/// The most branches that one concatenation joins.
const MOST: usize = 4;

/// Joins two to four x `[n, h, w, c_i]` to one `[n, h, w, Σ c_i]`.
#[track_caller]
pub fn concat(branches: Vec<Tensor<4>>) -> Tensor<4> {
    let [n, height, width, _] = branches[0].dims();
    for branch in &branches {
        assert_eq!(branch.dims()[..3], [n, height, width], "concat: sizes of the branches");
    }
    let branches = branches.into_iter().map(Tensor::into_dispatch).collect();
    Tensor::from_dispatch(Dispatch::concat_op(Branches::new(branches)))
}

/// The two to four tensors of a concatenation, as the extension's macro can carry them.
#[derive(ExtensionType)]
pub(super) enum Branches<B: Backend> {
    Two(FloatTensor<B>, FloatTensor<B>),
    Three(FloatTensor<B>, FloatTensor<B>, FloatTensor<B>),
    Four(FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, FloatTensor<B>),
}

impl<B: Backend> Branches<B> {
    #[track_caller]
    pub(super) fn new(list: Vec<FloatTensor<B>>) -> Branches<B> {
        let mut list = list.into_iter();
        match [list.next(), list.next(), list.next(), list.next(), list.next()] {
            [Some(a), Some(b), None, ..] => Branches::Two(a, b),
            [Some(a), Some(b), Some(c), None, _] => Branches::Three(a, b, c),
            [Some(a), Some(b), Some(c), Some(d), None] => Branches::Four(a, b, c, d),
            _ => panic!("concat: two to four branches meet"),
        }
    }

    pub(super) fn list(self) -> Vec<FloatTensor<B>> {
        match self {
            Branches::Two(a, b) => vec![a, b],
            Branches::Three(a, b, c) => vec![a, b, c],
            Branches::Four(a, b, c, d) => vec![a, b, c, d],
        }
    }
}

/// The channels of each branch, in order, filled up with 0.
pub(super) type Widths = [usize; MOST];

#[backend_extension(Flex, Cube: cfg(feature = "wgpu"), Autodiff)]
pub(super) trait ConcatOp: Backend {
    fn concat_op(#[extension_type] branches: Branches<Self>) -> FloatTensor<Self> {
        composed_concat::<Self>(branches)
    }

    /// Cuts dy into the gradients of the branches.
    fn concat_backward_op(dy: FloatTensor<Self>, widths: Widths) -> Branches<Self> {
        composed_concat_backward::<Self>(dy, widths)
    }
}

#[cfg(feature = "wgpu")]
impl ConcatOp for burn::backend::Cube {}

impl ConcatOp for Flex {
    fn concat_op(branches: Branches<Self>) -> FloatTensor<Self> {
        let branches: Vec<_> = branches.list().into_iter().map(contiguous).collect();
        let mut shape = branches[0].shape().to_vec();
        shape[3] = branches.iter().map(|branch| branch.shape()[3]).sum();
        by_number!(&branches[0], N => {
            let part =
                |branch| ConcatInput { values: N::of(branch), channels: TensorMetadata::shape(branch)[3] };
            let parts: Vec<ConcatInput<N>> = branches.iter().map(part).collect();
            filled(&shape, |y| kernels::concat(&parts, y))
        })
    }

    fn concat_backward_op(dy: FloatTensor<Self>, widths: Widths) -> Branches<Self> {
        let dy = contiguous(dy);
        let shape = dy.shape().to_vec();
        let part = |first, channels| {
            by_number!(&dy, N => filled(&[shape[0], shape[1], shape[2], channels], |part| {
                kernels::split(N::of(&dy), shape[3], first, part, channels);
            }))
        };
        Branches::new(starts(widths).map(|(first, channels)| part(first, channels)).collect())
    }
}

/// The first channel and the number of channels of each branch.
fn starts(widths: Widths) -> impl Iterator<Item = (usize, usize)> {
    let start = move |branch: usize| (widths[..branch].iter().sum(), widths[branch]);
    (0..MOST).map(start).filter(|(_, channels)| *channels > 0)
}

#[derive(Debug)]
struct ConcatBackward;

impl<B: Backend + ConcatOp> Backward<B, MOST> for ConcatBackward {
    type State = Widths;

    fn backward(self, ops: Ops<Self::State, MOST>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<B>(&ops.node);
        let branches = B::concat_backward_op(dy, ops.state).list();
        for (node, gradient) in ops.parents.into_iter().zip(branches) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: Backend + ConcatOp, C: CheckpointStrategy> ConcatOp for Autodiff<B, C> {
    fn concat_op(branches: Branches<Self>) -> FloatTensor<Self> {
        let branches = branches.list();
        let mut widths = [0; MOST];
        for (width, branch) in widths.iter_mut().zip(&branches) {
            *width = branch.primitive().shape()[3];
        }
        // A missing branch is represented by an untracked constant.
        let node = |at: usize| -> NodeGuard {
            match branches.get(at) {
                Some(branch) => branch.node(),
                None => Self::from_inner(branches[0].primitive().clone()).node(),
            }
        };
        let nodes = std::array::from_fn::<_, MOST, _>(node);
        let prepared = ConcatBackward.prepare::<C>(nodes).compute_bound().stateful();
        let inner = branches.into_iter().map(|branch| branch.into_primitive()).collect();
        let y = B::concat_op(Branches::new(inner));
        match prepared {
            OpsKind::Tracked(prepared) => prepared.finish(widths, y),
            OpsKind::UnTracked(prepared) => prepared.finish(y),
        }
    }
}

pub(super) fn composed_concat<B: Backend>(branches: Branches<B>) -> FloatTensor<B> {
    B::float_cat(branches.list(), 3)
}

pub(super) fn composed_concat_backward<B: Backend>(
    dy: FloatTensor<B>,
    widths: Widths,
) -> Branches<B> {
    let whole = || Slice::new(0, None, 1);
    let part = |(first, channels)| {
        let channels = Slice::new(first as isize, Some((first + channels) as isize), 1);
        B::float_slice(dy.clone(), &[whole(), whole(), whole(), channels])
    };
    Branches::new(starts(widths).map(part).collect())
}
