//! CPU kernels on slices, and their textbook twins.
//!
//! Kernels know no tensors: they read slices and write to an [`Output`], which is a slice of the
//! caller's or memory that holds nothing yet. Images are laid out `[n, h, w, c]`, convolution weights
//! `[c_out, kh, kw, c_in / groups]`. Each thread keeps its working memory from call to call.
//! Activations and their gradients are `f32`, `f16` or `bf16` ([`Element`]); parameters and their
//! gradients are `f32`, and so is all arithmetic.
//!
//! Work runs on rayon's current pool. How it is cut depends on the shape alone and partial results
//! are reduced in order, so the bits of a result do not depend on the number of threads. They do
//! depend on the instruction set, which [`instruction_set`] names.
//!
//! Each kernel has a twin in [`textbook`]: the definition as plain loops, generic over `f32` and
//! `f64`, which is the oracle of the tests here and elsewhere.
// This crate alone may be unsafe: the micro-kernel and the packing are intrinsics on raw pointers,
// and threads write disjoint rows of one result.
#![allow(unsafe_code)]

mod batch_norm;
mod check;
mod concat;
mod conv2d;
mod dropout;
mod element;
mod elementwise;
mod excite;
mod finish;
mod gemm;
mod isa;
mod lanes;
mod linear;
mod loss;
mod map_loss;
mod memory;
mod microkernel;
mod output;
mod pack;
mod parallel;
mod peak;
mod point_loss;
mod pool;
mod resize;
mod roi_align;
mod scratch;
mod stream;
#[cfg(test)]
mod tests;
pub mod textbook;
mod update;

pub use batch_norm::{
    Activation, BatchNorm, BatchNormGradients, BatchNormSaved, GammaBeta, MeanVariance, Moments,
    batch_norm_eval, batch_norm_eval_backward, batch_norm_train, batch_norm_train_backward,
    unbiased,
};
pub use concat::{ConcatInput, concat, split};
pub use conv2d::{
    Conv2d, Epilogue, NormDepthwise, NormDepthwiseGradients, NormDepthwiseSaved, PreparedWeights,
    conv2d_finished, conv2d_forward, conv2d_inference, conv2d_input_grad, conv2d_weight_grad,
    norm_depthwise, norm_depthwise_backward,
};
pub use dropout::{DropoutDraw, dropout};
pub use element::Element;
pub use elementwise::{
    add, add_assign, at_most, at_most_backward, blend, convert, health, relu, relu_backward, scale,
};
pub use excite::{Excite, ExciteGradients, ExciteSaved, excite_backward, excite_forward};
pub use half::{bf16, f16};
pub use isa::instruction_set;
pub use linear::{
    LinearDims, linear_bias_grad, linear_forward, linear_input_grad, linear_weight_grad,
};
pub use loss::{cross_entropy_backward, cross_entropy_forward};
pub use map_loss::{IGNORED_CLASS, bilinear_argmax, map_cross_entropy};
pub use memory::Arena;
pub use output::{Output, overwritten};
pub use peak::peak_gigaflops;
pub use point_loss::{PointLoss, point_loss_backward, point_loss_forward};
pub use pool::{
    GlobalPool, Pool2d, avg_pool_backward, avg_pool_forward, global_avg_pool_backward,
    global_avg_pool_forward, max_pool_backward, max_pool_forward,
};
pub use resize::{Bilinear, bilinear_backward, bilinear_forward};
pub use roi_align::{RoiAlign, roi_align_backward, roi_align_forward};
pub use update::{AdamW, Nag, Sgd, adamw, nag, sgd};
