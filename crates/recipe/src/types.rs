//! The types of a recipe: its tables, which [`crate::keys`] declares, and the two kinds of length in them.

pub use crate::keys::*;
pub use tricks::{Init, Precision};

/// A length of training. Written with its unit: `"5 epochs"`, `"100 steps"`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Span {
    Epochs(f64),
    Steps(u64),
}

impl Span {
    /// Steps, given how many an epoch has. Rounded to the nearest step.
    pub fn steps(self, steps_per_epoch: u64) -> u64 {
        match self {
            Span::Epochs(epochs) => (epochs * steps_per_epoch as f64).round() as u64,
            Span::Steps(steps) => steps,
        }
    }
}

/// Time between checkpoints: of work, `"5 minutes"` or `"30 seconds"`, or a span of training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Interval {
    Seconds(f64),
    Span(Span),
}
