//! Squeeze and excitation: the channels of an image weigh themselves by what the whole of it shows.

use burn::tensor::{Tensor, activation::relu};
use kernels::{Activation, Conv2d};

use super::conv::bias;
use super::weight;
use crate::ops::{ConvOptions, excite, fork, global_avg_pool, linear};
use crate::parameter::{Leaves, ParameterSpec};

/// y = act(x σ(W₂ ReLU(W₁ mean(x) + b₁) + b₂) + residual), at the end of path A.
#[derive(Clone, Debug, PartialEq)]
pub struct SqueezeExcitation {
    /// Of the two 1×1 convolutions, `NAME.fc1` and `NAME.fc2`.
    pub name: String,
    pub channels: usize,
    /// Channels between the two.
    pub reduced: usize,
}

impl SqueezeExcitation {
    pub(crate) fn forward(
        &self,
        leaves: &Leaves,
        x: Tensor<4>,
        residual: Tensor<4>,
        activation: Activation,
    ) -> Tensor<4> {
        let convolve = |x: Tensor<2>, (name, c_in, c_out): (String, usize, usize)| {
            // Over one pixel a 1×1 convolution is a linear layer.
            let w: Tensor<4> = leaves.get(&format!("{name}.weight"));
            linear(x, w.reshape([c_out, c_in]), leaves.get(&format!("{name}.bias")))
        };
        let [squeeze, expand] = self.convolutions();
        let (x, squeezed) = fork(x);
        let z = convolve(relu(convolve(global_avg_pool(squeezed), squeeze)), expand);
        excite(x, z, residual, activation)
    }

    /// Name, channels in and out of both.
    pub fn convolutions(&self) -> [(String, usize, usize); 2] {
        let name = |index| format!("{}.fc{index}", self.name);
        [(name(1), self.channels, self.reduced), (name(2), self.reduced, self.channels)]
    }

    /// The dims of both for `n` images.
    pub fn dims(&self, n: usize) -> [Conv2d; 2] {
        let one = [1; 2];
        let options = ConvOptions { stride: one, padding: [0; 2], dilation: one, groups: 1 };
        self.convolutions().map(|(_, c_in, c_out)| options.dims([n, 1, 1, c_in], c_out, one))
    }

    pub(crate) fn parameters(&self, specs: &mut Vec<ParameterSpec>) {
        for (name, c_in, c_out) in self.convolutions() {
            specs.push(weight(&name, [1; 2], c_in, c_out, 1));
            specs.push(bias(&name, c_out));
        }
    }
}
