//! §6.2 FCN as a module: a ResNet whose stages 3 and 4 are dilated, a head on stage 4, and in training an auxiliary head on
//! stage 3. Tensors have the names of torchvision's `fcn_resnet50`.

use nn::{
    Activation, Conv, ConvBn, Dropout, EPSILON, Group, Layer, Module, NormSpec, Padding,
    ParameterSpec, Pass, Tensor, chain,
};
use zoo::Network;

use crate::error::SegmentError;

/// The prefix of a segmenter's name before its network's.
pub const PREFIX: &str = "fcn_";
/// The prefix of the network's tensors.
pub(crate) const BACKBONE: &str = "backbone.";
const HEAD: &str = "classifier";
const AUXILIARY: &str = "aux_classifier";

/// The features that the heads sit on: stages 3 and 4, behind the stem.
const AUXILIARY_FEATURE: usize = 3;
const FEATURES: usize = 5;
const DROPOUT: f32 = 0.1;

/// A segmenter as a value. Images go in as `[n, h, w, 3]`, coarse logits come out as `[n, h/8, w/8, classes]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Segmenter {
    name: String,
    /// Its classifier is not used.
    network: Network,
    pub classes: usize,
    /// 3×3 with batch norm, dropout, 1×1.
    head: Vec<Layer>,
    auxiliary: Option<Vec<Layer>>,
}

impl Segmenter {
    /// The segmenter on a network, with or without the auxiliary head.
    pub fn new(
        mut network: Network,
        classes: usize,
        has_auxiliary: bool,
    ) -> Result<Segmenter, SegmentError> {
        let features = network.features();
        let is_residual = network
            .stages
            .iter()
            .all(|stage| stage.layers.iter().all(|layer| matches!(layer, Layer::Residual(_))));
        if !is_residual || features.len() != FEATURES || !network.head.is_empty() {
            return Err(SegmentError::NoResNet { name: network.name });
        }
        let stages = network.stages.iter_mut().flat_map(|stage| &mut stage.layers);
        network.stem.iter_mut().chain(stages).for_each(|layer| layer.prefix_names(BACKBONE));
        let [aside, last] =
            [AUXILIARY_FEATURE, FEATURES - 1].map(|feature| features[feature].channels);
        Ok(Segmenter {
            name: format!("{PREFIX}{}", network.name),
            network,
            classes,
            head: head(HEAD, last, classes, 0),
            auxiliary: has_auxiliary.then(|| head(AUXILIARY, aside, classes, 1)),
        })
    }

    /// How many pixels of the image one coarse pixel stands for, in each direction.
    pub fn stride(&self) -> usize {
        self.network.features()[FEATURES - 1].stride
    }

    /// The layers of an evaluation, from the image to coarse logits.
    pub fn evaluation_layers(&self) -> Vec<&Layer> {
        self.network.layers().chain(&self.head).collect()
    }

    /// Coarse logits of the head.
    pub fn forward(&self, pass: &Pass, x: Tensor<4>) -> Tensor<4> {
        chain(&self.head, pass, self.network.through(0..FEATURES, pass, x))
    }

    /// Coarse logits of the head, and of the auxiliary head where there is one.
    pub fn forward_both(&self, pass: &Pass, x: Tensor<4>) -> (Tensor<4>, Option<Tensor<4>>) {
        let Some(auxiliary) = &self.auxiliary else { return (self.forward(pass, x), None) };
        let x = self.network.through(0..AUXILIARY_FEATURE + 1, pass, x);
        let (x, aside) = nn::fork(x);
        let aside = chain(auxiliary, pass, aside);
        let x = self.network.through(AUXILIARY_FEATURE + 1..FEATURES, pass, x);
        (chain(&self.head, pass, x), Some(aside))
    }

    /// The same segmenter without dropout, as references are computed.
    #[cfg(test)]
    pub(crate) fn without_dropout(mut self) -> Segmenter {
        for head in std::iter::once(&mut self.head).chain(&mut self.auxiliary) {
            head.retain(|layer| !matches!(layer, Layer::Dropout(_)));
        }
        self
    }

    /// Whether a parameter's shape depends on the classes.
    pub(crate) fn is_of_classes(name: &str) -> bool {
        [HEAD, AUXILIARY].iter().any(|head| name.starts_with(&format!("{head}.4.")))
    }

    /// The layers of both heads, each with its group.
    fn heads(&self) -> impl Iterator<Item = (&Layer, Group)> {
        let main = self.head.iter().map(|layer| (layer, Group::Head));
        let auxiliary = self.auxiliary.iter().flatten();
        main.chain(auxiliary.map(|layer| (layer, Group::AuxiliaryHead)))
    }
}

/// The layers of a head. Their numbers are torchvision's, which counts ReLU and dropout too.
fn head(name: &str, c_in: usize, classes: usize, index: u64) -> Vec<Layer> {
    let inner = c_in / 4;
    let convolution = ConvBn {
        conv: format!("{name}.0"),
        bn: format!("{name}.1"),
        kernel: [3; 2],
        c_in,
        c_out: inner,
        stride: 1,
        dilation: 1,
        groups: 1,
        padding: Padding::Same,
        bias: false,
        epsilon: EPSILON,
        activation: Activation::Relu,
        frozen_norm: false,
    };
    let last = Conv {
        name: format!("{name}.4"),
        kernel: [1; 2],
        c_in: inner,
        c_out: classes,
        padding: Padding::Same,
        bias: Some(Activation::Identity),
    };
    vec![
        Layer::ConvBn(convolution),
        Layer::Dropout(Dropout { share: DROPOUT, index }),
        Layer::Conv(last),
    ]
}

impl Module for Segmenter {
    fn name(&self) -> &str {
        &self.name
    }

    /// The network's, then those of the heads.
    fn parameters(&self) -> Vec<ParameterSpec> {
        let mut specs = self.network.parameters();
        specs.retain(|spec| !spec.group.is_head());
        for (layer, group) in self.heads() {
            let first = specs.len();
            layer.parameters(&mut specs);
            specs[first..].iter_mut().for_each(|spec| spec.group = group);
        }
        specs
    }

    fn norms(&self) -> Vec<NormSpec> {
        let mut norms = self.network.norms();
        for (layer, _) in self.heads() {
            let mut parts = Vec::new();
            layer.parts(&mut parts);
            norms.extend(parts.iter().filter_map(nn::Part::norm));
        }
        norms
    }
}

impl Segmenter {
    /// Multiply-adds of the convolutions for an image of `side` × `side` pixels, by part: the features, then the heads.
    pub fn cost(&self, side: usize) -> Vec<(String, u64)> {
        let counted = |layers: &[Layer], at: &mut [usize; 3]| -> u64 {
            let mut found = Vec::new();
            for layer in layers {
                *at = layer.convolutions(1, *at, &mut found);
            }
            found.iter().map(nn::Conv2d::multiply_adds).sum()
        };
        let mut at = [side, side, 3];
        let mut rows = vec![("stem".to_owned(), counted(&self.network.stem, &mut at))];
        for (index, stage) in self.network.stages.iter().enumerate() {
            rows.push((stage.name.clone(), counted(&stage.layers, &mut at)));
            if index + 1 == AUXILIARY_FEATURE
                && let Some(auxiliary) = &self.auxiliary
            {
                rows.push(("auxiliary head".to_owned(), counted(auxiliary, &mut at.clone())));
            }
        }
        rows.push(("head".to_owned(), counted(&self.head, &mut at)));
        rows
    }
}
