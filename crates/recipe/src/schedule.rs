//! A recipe's spans and rate as plain numbers, once the length of an epoch is known.

use tricks::{cosine_decay, exponential_decay, linear_scaling, poly_decay, step_decay, warmup};

use crate::check::{point_too_late, warmup_too_long};
use crate::mistake::{Complaint, Mistake, RecipeErrors};
use crate::types::{Decay, DecayOn, Interval, RampEnd, Recipe, Span};

/// What happens at each step: a pure function of the step's number, so that a resumed run needs nothing else.
///
/// Steps count from 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    initial_rate: f64,
    warmup_steps: u64,
    /// `None` without warm-up.
    first: Option<RampEnd>,
    decay: Fall,
    total_steps: u64,
    evaluate_every: f64,
    checkpoint_every: Option<f64>,
}

/// A [`Decay`] in steps.
#[derive(Clone, Debug, PartialEq)]
enum Fall {
    Step { factor: f64, points: Vec<u64> },
    Cosine { last: RampEnd },
    Exponential { factor: f64, period: f64 },
    Poly { power: f64 },
}

impl Schedule {
    /// Plans a run, or refuses mistakes that only show once the length of an epoch is known, such as a warm-up of 5 epochs
    /// in a run of 100 steps.
    pub fn new(recipe: &Recipe, steps_per_epoch: u64) -> Result<Self, RecipeErrors> {
        let mistakes = mistakes(recipe, steps_per_epoch);
        if !mistakes.is_empty() {
            return Err(RecipeErrors::new(mistakes));
        }
        let steps = |span: Span| span.steps(steps_per_epoch);
        let rate = &recipe.rate;
        let decay = match &rate.decay {
            Decay::Step { factor, at } => Fall::Step {
                factor: *factor,
                points: at.iter().map(|&point| steps(point)).collect(),
            },
            Decay::Cosine { last } => Fall::Cosine { last: *last },
            Decay::Exponential { factor, every } => {
                Fall::Exponential { factor: *factor, period: period(*every, steps_per_epoch) }
            }
            Decay::Poly { power } => Fall::Poly { power: *power },
        };
        Ok(Self {
            initial_rate: initial_rate(recipe),
            warmup_steps: rate.warmup.map_or(0, |warmup| steps(warmup.duration)),
            first: rate.warmup.map(|warmup| warmup.first),
            decay,
            total_steps: steps(recipe.train.duration),
            evaluate_every: period(recipe.train.evaluate_every, steps_per_epoch),
            checkpoint_every: match recipe.checkpoint.every {
                Interval::Span(span) => Some(period(span, steps_per_epoch)),
                Interval::Seconds(_) => None,
            },
        })
    }

    /// Steps of the whole run.
    pub fn total_steps(&self) -> u64 {
        self.total_steps
    }

    /// η, the rate that the warm-up ends at (§3.1).
    pub fn initial_rate(&self) -> f64 {
        self.initial_rate
    }

    /// m, the steps that warm up (§3.1); 0 without warm-up.
    pub fn warmup_steps(&self) -> u64 {
        self.warmup_steps
    }

    /// The learning rate of a step.
    pub fn rate(&self, step: u64) -> f64 {
        let warmup = match self.first {
            None => 1.0,
            Some(RampEnd::OneStep) => warmup::factor(step, self.warmup_steps),
            Some(RampEnd::Zero) => warmup::factor_from_zero(step, self.warmup_steps),
        };
        // Cosine decay does not count the warm-up (§5.1).
        let t = step.saturating_sub(self.warmup_steps);
        let total = self.total_steps - self.warmup_steps;
        let decay = match &self.decay {
            Fall::Step { factor, points } => step_decay::factor(step, points, *factor),
            Fall::Cosine { last: RampEnd::OneStep } => cosine_decay::factor(t, total),
            Fall::Cosine { last: RampEnd::Zero } => cosine_decay::factor_to_zero(t, total),
            Fall::Exponential { factor, period } => {
                exponential_decay::factor(step, *period, *factor)
            }
            Fall::Poly { power } => poly_decay::factor(t, total, *power),
        };
        self.initial_rate * warmup * decay
    }

    /// Whether validation follows this step; it always follows the last.
    pub fn evaluate_at(&self, step: u64) -> bool {
        step + 1 == self.total_steps || falls_due(step, self.evaluate_every)
    }

    /// Whether a checkpoint follows this step, if the recipe counts their distance in epochs or steps. One always follows
    /// the last step. A recipe that counts minutes or seconds leaves the rest to the clock.
    pub fn checkpoint_at(&self, step: u64) -> bool {
        let due = self.checkpoint_every.is_some_and(|period| falls_due(step, period));
        step + 1 == self.total_steps || due
    }
}

impl DecayOn {
    /// Whether weight decay acts on a parameter of this role.
    pub fn acts_on(self, role: tricks::Role) -> bool {
        match self {
            DecayOn::Everything => true,
            DecayOn::Weights => tricks::no_bias_decay::decays(role),
        }
    }
}

pub(crate) fn initial_rate(recipe: &Recipe) -> f64 {
    let base = recipe.rate.base;
    match recipe.rate.linear_scaling {
        Some(scaling) => linear_scaling::rate(base, recipe.train.batch, scaling.reference_batch),
        None => base,
    }
}

/// The steps between two events. Fractions are kept, so `"0.5 epochs"` never drifts away from the epochs.
fn period(span: Span, steps_per_epoch: u64) -> f64 {
    match span {
        Span::Epochs(epochs) => (epochs * steps_per_epoch as f64).max(1.0),
        Span::Steps(steps) => steps as f64,
    }
}

/// Whether some multiple of `period`, rounded to a whole step, is the end of `step`.
fn falls_due(step: u64, period: f64) -> bool {
    let done = (step + 1) as f64;
    let nearest = (done / period).round();
    nearest >= 1.0 && (nearest * period).round() == done
}

fn mistakes(recipe: &Recipe, steps_per_epoch: u64) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let mut complain =
        |key: &str, complaint: Complaint| mistakes.push(complaint.about(recipe, key));
    let batch = recipe.train.batch;
    if steps_per_epoch == 0 {
        let message = format!("there are fewer training images than one batch of {batch}");
        complain("train.batch", Complaint::new(message, "lower it, or bring more images"));
        return mistakes;
    }
    let run = recipe.train.duration;
    let total = run.steps(steps_per_epoch);
    if total == 0 {
        let message = format!("{run} of {steps_per_epoch} steps an epoch is less than one step");
        complain("train.duration", Complaint::new(message, "raise it"));
        return mistakes;
    }
    let in_steps = |span: Span| match span {
        Span::Steps(_) => span.to_string(),
        Span::Epochs(_) => format!("{span} ({} steps)", span.steps(steps_per_epoch)),
    };
    // Spans of one unit were compared when the recipe was read.
    let mixed = |span: Span| span.partial_cmp(&run).is_none();
    if let Some(warmup) = recipe.rate.warmup
        && mixed(warmup.duration)
        && warmup.duration.steps(steps_per_epoch) > total
    {
        let complaint = warmup_too_long(&in_steps(warmup.duration), &in_steps(run));
        complain("rate.warmup.duration", complaint);
    }
    if let Decay::Step { at, .. } = &recipe.rate.decay {
        for &point in at.iter().filter(|&&point| mixed(point)) {
            if point.steps(steps_per_epoch) >= total {
                complain("rate.decay.step.at", point_too_late(&in_steps(point), &in_steps(run)));
            }
        }
    }
    mistakes
}
