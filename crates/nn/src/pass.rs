//! One pass through a network: the numbers it reads, how its batch norms work, and what they observed. It changes
//! no parameter and no statistic.

use std::cell::RefCell;
use std::collections::BTreeMap;

use burn::tensor::Tensor;

use crate::parameter::Leaves;
use crate::statistics::Statistics;

/// The parameters, statistics and mode that a forward pass borrows.
#[derive(Clone, Copy, Debug)]
pub struct Pass<'a> {
    pub leaves: &'a Leaves,
    statistics: &'a Statistics,
    norms: Norms<'a>,
    /// The position of the pass; None switches dropout off.
    draw: Option<Draw>,
}

/// Which statistics batch norms normalize with.
#[derive(Clone, Copy, Debug)]
enum Norms<'a> {
    /// The running ones: evaluation.
    Running,
    /// The part's own, which are reported here. A frozen batch norm takes the running ones all the same.
    Part(&'a Observations),
}

/// The position of a pass in its run. The random numbers of the pass are a function of it alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Draw {
    pub seed: u64,
    pub step: u64,
    pub part: u64,
}

impl Draw {
    /// The random key of the dropout with this `index` at this position; any other has another key.
    pub fn key(self, index: u64) -> u64 {
        [self.seed, self.step, self.part, index].into_iter().fold(0, |key, number| {
            // SplitMix64's finalizer (Steele et al. 2014).
            let mixed = (key ^ number).wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            mixed ^ (mixed >> 31)
        })
    }
}

impl<'a> Pass<'a> {
    /// A training pass: batch norms use the part's statistics and report them to `observations`.
    pub fn training(
        leaves: &'a Leaves,
        statistics: &'a Statistics,
        observations: &'a Observations,
        draw: Draw,
    ) -> Pass<'a> {
        Pass { leaves, statistics, norms: Norms::Part(observations), draw: Some(draw) }
    }

    /// An evaluation pass: batch norms use the running statistics, nothing is dropped.
    pub fn evaluation(leaves: &'a Leaves, statistics: &'a Statistics) -> Pass<'a> {
        Pass { leaves, statistics, norms: Norms::Running, draw: None }
    }

    /// The same pass with everything working as in evaluation, for the part of a network that is frozen.
    #[must_use]
    pub fn evaluating(&self) -> Pass<'a> {
        Pass::evaluation(self.leaves, self.statistics)
    }

    /// Where a batch norm reports what it observed; None where it uses the running statistics.
    pub(crate) fn observations(&self, frozen: bool) -> Option<&'a Observations> {
        match self.norms {
            Norms::Part(observations) if !frozen => Some(observations),
            Norms::Part(_) | Norms::Running => None,
        }
    }

    /// Running mean and variance `[channels]` of a batch norm.
    #[track_caller]
    pub(crate) fn running(&self, name: &str) -> [Tensor<1>; 2] {
        self.statistics.get(name)
    }

    pub fn draw(&self) -> Option<Draw> {
        self.draw
    }
}

/// The mean and the unbiased variance `[channels]` that each batch norm of a training pass saw, by its name.
#[derive(Debug, Default)]
pub struct Observations(RefCell<BTreeMap<String, [Tensor<1>; 2]>>);

impl Observations {
    /// Keeps a batch norm's mean and biased variance over `rows` values per channel. The variance is stored unbiased,
    /// n/(n − 1) times the biased one, as PyTorch's and cuDNN's; for one row it stays 0.
    pub(crate) fn observe(&self, name: &str, mean: Tensor<1>, variance: Tensor<1>, rows: usize) {
        let variance = variance * (rows as f32 / (rows.max(2) - 1) as f32);
        self.0.borrow_mut().insert(name.to_owned(), [mean, variance]);
    }

    /// The observations by the batch norm's name, in the order of names.
    pub fn into_table(self) -> BTreeMap<String, [Tensor<1>; 2]> {
        self.0.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu;

    #[test]
    fn every_position_has_a_key_of_its_own() {
        let mut keys = Vec::new();
        for seed in 0..5 {
            for step in 0..20 {
                for part in 0..8 {
                    keys.extend((0..3).map(|index| Draw { seed, step, part }.key(index)));
                }
            }
        }
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count);
        let ones: u32 = keys.iter().map(|key| key.count_ones()).sum();
        let share = f64::from(ones) / (64.0 * count as f64);
        assert!((share - 0.5).abs() < 0.01, "{share}");
    }

    #[test]
    fn the_observed_variance_is_unbiased_and_zero_for_one_row() {
        for (rows, biased, expected) in [(5, 2.0, 2.5), (2, 1.0, 2.0), (1, 0.0, 0.0)] {
            let observations = Observations::default();
            let constant = |value: f32| Tensor::full([2], value, &cpu());
            observations.observe("bn", constant(4.0), constant(biased), rows);
            let table = observations.into_table();
            let [mean, variance] = table["bn"].clone().map(|tensor| tensor.into_data());
            assert_eq!(mean.try_into_vec::<f32>().unwrap(), [4.0; 2]);
            assert_eq!(variance.try_into_vec::<f32>().unwrap(), [expected; 2], "{rows} rows");
        }
    }
}
