//! NHWC operations on tensors `[n, h, w, c]`, as extensions of Burn's backends.
//!
//! Each file holds one operation: a trait whose default bodies are composed of Burn's own operations (what a
//! GPU backend runs, and the second oracle), the `Flex` implementation that calls our CPU kernels, the
//! hand-written backward, and the function that layers call.

mod batch_norm;
mod blend;
mod concat;
mod conv2d;
mod conv2d_bias;
mod cross_entropy;
mod excite;
mod flex;
mod fork;
mod inference;
mod linear;
mod norm_depthwise;
mod point_loss;
mod pool;
mod precision;
mod resize;
mod roi_align;
#[cfg(test)]
mod tests;
mod unary;
mod update;

pub use batch_norm::{Affine, batch_norm_eval, batch_norm_train};
pub(crate) use blend::{blend, health, scale};
pub use concat::concat;
pub use conv2d::{ConvOptions, conv2d};
pub use conv2d_bias::conv2d_bias;
pub use cross_entropy::{cross_entropy, soften};
pub use excite::excite;
pub use fork::fork;
pub use inference::{FoldedConv, conv2d_inference};
pub use linear::linear;
pub(crate) use norm_depthwise::norm_depthwise_train;
pub use point_loss::point_loss;
pub use pool::{PoolOptions, avg_pool, global_avg_pool, max_pool};
pub(crate) use precision::precision_of;
pub use precision::stored;
pub use resize::{ClassMaps, bilinear, bilinear_argmax, map_cross_entropy};
pub use roi_align::{RoiOptions, roi_align};
pub use unary::{at_most, dropout};
pub use update::Rule;
pub(crate) use update::update;
