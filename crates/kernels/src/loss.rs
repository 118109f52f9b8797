//! Softmax cross entropy over a target distribution: ℓ = mean over rows of −Σ p_k log softmax(z)_k,
//! with gradient dz = (softmax(z) Σ p − p) / rows (§5.2 of arXiv 1812.01187).
//!
//! The target need not sum to one.

use crate::check;
use crate::output::Output;
use crate::parallel;

/// Rows summed by one task.
const ROWS: usize = 16;

#[track_caller]
fn check_rows(operation: &str, rows: usize, classes: usize, slices: [(&str, usize); 3]) {
    for (name, found) in slices {
        check::length(operation, name, found, rows * classes);
    }
}

/// The mean loss of logits `z` under targets `p`, both `[rows, classes]`; `softmax` is written, for
/// the backward pass.
#[track_caller]
pub fn cross_entropy_forward<'a>(
    rows: usize,
    classes: usize,
    z: &[f32],
    p: &[f32],
    softmax: impl Into<Output<'a, f32>>,
) -> f32 {
    let softmax = &mut *softmax.into().writer();
    check_rows(
        "cross_entropy_forward",
        rows,
        classes,
        [("z", z.len()), ("p", p.len()), ("softmax", softmax.len())],
    );
    if softmax.is_empty() {
        return 0.0;
    }
    let chunk = ROWS * classes;
    let mut losses = vec![0.0f64; rows.div_ceil(ROWS)];
    parallel::chunks2((softmax, chunk), (&mut losses, 1), |index, softmax, loss| {
        for (row, softmax) in softmax.chunks_exact_mut(classes).enumerate() {
            let range = (index * ROWS + row) * classes..(index * ROWS + row + 1) * classes;
            loss[0] += row_loss(&z[range.clone()], &p[range], softmax);
        }
    });
    (losses.iter().sum::<f64>() / rows as f64) as f32
}

fn row_loss(z: &[f32], p: &[f32], softmax: &mut [f32]) -> f64 {
    let greatest = z.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0f64;
    for (to, &z) in softmax.iter_mut().zip(z) {
        *to = (z - greatest).exp();
        sum += f64::from(*to);
    }
    let share = (1.0 / sum) as f32;
    for to in softmax {
        *to *= share;
    }
    let log = sum.ln() + f64::from(greatest);
    // A class without weight adds nothing, even where its logit is −∞.
    let terms = z.iter().zip(p).filter(|&(_, &p)| p != 0.0);
    terms.map(|(&z, &p)| f64::from(p) * (log - f64::from(z))).sum()
}

/// The gradient of `scale` times the loss: `dz = (softmax Σp − p) scale / rows`.
#[track_caller]
pub fn cross_entropy_backward<'a>(
    rows: usize,
    classes: usize,
    softmax: &[f32],
    p: &[f32],
    scale: f32,
    dz: impl Into<Output<'a, f32>>,
) {
    let dz = &mut *dz.into().writer();
    check_rows(
        "cross_entropy_backward",
        rows,
        classes,
        [("softmax", softmax.len()), ("p", p.len()), ("dz", dz.len())],
    );
    let factor = scale / rows as f32;
    parallel::chunks(dz, ROWS * classes, |index, part| {
        for (row, dz) in part.chunks_exact_mut(classes).enumerate() {
            let start = (index * ROWS + row) * classes;
            let (softmax, p) = (&softmax[start..][..classes], &p[start..][..classes]);
            let weight = p.iter().map(|&p| f64::from(p)).sum::<f64>() as f32;
            for ((dz, &softmax), &p) in dz.iter_mut().zip(softmax).zip(p) {
                *dz = (softmax * weight - p) * factor;
            }
        }
    });
}
