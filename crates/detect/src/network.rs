//! §6.1 Faster-RCNN as a module: the stem and three stages of a ResNet, the region proposal network on their features, and
//! on the features of each region the fourth stage, the mean over its pixels, and two linear layers.

use nn::{
    Activation, Conv, Group, Layer, Linear, Module, NormSpec, Padding, ParameterSpec, Pass,
    RoiOptions, Tensor, fork, global_avg_pool, roi_align,
};
use zoo::Network;

use crate::anchors::{first_cell, grid};
use crate::error::DetectError;
use recipe::{Detection, RegionGrid};

/// The prefix of a detector's name before its network's.
pub const PREFIX: &str = "faster_rcnn_";

/// The stem and three stages: what both networks share.
const SHARED: usize = 4;

/// Names of the region proposal network's layers, as torchvision's.
const RPN: [&str; 3] = ["rpn.head.conv.0.0", "rpn.head.cls_logits", "rpn.head.bbox_pred"];
/// Names of the last two layers, as torchvision's.
const PREDICTOR: [&str; 2] =
    ["roi_heads.box_predictor.cls_score", "roi_heads.box_predictor.bbox_pred"];

/// A detector as a value. Images come one by one, as `[1, h, w, 3]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Detector {
    name: String,
    /// Its classifier is not used.
    pub network: Network,
    pub settings: Detection,
    pub classes: usize,
    hidden: Layer,
    /// One logit for each anchor of a cell.
    objectness: Layer,
    /// Four numbers for each anchor of a cell.
    corrections: Layer,
    /// A logit for background and for each class.
    class: Linear,
    /// Four numbers for each class.
    place: Linear,
}

/// What training and evaluation need of the region proposal network.
#[derive(Debug)]
pub(crate) struct Proposed {
    /// `[1, h, w, anchors]`.
    pub(crate) logits: Tensor<4>,
    /// `[1, h, w, 4 · anchors]`.
    pub(crate) codes: Tensor<4>,
}

impl Detector {
    /// The detector on a network. `norms_frozen` says that batch norms keep their statistics, γ and β.
    pub fn new(
        mut network: Network,
        settings: Detection,
        classes: usize,
        norms_frozen: bool,
    ) -> Result<Detector, DetectError> {
        let features = network.features();
        let is_residual = network
            .stages
            .iter()
            .all(|stage| stage.layers.iter().all(|layer| matches!(layer, Layer::Residual(_))));
        if !is_residual || features.len() != SHARED + 1 || !network.head.is_empty() {
            return Err(DetectError::NoResNet { name: network.name });
        }
        if norms_frozen {
            let stages = network.stages.iter_mut().flat_map(|stage| &mut stage.layers);
            network.stem.iter_mut().chain(stages).for_each(Layer::freeze_norms);
        }
        let (shared, last) = (features[SHARED - 1].channels, features[SHARED].channels);
        let width = settings.proposals.channels;
        let anchors = settings.anchors.scales.len() * settings.anchors.ratios.len();
        let conv = |name: &str, side, c_in, c_out, activation| {
            let (kernel, padding) = ([side; 2], Padding::Same);
            let name = name.to_owned();
            Layer::Conv(Conv { name, kernel, c_in, c_out, padding, bias: Some(activation) })
        };
        let linear = |name: &str, c_out| Linear {
            name: name.to_owned(),
            c_in: last,
            c_out,
            group: Group::Head,
        };
        Ok(Detector {
            name: format!("{PREFIX}{}", network.name),
            hidden: conv(RPN[0], 3, shared, width, Activation::Relu),
            objectness: conv(RPN[1], 1, width, anchors, Activation::Identity),
            corrections: conv(RPN[2], 1, width, 4 * anchors, Activation::Identity),
            class: linear(PREDICTOR[0], classes + 1),
            place: linear(PREDICTOR[1], 4 * classes),
            network,
            settings,
            classes,
        })
    }

    /// The standard deviation of a head's first weights; None for what the recipe's initialization draws.
    pub(crate) fn deviation(name: &str) -> Option<f64> {
        let is = |layer: &str| name.strip_suffix(".weight") == Some(layer);
        match () {
            () if is(PREDICTOR[1]) => Some(0.001),
            () if is(PREDICTOR[0]) || RPN.into_iter().any(is) => Some(0.01),
            () => None,
        }
    }

    /// Whether a parameter's shape depends on the classes.
    pub(crate) fn is_of_classes(name: &str) -> bool {
        PREDICTOR.into_iter().any(|layer| name.starts_with(layer))
    }

    /// Pixels of the image for a pixel of the shared features.
    pub fn stride(&self) -> usize {
        self.network.features()[SHARED - 1].stride
    }

    /// The anchors of an image whose shared features have these rows and columns.
    pub(crate) fn anchors(&self, size: [usize; 2]) -> Vec<[f32; 4]> {
        grid(&first_cell(&self.settings.anchors), size, self.stride())
    }

    /// The features that both networks share.
    pub(crate) fn shared(&self, pass: &Pass, image: Tensor<4>) -> Tensor<4> {
        self.network.through(0..SHARED, pass, image)
    }

    /// The first network, on the shared features.
    pub(crate) fn propose(&self, pass: &Pass, features: Tensor<4>) -> Proposed {
        let (one, other) = fork(self.hidden.forward(pass, features));
        Proposed {
            logits: self.objectness.forward(pass, one),
            codes: self.corrections.forward(pass, other),
        }
    }

    /// The second network, on the shared features of some regions: logits `[regions, classes + 1]` and codes
    /// `[regions, 4 · classes]`.
    pub(crate) fn judge(
        &self,
        pass: &Pass,
        features: Tensor<4>,
        regions: &[[f32; 4]],
    ) -> (Tensor<2>, Tensor<2>) {
        let by = &self.settings.regions;
        let options = RoiOptions {
            size: by.size,
            scale: 1.0 / self.stride() as f32,
            samples: by.samples,
            half_pixel: by.grid == RegionGrid::Centres,
        };
        let x = roi_align(features, regions, options);
        let pooled = global_avg_pool(self.network.through(SHARED..SHARED + 1, pass, x));
        let class = self.class.forward(pass.leaves, pooled.clone());
        (class, self.place.forward(pass.leaves, pooled))
    }

    pub(crate) fn heads(&self) -> [&Layer; 3] {
        [&self.hidden, &self.objectness, &self.corrections]
    }
}

impl Module for Detector {
    fn name(&self) -> &str {
        &self.name
    }

    /// The network's own parameters by their own names, then the heads' by torchvision's.
    fn parameters(&self) -> Vec<ParameterSpec> {
        let mut specs = self.network.parameters();
        specs.retain(|spec| !spec.group.is_head());
        let mut heads = Vec::new();
        self.heads().into_iter().for_each(|layer| layer.parameters(&mut heads));
        self.class.parameters(&mut heads);
        self.place.parameters(&mut heads);
        specs.extend(heads.into_iter().map(|spec| ParameterSpec { group: Group::Head, ..spec }));
        specs
    }

    fn norms(&self) -> Vec<NormSpec> {
        self.network.norms()
    }
}
