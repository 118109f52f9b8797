//! Running mean and variance of every batch norm, on the inner device.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};

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

    /// Moves a tenth of the way to the statistics of a batch of `rows` values per channel. The running variance is
    /// the unbiased one, n/(n − 1) times the batch's, as PyTorch's and cuDNN's.
    pub(crate) fn observe(&mut self, name: &str, mean: Tensor<1>, variance: Tensor<1>, rows: usize) {
        let [running_mean, running_variance] = self.get(name);
        let variance = variance * (rows as f32 / (rows as f32 - 1.0));
        let moved = [
            running_mean * (1.0 - NEW) + mean * NEW,
            running_variance * (1.0 - NEW) + variance * NEW,
        ];
        self.table.insert(name.to_owned(), moved);
    }
}
