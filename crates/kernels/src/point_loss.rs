//! Losses of single numbers: the sum of w·ℓ(x, t) over all of them. A number of weight 0 counts nothing, whatever it is.

use crate::check;
use crate::output::Output;
use crate::parallel::{self, ELEMENTS};

/// The loss of a number x whose target is t.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PointLoss {
    /// (x − t)²/2β where |x − t| < β, and |x − t| − β/2 beyond: smooth L1 (§6.1). |x − t| for β = 0.
    SmoothL1 { beta: f32 },
    /// −t ln σ(x) − (1 − t) ln(1 − σ(x)): the cross entropy of a logit.
    Logistic,
}

impl PointLoss {
    fn of(self, x: f32, t: f32) -> f64 {
        let (x, t) = (f64::from(x), f64::from(t));
        match self {
            PointLoss::SmoothL1 { beta } => {
                let (distance, beta) = ((x - t).abs(), f64::from(beta));
                if distance < beta {
                    distance * distance / (2.0 * beta)
                } else {
                    distance - beta / 2.0
                }
            }
            PointLoss::Logistic => x.max(0.0) - x * t + (-x.abs()).exp().ln_1p(),
        }
    }

    fn slope(self, x: f32, t: f32) -> f32 {
        match self {
            PointLoss::SmoothL1 { beta } => {
                let distance = x - t;
                if distance.abs() < beta {
                    distance / beta
                } else if distance == 0.0 {
                    0.0
                } else {
                    // Keeps a NaN.
                    distance / distance.abs()
                }
            }
            PointLoss::Logistic => 1.0 / (1.0 + (-x).exp()) - t,
        }
    }
}

#[track_caller]
fn check(operation: &str, x: usize, target: usize, weight: usize) {
    check::length(operation, "target", target, x);
    check::length(operation, "weight", weight, x);
}

/// The weighted sum of the losses.
#[track_caller]
pub fn point_loss_forward(loss: PointLoss, x: &[f32], target: &[f32], weight: &[f32]) -> f32 {
    check("point_loss_forward", x.len(), target.len(), weight.len());
    let mut sums = vec![0.0f64; x.len().div_ceil(ELEMENTS)];
    parallel::chunks(&mut sums, 1, |index, sum| {
        let range = index * ELEMENTS..((index + 1) * ELEMENTS).min(x.len());
        let numbers = x[range.clone()].iter().zip(&target[range.clone()]).zip(&weight[range]);
        let counted = numbers.filter(|(_, weight)| **weight != 0.0);
        sum[0] = counted.map(|((&x, &t), &weight)| f64::from(weight) * loss.of(x, t)).sum();
    });
    sums.iter().sum::<f64>() as f32
}

/// The gradient of `scale` times the weighted sum.
#[track_caller]
pub fn point_loss_backward<'a>(
    loss: PointLoss,
    [x, target, weight]: [&[f32]; 3],
    scale: f32,
    dx: impl Into<Output<'a, f32>>,
) {
    let dx = &mut *dx.into().writer();
    check("point_loss_backward", x.len(), target.len(), weight.len());
    check::length("point_loss_backward", "dx", dx.len(), x.len());
    parallel::chunks(dx, ELEMENTS, |index, part| {
        for (at, dx) in (index * ELEMENTS..).zip(part) {
            let weight = weight[at];
            *dx = if weight == 0.0 { 0.0 } else { scale * weight * loss.slope(x[at], target[at]) };
        }
    });
}
