//! Running mean and variance of every batch norm, on the inner device.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};

use crate::ops::blend;

/// Weight of the new value in a running statistic (PyTorch's `momentum`, which the authors' 0.9 is the rest of).
const NEW: f32 = 0.1;

/// The running statistics of a network, by the batch norm's name.
#[derive(Debug)]
pub struct Statistics {
    table: BTreeMap<String, [Tensor<1>; 2]>,
}

impl Statistics {
    /// Mean 0 and variance 1 for each (name, channels).
    pub fn new(batch_norms: &[(String, usize)], device: &Device) -> Statistics {
        let table = batch_norms
            .iter()
            .map(|(name, channels)| {
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

    /// By name, in the names' order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Tensor<1>; 2])> {
        self.table.iter().map(|(name, statistics)| (name.as_str(), statistics))
    }

    /// Moves every statistic towards another's: `keep` of it stays.
    #[track_caller]
    pub fn average(&mut self, keep: f32, other: &Statistics) {
        for (name, [mean, variance]) in &mut self.table {
            let [other_mean, other_variance] = other.get(name);
            *mean = blend(keep, mean.clone(), 1.0 - keep, &other_mean);
            *variance = blend(keep, variance.clone(), 1.0 - keep, &other_variance);
        }
    }

    /// Moves a tenth of the way to the statistics of a batch of `rows` values per channel. The running variance is
    /// the unbiased one, n/(n − 1) times the batch's, as PyTorch's and cuDNN's; of one row, whose variance is 0, it
    /// is 0.
    pub(crate) fn observe(
        &mut self,
        name: &str,
        mean: Tensor<1>,
        variance: Tensor<1>,
        rows: usize,
    ) {
        let [running_mean, running_variance] = self.get(name);
        let variance = variance * (rows as f32 / (rows.max(2) - 1) as f32);
        let moved = [
            running_mean * (1.0 - NEW) + mean * NEW,
            running_variance * (1.0 - NEW) + variance * NEW,
        ];
        self.table.insert(name.to_owned(), moved);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu;

    fn numbers(tensor: &Tensor<1>) -> Vec<f32> {
        tensor.to_data().try_into_vec().expect("tensors here are f32")
    }

    fn observe(statistics: &mut Statistics, mean: f32, variance: f32, rows: usize) {
        let constant = |value| Tensor::full([2], value, &cpu());
        statistics.observe("bn", constant(mean), constant(variance), rows);
    }

    #[test]
    fn move_a_tenth_of_the_way_to_the_unbiased_variance() {
        for (rows, variance, expected) in [(5, 2.0, 0.9 + 0.1 * 2.5), (2, 1.0, 1.1), (1, 0.0, 0.9)]
        {
            let mut statistics =
                Statistics::new(&[("bn".to_owned(), 2), ("other".to_owned(), 3)], &cpu());
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
        let mut statistics = Statistics::new(&[("bn".to_owned(), 2)], &cpu());
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
        Statistics::new(&[("bn1".to_owned(), 2)], &cpu()).get("bn2");
    }
}
