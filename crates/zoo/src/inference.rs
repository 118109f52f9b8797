//! Inference with a trained classifier.

use nn::{Folded, Model, Pass, Tensor};

use crate::network::Network;

/// The model for inference: every batch norm folded into its convolution.
pub fn folded(model: &Model<Network>) -> Folded {
    let (network, statistics) = (&model.module, &model.statistics);
    Folded::new(&network.conv_bns(), model.parameters.constant(), statistics)
        .with_norms(&network.bare_norms(), statistics)
}

/// Logits `[n, classes]` of images x `[n, h, w, 3]` by the running statistics.
pub fn logits(model: &Model<Network>, x: Tensor<4>) -> Tensor<2> {
    let leaves = model.parameters.constant();
    model.module.forward(&Pass::evaluation(&leaves, &model.statistics), x)
}
