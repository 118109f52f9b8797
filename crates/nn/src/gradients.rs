//! The contributions of a batch's parts, joined as one binary tree: gradients, losses, and what batch norms observed.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use tricks::parts;

use crate::ops::{blend, health, scale};
use crate::parameter::Leaves;
use crate::pass::Observations;

/// The loss of a part `[1]`, the mean over what it counts, and the named terms it is made of where there are several.
#[derive(Debug)]
pub struct Loss {
    pub total: Tensor<1>,
    pub terms: Vec<(&'static str, Tensor<1>)>,
}

impl From<Tensor<1>> for Loss {
    /// A loss of one term.
    fn from(total: Tensor<1>) -> Loss {
        Loss { total, terms: Vec::new() }
    }
}

/// The sums over some neighbouring parts of a batch; no tensor of it is on a graph.
#[derive(Debug)]
pub struct Contribution {
    /// In the order of [`crate::Parameters::trainable`], times the loss scale.
    gradients: Vec<Tensor<1>>,
    /// Mean and unbiased variance by the batch norm's name.
    observed: BTreeMap<String, [Tensor<1>; 2]>,
    /// The total and the terms, each `[1]`.
    losses: Vec<Tensor<1>>,
    terms: Vec<&'static str>,
}

impl Contribution {
    /// The contribution of one part: takes the gradient of its loss times `loss_scale` (§3.2).
    pub fn of_part(
        leaves: Leaves,
        loss: Loss,
        observations: Observations,
        loss_scale: Option<f32>,
    ) -> Contribution {
        let plain = |tensor: &Tensor<1>| tensor.clone().without_autodiff();
        let (names, terms): (Vec<_>, Vec<_>) = loss.terms.into_iter().unzip();
        let losses = [&loss.total].into_iter().chain(&terms).map(plain).collect();
        drop(terms);
        let gradients = leaves.gradients(match loss_scale {
            Some(scale) => loss.total * scale,
            None => loss.total,
        });
        Contribution { gradients, observed: observations.into_table(), losses, terms: names }
    }

    /// Adds another contribution to this one.
    #[track_caller]
    fn join(self, other: Contribution) -> Contribution {
        assert_eq!(self.terms, other.terms, "the parts of a batch have the same terms");
        let add = |a: Tensor<1>, b: &Tensor<1>| blend(1.0, a, 1.0, b);
        let all = |own: Vec<Tensor<1>>, other: &[Tensor<1>]| {
            own.into_iter().zip(other).map(|(a, b)| add(a, b)).collect()
        };
        let norm = |(name, [mean, variance]): (String, [Tensor<1>; 2])| {
            let [other_mean, other_variance] = &other.observed[&name];
            (name, [add(mean, other_mean), add(variance, other_variance)])
        };
        Contribution {
            gradients: all(self.gradients, &other.gradients),
            observed: self.observed.into_iter().map(norm).collect(),
            losses: all(self.losses, &other.losses),
            terms: self.terms,
        }
    }

    /// Every tensor, in an order that all ranks share.
    fn tensors_mut(&mut self) -> impl Iterator<Item = &mut Tensor<1>> {
        let Contribution { gradients, observed, losses, .. } = self;
        gradients.iter_mut().chain(observed.values_mut().flatten()).chain(losses)
    }

    /// Replaces all numbers by what `change` makes of them as one slice, such as their sum over the ranks.
    pub fn exchanged<E>(
        mut self,
        device: &Device,
        change: impl FnOnce(&mut [f32]) -> Result<(), E>,
    ) -> Result<Contribution, E> {
        let length = self.tensors_mut().map(|tensor| tensor.dims()[0]).sum();
        let mut values: Vec<f32> = Vec::with_capacity(length);
        for tensor in self.tensors_mut() {
            let data = tensor.to_data();
            values.extend_from_slice(data.as_slice().expect("gradients are f32"));
        }
        change(&mut values)?;
        let mut rest = &values[..];
        for tensor in self.tensors_mut() {
            let (own, others) = rest.split_at(tensor.dims()[0]);
            *tensor = Tensor::from_data(TensorData::new(own.to_vec(), [own.len()]), device);
            rest = others;
        }
        Ok(self)
    }
}

/// Joins contributions as they come: neighbours first, then neighbours of neighbours, so that the sum of 2ᵏ parts is the
/// same bits whoever computes which of them. It keeps at most one contribution a level.
#[derive(Debug, Default)]
pub struct Tree {
    /// Sums of 2ᵏ parts, larger ones first.
    sums: Vec<Contribution>,
    added: usize,
}

impl Tree {
    pub fn add(&mut self, part: Contribution) {
        let mut sum = part;
        for _ in 0..parts::joins_after(self.added) {
            let left = self.sums.pop().expect("a sum of as many parts");
            sum = left.join(sum);
        }
        self.sums.push(sum);
        self.added += 1;
    }

    /// The sum of all parts.
    ///
    /// # Panics
    /// Where the number of parts is not a power of two.
    #[track_caller]
    pub fn sum(mut self) -> Contribution {
        let root = self.sums.pop();
        root.filter(|_| self.sums.is_empty()).expect("2ᵏ parts")
    }
}

/// The mean over all parts of a batch.
#[derive(Debug)]
pub struct BatchMean {
    sum: Contribution,
    parts: usize,
    loss_scale: Option<f32>,
}

/// The numbers that a step reads back from the device, in one transfer.
#[derive(Clone, Debug, PartialEq)]
pub struct Readback {
    pub loss: f32,
    /// The loss's terms, where it has several.
    pub terms: Vec<(&'static str, f32)>,
    /// The norm of the gradient, over all parameters together.
    pub norm: f64,
    /// Whether every number of the gradient and of the observations is finite.
    pub finite: bool,
}

impl BatchMean {
    /// The mean of `sum`, which is over `parts` parts whose losses were multiplied by `loss_scale`.
    pub fn of(sum: Contribution, parts: usize, loss_scale: Option<f32>) -> BatchMean {
        BatchMean { sum, parts, loss_scale }
    }

    /// The factor between the summed gradient and the mean gradient: the parts times the loss scale.
    fn times(&self) -> f64 {
        self.parts as f64 * f64::from(self.loss_scale.unwrap_or(1.0))
    }

    /// Losses, norm and finiteness, in one transfer.
    pub fn read(&self) -> Readback {
        let Contribution { gradients, observed, losses, terms } = &self.sum;
        let mut numbers = losses.clone();
        numbers.extend(gradients.iter().map(health));
        if !observed.is_empty() {
            let observed = observed.values().flatten().cloned().collect();
            numbers.push(health(&Tensor::cat(observed, 0)));
        }
        let numbers = Tensor::cat(numbers, 0).into_data();
        let numbers: &[f32] = numbers.as_slice().expect("losses are f32");
        let (losses, health) = numbers.split_at(losses.len());
        let (health, _) = health.as_chunks::<2>();
        let squares = health[..gradients.len()].iter().map(|[square, _]| f64::from(*square));
        let mean = |loss: f32| (f64::from(loss) / self.parts as f64) as f32;
        Readback {
            loss: mean(losses[0]),
            terms: terms.iter().copied().zip(losses[1..].iter().map(|&loss| mean(loss))).collect(),
            norm: squares.sum::<f64>().sqrt() / self.times(),
            finite: health.iter().all(|[_, finite]| *finite == 0.0),
        }
    }

    /// The mean gradient times `factor`, and the mean of what batch norms observed.
    pub fn into_means(self, factor: f64) -> (Vec<Tensor<1>>, BTreeMap<String, [Tensor<1>; 2]>) {
        let gradient = (factor / self.times()) as f32;
        let observation = 1.0 / self.parts as f32;
        let times =
            |factor: f32, sum: Tensor<1>| if factor == 1.0 { sum } else { scale(factor, sum) };
        let Contribution { gradients, observed, .. } = self.sum;
        let gradients = gradients.into_iter().map(|sum| times(gradient, sum)).collect();
        let observed = observed.into_iter();
        let observed = observed.map(|(name, pair)| (name, pair.map(|sum| times(observation, sum))));
        (gradients, observed.collect())
    }
}

#[cfg(test)]
mod tests;
