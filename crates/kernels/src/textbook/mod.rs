//! The textbook twin of every kernel: plain loops straight from the definition, one thread, generic
//! over `f32` and `f64`. They are the oracle of tests, not for use.

mod batch_norm;
mod concat;
mod conv2d;
mod detection;
mod elementwise;
mod excite;
mod linear;
mod loss;
mod map_loss;
mod pool;
mod resize;
mod update;

pub use batch_norm::{
    batch_norm_eval, batch_norm_eval_backward, batch_norm_train, batch_norm_train_backward,
};
pub use concat::{concat, split};
pub use conv2d::{conv2d_forward, conv2d_inference, conv2d_input_grad, conv2d_weight_grad};
pub use detection::{
    point_loss_backward, point_loss_forward, roi_align_backward, roi_align_forward,
};
pub use elementwise::{
    add, add_assign, at_most, at_most_backward, blend, dropout, health, relu, relu_backward,
    sum_of_squares,
};
pub use excite::{excite_backward, excite_forward};
pub use linear::{linear_bias_grad, linear_forward, linear_input_grad, linear_weight_grad};
pub use loss::{cross_entropy_backward, cross_entropy_forward};
pub use map_loss::{bilinear_argmax, map_cross_entropy};
pub use pool::{
    avg_pool_backward, avg_pool_forward, global_avg_pool_backward, global_avg_pool_forward,
    max_pool_backward, max_pool_forward,
};
pub use resize::{bilinear_backward, bilinear_forward};
pub use update::{adamw, nag, sgd};

use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

/// `f32` or `f64`.
pub trait Real:
    Copy
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
{
    /// The nearest value to `value`.
    fn of(value: f64) -> Self;
    fn sqrt(self) -> Self;
    fn exp(self) -> Self;
    fn ln(self) -> Self;
}

macro_rules! real {
    ($type:ty) => {
        impl Real for $type {
            fn of(value: f64) -> Self {
                value as Self
            }

            fn sqrt(self) -> Self {
                self.sqrt()
            }

            fn exp(self) -> Self {
                self.exp()
            }

            fn ln(self) -> Self {
                self.ln()
            }
        }
    };
}

real!(f32);
real!(f64);

fn zero<T: Real>() -> T {
    T::of(0.0)
}
