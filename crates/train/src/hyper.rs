//! The numbers of one update: what a recipe and its schedule say about one step.

use nn::{AdamW, Nag, ParameterSpec, Rule, Sgd};
use recipe::{Clip, Optimizer, Recipe, Update};
use tricks::gradient_clipping;

/// The settings of one training step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hyper {
    /// The seed of the step's random numbers.
    pub seed: u64,
    /// Parts of a batch, a power of two.
    pub parts: usize,
    pub rate: f64,
    /// The factor by which the rate of heads is multiplied.
    pub head: f64,
    pub update: Update,
}

impl Hyper {
    /// The settings that a recipe gives to a step with this rate.
    pub fn of(recipe: &Recipe, rate: f64) -> Hyper {
        Hyper {
            seed: recipe.seed,
            parts: recipe.train.parts,
            rate,
            head: recipe.rate.head.unwrap_or(1.0),
            update: recipe.update,
        }
    }

    /// The update of a parameter; `step` counts from 1. *No bias decay* (§3.1) and a head's own rate act here.
    pub(crate) fn rule(&self, spec: &ParameterSpec, step: u64) -> Rule {
        let Update { optimizer, decay, decay_on, .. } = &self.update;
        let decay = if decay_on.acts_on(spec.role) { *decay as f32 } else { 0.0 };
        let rate = if spec.group.is_head() { self.rate * self.head } else { self.rate } as f32;
        match *optimizer {
            Optimizer::Nag { momentum } => {
                Rule::Nag(Nag { rate, momentum: momentum as f32, decay })
            }
            Optimizer::Sgd { momentum } => {
                Rule::Sgd(Sgd { rate, momentum: momentum as f32, decay })
            }
            Optimizer::Adamw { beta1, beta2, epsilon } => {
                Rule::AdamW(AdamW { rate, beta1, beta2, epsilon: epsilon as f32, decay, step })
            }
        }
    }

    /// The factor that makes a gradient of this norm no longer than the recipe allows.
    pub(crate) fn norm_factor(&self, norm: f64) -> f64 {
        match self.update.clip {
            Some(Clip::Norm(limit)) => gradient_clipping::factor(norm, limit),
            Some(Clip::Value(_)) | None => 1.0,
        }
    }

    /// The limit on the absolute value of each number of the gradient; None without one.
    pub(crate) fn value_limit(&self) -> Option<f32> {
        match self.update.clip {
            Some(Clip::Value(limit)) => Some(limit as f32),
            Some(Clip::Norm(_)) | None => None,
        }
    }
}
