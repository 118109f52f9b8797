//! A convolution without a batch norm behind it.

use burn::tensor::Tensor;
use kernels::{Activation, Conv2d};
use tricks::Role;

use super::{Padding, weight};
use crate::ops::{ConvOptions, conv2d, conv2d_bias};
use crate::parameter::{Leaves, ParameterSpec};

/// A convolution, its bias, and the activation behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    pub name: String,
    pub kernel: [usize; 2],
    pub c_in: usize,
    pub c_out: usize,
    pub padding: Padding,
    /// Where there is none, there is no activation either.
    pub bias: Option<Activation>,
}

impl Conv {
    pub(crate) fn forward(&self, leaves: &Leaves, x: Tensor<4>) -> Tensor<4> {
        let leaf = |kind: &str| format!("{}.{kind}", self.name);
        let w = leaves.get(&leaf("weight"));
        match self.bias {
            None => conv2d(x, w, self.options()),
            Some(activation) => {
                conv2d_bias(x, (w, leaves.get(&leaf("bias"))), activation, self.options())
            }
        }
    }

    fn options(&self) -> ConvOptions {
        let padding = self.padding.of(self.kernel, 1);
        ConvOptions { stride: [1; 2], padding, dilation: [1; 2], groups: 1 }
    }

    /// The dims over `n` images of `[h, w]`.
    pub fn dims(&self, [n, height, width]: [usize; 3]) -> Conv2d {
        self.options().dims([n, height, width, self.c_in], self.c_out, self.kernel)
    }

    pub(crate) fn parameters(&self, specs: &mut Vec<ParameterSpec>) {
        specs.push(weight(&self.name, self.kernel, self.c_in, self.c_out, 1));
        if self.bias.is_some() {
            specs.push(bias(&self.name, self.c_out));
        }
    }
}

pub(super) fn bias(name: &str, channels: usize) -> ParameterSpec {
    ParameterSpec::new(format!("{name}.bias"), Role::Bias, vec![channels])
}
