//! A network: stem, stages, perhaps a head of its own, global average pool, classifier.

use std::ops::Range;

use serde_json::{Map, Value};

use nn::{
    Conv2d, ConvBn, Dropout, Folded, Layer, Linear, Module, Norm, NormSpec, ParameterSpec, Part,
    Pass, Tensor, chain, global_avg_pool,
};

/// A classifier as a value. Images go in as `[n, h, w, 3]`, logits come out as `[n, classes]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    pub name: String,
    /// Side of the images it was made for, pixels.
    pub input: usize,
    /// Side of the smallest images that it can take.
    pub least: usize,
    pub stem: Vec<Layer>,
    pub stages: Vec<Stage>,
    /// Between the last stage and the global average pool: VGG's hidden layers.
    pub head: Vec<Layer>,
    /// Behind the global average pool.
    pub dropout: Dropout,
    pub classifier: Linear,
    pub auxiliary: Option<Auxiliary>,
    /// How many of [`Network::features`], from the stem on, training leaves as they are.
    pub frozen: usize,
    /// How timm builds the same function.
    pub timm: Timm,
}

/// The layers between two changes of size.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    pub name: String,
    pub layers: Vec<Layer>,
    pub channels: usize,
    /// The stride of this stage alone; [`Feature::stride`] counts from the image on.
    pub stride: usize,
}

/// A second classifier on the way, which only training uses (Inception-V3).
#[derive(Clone, Debug, PartialEq)]
pub struct Auxiliary {
    /// How many stages come before it.
    pub after: usize,
    /// The layers before its own global average pool.
    pub layers: Vec<Layer>,
    pub classifier: Linear,
}

/// Whether `timm.create_model` can build a network.
#[derive(Clone, Debug, PartialEq)]
pub enum Timm {
    Builds {
        architecture: String,
        /// Keyword arguments of timm's builder.
        model_args: Map<String, Value>,
    },
    Cannot {
        why: String,
    },
}

/// The output of the stem or of a stage, which a head can be built on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    pub name: String,
    pub channels: usize,
    /// How many pixels of the image one pixel of this output stands for, in each direction.
    pub stride: usize,
}

/// The dropout of a network that drops nothing.
pub(crate) const NO_DROPOUT: Dropout = Dropout { share: 0.0, index: 0 };

impl Network {
    /// x `[n, h, w, 3]` → logits `[n, classes]`.
    pub fn forward(&self, pass: &Pass, x: Tensor<4>) -> Tensor<2> {
        let x = self.through(0..self.stages.len() + 1, pass, x);
        self.classify(pass, x)
    }

    /// The logits of [`Network::forward`], and the auxiliary classifier's logits where there is one.
    pub fn forward_both(&self, pass: &Pass, x: Tensor<4>) -> (Tensor<2>, Option<Tensor<2>>) {
        let Some(head) = self.teaching_auxiliary() else { return (self.forward(pass, x), None) };
        let x = self.through(0..head.after + 1, pass, x);
        let (x, aside) = nn::fork(x);
        let pooled = global_avg_pool(chain(&head.layers, pass, aside));
        let auxiliary = head.classifier.forward(pass.leaves, pooled);
        let x = self.through(head.after + 1..self.stages.len() + 1, pass, x);
        (self.classify(pass, x), Some(auxiliary))
    }

    /// Applies some features, the stem first. A frozen one works as in evaluation, on no graph: its batch norms use
    /// their running statistics and leave them.
    pub fn through(&self, features: Range<usize>, pass: &Pass, mut x: Tensor<4>) -> Tensor<4> {
        let split = self.frozen.clamp(features.start, features.end);
        if split > features.start {
            x = chain(self.layers_of(features.start..split), &pass.evaluating(), x);
            // The graph begins behind the last frozen feature.
            if split == self.frozen && pass.leaves.are_tracked() {
                x = x.autodiff();
            }
        }
        chain(self.layers_of(split..features.end), pass, x)
    }

    /// The layers of some of the features, the stem first.
    fn layers_of(&self, features: Range<usize>) -> impl Iterator<Item = &Layer> {
        let stages = features.start.max(1) - 1..features.end.max(1) - 1;
        let stem = if features.contains(&0) { &self.stem[..] } else { &[] };
        stem.iter().chain(self.stages[stages].iter().flat_map(|stage| &stage.layers))
    }

    /// The auxiliary classifier, unless all that it could teach is frozen.
    fn teaching_auxiliary(&self) -> Option<&Auxiliary> {
        self.auxiliary.as_ref().filter(|head| self.frozen <= head.after)
    }

    /// The same network, frozen up to and including the feature of this name: training leaves that part as it is. None
    /// where there is no such feature.
    pub fn frozen_up_to(mut self, feature: &str) -> Option<Network> {
        let index = self.features().iter().position(|known| known.name == feature)?;
        self.frozen = index + 1;
        Some(self)
    }

    /// How many parameters training leaves as they are.
    pub fn frozen_parameters(&self) -> usize {
        self.parameters().iter().filter(|spec| !spec.trainable).count()
    }

    fn classify(&self, pass: &Pass, x: Tensor<4>) -> Tensor<2> {
        let pooled = global_avg_pool(chain(&self.head, pass, x));
        let pooled = self.dropout.forward(pass, pooled);
        self.classifier.forward(pass.leaves, pooled)
    }

    /// Computes [`Network::forward`] in evaluation, by folded convolutions.
    pub fn infer(&self, folded: &Folded, x: Tensor<4>) -> Tensor<2> {
        let x = self.layers().fold(x, |x, layer| layer.infer(folded, x));
        self.classifier.forward(&folded.leaves, global_avg_pool(x))
    }

    /// The output of the stem and of each stage, in the order of [`Network::features`].
    pub fn forward_features(&self, pass: &Pass, x: Tensor<4>) -> Vec<Tensor<4>> {
        let mut features = vec![self.through(0..1, pass, x)];
        for index in 1..=self.stages.len() {
            let x = features[features.len() - 1].clone();
            features.push(self.through(index..index + 1, pass, x));
        }
        features
    }

    /// The stem and the stages with their channels and strides.
    pub fn features(&self) -> Vec<Feature> {
        let mut stride = self.stem.iter().map(Layer::stride).product();
        let image = [self.input, self.input, 3];
        let [_, _, stem] = self.stem.iter().fold(image, |at, layer| layer.output(at));
        let mut features = vec![Feature { name: "stem".into(), channels: stem, stride }];
        for stage in &self.stages {
            stride *= stage.stride;
            features.push(Feature { name: stage.name.clone(), channels: stage.channels, stride });
        }
        features
    }

    /// All layers before the global pool.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.layers_of(0..self.stages.len() + 1).chain(&self.head)
    }

    /// Every part of the layers before the global pool, in order.
    pub fn parts(&self) -> Vec<Part<'_>> {
        parts(self.layers())
    }

    /// Every convolution with its batch norm, in order.
    pub fn conv_bns(&self) -> Vec<&ConvBn> {
        let found = self.parts().into_iter().filter_map(|part| match part {
            Part::ConvBn { layer, .. } => Some(layer),
            _ => None,
        });
        found.collect()
    }

    /// Every batch norm without a convolution in front, in order.
    pub fn bare_norms(&self) -> Vec<&Norm> {
        let found = self.parts().into_iter().filter_map(|part| match part {
            Part::Norm(norm) => Some(norm),
            _ => None,
        });
        found.collect()
    }

    /// All layers, the auxiliary classifier's too, in the order of timm's tensors, each with whether it is frozen.
    fn all_layers(&self) -> impl Iterator<Item = (&Layer, bool)> {
        let frozen = |feature| {
            let frozen = feature < self.frozen;
            move |layer| (layer, frozen)
        };
        let stages = self.stages.iter().enumerate().flat_map(move |(before, stage)| {
            let auxiliary = self.auxiliary.iter().filter(move |head| head.after == before);
            let auxiliary = auxiliary.flat_map(|head| &head.layers);
            auxiliary.map(frozen(before)).chain(stage.layers.iter().map(frozen(before + 1)))
        });
        let stem = self.stem.iter().map(|layer| (layer, self.frozen > 0));
        stem.chain(stages).chain(self.head.iter().map(|layer| (layer, false)))
    }

    /// The dims of every convolution for `batch` images of `side` × `side` pixels, in the order of
    /// [`Network::parts`].
    pub fn convolutions(&self, batch: usize, side: usize) -> Vec<Conv2d> {
        let mut found = Vec::new();
        self.layers().fold([side, side, 3], |at, layer| layer.convolutions(batch, at, &mut found));
        found
    }

    pub fn classes(&self) -> usize {
        self.classifier.c_out
    }
}

impl Module for Network {
    fn name(&self) -> &str {
        &self.name
    }

    /// In timm's order.
    fn parameters(&self) -> Vec<ParameterSpec> {
        let mut specs = Vec::new();
        let mut add = |layers: &[Layer], linear: Option<&Linear>, frozen: bool| {
            let first = specs.len();
            layers.iter().for_each(|layer| layer.parameters(&mut specs));
            linear.into_iter().for_each(|linear| linear.parameters(&mut specs));
            specs[first..].iter_mut().for_each(|spec| spec.trainable &= !frozen);
        };
        add(&self.stem, None, self.frozen > 0);
        for (before, stage) in self.stages.iter().enumerate() {
            if let Some(head) = self.auxiliary.as_ref().filter(|head| head.after == before) {
                add(&head.layers, Some(&head.classifier), before < self.frozen);
            }
            add(&stage.layers, None, before + 1 < self.frozen);
        }
        add(&self.head, Some(&self.classifier), false);
        specs
    }

    fn norms(&self) -> Vec<NormSpec> {
        let mut norms = Vec::new();
        for (layer, frozen) in self.all_layers() {
            let mut found = Vec::new();
            layer.parts(&mut found);
            norms.extend(
                found
                    .into_iter()
                    .filter_map(|part| part.norm())
                    .map(|norm| NormSpec { frozen: norm.frozen || frozen, ..norm }),
            );
        }
        norms
    }
}

fn parts<'a>(layers: impl Iterator<Item = &'a Layer>) -> Vec<Part<'a>> {
    let mut found = Vec::new();
    layers.for_each(|layer| layer.parts(&mut found));
    found
}
