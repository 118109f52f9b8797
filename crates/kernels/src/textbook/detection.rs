//! RoIAlign sample by sample, and losses of single numbers, by their definitions.

use super::{Real, zero};
use crate::{PointLoss, RoiAlign};

/// The two pixels that a place lies between, and the weight of the second; None outside.
fn between(place: f64, extent: usize) -> Option<(usize, usize, f64)> {
    if place < -1.0 || place > extent as f64 {
        return None;
    }
    let place = if place < 0.0 { 0.0 } else { place };
    let low = place.floor() as usize;
    if low + 1 >= extent {
        Some((extent - 1, extent - 1, 0.0))
    } else {
        Some((low, low + 1, place - low as f64))
    }
}

/// Calls `body(index in x, index in y, weight)` for every term.
fn for_each_term(d: &RoiAlign, boxes: &[f32], mut body: impl FnMut(usize, usize, f64)) {
    let offset = if d.half_pixel { 0.5 } else { 0.0 };
    for region in 0..d.regions {
        let [x0, y0, x1, y1] =
            [0, 1, 2, 3].map(|at| f64::from(boxes[region * 4 + at]) * f64::from(d.scale) - offset);
        let (mut width, mut height) = (x1 - x0, y1 - y0);
        if !d.half_pixel {
            width = if width < 1.0 { 1.0 } else { width };
            height = if height < 1.0 { 1.0 } else { height };
        }
        let (bin_w, bin_h) = (width / d.out_w as f64, height / d.out_h as f64);
        let [grid_h, grid_w] = [bin_h, bin_w].map(|bin| match d.samples {
            0 => (bin.ceil() as usize).max(1),
            samples => samples,
        });
        for oy in 0..d.out_h {
            for ox in 0..d.out_w {
                for sy in 0..grid_h {
                    for sx in 0..grid_w {
                        let y = y0 + oy as f64 * bin_h + (sy as f64 + 0.5) * bin_h / grid_h as f64;
                        let x = x0 + ox as f64 * bin_w + (sx as f64 + 0.5) * bin_w / grid_w as f64;
                        let (Some(y), Some(x)) = (between(y, d.h), between(x, d.w)) else {
                            continue;
                        };
                        let share = 1.0 / (grid_h * grid_w) as f64;
                        for (row, down) in [(y.0, 1.0 - y.2), (y.1, y.2)] {
                            for (column, across) in [(x.0, 1.0 - x.2), (x.1, x.2)] {
                                for c in 0..d.c {
                                    let to = ((region * d.out_h + oy) * d.out_w + ox) * d.c + c;
                                    body((row * d.w + column) * d.c + c, to, down * across * share);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The twin of [`crate::roi_align_forward`].
pub fn roi_align_forward<T: Real>(d: &RoiAlign, x: &[T], boxes: &[f32], y: &mut [T]) {
    y.fill(zero());
    for_each_term(d, boxes, |at_x, at_y, weight| y[at_y] += x[at_x] * T::of(weight));
}

/// The twin of [`crate::roi_align_backward`].
pub fn roi_align_backward<T: Real>(d: &RoiAlign, boxes: &[f32], dy: &[T], dx: &mut [T]) {
    dx.fill(zero());
    for_each_term(d, boxes, |at_x, at_y, weight| dx[at_x] += dy[at_y] * T::of(weight));
}

/// The twin of [`crate::point_loss_forward`].
pub fn point_loss_forward<T: Real>(loss: PointLoss, x: &[T], target: &[T], weight: &[T]) -> T {
    let mut sum = zero::<T>();
    for ((&x, &t), &weight) in x.iter().zip(target).zip(weight) {
        if weight == zero() {
            continue;
        }
        let one = match loss {
            PointLoss::SmoothL1 { beta } => {
                let (distance, beta) = (if x > t { x - t } else { t - x }, T::of(f64::from(beta)));
                if distance < beta {
                    distance * distance / (beta + beta)
                } else {
                    distance - beta / T::of(2.0)
                }
            }
            PointLoss::Logistic => {
                let p = T::of(1.0) / (T::of(1.0) + (-x).exp());
                -(t * p.ln() + (T::of(1.0) - t) * (T::of(1.0) - p).ln())
            }
        };
        sum += weight * one;
    }
    sum
}

/// The twin of [`crate::point_loss_backward`].
pub fn point_loss_backward<T: Real>(
    loss: PointLoss,
    [x, target, weight]: [&[T]; 3],
    scale: T,
    dx: &mut [T],
) {
    for (at, dx) in dx.iter_mut().enumerate() {
        let slope = match loss {
            PointLoss::SmoothL1 { beta } => {
                let (distance, beta) = (x[at] - target[at], T::of(f64::from(beta)));
                if distance < beta && -distance < beta {
                    distance / beta
                } else if distance > zero() {
                    T::of(1.0)
                } else if distance < zero() {
                    T::of(-1.0)
                } else {
                    zero()
                }
            }
            PointLoss::Logistic => T::of(1.0) / (T::of(1.0) + (-x[at]).exp()) - target[at],
        };
        *dx = if weight[at] == zero() { zero() } else { scale * weight[at] * slope };
    }
}
