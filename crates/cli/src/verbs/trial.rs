//! Training steps on made-up images: what `bench step` times, and what a dry run reckons from.

use std::time::Instant;

use data::{Stream, random};
use nn::{Mode, Nag, Pass, Tensor, TensorData, Velocity, cross_entropy};
use zoo::Model;

/// A model in training on one batch, again and again.
pub(crate) struct Trial {
    model: Model,
    velocity: Velocity,
    x: Tensor<4>,
    p: Tensor<2>,
    steps: u64,
}

impl Trial {
    /// Of images x `[n, h, w, 3]`, whose target is every class alike.
    pub(crate) fn new(model: Model, x: Tensor<4>) -> Trial {
        let (batch, classes) = (x.dims()[0], model.network.classes());
        let p = Tensor::full([batch, classes], 1.0 / classes as f32, &model.device);
        let velocity = Velocity::zeros(&model.parameters, &model.device);
        Trial { model, velocity, x, p, steps: 0 }
    }

    /// Forward, loss, backward, update; returns the seconds they took.
    pub(crate) fn step(&mut self) -> f64 {
        let started = Instant::now();
        let Trial { model, velocity, x, p, steps } = self;
        *steps += 1;
        let leaves = model.parameters.tracked();
        let statistics = &mut model.statistics;
        let mut pass = Pass { mode: Mode::Train, leaves: &leaves, statistics, noise: *steps };
        let loss = cross_entropy(model.network.forward(&mut pass, x.clone()), p.clone());
        let gradients = leaves.gradients(loss);
        let hyper = Nag { rate: 1e-3, momentum: 0.9, decay: 1e-4 };
        velocity.update(&mut model.parameters, gradients, |_| hyper);
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
