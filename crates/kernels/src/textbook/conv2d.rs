//! Convolution by its definition: y[n,oy,ox,o] = Σ x[n, oy·s−p+ky·d, ox·s−p+kx·d, i] · w[o,ky,kx,i].

use super::{Real, zero};
use crate::{Activation, Conv2d, Epilogue};

/// Calls `body(index in x, index in w, index in y)` for every product in the sum.
fn for_each_product(d: &Conv2d, mut body: impl FnMut(usize, usize, usize)) {
    let (out_h, out_w) = (d.out_h(), d.out_w());
    let [kh, kw] = d.kernel;
    let (inputs, outputs) = (d.c_in / d.groups, d.c_out / d.groups);
    let source = |axis: usize, extent: usize, o: usize, k: usize| {
        (o * d.stride[axis] + k * d.dilation[axis])
            .checked_sub(d.padding[axis])
            .filter(|&at| at < extent)
    };
    for n in 0..d.n {
        for (oy, ox) in (0..out_h * out_w).map(|at| (at / out_w, at % out_w)) {
            for (ky, kx) in (0..kh * kw).map(|at| (at / kw, at % kw)) {
                let (Some(iy), Some(ix)) = (source(0, d.h, oy, ky), source(1, d.w, ox, kx)) else {
                    continue;
                };
                for o in 0..d.c_out {
                    for i in 0..inputs {
                        let channel = o / outputs * inputs + i;
                        body(
                            ((n * d.h + iy) * d.w + ix) * d.c_in + channel,
                            ((o * kh + ky) * kw + kx) * inputs + i,
                            ((n * out_h + oy) * out_w + ox) * d.c_out + o,
                        );
                    }
                }
            }
        }
    }
}

/// The twin of [`crate::conv2d_forward`].
pub fn conv2d_forward<T: Real>(d: &Conv2d, x: &[T], w: &[T], y: &mut [T]) {
    y.fill(zero());
    for_each_product(d, |at_x, at_w, at_y| y[at_y] += x[at_x] * w[at_w]);
}

/// The twin of [`crate::conv2d_input_grad`].
pub fn conv2d_input_grad<T: Real>(d: &Conv2d, dy: &[T], w: &[T], dx: &mut [T]) {
    dx.fill(zero());
    for_each_product(d, |at_x, at_w, at_y| dx[at_x] += dy[at_y] * w[at_w]);
}

/// The twin of [`crate::conv2d_weight_grad`].
pub fn conv2d_weight_grad<T: Real>(d: &Conv2d, x: &[T], dy: &[T], dw: &mut [T]) {
    dw.fill(zero());
    for_each_product(d, |at_x, at_w, at_y| dw[at_w] += dy[at_y] * x[at_x]);
}

/// The twin of [`crate::conv2d_inference`].
pub fn conv2d_inference<T: Real>(
    d: &Conv2d,
    x: &[T],
    w: &[T],
    epilogue: Epilogue<'_, T>,
    y: &mut [T],
) {
    conv2d_forward(d, x, w, y);
    for (at, y) in y.iter_mut().enumerate() {
        *y += epilogue.bias[at % d.c_out];
        if let Some(residual) = epilogue.residual {
            *y += residual[at];
        }
        if epilogue.activation == Activation::Relu && *y < zero() {
            *y = zero();
        }
    }
}
