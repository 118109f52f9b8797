//! Bilinear resizing by its definition: four corners, weighted by how near they are.

use super::{Real, zero};
use crate::Bilinear;

/// The two input places an output coordinate lies between, and the weight of the second.
fn between(input: usize, output: usize, align_corners: bool, at: usize) -> (usize, usize, f64) {
    let at = if align_corners {
        if output == 1 { 0.0 } else { at as f64 * (input - 1) as f64 / (output - 1) as f64 }
    } else {
        let at = (at as f64 + 0.5) * input as f64 / output as f64 - 0.5;
        if at < 0.0 { 0.0 } else { at }
    };
    let first = at.floor() as usize;
    let second = if first + 1 < input { first + 1 } else { first };
    (first, second, at - first as f64)
}

/// Calls `body(index in x, index in y, weight)` for every term.
fn for_each_term(d: &Bilinear, mut body: impl FnMut(usize, usize, f64)) {
    for y in 0..d.n * d.out_h * d.out_w * d.c {
        let (at, c) = (y / d.c, y % d.c);
        let (n, oy, ox) = (at / d.out_w / d.out_h, at / d.out_w % d.out_h, at % d.out_w);
        let (top, bottom, down) = between(d.h, d.out_h, d.align_corners, oy);
        let (left, right, across) = between(d.w, d.out_w, d.align_corners, ox);
        let x = |iy: usize, ix: usize| ((n * d.h + iy) * d.w + ix) * d.c + c;
        body(x(top, left), y, (1.0 - down) * (1.0 - across));
        body(x(top, right), y, (1.0 - down) * across);
        body(x(bottom, left), y, down * (1.0 - across));
        body(x(bottom, right), y, down * across);
    }
}

/// The twin of [`crate::bilinear_forward`].
pub fn bilinear_forward<T: Real>(d: &Bilinear, x: &[T], y: &mut [T]) {
    y.fill(zero());
    for_each_term(d, |at_x, at_y, weight| y[at_y] += x[at_x] * T::of(weight));
}

/// The twin of [`crate::bilinear_backward`].
pub fn bilinear_backward<T: Real>(d: &Bilinear, dy: &[T], dx: &mut [T]) {
    dx.fill(zero());
    for_each_term(d, |at_x, at_y, weight| dx[at_x] += dy[at_y] * T::of(weight));
}
