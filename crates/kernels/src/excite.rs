//! The end of a squeeze-and-excitation block: every channel of an image times its gate, the add with path B, and the
//! activation.

use crate::batch_norm::Activation;
use crate::check;
use crate::isa::Isa;
use crate::parallel;

/// The dims of an excitation; `x`, `y` and the residual are `[n, hw, c]`, the gates' logits `z` are `[n, c]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Excite {
    pub n: usize,
    pub hw: usize,
    pub c: usize,
    pub activation: Activation,
}

/// What backward needs of forward; `y` is read only where an activation masks.
#[derive(Clone, Copy, Debug)]
pub struct ExciteSaved<'a, T = f32> {
    pub x: &'a [T],
    pub z: &'a [T],
    pub y: &'a [T],
}

/// Where the gradients go.
#[derive(Debug)]
pub struct ExciteGradients<'a, T = f32> {
    pub dx: &'a mut [T],
    pub dz: &'a mut [T],
    pub dresidual: &'a mut [T],
}

impl Excite {
    #[track_caller]
    fn check(&self, operation: &str, names: [(&str, usize); 3], z: usize) {
        for (name, length) in names {
            check::length(operation, name, length, self.n * self.hw * self.c);
        }
        check::length(operation, "z", z, self.n * self.c);
    }
}

fn gates(z: &[f32]) -> Vec<f32> {
    z.iter().map(|z| 1.0 / (1.0 + (-z).exp())).collect()
}

/// `y = act(x σ(z) + residual)`.
#[track_caller]
pub fn excite_forward(d: &Excite, x: &[f32], z: &[f32], residual: &[f32], y: &mut [f32]) {
    let lengths = [("x", x.len()), ("residual", residual.len()), ("y", y.len())];
    d.check("excite_forward", lengths, z.len());
    let (isa, gates) = (Isa::current(), gates(z));
    let floor = crate::finish::floor(d.activation);
    let rows = (parallel::ELEMENTS / d.c.max(1)).max(1);
    parallel::chunks(y, rows * d.c, |index, y| {
        let start = index * rows * d.c;
        let rest = x[start..].chunks_exact(d.c).zip(residual[start..].chunks_exact(d.c));
        isa.run(|| {
            for (row, (y, (x, residual))) in y.chunks_exact_mut(d.c).zip(rest).enumerate() {
                let gates = &gates[(index * rows + row) / d.hw * d.c..][..d.c];
                for (((y, &x), &residual), &gate) in y.iter_mut().zip(x).zip(residual).zip(gates) {
                    let v = x * gate + residual;
                    *y = if v < floor { floor } else { v };
                }
            }
        });
    });
}

/// `dresidual` is `dy` where the activation let it pass, `dx = dresidual σ(z)`, and
/// `dz = σ(z) (1 − σ(z)) Σ dresidual x` over the image.
#[track_caller]
pub fn excite_backward(
    d: &Excite,
    saved: ExciteSaved<'_>,
    dy: &[f32],
    gradients: ExciteGradients<'_>,
) {
    let (ExciteSaved { x, z, y }, ExciteGradients { dx, dz, dresidual }) = (saved, gradients);
    d.check("excite_backward", [("x", x.len()), ("y", y.len()), ("dy", dy.len())], z.len());
    let lengths = [("dx", dx.len()), ("dresidual", dresidual.len()), ("dy", dy.len())];
    d.check("excite_backward", lengths, dz.len());
    let (isa, gates, image) = (Isa::current(), gates(z), d.hw * d.c);
    parallel::chunks3((dx, image), (dresidual, image), (dz, d.c), |index, dx, dresidual, dz| {
        let at = index * image;
        let gates = &gates[index * d.c..][..d.c];
        dz.fill(0.0);
        isa.run(|| {
            for row in 0..d.hw {
                let (start, here) = (at + row * d.c, row * d.c..(row + 1) * d.c);
                let [x, y, dy] = [x, y, dy].map(|values| &values[start..][..d.c]);
                let dresidual = &mut dresidual[here.clone()];
                match d.activation {
                    Activation::Identity => dresidual.copy_from_slice(dy),
                    Activation::Relu => {
                        for ((to, &y), &dy) in dresidual.iter_mut().zip(y).zip(dy) {
                            *to = if y > 0.0 { dy } else { 0.0 };
                        }
                    }
                }
                for ((dx, &d), &gate) in dx[here].iter_mut().zip(&*dresidual).zip(gates) {
                    *dx = d * gate;
                }
                for ((dz, &d), &x) in dz.iter_mut().zip(&*dresidual).zip(x) {
                    *dz += d * x;
                }
            }
            for (dz, &gate) in dz.iter_mut().zip(gates) {
                *dz *= gate * (1.0 - gate);
            }
        });
    });
}
