//! Inference with every batch norm folded into the convolution in front of it:
//! γ (conv(x, w) − mean)/√(variance + ε) + β = conv(x, γ/√(variance + ε) w) + (β − γ mean/√(variance + ε)).

use std::collections::BTreeMap;

use burn::tensor::Tensor;

use crate::layer::{ConvBn, EPSILON, Layer, Residual};
use crate::ops::{FoldedConv, avg_pool, conv2d_inference, max_pool};
use crate::parameter::Leaves;
use crate::statistics::Statistics;

/// The folded convolutions of a network, by the convolution's name, and its other parameters.
#[derive(Debug)]
pub struct Folded {
    convolutions: BTreeMap<String, FoldedConv>,
    pub leaves: Leaves,
}

impl Folded {
    /// Of constant leaves and running statistics.
    pub fn new(layers: &[&ConvBn], leaves: Leaves, statistics: &Statistics) -> Folded {
        let fold = |layer: &&ConvBn| {
            let weight: Tensor<4> = leaves.get(&format!("{}.weight", layer.conv));
            let gamma: Tensor<1> = leaves.get(&format!("{}.weight", layer.bn));
            let beta: Tensor<1> = leaves.get(&format!("{}.bias", layer.bn));
            let [mean, variance] = statistics.get(&layer.bn);
            let scale = gamma / (variance + EPSILON).sqrt();
            let bias = beta - mean * scale.clone();
            let weight = weight * scale.reshape([layer.c_out, 1, 1, 1]);
            (layer.conv.clone(), FoldedConv::new(weight, bias))
        };
        Folded { convolutions: layers.iter().map(fold).collect(), leaves }
    }

    #[track_caller]
    fn get(&self, name: &str) -> FoldedConv {
        let folded = self.convolutions.get(name);
        folded.unwrap_or_else(|| panic!("no folded convolution named {name}")).clone()
    }
}

impl Layer {
    /// The layer in evaluation, by folded convolutions.
    pub fn infer(&self, folded: &Folded, x: Tensor<4>) -> Tensor<4> {
        match self {
            Layer::ConvBn(layer) => layer.infer(folded, x, None),
            Layer::MaxPool(options) => max_pool(x, *options),
            Layer::AvgPool(options) => avg_pool(x, *options),
            Layer::Residual(Residual { path_a, last, path_b, .. }) => {
                let b = path_b.iter().fold(x.clone(), |x, layer| layer.infer(folded, x));
                let a = path_a.iter().fold(x, |x, layer| layer.infer(folded, x));
                last.infer(folded, a, Some(b))
            }
        }
    }
}

impl ConvBn {
    fn infer(&self, folded: &Folded, x: Tensor<4>, residual: Option<Tensor<4>>) -> Tensor<4> {
        let weights = folded.get(&self.conv);
        conv2d_inference(x, weights, residual, self.activation, self.options())
    }
}
