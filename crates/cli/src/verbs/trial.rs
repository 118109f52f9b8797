//! Training steps on made-up images: what `bench step` times, and what a dry run reckons from.

use std::time::Instant;

use data::{Stream, random};
use nn::{
    Gradients, Mode, Nag, Pass, Precision, Tensor, TensorData, Velocity, cross_entropy, stored,
};
use train::classify::with_auxiliary;
use tricks::loss_scaling::LossScaling;
use zoo::Model;

/// A model in training on one batch, again and again.
pub(crate) struct Trial {
    model: Model,
    velocity: Velocity,
    x: Tensor<4>,
    p: Tensor<2>,
    precision: Precision,
    /// Of f16.
    scaling: Option<LossScaling>,
    steps: u64,
}

impl Trial {
    /// Of images x `[n, h, w, 3]`, whose target is every class alike.
    pub(crate) fn new(model: Model, x: Tensor<4>, precision: Precision) -> Trial {
        let (batch, classes) = (x.dims()[0], model.network.classes());
        let p = Tensor::full([batch, classes], 1.0 / classes as f32, &model.device);
        let velocity = Velocity::zeros(&model.parameters, &model.device);
        let scaling = (precision == Precision::F16).then(LossScaling::start);
        Trial { model, velocity, x, p, precision, scaling, steps: 0 }
    }

    /// Forward, loss, backward, update; returns the seconds they took.
    pub(crate) fn step(&mut self) -> f64 {
        let started = Instant::now();
        let Trial { model, velocity, x, p, precision, scaling, steps } = self;
        *steps += 1;
        let leaves = model.parameters.tracked();
        let statistics = &mut model.statistics;
        let mut pass = Pass { mode: Mode::Train, leaves: &leaves, statistics, noise: *steps };
        let x = stored(x.clone(), *precision);
        let (z, auxiliary) = model.network.forward_both(&mut pass, x);
        let loss = with_auxiliary(cross_entropy(z, p.clone()), auxiliary, p.clone());
        let mut gradients = Gradients::of_loss_times(scaling.map(|scaling| scaling.scale));
        gradients.add(leaves, loss);
        let overflow = gradients.overflowed();
        *scaling = scaling.map(|scaling| scaling.after_step(overflow));
        if !overflow {
            let hyper = Nag { rate: 1e-3, momentum: 0.9, decay: 1e-4 };
            velocity.update(&mut model.parameters, gradients.scaled(1.0), |_| hyper);
        }
        started.elapsed().as_secs_f64()
    }
}

/// Normally distributed images `[batch, side, side, 3]`.
pub(crate) fn images(batch: usize, side: usize) -> Tensor<4> {
    let mut rng = data::at(1, Stream::Augment, 0, 0);
    let values: Vec<f32> =
        (0..batch * side * side * 3).map(|_| random::normal(&mut rng) as f32).collect();
    Tensor::from_data(TensorData::new(values, [batch, side, side, 3]), &nn::cpu())
}
