//! The interface of a trainable module: its parameters and its batch norms. Networks, detectors and segmenters are
//! modules.

use crate::parameter::ParameterSpec;

/// A structure without numbers, from which a [`crate::Model`] is made.
pub trait Module: Clone {
    /// The name in messages, such as `resnet50d`.
    fn name(&self) -> &str;

    /// Every learnable parameter, in the order of files and updates.
    fn parameters(&self) -> Vec<ParameterSpec>;

    /// Every batch norm.
    fn norms(&self) -> Vec<NormSpec>;
}

/// What a batch norm declares of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NormSpec {
    /// timm's name, such as `layer1.0.bn1`.
    pub name: String,
    pub channels: usize,
    /// Whether it uses its running statistics in training too, and leaves them as they are.
    pub frozen: bool,
}
