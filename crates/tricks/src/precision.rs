//! §3.2 Low-precision training
//!
//! What it does: "Neural networks are commonly trained with 32-bit floating point (FP32) precision. That is, all numbers are
//! stored in FP32 format and both inputs and outputs of arithmetic operations are FP32 numbers as well." Here activations
//! and their gradients can be stored in 16 bits instead.
//!
//! Why: "New hardware, however, may have enhanced arithmetic logic unit for lower precision data types." And half the bytes
//! hold an activation, so an image needs about half the memory.
//!
//! Seam: precision, where images enter the network. Recipe key: `train.precision`.
//!
//! Deviation: the paper stores parameters and activations in FP16, computes in it, and keeps a copy of the parameters in
//! FP32 for the update. Here the activations and their gradients alone are stored in 16 bits: parameters, statistics, sums
//! and the loss are 32 bits wide, and so is all arithmetic.
//!
//! The gradients of [`Precision::F16`] need [`loss_scaling`](crate::loss_scaling). Table 4.

/// What activations and their gradients are stored in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// The paper's FP32.
    F32,
    /// The paper's FP16, IEEE's half precision: 11 significant bits, from 6e-8 to 65,504.
    F16,
    /// The upper half of an f32: its range, with 8 significant bits. Not in the paper.
    Bf16,
}
