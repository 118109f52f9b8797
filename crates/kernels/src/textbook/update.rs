//! The updates of the optimizers by their definitions.

use super::Real;
use crate::{AdamW, Nag, Sgd};

/// The twin of [`crate::nag`].
pub fn nag<T: Real>(h: &Nag, w: &mut [T], g: &[T], v: &mut [T]) {
    let [rate, momentum, decay] = [h.rate, h.momentum, h.decay].map(|x| T::of(f64::from(x)));
    for at in 0..w.len() {
        let g = g[at] + decay * w[at];
        v[at] = momentum * v[at] + g;
        w[at] -= rate * (g + momentum * v[at]);
    }
}

/// The twin of [`crate::sgd`].
pub fn sgd<T: Real>(h: &Sgd, w: &mut [T], g: &[T], v: &mut [T]) {
    let [rate, momentum, decay] = [h.rate, h.momentum, h.decay].map(|x| T::of(f64::from(x)));
    for at in 0..w.len() {
        let g = g[at] + decay * w[at];
        v[at] = momentum * v[at] + g;
        w[at] -= rate * v[at];
    }
}

/// The twin of [`crate::adamw`].
pub fn adamw<T: Real>(h: &AdamW, w: &mut [T], g: &[T], m: &mut [T], v: &mut [T]) {
    let [rate, epsilon, decay] = [h.rate, h.epsilon, h.decay].map(|x| T::of(f64::from(x)));
    let [beta1, beta2] = [h.beta1, h.beta2].map(T::of);
    let one = T::of(1.0);
    let power = |beta: T| (0..h.step).fold(one, |power, _| power * beta);
    for at in 0..w.len() {
        w[at] -= rate * decay * w[at];
        m[at] = beta1 * m[at] + (one - beta1) * g[at];
        v[at] = beta2 * v[at] + (one - beta2) * g[at] * g[at];
        let mean = m[at] / (one - power(beta1));
        let deviation = (v[at] / (one - power(beta2))).sqrt();
        w[at] -= rate * mean / (deviation + epsilon);
    }
}
