//! What follows a product before it is written for good: the sum with a bias and a residual, and
//! the rectifier.

use crate::batch_norm::Activation;
use crate::lanes::Lanes;

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

    /// Finishes a vector that starts at `at` in the result and at `column` in the row.
    ///
    /// # Safety
    ///
    /// The bias has the vector's columns, and the residual is as long as the result.
    #[inline(always)]
    pub(crate) unsafe fn lanes<V: Lanes>(&self, y: V, at: usize, column: usize) -> V {
        // SAFETY: the caller's promise.
        unsafe {
            let mut y = y.add(V::load(self.bias.as_ptr().add(column)));
            if let Some(residual) = self.residual {
                y = y.add(V::load(residual.as_ptr().add(at)));
            }
            y.at_least(self.floor)
        }
    }

    /// Asserts that it is for a result of `length` and rows of `columns`.
    pub(crate) fn check(&self, length: usize, columns: usize) {
        assert_eq!(self.bias.len(), columns);
        assert!(self.residual.is_none_or(|residual| residual.len() == length));
    }
}
