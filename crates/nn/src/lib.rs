//! The façade over Burn: devices, NHWC operations, layers as values, modules and models, parameters with their roles,
//! gradients of the parts of a batch, optimizers.
//!
//! Only this crate names Burn's backends. Above it a tensor is `Tensor<D>` and train or evaluate is an argument.

mod files;
mod folded;
mod gradients;
mod init;
mod layer;
mod model;
mod module;
mod ops;
mod optimizer;
mod parameter;
mod pass;
mod statistics;

pub use burn::tensor::{Device, Tensor, TensorData};
pub use files::{
    FileTensor, FileTensors, Mismatch, file_shape, file_shapes, from_file_layout, to_file_tensor,
    values,
};
pub use folded::Folded;
pub use gradients::{BatchMean, Contribution, Loss, Readback, Tree};
pub use kernels::{Activation, AdamW, Conv2d, Nag, PointLoss, Sgd};
pub use layer::{
    Conv, ConvBn, Dropout, EPSILON, Layer, Linear, Norm, Padding, Part, Residual,
    SqueezeExcitation, chain,
};
pub use model::Model;
pub use module::{Module, NormSpec};
pub use ops::{
    Affine, ClassMaps, ConvOptions, FoldedConv, PoolOptions, RoiOptions, Rule, at_most, avg_pool,
    batch_norm_eval, batch_norm_train, bilinear, bilinear_argmax, concat, conv2d, conv2d_bias,
    conv2d_inference, cross_entropy, dropout, excite, fork, global_avg_pool, linear,
    map_cross_entropy, max_pool, point_loss, roi_align, soften, stored,
};
pub use optimizer::Slots;
pub use parameter::{Fans, Group, Leaves, Parameter, ParameterSpec, Parameters};
pub use pass::{Draw, Observations, Pass};
pub use statistics::Statistics;
pub use tricks::{Init, Precision, Role};

/// The CPU with our own kernels.
pub fn cpu() -> Device {
    Device::flex()
}

/// The name of what computes on a device: results hold to the bit where it is the same.
pub fn arithmetic(_device: &Device) -> &'static str {
    kernels::instruction_set()
}
