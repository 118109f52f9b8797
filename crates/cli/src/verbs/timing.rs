//! Training steps on made-up images, timed: what `bench step` reports, and what a dry run reckons from.

use std::time::Instant;

use classify::{Classify, Examples, Repeated};
use data::{Stream, random};
use nn::{Model, TensorData};
use recipe::Recipe;
use train::{Control, Hyper, State, TrainError, step};
use world::World;
use zoo::Network;

/// A model in training on one batch, again and again.
pub(crate) struct Timing {
    task: Classify,
    feed: Repeated,
    state: State<Network>,
    hyper: Hyper,
}

impl Timing {
    /// Training as the recipe says, without its teacher, on `images` images of `side` pixels in each part, whose target is
    /// every class alike.
    pub(crate) fn new(
        recipe: &Recipe,
        model: Model<Network>,
        images: usize,
        side: usize,
    ) -> Timing {
        let classes = model.module.classes();
        let targets = vec![1.0 / classes as f32; images * classes];
        let examples = Examples {
            images: made_up(images, side),
            targets: TensorData::new(targets, [images, classes]),
        };
        Timing {
            task: Classify::bare(recipe.train.precision),
            feed: Repeated(examples),
            state: State::initial(recipe, model),
            hyper: Hyper::of(recipe, 1e-3),
        }
    }

    /// One training step by the ranks of a world; returns the seconds it took.
    pub(crate) fn step(&mut self, world: &mut World) -> Result<f64, TrainError> {
        let started = Instant::now();
        let Timing { task, feed, state, hyper } = self;
        step(task, feed, state, world, hyper, || Ok(Control::default()))?;
        Ok(started.elapsed().as_secs_f64())
    }
}

/// Normally distributed images `[count, side, side, 3]`.
pub(crate) fn made_up(count: usize, side: usize) -> TensorData {
    let mut rng = data::at(1, Stream::Augment, 0, 0);
    let values: Vec<f32> =
        (0..count * side * side * 3).map(|_| random::normal(&mut rng) as f32).collect();
    TensorData::new(values, [count, side, side, 3])
}
