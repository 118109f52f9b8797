//! The façade over Burn: devices, NHWC operations, layers as values, parameters with their roles, the NAG update.
//!
//! Only this crate names Burn's backends. Above it a tensor is `Tensor<D>` and train or evaluate is an argument.

mod folded;
mod gradients;
mod init;
mod layer;
mod nag;
mod ops;
mod parameter;
mod statistics;

pub use burn::tensor::{Device, Tensor, TensorData};
pub use folded::Folded;
pub use gradients::Gradients;
pub use init::Init;
pub use kernels::{Activation, Conv2d, Nag};
pub use layer::{
    Conv, ConvBn, Dropout, EPSILON, Layer, Linear, Mode, Norm, Padding, Part, Pass, Residual,
    SqueezeExcitation, chain,
};
pub use nag::Velocity;
pub use ops::{
    Affine, ConvOptions, FoldedConv, PoolOptions, Precision, at_most, avg_pool, batch_norm_eval,
    batch_norm_train, concat, conv2d, conv2d_bias, conv2d_inference, cross_entropy, dropout,
    excite, fork, global_avg_pool, linear, max_pool, stored,
};
pub use parameter::{Fans, Leaves, Parameter, ParameterSpec, Parameters};
pub use statistics::Statistics;
pub use tricks::Role;

/// The CPU with our own kernels.
pub fn cpu() -> Device {
    Device::flex()
}
