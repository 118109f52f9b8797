//! The gradient of a batch, gathered from its parts.

use burn::tensor::Tensor;

use crate::ops::{all_finite, blend, scale, sum_of_squares};
use crate::parameter::Leaves;

/// The mean loss of equal parts of a batch, and its gradient by every parameter.
#[derive(Debug, Default)]
pub struct Gradients {
    /// §3.2 what the loss is multiplied with before its gradient is taken.
    scale: Option<f32>,
    parts: usize,
    loss: f64,
    /// Of the parts' own gradients, in the order of [`crate::Parameters::trainable`].
    sum: Vec<Tensor<1>>,
}

impl Gradients {
    /// Of losses that are scaled, or of the losses themselves.
    pub fn of_loss_times(scale: Option<f32>) -> Gradients {
        Gradients { scale, ..Gradients::default() }
    }

    /// Adds a part by its mean loss `[1]`.
    pub fn add(&mut self, leaves: Leaves, loss: Tensor<1>) {
        self.parts += 1;
        self.loss += f64::from(loss.clone().into_scalar::<f32>());
        let part = leaves.gradients(match self.scale {
            Some(scale) => loss * scale,
            None => loss,
        });
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

    /// Whether a scaled gradient went beyond what is a number.
    pub fn overflowed(&self) -> bool {
        self.scale.is_some() && !self.sum.iter().all(all_finite)
    }

    /// How many times the batch's gradient is in the sum.
    fn times(&self) -> f64 {
        self.parts as f64 * f64::from(self.scale.unwrap_or(1.0))
    }

    /// The norm of the batch's gradient, over all parameters together.
    pub fn norm(&self) -> f64 {
        self.sum.iter().map(sum_of_squares).sum::<f64>().sqrt() / self.times()
    }

    /// The batch's gradient times `factor`.
    pub fn scaled(self, factor: f64) -> Vec<Tensor<1>> {
        let share = (factor / self.times()) as f32;
        if share == 1.0 {
            return self.sum;
        }
        self.sum.into_iter().map(|sum| scale(share, sum)).collect()
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
        gathered_by(None, weights)
    }

    fn gathered_by(scale: Option<f32>, weights: &[f32]) -> Gradients {
        let parameters = parameters();
        let mut gradients = Gradients::of_loss_times(scale);
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

    /// A power of two changes no digit.
    #[test]
    fn of_a_scaled_loss_are_the_same_unless_they_overflow() {
        for scale in [1.0, 65_536.0, 2f32.powi(-20)] {
            let gradients = gathered_by(Some(scale), &[0.5, 1.0, 3.0]);
            assert_eq!(gradients.loss(), 21.0);
            assert!(!gradients.overflowed());
            assert!((gradients.norm() - 126.0f64.sqrt()).abs() < 1e-6);
            let found: Vec<Vec<f32>> = gradients.scaled(1.0).into_iter().map(numbers).collect();
            assert_eq!(found, [vec![3.0, 6.0], vec![-9.0]]);
        }
        let gradients = gathered_by(Some(2f32.powi(127)), &[1.0]);
        assert_eq!(gradients.loss(), 14.0);
        assert!(gradients.overflowed());
        // Where nobody scales, what is not finite is not taken for an overflow of the scale.
        assert!(!gathered(&[f32::INFINITY]).overflowed());
    }

    #[test]
    fn have_a_norm_over_all_parameters_and_are_scaled_by_a_factor() {
        let gradients = gathered(&[1.0, 1.0]);
        assert!((gradients.norm() - 56.0f64.sqrt()).abs() < 1e-6);
        let found: Vec<Vec<f32>> = gradients.scaled(0.25).into_iter().map(numbers).collect();
        assert_eq!(found, [vec![0.5, 1.0], vec![-1.5]]);
    }
}
