//! Convolution for inference: y = act(conv(x, w) + bias [+ residual]), the batch norm behind it folded
//! into the weights and the bias.

use super::{Conv2d, conv2d_forward};
use crate::batch_norm::Activation;
use crate::check;
use crate::isa::{Isa, vectorised};
use crate::parallel;

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
    conv2d_forward(d, x, w, y);
    if y.is_empty() {
        return;
    }
    let isa = Isa::current();
    let floor = match activation {
        Activation::Identity => f32::NEG_INFINITY,
        Activation::Relu => 0.0,
    };
    let chunk = (parallel::ELEMENTS / d.c_out).max(1) * d.c_out;
    parallel::chunks(y, chunk, |index, y| {
        let residual = residual.map(|residual| &residual[index * chunk..][..y.len()]);
        finish(isa, bias, residual, floor, y);
    });
}

vectorised! {
    /// `y = max(y + bias [+ residual], floor)`; what is not a number stays so.
    fn finish(bias: &[f32], residual: Option<&[f32]>, floor: f32, y: &mut [f32]) {
        for (row, y) in y.chunks_exact_mut(bias.len()).enumerate() {
            if let Some(residual) = residual {
                let residual = &residual[row * bias.len()..][..bias.len()];
                for ((y, &bias), &residual) in y.iter_mut().zip(bias).zip(residual) {
                    let v = *y + bias + residual;
                    *y = if v < floor { floor } else { v };
                }
            } else {
                for (y, &bias) in y.iter_mut().zip(bias) {
                    let v = *y + bias;
                    *y = if v < floor { floor } else { v };
                }
            }
        }
    }
}
