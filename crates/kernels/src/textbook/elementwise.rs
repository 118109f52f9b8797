//! Element-wise operations by their definitions.

use super::{Real, zero};
use crate::DropoutDraw;

/// The twin of [`crate::add`].
pub fn add<T: Real>(a: &[T], b: &[T], y: &mut [T]) {
    for (at, y) in y.iter_mut().enumerate() {
        *y = a[at] + b[at];
    }
}

/// The twin of [`crate::add_assign`].
pub fn add_assign<T: Real>(a: &mut [T], b: &[T]) {
    for (at, a) in a.iter_mut().enumerate() {
        *a += b[at];
    }
}

/// The twin of [`crate::blend`].
pub fn blend<T: Real>(a: T, y: &mut [T], b: T, x: &[T]) {
    for (at, y) in y.iter_mut().enumerate() {
        *y = a * *y + b * x[at];
    }
}

/// The twin of [`crate::sum_of_squares`].
pub fn sum_of_squares<T: Real>(x: &[T]) -> T {
    let mut sum = zero();
    for &x in x {
        sum += x * x;
    }
    sum
}

/// The twin of [`crate::health`].
pub fn health<T: Real>(x: &[T]) -> (T, bool) {
    // Only the infinities and NaN give anything but 0 here.
    (sum_of_squares(x), x.iter().all(|&x| x * zero() == zero()))
}

/// The twin of [`crate::relu`].
pub fn relu<T: Real>(x: &[T], y: &mut [T]) {
    for (at, y) in y.iter_mut().enumerate() {
        *y = if x[at] < zero() { zero() } else { x[at] };
    }
}

/// The twin of [`crate::relu_backward`].
pub fn relu_backward<T: Real>(y: &[T], dy: &[T], dx: &mut [T]) {
    for (at, dx) in dx.iter_mut().enumerate() {
        *dx = if y[at] > zero() { dy[at] } else { zero() };
    }
}

/// The twin of [`crate::at_most`].
pub fn at_most<T: Real>(ceiling: T, x: &[T], y: &mut [T]) {
    for (at, y) in y.iter_mut().enumerate() {
        *y = if x[at] > ceiling { ceiling } else { x[at] };
    }
}

/// The twin of [`crate::at_most_backward`].
pub fn at_most_backward<T: Real>(ceiling: T, y: &[T], dy: &[T], dx: &mut [T]) {
    for (at, dx) in dx.iter_mut().enumerate() {
        *dx = if y[at] < ceiling { dy[at] } else { zero() };
    }
}

/// The twin of [`crate::dropout`].
pub fn dropout<T: Real>(d: &DropoutDraw, x: &[T], y: &mut [T]) {
    for (at, y) in y.iter_mut().enumerate() {
        *y = x[at] * T::of(f64::from(d.factor(at)));
    }
}
