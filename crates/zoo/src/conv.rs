//! Describing a convolution with its batch norm, as networks are written down.

use nn::{Activation, ConvBn, Layer};

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
        activation: Activation::Relu,
    })
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
