//! NHWC operations on tensors `[n, h, w, c]`, as extensions of Burn's backends.
//!
//! Each file holds one operation: a trait whose default bodies are composed of Burn's own operations (what a
//! GPU backend runs, and the second oracle), the `Flex` implementation that calls our CPU kernels, the
//! hand-written backward, and the function that layers call.

mod batch_norm;
mod conv2d;
mod cross_entropy;
mod flex;
mod inference;
mod linear;
mod nag;
mod pool;
#[cfg(test)]
mod tests;

pub use batch_norm::{Affine, batch_norm_eval, batch_norm_train};
pub use conv2d::{ConvOptions, conv2d};
pub use cross_entropy::cross_entropy;
pub use inference::{FoldedConv, conv2d_inference};
pub use linear::linear;
pub(crate) use nag::nag;
pub use pool::{PoolOptions, avg_pool, global_avg_pool, max_pool};
