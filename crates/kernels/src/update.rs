//! The updates of the optimizers, in place: NAG, SGD with momentum and AdamW, as PyTorch defines them; and the clipping
//! of a gradient before them.

use crate::check;
use crate::isa::Isa;
use crate::parallel::{self, ELEMENTS};

/// The settings of [`nag`]: the rate η, the momentum μ and the weight decay λ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nag {
    pub rate: f32,
    pub momentum: f32,
    pub decay: f32,
}

/// Updates the parameters `w` and their velocity `v` by the gradient `g` with Nesterov's accelerated gradient:
/// g ← g + λw; v ← μv + g; w ← w − η(g + μv) (Sutskever et al. 2013, rewritten for the shifted parameters).
#[track_caller]
pub fn nag(h: &Nag, w: &mut [f32], g: &[f32], v: &mut [f32]) {
    check::length("nag", "g", g.len(), w.len());
    check::length("nag", "v", v.len(), w.len());
    let isa = Isa::current();
    let Nag { rate, momentum, decay } = *h;
    parallel::chunks2((w, ELEMENTS), (v, ELEMENTS), |index, w, v| {
        let g = &g[index * ELEMENTS..][..w.len()];
        isa.run(|| {
            for ((w, v), &g) in w.iter_mut().zip(v).zip(g) {
                let g = g + decay * *w;
                *v = momentum * *v + g;
                *w -= rate * (g + momentum * *v);
            }
        });
    });
}

/// The settings of [`sgd`]: the rate η, the momentum μ and the weight decay λ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    pub rate: f32,
    pub momentum: f32,
    pub decay: f32,
}

/// Updates the parameters `w` and their velocity `v` by the gradient `g` with gradient descent and momentum:
/// g ← g + λw; v ← μv + g; w ← w − ηv.
#[track_caller]
pub fn sgd(h: &Sgd, w: &mut [f32], g: &[f32], v: &mut [f32]) {
    check::length("sgd", "g", g.len(), w.len());
    check::length("sgd", "v", v.len(), w.len());
    let isa = Isa::current();
    let Sgd { rate, momentum, decay } = *h;
    parallel::chunks2((w, ELEMENTS), (v, ELEMENTS), |index, w, v| {
        let g = &g[index * ELEMENTS..][..w.len()];
        isa.run(|| {
            for ((w, v), &g) in w.iter_mut().zip(v).zip(g) {
                *v = momentum * *v + (g + decay * *w);
                *w -= rate * *v;
            }
        });
    });
}

/// The settings of [`adamw`]: the rate η, the decay rates β₁ and β₂ of the two means, the constant ε beside the
/// denominator, the weight decay λ, and the number t of this step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    pub rate: f32,
    /// In 64 bits, since 1 − β of a β near 1 would lose digits.
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f32,
    pub decay: f32,
    /// The first update is step 1.
    pub step: u64,
}

impl AdamW {
    /// 1 − βᵗ, which is how much of the true mean a mean that started at 0 has seen.
    fn correction(&self, beta: f64) -> f64 {
        // A power this high is 0 to an `f64`, unless β is 1.
        let step = i32::try_from(self.step).unwrap_or(i32::MAX);
        1.0 - beta.powi(step)
    }
}

/// Updates the parameters `w`, the mean `m` of their gradients and the mean `v` of the squares by the gradient `g`
/// (Loshchilov and Hutter 2019, arXiv 1711.05101): w ← w − ηλw; m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²;
/// w ← w − η/(1−β₁ᵗ) · m / (√v / √(1−β₂ᵗ) + ε).
#[track_caller]
pub fn adamw(h: &AdamW, w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
    check::length("adamw", "g", g.len(), w.len());
    check::length("adamw", "m", m.len(), w.len());
    check::length("adamw", "v", v.len(), w.len());
    assert!(h.step > 0, "adamw: steps count from 1");
    let isa = Isa::current();
    let AdamW { rate, beta1, beta2, epsilon, decay, .. } = *h;
    let decay = (f64::from(rate) * f64::from(decay)) as f32;
    let [rest1, rest2] = [beta1, beta2].map(|beta| (1.0 - beta) as f32);
    let rate = (f64::from(rate) / h.correction(beta1)) as f32;
    let deviation = h.correction(beta2).sqrt() as f32;
    let [beta1, beta2] = [beta1, beta2].map(|beta| beta as f32);
    parallel::chunks3((w, ELEMENTS), (m, ELEMENTS), (v, ELEMENTS), |index, w, m, v| {
        let g = &g[index * ELEMENTS..][..w.len()];
        isa.run(|| {
            for (((w, m), v), &g) in w.iter_mut().zip(m).zip(v).zip(g) {
                *m = beta1 * *m + rest1 * g;
                *v = beta2 * *v + rest2 * g * g;
                let step = rate * *m / (v.sqrt() / deviation + epsilon);
                *w = *w - decay * *w - step;
            }
        });
    });
}
