//! The step, the state and the loop with a task of a few numbers: a linear layer behind a convolution with a batch norm.

mod fixtures;
mod journal;
mod ranks;
mod state;
mod step;
