//! The gradient of a batch, gathered from its parts.

use burn::tensor::Tensor;

use crate::ops::{blend, sum_of_squares};
use crate::parameter::Leaves;

/// The mean loss of equal parts of a batch, and its gradient by every parameter.
#[derive(Debug, Default)]
pub struct Gradients {
    parts: usize,
    loss: f64,
    /// Of the parts' own gradients, in the order of [`crate::Parameters::trainable`].
    sum: Vec<Tensor<1>>,
}

impl Gradients {
    /// Adds a part by its mean loss `[1]`.
    pub fn add(&mut self, leaves: Leaves, loss: Tensor<1>) {
        self.parts += 1;
        self.loss += f64::from(loss.clone().into_scalar::<f32>());
        let part = leaves.gradients(loss);
        self.sum = match std::mem::take(&mut self.sum) {
            sum if sum.is_empty() => part,
            sum => {
                sum.into_iter().zip(&part).map(|(sum, part)| blend(1.0, sum, 1.0, part)).collect()
            }
        };
    }

    /// The loss of the batch.
    pub fn loss(&self) -> f32 {
        (self.loss / self.parts as f64) as f32
    }

    /// The norm of the batch's gradient, over all parameters together.
    pub fn norm(&self) -> f64 {
        self.sum.iter().map(sum_of_squares).sum::<f64>().sqrt() / self.parts as f64
    }

    /// The batch's gradient times `factor`.
    pub fn scaled(self, factor: f64) -> Vec<Tensor<1>> {
        let scale = (factor / self.parts as f64) as f32;
        if scale == 1.0 {
            return self.sum;
        }
        self.sum.into_iter().map(|sum| sum * scale).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ParameterSpec, Parameters, Role, cpu};

    fn numbers(tensor: Tensor<1>) -> Vec<f32> {
        tensor.to_data().try_into_vec().expect("tensors here are f32")
    }

    fn parameters() -> Parameters {
        let spec = |name: &str, length| ParameterSpec {
            name: name.to_owned(),
            role: Role::Beta,
            shape: vec![length],
            fans: None,
            in_head: false,
        };
        let values = vec![vec![1.0, 2.0], vec![-3.0]];
        Parameters::new(vec![spec("a", 2), spec("b", 1)], values, &cpu())
    }

    /// Parts with the losses weight · Σ w².
    fn gathered(weights: &[f32]) -> Gradients {
        let parameters = parameters();
        let mut gradients = Gradients::default();
        for &weight in weights {
            let leaves = parameters.tracked();
            let (a, b): (Tensor<1>, Tensor<1>) = (leaves.get("a"), leaves.get("b"));
            let loss = ((a.clone() * a).sum() + (b.clone() * b).sum()) * weight;
            gradients.add(leaves, loss);
        }
        gradients
    }

    #[test]
    fn are_the_mean_of_the_parts() {
        for (weights, mean) in [(&[1.0][..], 1.0), (&[0.5, 1.0, 3.0], 1.5)] {
            let gradients = gathered(weights);
            assert_eq!(gradients.loss(), 14.0 * mean);
            let found: Vec<Vec<f32>> = gradients.scaled(1.0).into_iter().map(numbers).collect();
            assert_eq!(found, [vec![2.0 * mean, 4.0 * mean], vec![-6.0 * mean]]);
        }
    }

    #[test]
    fn have_a_norm_over_all_parameters_and_are_scaled_by_a_factor() {
        let gradients = gathered(&[1.0, 1.0]);
        assert!((gradients.norm() - 56.0f64.sqrt()).abs() < 1e-6);
        let found: Vec<Vec<f32>> = gradients.scaled(0.25).into_iter().map(numbers).collect();
        assert_eq!(found, [vec![0.5, 1.0], vec![-1.5]]);
    }
}
