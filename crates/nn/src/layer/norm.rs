//! A batch norm with nothing in front of it to fold into: what DenseNet's layers begin with.

use burn::tensor::Tensor;
use kernels::Activation;
use tricks::Role;

use super::{EPSILON, Mode, Pass};
use crate::folded::Folded;
use crate::ops::{Affine, batch_norm_eval, batch_norm_train};
use crate::parameter::{Leaves, ParameterSpec};

/// A batch norm and the activation behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Norm {
    pub name: String,
    pub channels: usize,
    pub activation: Activation,
}

impl Norm {
    pub(crate) fn forward(&self, pass: &mut Pass, x: Tensor<4>) -> Tensor<4> {
        let affine = self.affine(pass.leaves);
        match pass.mode {
            Mode::Eval => {
                batch_norm_eval(x, affine, pass.statistics.get(&self.name), None, self.activation)
            }
            Mode::Train => {
                let [n, height, width, _] = x.dims();
                let (y, mean, variance) = batch_norm_train(x, affine, None, self.activation);
                pass.statistics.observe(&self.name, mean, variance, n * height * width);
                y
            }
        }
    }

    pub(crate) fn infer(&self, folded: &Folded, x: Tensor<4>) -> Tensor<4> {
        let statistics = folded.statistics(&self.name);
        batch_norm_eval(x, self.affine(&folded.leaves), statistics, None, self.activation)
    }

    fn affine(&self, leaves: &Leaves) -> Affine {
        let leaf = |kind: &str| leaves.get(&format!("{}.{kind}", self.name));
        Affine { gamma: leaf("weight"), beta: leaf("bias"), epsilon: EPSILON }
    }

    pub(crate) fn parameters(&self, specs: &mut Vec<ParameterSpec>) {
        affine(&self.name, self.channels, false, specs);
    }
}

/// γ and β of a batch norm.
pub(super) fn affine(
    name: &str,
    channels: usize,
    last_in_block: bool,
    specs: &mut Vec<ParameterSpec>,
) {
    for (kind, role) in [("weight", Role::Gamma { last_in_block }), ("bias", Role::Beta)] {
        let name = format!("{name}.{kind}");
        specs.push(ParameterSpec { name, role, shape: vec![channels], fans: None, in_head: false });
    }
}
