//! Nesterov's accelerated gradient as PyTorch's SGD has it: g ← g + λw; v ← μv + g;
//! w ← w − η(g + μv) (Sutskever et al. 2013, rewritten for the shifted parameters).

use crate::check;
use crate::isa::Isa;
use crate::parallel::{self, ELEMENTS};

/// The numbers of an update: the rate η, the momentum μ and the weight decay λ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nag {
    pub rate: f32,
    pub momentum: f32,
    pub decay: f32,
}

/// Updates the parameters `w` and their velocity `v` in place, by the gradient `g`.
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
