//! A batch norm with nothing in front of it to fold into: what DenseNet's layers begin with.

use burn::tensor::Tensor;
use kernels::Activation;
use tricks::Role;

use super::EPSILON;
use crate::folded::Folded;
use crate::ops::{Affine, batch_norm_eval, batch_norm_train};
use crate::parameter::{Leaves, ParameterSpec};
use crate::pass::Pass;

/// A batch norm and the activation behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Norm {
    pub name: String,
    pub channels: usize,
    pub activation: Activation,
    /// Whether it uses its running statistics in training too and its γ and β are not trained.
    pub frozen: bool,
}

impl Norm {
    pub(crate) fn forward(&self, pass: &Pass, x: Tensor<4>) -> Tensor<4> {
        let affine = self.affine(pass.leaves);
        let Some(observations) = pass.observations(self.frozen) else {
            return batch_norm_eval(x, affine, pass.running(&self.name), None, self.activation);
        };
        let rows = x.dims()[..3].iter().product();
        let (y, mean, variance) = batch_norm_train(x, affine, None, self.activation);
        observations.observe(&self.name, mean, variance, rows);
        y
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
        affine(&self.name, self.channels, false, self.frozen, specs);
    }
}

/// γ and β of a batch norm.
pub(super) fn affine(
    name: &str,
    channels: usize,
    last_in_block: bool,
    frozen: bool,
    specs: &mut Vec<ParameterSpec>,
) {
    for (kind, role) in [("weight", Role::Gamma { last_in_block }), ("bias", Role::Beta)] {
        let spec = ParameterSpec::new(format!("{name}.{kind}"), role, vec![channels]);
        specs.push(ParameterSpec { trainable: !frozen, ..spec });
    }
}
