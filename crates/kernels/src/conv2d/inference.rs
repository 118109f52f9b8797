//! Convolution for inference: y = act(conv(x, w) + bias [+ residual]), the batch norm behind it folded
//! into the weights and the bias.

use super::{Conv2d, forward_by, winograd};
use crate::batch_norm::Activation;
use crate::check;
use crate::finish::{Finish, floor};

/// What follows a convolution: the sum with `bias`, `[c_out]`, and with `residual`, as long as the
/// result, and the activation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epilogue<'a, T = f32> {
    pub bias: &'a [T],
    pub residual: Option<&'a [T]>,
    pub activation: Activation,
}

/// `y = act(conv(x, w) + bias [+ residual])`.
#[track_caller]
pub fn conv2d_inference(d: &Conv2d, x: &[f32], w: &[f32], epilogue: Epilogue<'_>, y: &mut [f32]) {
    d.check("conv2d_inference", x.len(), w.len(), y.len());
    let Epilogue { bias, residual, activation } = epilogue;
    check::length("conv2d_inference", "bias", bias.len(), d.c_out);
    let found = residual.map_or(y.len(), <[f32]>::len);
    check::length("conv2d_inference", "residual", found, y.len());
    let finish = Finish { bias, residual, floor: floor(activation) };
    forward_by(d, winograd::method(d), x, w, Some(finish), y);
}
