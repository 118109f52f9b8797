//! Inference, every batch norm folded into its convolution.

use std::time::Instant;

use anyhow::Result;
use nn::Tensor;

use super::{Measured, median, model};
use crate::args::BenchCommon;
use crate::verbs::timing::made_up;

pub(super) fn run(common: &BenchCommon) -> Result<()> {
    let model = model(common)?;
    let x: Tensor<4> = Tensor::from_data(made_up(common.batch(), common.size()), &model.device);
    let folded = zoo::folded(&model);
    let once = || {
        let started = Instant::now();
        let logits = model.module.infer(&folded, x.clone());
        // Reading the numbers is what says that they are there.
        let _ = logits.into_data();
        started.elapsed().as_secs_f64()
    };
    once();
    let seconds = median((0..common.steps()).map(|_| once()).collect());
    let multiply_adds = zoo::cost(&model.module, common.size()).multiply_adds;
    Measured::new(common, seconds, 2 * multiply_adds).print(common);
    Ok(())
}
