//! One training step: the only place where parameters, optimizer slots and running statistics move.

use std::time::Duration;

use nn::{BatchMean, Contribution, Draw, Model, Observations, Pass, Tensor, Tree};
use tricks::loss_scaling::MOST_OVERFLOWS;
use world::World;

use crate::control::{Control, together};
use crate::error::{NotFinite, TrainError};
use crate::gather::gathered;
use crate::hyper::Hyper;
use crate::state::State;
use crate::task::{Feed, Skip, Task};

/// The results of one step.
#[derive(Clone, Debug)]
pub struct Report {
    /// Steps done, this one included.
    pub step: u64,
    pub loss: f64,
    /// The terms of the loss, where it has several.
    pub terms: Vec<(&'static str, f64)>,
    /// The norm of the gradient before any clipping.
    pub gradient_norm: f64,
    pub rate: f64,
    /// The factor by which the loss was multiplied (§3.2); None without one.
    pub loss_scale: Option<f32>,
    /// Whether the scaled gradient overflowed, so that nothing moved but the step and the loss scale.
    pub overflowed: bool,
    /// The images that could not be decoded, in the order of their places.
    pub skipped: Vec<Skip>,
    /// Time that this rank waited for its parts.
    pub waited: Duration,
    /// The requests of all ranks together.
    pub agreed: Control,
}

/// Takes `state` one step further by the parts of a batch, which all ranks share out among them. `asks` is called once,
/// near the step's end, for what this rank wants, or for an error that it has kept until now.
pub fn step<T: Task>(
    task: &T,
    feed: &mut impl Feed<T::Part>,
    state: &mut State<T::Module>,
    world: &mut World,
    hyper: &Hyper,
    asks: impl FnOnce() -> Result<Control, TrainError>,
) -> Result<Report, TrainError> {
    let loss_scale = state.loss_scale();
    let own = own_parts(task, feed, state, world, hyper);
    let own = own.and_then(|own| Ok((asks()?, own)));
    let asked = own.as_ref().map_or_else(
        |_| Control::default(),
        |(asked, own)| Control { skipped: !own.skipped.is_empty(), ..*asked },
    );
    let ((_, mut own), agreed) = together(world, own, asked)?;
    if agreed.skipped {
        own.skipped = gathered(&own.skipped, world)?;
    }
    let sum = match world.size() {
        1 => own.sum,
        _ => own.sum.exchanged(&state.model.device, |values| world.sum(values))?,
    };
    let batch = BatchMean::of(sum, hyper.parts, loss_scale);
    let read = batch.read();
    let loss = f64::from(read.loss);
    let finite = read.finite && loss.is_finite();
    match finite {
        true => {
            let (mut gradients, observed) = batch.into_means(hyper.norm_factor(read.norm));
            if let Some(limit) = hyper.value_limit() {
                gradients = gradients.into_iter().map(|g| g.clamp(-limit, limit)).collect();
            }
            state.update(gradients, &observed, |spec, step| hyper.rule(spec, step));
        }
        false if state.loss_scaling.is_some() => {
            drop(batch);
            state.skip();
            if state.loss_scaling.is_some_and(|scaling| scaling.overflows >= MOST_OVERFLOWS) {
                return Err(TrainError::OnlyOverflows { step: state.step });
            }
        }
        false => {
            let what = if loss.is_finite() { NotFinite::Gradient } else { NotFinite::Loss(loss) };
            let (step, rate) = (state.step, hyper.rate);
            return Err(TrainError::NotFinite { what, step, rate, place: None });
        }
    }
    let terms = read.terms.into_iter().map(|(name, term)| (name, f64::from(term)));
    Ok(Report {
        step: state.step,
        loss,
        terms: terms.collect(),
        gradient_norm: read.norm,
        rate: hyper.rate,
        loss_scale,
        overflowed: !finite,
        skipped: own.skipped,
        waited: own.waited,
        agreed,
    })
}

/// The loss of one part and its gradient, in the order of [`nn::Parameters::trainable`]. It changes nothing and serves
/// checks of the arithmetic.
pub fn gradient<T: Task>(
    task: &T,
    model: &Model<T::Module>,
    part: T::Part,
) -> (f64, Vec<Tensor<1>>) {
    let sum = contribution(task, model, part, Draw::default(), None);
    let batch = BatchMean::of(sum, 1, None);
    (f64::from(batch.read().loss), batch.into_means(1.0).0)
}

/// The contribution of one part to a step.
fn contribution<T: Task>(
    task: &T,
    model: &Model<T::Module>,
    part: T::Part,
    draw: Draw,
    loss_scale: Option<f32>,
) -> Contribution {
    let (leaves, observations) = (model.parameters.tracked(), Observations::default());
    let pass = Pass::training(&leaves, &model.statistics, &observations, draw);
    let loss = task.loss(model, &pass, part); // z ← forward(net, X); ℓ ← loss(z, y)
    Contribution::of_part(leaves, loss, observations, loss_scale) // grad ← backward(ℓ)
}

/// The sum over the parts of one rank.
struct OwnParts {
    sum: Contribution,
    skipped: Vec<Skip>,
    waited: Duration,
}

fn own_parts<T: Task>(
    task: &T,
    feed: &mut impl Feed<T::Part>,
    state: &State<T::Module>,
    world: &World,
    hyper: &Hyper,
) -> Result<OwnParts, TrainError> {
    let (mut tree, mut skipped, mut waited) = (Tree::default(), Vec::new(), Duration::ZERO);
    for index in world.share(hyper.parts)? {
        let fed = feed.part(state.step, index)?; // X, y ← preprocess(some of b random images)
        skipped.extend(fed.skipped);
        waited += fed.waited;
        let draw = Draw { seed: hyper.seed, step: state.step, part: index as u64 };
        tree.add(contribution(task, &state.model, fed.part, draw, state.loss_scale()));
    }
    Ok(OwnParts { sum: tree.sum(), skipped, waited })
}
