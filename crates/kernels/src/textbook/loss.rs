//! Softmax cross entropy by its definition: −Σ p_k log softmax(z)_k, the mean over rows.

use super::{Real, zero};

/// The twin of [`crate::cross_entropy_forward`].
pub fn cross_entropy_forward<T: Real>(
    rows: usize,
    classes: usize,
    z: &[T],
    p: &[T],
    softmax: &mut [T],
) -> T {
    let mut loss = zero::<T>();
    for row in 0..rows {
        let range = row * classes..(row + 1) * classes;
        let (z, p, softmax) = (&z[range.clone()], &p[range.clone()], &mut softmax[range]);
        let greatest = z.iter().copied().fold(z[0], |a, b| if b > a { b } else { a });
        let mut sum = zero::<T>();
        for &z in z {
            sum += (z - greatest).exp();
        }
        for k in 0..classes {
            let log = z[k] - greatest - sum.ln();
            softmax[k] = log.exp();
            if p[k] != zero() {
                loss -= p[k] * log;
            }
        }
    }
    if rows == 0 { zero() } else { loss / T::of(rows as f64) }
}

/// The twin of [`crate::cross_entropy_backward`].
pub fn cross_entropy_backward<T: Real>(
    rows: usize,
    classes: usize,
    softmax: &[T],
    p: &[T],
    scale: T,
    dz: &mut [T],
) {
    for (at, dz) in dz.iter_mut().enumerate() {
        let row = at / classes;
        let mut weight = zero::<T>();
        for &p in &p[row * classes..(row + 1) * classes] {
            weight += p;
        }
        *dz = (softmax[at] * weight - p[at]) * scale / T::of(rows as f64);
    }
}
