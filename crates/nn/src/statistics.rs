//! Running mean and variance of every batch norm, on the inner device.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};

use crate::module::NormSpec;
use crate::ops::blend;

/// The weight of the new value in a running statistic: PyTorch's `momentum`. The authors' 0.9 weighs the old value.
const NEW: f32 = 0.1;

/// The running statistics of a module, by the batch norm's name.
#[derive(Debug)]
pub struct Statistics {
    table: BTreeMap<String, [Tensor<1>; 2]>,
}

impl Statistics {
    /// Mean 0 and variance 1 for each batch norm.
    pub fn new(norms: &[NormSpec], device: &Device) -> Statistics {
        let table = norms
            .iter()
            .map(|NormSpec { name, channels, .. }| {
                let fresh = [Tensor::zeros([*channels], device), Tensor::ones([*channels], device)];
                (name.clone(), fresh)
            })
            .collect();
        Statistics { table }
    }

    /// Running mean and variance `[channels]`.
    #[track_caller]
    pub fn get(&self, name: &str) -> [Tensor<1>; 2] {
        self.table.get(name).unwrap_or_else(|| panic!("no batch norm named {name}")).clone()
    }

    pub fn set(&mut self, name: &str, values: [Vec<f32>; 2], device: &Device) {
        let tensors = values.map(|values| {
            let channels = values.len();
            Tensor::from_data(TensorData::new(values, [channels]), device)
        });
        self.table.insert(name.to_owned(), tensors);
    }

    /// The mean and the variance of each batch norm, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Tensor<1>; 2])> {
        self.table.iter().map(|(name, statistics)| (name.as_str(), statistics))
    }

    /// Replaces every statistic by `keep` times itself plus (1 − `keep`) times the other's.
    #[track_caller]
    pub fn average(&mut self, keep: f32, other: &Statistics) {
        self.move_towards(keep, 1.0 - keep, &other.table);
    }

    /// Moves each statistic a tenth of the way to what its batch norm observed in a step, if it observed anything.
    #[track_caller]
    pub fn observe(&mut self, observed: &BTreeMap<String, [Tensor<1>; 2]>) {
        self.move_towards(1.0 - NEW, NEW, observed);
    }

    #[track_caller]
    fn move_towards(&mut self, keep: f32, new: f32, others: &BTreeMap<String, [Tensor<1>; 2]>) {
        for (name, pair) in others {
            let own =
                self.table.get_mut(name).unwrap_or_else(|| panic!("no batch norm named {name}"));
            for (own, other) in own.iter_mut().zip(pair) {
                let hole = Tensor::empty([0], &own.device());
                *own = blend(keep, std::mem::replace(own, hole), new, other);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu;
    use crate::pass::Observations;

    fn numbers(tensor: &Tensor<1>) -> Vec<f32> {
        tensor.to_data().try_into_vec().expect("tensors here are f32")
    }

    fn norm(name: &str, channels: usize) -> NormSpec {
        NormSpec { name: name.to_owned(), channels, frozen: false }
    }

    fn observe(statistics: &mut Statistics, mean: f32, variance: f32, rows: usize) {
        let constant = |value| Tensor::full([2], value, &cpu());
        let observations = Observations::default();
        observations.observe("bn", constant(mean), constant(variance), rows);
        statistics.observe(&observations.into_table());
    }

    #[test]
    fn move_a_tenth_of_the_way_to_the_unbiased_variance() {
        for (rows, variance, expected) in [(5, 2.0, 0.9 + 0.1 * 2.5), (2, 1.0, 1.1), (1, 0.0, 0.9)]
        {
            let mut statistics = Statistics::new(&[norm("bn", 2), norm("other", 3)], &cpu());
            observe(&mut statistics, 4.0, variance, rows);
            let [mean, variance] = statistics.get("bn");
            for (found, expected) in [(mean, 0.4), (variance, expected)] {
                for found in numbers(&found) {
                    assert!(
                        (found - expected).abs() < 1e-6,
                        "{rows} rows: {found}, not {expected}"
                    );
                }
            }
            let [mean, variance] = statistics.get("other");
            assert_eq!((numbers(&mean), numbers(&variance)), (vec![0.0; 3], vec![1.0; 3]));
        }
    }

    #[test]
    fn come_close_to_what_they_observe_again_and_again() {
        let mut statistics = Statistics::new(&[norm("bn", 2)], &cpu());
        for _ in 0..200 {
            observe(&mut statistics, -3.0, 0.75, 4);
        }
        let [mean, variance] = statistics.get("bn");
        assert!((numbers(&mean)[0] + 3.0).abs() < 1e-5, "{mean}");
        assert!((numbers(&variance)[1] - 1.0).abs() < 1e-5, "{variance}");
    }

    #[test]
    #[should_panic(expected = "no batch norm named bn2")]
    fn of_an_unknown_name_panic() {
        Statistics::new(&[norm("bn1", 2)], &cpu()).get("bn2");
    }
}
