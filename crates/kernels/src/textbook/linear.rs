//! A linear layer by its definition: y = x·wᵀ + b.

use super::{Real, zero};
use crate::LinearDims;

/// The twin of [`crate::linear_forward`].
pub fn linear_forward<T: Real>(d: &LinearDims, x: &[T], w: &[T], b: Option<&[T]>, y: &mut [T]) {
    for row in 0..d.rows {
        for o in 0..d.c_out {
            let mut sum = b.map_or(zero(), |b| b[o]);
            for i in 0..d.c_in {
                sum += x[row * d.c_in + i] * w[o * d.c_in + i];
            }
            y[row * d.c_out + o] = sum;
        }
    }
}

/// The twin of [`crate::linear_input_grad`].
pub fn linear_input_grad<T: Real>(d: &LinearDims, dy: &[T], w: &[T], dx: &mut [T]) {
    dx.fill(zero());
    for row in 0..d.rows {
        for o in 0..d.c_out {
            for i in 0..d.c_in {
                dx[row * d.c_in + i] += dy[row * d.c_out + o] * w[o * d.c_in + i];
            }
        }
    }
}

/// The twin of [`crate::linear_weight_grad`].
pub fn linear_weight_grad<T: Real>(d: &LinearDims, x: &[T], dy: &[T], dw: &mut [T]) {
    dw.fill(zero());
    for row in 0..d.rows {
        for o in 0..d.c_out {
            for i in 0..d.c_in {
                dw[o * d.c_in + i] += dy[row * d.c_out + o] * x[row * d.c_in + i];
            }
        }
    }
}

/// The twin of [`crate::linear_bias_grad`].
pub fn linear_bias_grad<T: Real>(d: &LinearDims, dy: &[T], db: &mut [T]) {
    db.fill(zero());
    for (at, &value) in dy.iter().enumerate() {
        db[at % d.c_out] += value;
    }
}
