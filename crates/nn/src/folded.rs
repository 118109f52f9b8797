//! Inference with every batch norm folded into the convolution in front of it:
//! γ (conv(x, w) − mean)/√(variance + ε) + β = conv(x, γ/√(variance + ε) w) + (β − γ mean/√(variance + ε)).

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use kernels::Activation;

use crate::layer::{ConvBn, Layer, Norm, Residual, stretch};
use crate::ops::{FoldedConv, at_most, avg_pool, concat, conv2d_inference, max_pool};
use crate::parameter::Leaves;
use crate::statistics::Statistics;

/// The folded convolutions of a network, by the convolution's name, and its other parameters.
#[derive(Debug)]
pub struct Folded {
    convolutions: BTreeMap<String, FoldedConv>,
    /// Running statistics of the batch norms that have no convolution in front.
    norms: BTreeMap<String, [Tensor<1>; 2]>,
    pub leaves: Leaves,
}

impl Folded {
    /// Of constant leaves and running statistics.
    pub fn new(layers: &[&ConvBn], leaves: Leaves, statistics: &Statistics) -> Folded {
        let fold = |layer: &&ConvBn| {
            let weight: Tensor<4> = leaves.get(&format!("{}.weight", layer.conv));
            let gamma: Tensor<1> = leaves.get(&format!("{}.weight", layer.bn));
            let beta: Tensor<1> = leaves.get(&format!("{}.bias", layer.bn));
            let [mean, variance] = layer.without_bias(&leaves, statistics.get(&layer.bn));
            let scale = gamma / (variance + layer.epsilon).sqrt();
            let bias = beta - mean * scale.clone();
            let weight = weight * scale.reshape([layer.c_out, 1, 1, 1]);
            (layer.conv.clone(), FoldedConv::new(weight, bias))
        };
        let convolutions = layers.iter().map(fold).collect();
        Folded { convolutions, norms: BTreeMap::new(), leaves }
    }

    /// With the batch norms that stay.
    pub fn with_norms(mut self, norms: &[&Norm], statistics: &Statistics) -> Folded {
        let pair = |norm: &&Norm| (norm.name.clone(), statistics.get(&norm.name));
        self.norms = norms.iter().map(pair).collect();
        self
    }

    #[track_caller]
    pub(crate) fn statistics(&self, name: &str) -> [Tensor<1>; 2] {
        self.norms.get(name).unwrap_or_else(|| panic!("no batch norm named {name}")).clone()
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
            Layer::Residual(Residual { path_a, last, squeeze_excitation, path_b, .. }) => {
                let b = infer(path_b, folded, x.clone());
                let a = infer(path_a, folded, x);
                match squeeze_excitation {
                    None => last.infer(folded, a, Some(b)),
                    Some(part) => {
                        let whole = ConvBn { activation: Activation::Identity, ..last.clone() };
                        let a = whole.infer(folded, a, None);
                        part.forward(&folded.leaves, a, b, last.activation)
                    }
                }
            }
            Layer::Conv(layer) => layer.forward(&folded.leaves, x),
            Layer::Norm(layer) => layer.infer(folded, x),
            Layer::Branches(branches) => {
                concat(branches.iter().map(|branch| infer(branch, folded, x.clone())).collect())
            }
            Layer::Ceiling(ceiling) => at_most(x, *ceiling),
            Layer::Stretch(side) => stretch(x, *side),
            Layer::Dropout(_) => x,
        }
    }
}

fn infer(layers: &[Layer], folded: &Folded, x: Tensor<4>) -> Tensor<4> {
    layers.iter().fold(x, |x, layer| layer.infer(folded, x))
}

impl ConvBn {
    fn infer(&self, folded: &Folded, x: Tensor<4>, residual: Option<Tensor<4>>) -> Tensor<4> {
        let weights = folded.get(&self.conv);
        conv2d_inference(x, weights, residual, self.activation, self.options())
    }
}
