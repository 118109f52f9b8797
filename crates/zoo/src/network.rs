//! A network: stem, stages, global average pool, classifier.

use serde_json::{Map, Value};

use nn::{
    Conv2d, ConvBn, Folded, Layer, Linear, ParameterSpec, Pass, Tensor, chain, global_avg_pool,
};

/// A classifier as a value. Images go in as `[n, h, w, 3]`, logits come out as `[n, classes]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    pub name: String,
    /// Side of the images it was made for, pixels.
    pub input: usize,
    pub stem: Vec<Layer>,
    pub stages: Vec<Stage>,
    pub classifier: Linear,
    /// How timm builds the same function.
    pub timm: Timm,
}

/// The layers between two changes of size.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    pub name: String,
    pub layers: Vec<Layer>,
    pub channels: usize,
    /// Of the stage itself; [`Feature::stride`] is the whole way's.
    pub stride: usize,
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

/// What a head asks a backbone for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    pub name: String,
    pub channels: usize,
    /// How many pixels of the input are one step here.
    pub stride: usize,
}

impl Network {
    /// x `[n, h, w, 3]` → logits `[n, classes]`.
    pub fn forward(&self, pass: &mut Pass, x: Tensor<4>) -> Tensor<2> {
        let x = chain(&self.stem, pass, x);
        let x = self.stages.iter().fold(x, |x, stage| chain(&stage.layers, pass, x));
        self.classifier.forward(pass.leaves, global_avg_pool(x))
    }

    /// [`Network::forward`] in evaluation, by folded convolutions.
    pub fn infer(&self, folded: &Folded, x: Tensor<4>) -> Tensor<2> {
        let x = self.layers().fold(x, |x, layer| layer.infer(folded, x));
        self.classifier.forward(&folded.leaves, global_avg_pool(x))
    }

    /// The output of the stem and of each stage, in the order of [`Network::features`].
    pub fn forward_features(&self, pass: &mut Pass, x: Tensor<4>) -> Vec<Tensor<4>> {
        let mut features = vec![chain(&self.stem, pass, x)];
        for stage in &self.stages {
            let x = features[features.len() - 1].clone();
            features.push(chain(&stage.layers, pass, x));
        }
        features
    }

    /// The stem and the stages with their channels and strides.
    pub fn features(&self) -> Vec<Feature> {
        let mut stride = self.stem.iter().map(Layer::stride).product();
        let stem = conv_bns(&self.stem).last().map_or(3, |layer| layer.c_out);
        let mut features = vec![Feature { name: "stem".into(), channels: stem, stride }];
        for stage in &self.stages {
            stride *= stage.stride;
            features.push(Feature { name: stage.name.clone(), channels: stage.channels, stride });
        }
        features
    }

    /// All layers before the global pool.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.stem.iter().chain(self.stages.iter().flat_map(|stage| &stage.layers))
    }

    /// Every convolution with its batch norm, in order.
    pub fn conv_bns(&self) -> Vec<&ConvBn> {
        conv_bns(self.layers())
    }

    /// Every learnable parameter, in timm's order.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        let mut specs = Vec::new();
        self.layers().for_each(|layer| layer.parameters(&mut specs));
        self.classifier.parameters(&mut specs);
        specs
    }

    /// The dims of every convolution for `batch` images of `side` × `side` pixels, in the order of
    /// [`Network::conv_bns`].
    pub fn convolutions(&self, batch: usize, side: usize) -> Vec<Conv2d> {
        let mut found = Vec::new();
        self.layers().fold([side, side, 3], |at, layer| layer.convolutions(batch, at, &mut found));
        found
    }

    /// Name and channels of every batch norm.
    pub fn batch_norms(&self) -> Vec<(String, usize)> {
        self.conv_bns().iter().map(|layer| (layer.bn.clone(), layer.c_out)).collect()
    }

    pub fn classes(&self) -> usize {
        self.classifier.c_out
    }
}

fn conv_bns<'a>(layers: impl IntoIterator<Item = &'a Layer>) -> Vec<&'a ConvBn> {
    let mut found = Vec::new();
    layers.into_iter().for_each(|layer| layer.conv_bns(&mut found));
    found
}
