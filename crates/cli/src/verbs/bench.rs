//! `trickbag bench`: how fast this machine trains and infers, on random inputs.

mod infer;
mod layers;
mod process;
mod step;

use anyhow::Result;
use data::Stream;
use nn::{Init, Tensor, TensorData};
use zoo::{Model, Options, StemSize};

use crate::args::{Bench, BenchOf};

pub(crate) fn run(args: &Bench) -> Result<()> {
    super::use_threads(args.common().threads());
    match &args.of {
        BenchOf::Step(common) => step::run(common),
        BenchOf::Infer(common) => infer::run(common),
        BenchOf::Layers(common) => layers::run(common),
    }
}

/// The network of the command line with made-up weights, and images `[batch, size, size, 3]` for it.
fn subject(common: &crate::args::BenchCommon) -> Result<(Model, Tensor<4>)> {
    let stem = if common.small_stem { StemSize::Small } else { StemSize::Imagenet };
    let network = zoo::network(&common.model, &Options { stem, ..Options::plain(1000) })?;
    let device = nn::cpu();
    let rng = |index| data::at(1, Stream::Init, 0, index as u64);
    let model = Model::initialized(network, Init::Xavier, 1.0, &device, rng);
    let (batch, side) = (common.batch(), common.size());
    let mut rng = data::at(1, Stream::Augment, 0, 0);
    let values: Vec<f32> =
        (0..batch * side * side * 3).map(|_| data::random::normal(&mut rng) as f32).collect();
    let x = Tensor::from_data(TensorData::new(values, [batch, side, side, 3]), &device);
    Ok((model, x))
}

/// The middle of the times; of an even number the mean of the two middle ones.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}
