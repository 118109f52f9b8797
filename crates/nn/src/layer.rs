//! Layers as values: a network is a tree of these, from which its parameters, its cost, its drawing and its forward
//! pass all follow.

mod conv;
mod freeze;
mod norm;
mod part;
mod prefix;
mod squeeze_excitation;

use burn::tensor::{Tensor, module::adaptive_avg_pool2d};
use kernels::{Activation, Conv2d};
use tricks::{Precision, Role};

pub use conv::Conv;
pub use norm::Norm;
pub use part::Part;
pub use squeeze_excitation::SqueezeExcitation;

use crate::ops::{
    Affine, ConvOptions, PoolOptions, at_most, avg_pool, batch_norm_eval, batch_norm_train, concat,
    conv2d, dropout, fork, linear, max_pool, norm_depthwise_train, precision_of, stored,
};
use crate::parameter::{Fans, Group, Leaves, ParameterSpec};
use crate::pass::{Observations, Pass};

/// A layer, which maps `[n, h, w, c]` to `[n, h', w', c']`.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    ConvBn(ConvBn),
    MaxPool(PoolOptions),
    AvgPool(PoolOptions),
    Residual(Residual),
    Conv(Conv),
    Norm(Norm),
    /// Two to four chains over one input, their outputs side by side in the channels; an empty one is the input.
    Branches(Vec<Vec<Layer>>),
    /// min(x, ceiling): behind a ReLU, with 6, it is ReLU6.
    Ceiling(f32),
    /// Adaptive average pooling that enlarges smaller images to this side; larger ones stay as they are.
    Stretch(usize),
    Dropout(Dropout),
}

/// Dropout: in training each unit is 0 with probability `share`, and 1/(1 − share) times itself otherwise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    pub share: f32,
    /// Which of the network's dropouts it is; each draws its own numbers.
    pub index: u64,
}

/// The border of zeros around an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// The border that keeps the size at stride 1.
    Same,
    None,
}

/// A convolution, its batch norm, and the activation behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvBn {
    /// Names of the two layers, as timm's: `layer1.0.conv1` and `layer1.0.bn1`.
    pub conv: String,
    pub bn: String,
    pub kernel: [usize; 2],
    pub c_in: usize,
    pub c_out: usize,
    pub stride: usize,
    pub dilation: usize,
    pub groups: usize,
    pub padding: Padding,
    /// Whether the convolution has a bias. VGG's have one, though the batch norm takes it away again.
    pub bias: bool,
    pub epsilon: f32,
    pub activation: Activation,
    /// Whether the batch norm uses its running statistics in training too and its γ and β are not trained.
    pub frozen_norm: bool,
}

/// A residual block (§4.1): ReLU(path A + path B).
#[derive(Clone, Debug, PartialEq)]
pub struct Residual {
    /// The block's name, such as `layer1.0`.
    pub name: String,
    /// Path A but for its last convolution.
    pub path_a: Vec<Layer>,
    /// Path A's last convolution: its batch norm, where zero γ acts, takes in the add and the ReLU.
    pub last: ConvBn,
    /// The squeeze-and-excitation between path A and the add.
    pub squeeze_excitation: Option<SqueezeExcitation>,
    /// The path beside path A; empty for the identity.
    pub path_b: Vec<Layer>,
}

/// A linear layer with a bias, such as a classifier: `[n, c_in]` to `[n, c_out]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    pub name: String,
    pub c_in: usize,
    pub c_out: usize,
    pub group: Group,
}

/// The ε of batch norms in PyTorch and in the authors' networks, except for Inception-V3.
pub const EPSILON: f32 = 1e-5;

impl Layer {
    pub fn forward(&self, pass: &Pass, x: Tensor<4>) -> Tensor<4> {
        match self {
            Layer::ConvBn(layer) => layer.forward(pass, x, None),
            Layer::MaxPool(options) => max_pool(x, *options),
            Layer::AvgPool(options) => avg_pool(x, *options),
            Layer::Residual(block) => block.forward(pass, x),
            Layer::Conv(layer) => layer.forward(pass.leaves, x),
            Layer::Norm(layer) => layer.forward(pass, x),
            Layer::Branches(branches) => {
                let inputs = fork_into(x, branches.len());
                let outputs = branches.iter().zip(inputs).map(|(branch, x)| chain(branch, pass, x));
                concat(outputs.collect())
            }
            Layer::Ceiling(ceiling) => at_most(x, *ceiling),
            Layer::Stretch(side) => stretch(x, *side),
            Layer::Dropout(layer) => layer.forward(pass, x),
        }
    }

    fn as_depthwise(&self) -> Option<&ConvBn> {
        match self {
            Layer::ConvBn(layer) if layer.is_depthwise() => Some(layer),
            _ => None,
        }
    }

    /// The stride: how many pixels of the input one pixel of the output stands for, in each direction.
    pub fn stride(&self) -> usize {
        match self {
            Layer::ConvBn(layer) => layer.stride,
            Layer::MaxPool(options) | Layer::AvgPool(options) => options.stride[0],
            Layer::Residual(block) => {
                block.path_a.iter().map(Layer::stride).product::<usize>() * block.last.stride
            }
            Layer::Branches(branches) => branches[0].iter().map(Layer::stride).product(),
            Layer::Conv(_)
            | Layer::Norm(_)
            | Layer::Ceiling(_)
            | Layer::Stretch(_)
            | Layer::Dropout(_) => 1,
        }
    }

    /// `[h, w, c]` of the output for that of the input.
    pub fn output(&self, input: [usize; 3]) -> [usize; 3] {
        match self {
            Layer::ConvBn(layer) => layer.output(input),
            Layer::MaxPool(options) | Layer::AvgPool(options) => {
                let [height, width, channels] = input;
                let dims = options.dims([1, height, width, channels]);
                [dims.out_h(), dims.out_w(), channels]
            }
            Layer::Residual(block) => block.last.output(through(&block.path_a, input)),
            Layer::Conv(layer) => {
                let dims = layer.dims([1, input[0], input[1]]);
                [dims.out_h(), dims.out_w(), layer.c_out]
            }
            Layer::Branches(branches) => {
                let outputs: Vec<_> = branches.iter().map(|chain| through(chain, input)).collect();
                let [height, width, _] = outputs[0];
                [height, width, outputs.iter().map(|output| output[2]).sum()]
            }
            Layer::Stretch(side) => [input[0].max(*side), input[1].max(*side), input[2]],
            Layer::Norm(_) | Layer::Ceiling(_) | Layer::Dropout(_) => input,
        }
    }

    /// The dims of every convolution in here for `n` images `[h, w, c]`; returns the output's `[h, w, c]`.
    pub fn convolutions(&self, n: usize, at: [usize; 3], found: &mut Vec<Conv2d>) -> [usize; 3] {
        self.walk(at, &mut |part, [height, width, _]| match part {
            Part::ConvBn { layer, .. } => found.push(layer.dims([n, height, width])),
            Part::Conv(layer) => found.push(layer.dims([n, height, width])),
            Part::SqueezeExcitation(part) => found.extend(part.dims(n)),
            Part::Norm(_) | Part::Bare(_) => {}
        })
    }

    /// The learnable parameters in here, in the network's order.
    pub fn parameters(&self, specs: &mut Vec<ParameterSpec>) {
        let mut parts = Vec::new();
        self.parts(&mut parts);
        for part in parts {
            match part {
                Part::ConvBn { layer, last_in_block } => layer.parameters(last_in_block, specs),
                Part::Conv(layer) => layer.parameters(specs),
                Part::Norm(layer) => layer.parameters(specs),
                Part::SqueezeExcitation(part) => part.parameters(specs),
                Part::Bare(_) => {}
            }
        }
    }
}

/// The output size `[h, w, c]` of layers that are applied one after the other.
fn through(layers: &[Layer], input: [usize; 3]) -> [usize; 3] {
    layers.iter().fold(input, |input, layer| layer.output(input))
}

pub(crate) fn stretch(x: Tensor<4>, side: usize) -> Tensor<4> {
    let [_, height, width, _] = x.dims();
    if height >= side && width >= side {
        return x;
    }
    let (precision, x) = (precision_of(&x), stored(x, Precision::F32).permute([0, 3, 1, 2]));
    let x = adaptive_avg_pool2d(x, [height.max(side), width.max(side)]);
    stored(x.permute([0, 2, 3, 1]), precision)
}

/// Gives x to each of `branches` branches.
fn fork_into(x: Tensor<4>, branches: usize) -> Vec<Tensor<4>> {
    let mut inputs = Vec::with_capacity(branches);
    let mut rest = x;
    for _ in 1..branches {
        let (one, other) = fork(rest);
        inputs.push(one);
        rest = other;
    }
    inputs.push(rest);
    inputs
}

/// Applies layers one after the other. In training, a batch norm's output for a depthwise convolution is never stored.
pub fn chain<'a>(
    layers: impl IntoIterator<Item = &'a Layer>,
    pass: &Pass,
    mut x: Tensor<4>,
) -> Tensor<4> {
    let mut layers = layers.into_iter().peekable();
    while let Some(layer) = layers.next() {
        let Layer::ConvBn(layer) = layer else {
            x = layer.forward(pass, x);
            continue;
        };
        let mut layer = layer;
        x = layer.convolved(pass, x);
        let is_f32 = precision_of(&x) == Precision::F32;
        while let Some(observations) = pass.observations(layer.frozen_norm).filter(|_| is_f32) {
            let next = layers.next_if(|next| next.as_depthwise().is_some());
            let Some(next) = next.and_then(Layer::as_depthwise) else { break };
            x = layer.normalized_into(next, pass, observations, x);
            layer = next;
        }
        x = layer.normalized(pass, x, None);
    }
    x
}

impl Padding {
    /// Rows above and below, columns left and right.
    fn of(self, kernel: [usize; 2], dilation: usize) -> [usize; 2] {
        match self {
            Padding::Same => kernel.map(|side| dilation * (side - 1) / 2),
            Padding::None => [0, 0],
        }
    }
}

impl Dropout {
    pub fn forward<const D: usize>(&self, pass: &Pass, x: Tensor<D>) -> Tensor<D> {
        match pass.draw() {
            Some(draw) if self.share > 0.0 => {
                dropout(x, kernels::DropoutDraw { share: self.share, key: draw.key(self.index) })
            }
            _ => x,
        }
    }
}

impl ConvBn {
    /// `[h, w, c]` of the output for that of the input.
    pub fn output(&self, [height, width, _]: [usize; 3]) -> [usize; 3] {
        let dims = self.dims([1, height, width]);
        [dims.out_h(), dims.out_w(), self.c_out]
    }

    /// The dims over `n` images of `[h, w]`.
    pub fn dims(&self, [n, height, width]: [usize; 3]) -> Conv2d {
        self.options().dims([n, height, width, self.c_in], self.c_out, self.kernel)
    }

    pub fn options(&self) -> ConvOptions {
        ConvOptions {
            stride: [self.stride; 2],
            padding: self.padding.of(self.kernel, self.dilation),
            dilation: [self.dilation; 2],
            groups: self.groups,
        }
    }

    fn forward(&self, pass: &Pass, x: Tensor<4>, residual: Option<Tensor<4>>) -> Tensor<4> {
        let x = self.convolved(pass, x);
        self.normalized(pass, x, residual)
    }

    /// Applies the convolution alone.
    fn convolved(&self, pass: &Pass, x: Tensor<4>) -> Tensor<4> {
        conv2d(x, self.weight(pass), self.options())
    }

    /// Applies the batch norm and the activation to the convolution's output.
    fn normalized(&self, pass: &Pass, x: Tensor<4>, residual: Option<Tensor<4>>) -> Tensor<4> {
        let affine = self.affine(pass);
        let Some(observations) = pass.observations(self.frozen_norm) else {
            let statistics = self.without_bias(pass.leaves, pass.running(&self.bn));
            return batch_norm_eval(x, affine, statistics, residual, self.activation);
        };
        let rows = x.dims()[..3].iter().product();
        let (y, mean, variance) = batch_norm_train(x, affine, residual, self.activation);
        self.observe(pass, observations, [mean, variance], rows);
        y
    }

    /// Applies the batch norm with the part's statistics, the activation and the depthwise convolution of `next`.
    fn normalized_into(
        &self,
        next: &ConvBn,
        pass: &Pass,
        observations: &Observations,
        x: Tensor<4>,
    ) -> Tensor<4> {
        let rows = x.dims()[..3].iter().product();
        let (affine, w) = (self.affine(pass), next.weight(pass));
        let (y, mean, variance) =
            norm_depthwise_train(x, affine, self.activation, w, next.options());
        self.observe(pass, observations, [mean, variance], rows);
        y
    }

    fn is_depthwise(&self) -> bool {
        self.groups > 1 && [self.c_in, self.c_out] == [self.groups; 2]
    }

    fn weight(&self, pass: &Pass) -> Tensor<4> {
        pass.leaves.get(&format!("{}.weight", self.conv))
    }

    fn affine(&self, pass: &Pass) -> Affine {
        let leaf = |kind: &str| pass.leaves.get(&format!("{}.{kind}", self.bn));
        Affine { gamma: leaf("weight"), beta: leaf("bias"), epsilon: self.epsilon }
    }

    /// Reports the part's statistics over `rows` pixels.
    fn observe(
        &self,
        pass: &Pass,
        observations: &Observations,
        [mean, variance]: [Tensor<1>; 2],
        rows: usize,
    ) {
        // The convolution's bias shifts the mean, and the batch norm takes it away again: it has no gradient.
        let mean = match self.bias(pass.leaves) {
            Some(bias) => mean + bias,
            None => mean,
        };
        observations.observe(&self.bn, mean, variance, rows);
    }

    fn bias(&self, leaves: &Leaves) -> Option<Tensor<1>> {
        self.bias.then(|| leaves.get(&format!("{}.bias", self.conv)).without_autodiff())
    }

    /// Running mean and variance of what the convolution gives without its bias.
    pub(crate) fn without_bias(&self, leaves: &Leaves, running: [Tensor<1>; 2]) -> [Tensor<1>; 2] {
        let [mean, variance] = running;
        match self.bias(leaves) {
            Some(bias) => [mean - bias, variance],
            None => [mean, variance],
        }
    }

    fn parameters(&self, last_in_block: bool, specs: &mut Vec<ParameterSpec>) {
        specs.push(weight(&self.conv, self.kernel, self.c_in, self.c_out, self.groups));
        if self.bias {
            specs.push(conv::bias(&self.conv, self.c_out));
        }
        norm::affine(&self.bn, self.c_out, last_in_block, self.frozen_norm, specs);
    }
}

/// The weight of a convolution.
fn weight(
    name: &str,
    kernel: [usize; 2],
    c_in: usize,
    c_out: usize,
    groups: usize,
) -> ParameterSpec {
    let [height, width] = kernel;
    let fans = Fans {
        fan_in: height * width * c_in / groups,
        fan_out: height * width * c_out / groups,
        channels_in: c_in,
        channels_out: c_out,
    };
    let shape = vec![c_out, height, width, c_in / groups];
    let spec = ParameterSpec::new(format!("{name}.weight"), Role::Weight, shape);
    ParameterSpec { fans: Some(fans), ..spec }
}

impl Residual {
    fn forward(&self, pass: &Pass, x: Tensor<4>) -> Tensor<4> {
        let (x, for_b) = fork(x);
        let b = chain(&self.path_b, pass, for_b);
        let a = chain(&self.path_a, pass, x);
        match &self.squeeze_excitation {
            None => self.last.forward(pass, a, Some(b)),
            Some(part) => {
                // The add and the activation come behind the gates.
                let last = ConvBn { activation: Activation::Identity, ..self.last.clone() };
                let a = last.forward(pass, a, None);
                part.forward(pass.leaves, a, b, self.last.activation)
            }
        }
    }
}

impl Linear {
    pub fn forward(&self, leaves: &Leaves, x: Tensor<2>) -> Tensor<2> {
        let leaf = |kind: &str| format!("{}.{kind}", self.name);
        linear(x, leaves.get(&leaf("weight")), leaves.get(&leaf("bias")))
    }

    pub fn parameters(&self, specs: &mut Vec<ParameterSpec>) {
        let fans = Fans {
            fan_in: self.c_in,
            fan_out: self.c_out,
            channels_in: self.c_in,
            channels_out: self.c_out,
        };
        let shape = vec![self.c_out, self.c_in];
        let weight = ParameterSpec::new(format!("{}.weight", self.name), Role::Weight, shape);
        specs.push(ParameterSpec { fans: Some(fans), group: self.group, ..weight });
        specs.push(ParameterSpec { group: self.group, ..conv::bias(&self.name, self.c_out) });
    }
}

#[cfg(test)]
mod tests;
