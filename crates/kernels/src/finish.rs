//! What follows a product before it is written for good: the sum with a bias and a residual, and
//! the rectifier.

use crate::batch_norm::Activation;
use crate::isa::{Isa, vectorised};
use crate::parallel;

/// `y = max(y + bias [+ residual], floor)`; what is not a number stays so.
#[derive(Clone, Copy)]
pub(crate) struct Finish<'a> {
    /// For each column of the result.
    pub(crate) bias: &'a [f32],
    /// As long as the result.
    pub(crate) residual: Option<&'a [f32]>,
    pub(crate) floor: f32,
}

/// The least value an activation gives.
pub(crate) fn floor(activation: Activation) -> f32 {
    match activation {
        Activation::Identity => f32::NEG_INFINITY,
        Activation::Relu => 0.0,
    }
}

impl Finish<'_> {
    /// Finishes a piece of one row, that starts at `at` in the result and at `column` in the row.
    #[inline(always)]
    pub(crate) fn piece(&self, at: usize, column: usize, y: &mut [f32]) {
        let bias = &self.bias[column..][..y.len()];
        if let Some(residual) = self.residual {
            let residual = &residual[at..][..y.len()];
            for ((y, &bias), &residual) in y.iter_mut().zip(bias).zip(residual) {
                let v = *y + bias + residual;
                *y = if v < self.floor { self.floor } else { v };
            }
        } else {
            for (y, &bias) in y.iter_mut().zip(bias) {
                let v = *y + bias;
                *y = if v < self.floor { self.floor } else { v };
            }
        }
    }

    /// Finishes a result whose rows are as long as the bias, in a pass of its own.
    pub(crate) fn all(&self, isa: Isa, y: &mut [f32]) {
        let width = self.bias.len().max(1);
        let chunk = (parallel::ELEMENTS / width).max(1) * width;
        parallel::chunks(y, chunk, |index, y| rows(isa, self, index * chunk, y));
    }
}

vectorised! {
    fn rows(finish: &Finish<'_>, start: usize, y: &mut [f32]) {
        let width = finish.bias.len();
        for (row, y) in y.chunks_exact_mut(width).enumerate() {
            finish.piece(start + row * width, 0, y);
        }
    }
}
