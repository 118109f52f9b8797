//! Inference, every batch norm folded into its convolution.

use std::time::Instant;

use anyhow::Result;

use super::{Measured, median, model};
use crate::args::BenchCommon;
use crate::verbs::trial::images;

pub(super) fn run(common: &BenchCommon) -> Result<()> {
    let model = model(common)?;
    let x = images(common.batch(), common.size());
    let folded = model.folded();
    let once = || {
        let started = Instant::now();
        let logits = model.network.infer(&folded, x.clone());
        // Reading the numbers is what says that they are there.
        let _ = logits.into_data();
        started.elapsed().as_secs_f64()
    };
    once();
    let seconds = median((0..common.steps()).map(|_| once()).collect());
    let multiply_adds = zoo::cost(&model.network, common.size()).multiply_adds;
    Measured::new(common, seconds, 2 * multiply_adds).print(common);
    Ok(())
}
