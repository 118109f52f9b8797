//! Layers as values: a network is a tree of these, from which its parameters, its cost, its drawing and its forward
//! pass all follow.

use burn::tensor::Tensor;
use kernels::{Activation, Conv2d};
use tricks::Role;

use crate::ops::{
    Affine, ConvOptions, PoolOptions, avg_pool, batch_norm_eval, batch_norm_train, conv2d, linear,
    max_pool,
};
use crate::parameter::{Fans, Leaves, ParameterSpec};
use crate::statistics::Statistics;

/// A step from `[n, h, w, c]` to `[n, h', w', c']`.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    ConvBn(ConvBn),
    MaxPool(PoolOptions),
    AvgPool(PoolOptions),
    Residual(Residual),
}

/// A convolution without bias, its batch norm, and the activation behind it.
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
    pub activation: Activation,
}

/// A residual block (§4.1): ReLU(path A + path B).
#[derive(Clone, Debug, PartialEq)]
pub struct Residual {
    /// Such as `layer1.0`.
    pub name: String,
    /// Path A but for its last convolution.
    pub path_a: Vec<Layer>,
    /// Path A's last convolution: its batch norm, where zero γ acts, takes in the add and the ReLU.
    pub last: ConvBn,
    /// Empty for the identity.
    pub path_b: Vec<Layer>,
}

/// The classifier: `[n, c_in]` to `[n, c_out]`, with a bias.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    pub name: String,
    pub c_in: usize,
    pub c_out: usize,
}

/// Batch norms use the batch's statistics and move the running ones, or use the running ones and leave them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Train,
    Eval,
}

/// What a pass through a network needs beside x.
pub struct Pass<'a> {
    pub mode: Mode,
    pub leaves: &'a Leaves,
    pub statistics: &'a mut Statistics,
}

/// PyTorch's and the authors'.
pub(crate) const EPSILON: f32 = 1e-5;

impl Layer {
    pub fn forward(&self, pass: &mut Pass, x: Tensor<4>) -> Tensor<4> {
        match self {
            Layer::ConvBn(layer) => layer.forward(pass, x, None),
            Layer::MaxPool(options) => max_pool(x, *options),
            Layer::AvgPool(options) => avg_pool(x, *options),
            Layer::Residual(block) => block.forward(pass, x),
        }
    }

    /// How many steps of its input one step of its output is.
    pub fn stride(&self) -> usize {
        match self {
            Layer::ConvBn(layer) => layer.stride,
            Layer::MaxPool(options) | Layer::AvgPool(options) => options.stride[0],
            Layer::Residual(block) => {
                block.path_a.iter().map(Layer::stride).product::<usize>() * block.last.stride
            }
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
            Layer::Residual(block) => {
                let input = block.path_a.iter().fold(input, |input, layer| layer.output(input));
                block.last.output(input)
            }
        }
    }

    /// The dims of every convolution in here for `n` images `[h, w, c]`; returns the output's `[h, w, c]`.
    pub fn convolutions(&self, n: usize, at: [usize; 3], found: &mut Vec<Conv2d>) -> [usize; 3] {
        match self {
            Layer::ConvBn(layer) => found.push(layer.dims([n, at[0], at[1]])),
            Layer::MaxPool(_) | Layer::AvgPool(_) => {}
            Layer::Residual(block) => {
                let walk = |layers: &[Layer], found: &mut Vec<Conv2d>| {
                    layers.iter().fold(at, |at, layer| layer.convolutions(n, at, found))
                };
                let inner = walk(&block.path_a, found);
                found.push(block.last.dims([n, inner[0], inner[1]]));
                walk(&block.path_b, found);
            }
        }
        self.output(at)
    }

    /// Every convolution with its batch norm in here, in the network's order.
    pub fn conv_bns<'a>(&'a self, found: &mut Vec<&'a ConvBn>) {
        match self {
            Layer::ConvBn(layer) => found.push(layer),
            Layer::MaxPool(_) | Layer::AvgPool(_) => {}
            Layer::Residual(block) => {
                block.path_a.iter().for_each(|layer| layer.conv_bns(found));
                found.push(&block.last);
                block.path_b.iter().for_each(|layer| layer.conv_bns(found));
            }
        }
    }

    /// The learnable parameters in here, in the network's order.
    pub fn parameters(&self, specs: &mut Vec<ParameterSpec>) {
        match self {
            Layer::ConvBn(layer) => layer.parameters(false, specs),
            Layer::MaxPool(_) | Layer::AvgPool(_) => {}
            Layer::Residual(block) => {
                block.path_a.iter().for_each(|layer| layer.parameters(specs));
                block.last.parameters(true, specs);
                block.path_b.iter().for_each(|layer| layer.parameters(specs));
            }
        }
    }
}

/// One layer after the other.
pub fn chain(layers: &[Layer], pass: &mut Pass, x: Tensor<4>) -> Tensor<4> {
    layers.iter().fold(x, |x, layer| layer.forward(pass, x))
}

impl ConvBn {
    /// Padding that keeps the size at stride 1.
    pub fn padding(&self) -> [usize; 2] {
        self.kernel.map(|side| self.dilation * (side - 1) / 2)
    }

    /// `[h, w, c]` of the output for that of the input.
    pub fn output(&self, [height, width, _]: [usize; 3]) -> [usize; 3] {
        let dims = self.dims([1, height, width]);
        [dims.out_h(), dims.out_w(), self.c_out]
    }

    /// One multiplication and addition for each weight at each place of the output.
    pub fn multiply_adds(&self, [height, width, _]: [usize; 3]) -> u64 {
        self.dims([1, height, width]).multiply_adds()
    }

    fn dims(&self, [n, height, width]: [usize; 3]) -> Conv2d {
        self.options().dims([n, height, width, self.c_in], self.c_out, self.kernel)
    }

    pub fn options(&self) -> ConvOptions {
        ConvOptions {
            stride: [self.stride; 2],
            padding: self.padding(),
            dilation: [self.dilation; 2],
            groups: self.groups,
        }
    }

    fn forward(&self, pass: &mut Pass, x: Tensor<4>, residual: Option<Tensor<4>>) -> Tensor<4> {
        let leaf = |name: &str, kind: &str| format!("{name}.{kind}");
        let x = conv2d(x, pass.leaves.get(&leaf(&self.conv, "weight")), self.options());
        let affine = Affine {
            gamma: pass.leaves.get(&leaf(&self.bn, "weight")),
            beta: pass.leaves.get(&leaf(&self.bn, "bias")),
            epsilon: EPSILON,
        };
        match pass.mode {
            Mode::Eval => {
                let statistics = pass.statistics.get(&self.bn);
                batch_norm_eval(x, affine, statistics, residual, self.activation)
            }
            Mode::Train => {
                let [n, height, width, _] = x.dims();
                let (y, mean, variance) = batch_norm_train(x, affine, residual, self.activation);
                pass.statistics.observe(&self.bn, mean, variance, n * height * width);
                y
            }
        }
    }

    fn parameters(&self, last_in_block: bool, specs: &mut Vec<ParameterSpec>) {
        let area = self.kernel[0] * self.kernel[1];
        let fans = Fans {
            fan_in: area * self.c_in / self.groups,
            fan_out: area * self.c_out / self.groups,
            channels_in: self.c_in,
            channels_out: self.c_out,
        };
        specs.push(ParameterSpec {
            name: format!("{}.weight", self.conv),
            role: Role::Weight,
            shape: vec![self.c_out, self.kernel[0], self.kernel[1], self.c_in / self.groups],
            fans: Some(fans),
        });
        for (kind, role) in [("weight", Role::Gamma { last_in_block }), ("bias", Role::Beta)] {
            let name = format!("{}.{kind}", self.bn);
            specs.push(ParameterSpec { name, role, shape: vec![self.c_out], fans: None });
        }
    }
}

impl Residual {
    fn forward(&self, pass: &mut Pass, x: Tensor<4>) -> Tensor<4> {
        let b = chain(&self.path_b, pass, x.clone());
        let a = chain(&self.path_a, pass, x);
        self.last.forward(pass, a, Some(b))
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
        specs.push(ParameterSpec {
            name: format!("{}.weight", self.name),
            role: Role::Weight,
            shape: vec![self.c_out, self.c_in],
            fans: Some(fans),
        });
        let name = format!("{}.bias", self.name);
        specs.push(ParameterSpec { name, role: Role::Bias, shape: vec![self.c_out], fans: None });
    }
}

#[cfg(test)]
mod tests;
