//! Describing a convolution with its batch norm, as networks are written down.

use nn::{Activation, ConvBn, EPSILON, Layer, Padding, PoolOptions};

/// A convolution being described.
pub(crate) struct Conv(ConvBn);

/// Kernel, in, out, always in this order; stride 1, batch norm and ReLU behind it.
pub(crate) fn conv(name: &str, bn: &str, side: usize, c_in: usize, c_out: usize) -> Conv {
    Conv(ConvBn {
        conv: name.to_owned(),
        bn: bn.to_owned(),
        kernel: [side; 2],
        c_in,
        c_out,
        stride: 1,
        dilation: 1,
        groups: 1,
        padding: Padding::Same,
        bias: false,
        epsilon: EPSILON,
        activation: Activation::Relu,
        frozen_norm: false,
    })
}

/// The window of a pool: a square that moves by `stride`, over a border of `padding`.
pub(crate) fn window(side: usize, stride: usize, padding: usize) -> PoolOptions {
    PoolOptions {
        kernel: [side; 2],
        stride: [stride; 2],
        padding: [padding; 2],
        ceil_mode: false,
        count_include_pad: false,
    }
}

impl Conv {
    pub(crate) fn stride(mut self, stride: usize) -> Conv {
        self.0.stride = stride;
        self
    }

    pub(crate) fn dilation(mut self, dilation: usize) -> Conv {
        self.0.dilation = dilation;
        self
    }

    pub(crate) fn groups(mut self, groups: usize) -> Conv {
        self.0.groups = groups;
        self
    }

    /// Height and width, where they are not the same.
    pub(crate) fn kernel(mut self, kernel: [usize; 2]) -> Conv {
        self.0.kernel = kernel;
        self
    }

    /// Only where the whole kernel lies on the image.
    pub(crate) fn unpadded(mut self) -> Conv {
        self.0.padding = Padding::None;
        self
    }

    pub(crate) fn bias(mut self) -> Conv {
        self.0.bias = true;
        self
    }

    pub(crate) fn epsilon(mut self, epsilon: f32) -> Conv {
        self.0.epsilon = epsilon;
        self
    }

    pub(crate) fn without_relu(mut self) -> Conv {
        self.0.activation = Activation::Identity;
        self
    }
}

impl From<Conv> for Layer {
    fn from(conv: Conv) -> Layer {
        Layer::ConvBn(conv.0)
    }
}

impl From<Conv> for ConvBn {
    fn from(conv: Conv) -> ConvBn {
        conv.0
    }
}
