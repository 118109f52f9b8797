//! The end of a squeeze-and-excitation block: each channel of an image times its gate, plus the residual, and the
//! activation.

use crate::batch_norm::Activation;
use crate::check;
use crate::element::{self, Element};
use crate::isa::Isa;
use crate::output::Output;
use crate::parallel;
use crate::scratch::Slot;

/// The dims of an excitation; `x`, `y` and the residual are `[n, hw, c]`, the gates' logits `z` are `[n, c]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Excite {
    pub n: usize,
    pub hw: usize,
    pub c: usize,
    pub activation: Activation,
}

/// What the backward pass needs of the forward pass. `y` is read only if the activation is ReLU. The
/// gates' logits are numbers of type `G`.
#[derive(Clone, Copy, Debug)]
pub struct ExciteSaved<'a, T = f32, G = f32> {
    pub x: &'a [T],
    pub z: &'a [G],
    pub y: &'a [T],
}

/// Where the gradients of an excitation go.
#[derive(Debug)]
pub struct ExciteGradients<'a, T = f32, G = f32> {
    pub dx: Output<'a, T>,
    pub dz: Output<'a, G>,
    pub dresidual: Output<'a, T>,
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
pub fn excite_forward<'a, E: Element>(
    d: &Excite,
    x: &[E],
    z: &[f32],
    residual: &[E],
    y: impl Into<Output<'a, E>>,
) {
    let y = &mut *y.into().writer();
    let lengths = [("x", x.len()), ("residual", residual.len()), ("y", y.len())];
    d.check("excite_forward", lengths, z.len());
    let (isa, gates) = (Isa::current(), gates(z));
    let floor = crate::finish::floor(d.activation);
    let rows = (parallel::ELEMENTS / d.c.max(1)).max(1);
    parallel::chunks(y, rows * d.c, |index, y| {
        let start = index * rows * d.c;
        let (x, residual) = (&x[start..][..y.len()], &residual[start..][..y.len()]);
        let excite = |x: &[f32], residual: &[f32], y: &mut [f32]| {
            let rest = x.chunks_exact(d.c).zip(residual.chunks_exact(d.c));
            isa.run(|| {
                for (row, (y, (x, residual))) in y.chunks_exact_mut(d.c).zip(rest).enumerate() {
                    let gates = &gates[(index * rows + row) / d.hw * d.c..][..d.c];
                    let values = y.iter_mut().zip(x).zip(residual).zip(gates);
                    for (((y, &x), &residual), &gate) in values {
                        let v = x * gate + residual;
                        *y = if v < floor { floor } else { v };
                    }
                }
            });
        };
        element::read(isa, Slot::First, x, |x| {
            element::read(isa, Slot::Second, residual, |residual| {
                element::write(isa, Slot::Result, y, |y| excite(x, residual, y));
            });
        });
    });
}

/// `dresidual` is `dy` where the activation let it pass, `dx = dresidual σ(z)`, and
/// `dz = σ(z) (1 − σ(z)) Σ dresidual x` over the image.
#[track_caller]
pub fn excite_backward<E: Element>(
    d: &Excite,
    saved: ExciteSaved<'_, E>,
    dy: &[E],
    gradients: ExciteGradients<'_, E>,
) {
    let (ExciteSaved { x, z, y }, ExciteGradients { dx, dz, dresidual }) = (saved, gradients);
    let (dx, dz, dresidual) = (&mut *dx.writer(), &mut *dz.writer(), &mut *dresidual.writer());
    d.check("excite_backward", [("x", x.len()), ("y", y.len()), ("dy", dy.len())], z.len());
    let lengths = [("dx", dx.len()), ("dresidual", dresidual.len()), ("dy", dy.len())];
    d.check("excite_backward", lengths, dz.len());
    let (isa, gates, image) = (Isa::current(), gates(z), d.hw * d.c);
    // The length of the pixels that are processed together.
    let together = (element::ROW / d.c.max(1)).max(1) * d.c;
    parallel::chunks3((dx, image), (dresidual, image), (dz, d.c), |index, dx, dresidual, dz| {
        let gates = &gates[index * d.c..][..d.c];
        dz.fill(0.0);
        let pixels = dx.chunks_mut(together).zip(dresidual.chunks_mut(together));
        for (part, (dx, dresidual)) in pixels.enumerate() {
            let start = index * image + part * together;
            let [x, y, dy] = [x, y, dy].map(|values| &values[start..][..dx.len()]);
            element::write(isa, Slot::Result, dresidual, |through| {
                element::read(isa, Slot::First, y, |y| {
                    element::read(isa, Slot::Second, dy, |dy| pass_on(isa, d, y, dy, through));
                });
            });
            element::read(isa, Slot::First, x, |x| {
                element::read(isa, Slot::Second, dresidual, |through| {
                    element::write(isa, Slot::Result, dx, |dx| {
                        gate_gradients(isa, (x, through, gates), dx, dz);
                    });
                });
            });
        }
        for (dz, &gate) in dz.iter_mut().zip(gates) {
            *dz *= gate * (1.0 - gate);
        }
    });
}

/// Writes the part of `dy` that the activation let through.
fn pass_on(isa: Isa, d: &Excite, y: &[f32], dy: &[f32], through: &mut [f32]) {
    match d.activation {
        Activation::Identity => through.copy_from_slice(dy),
        Activation::Relu => isa.run(|| {
            for ((to, &y), &dy) in through.iter_mut().zip(y).zip(dy) {
                *to = if y > 0.0 { dy } else { 0.0 };
            }
        }),
    }
}

/// Writes `dx` of some pixels, and adds their part of the gates' gradient to `sums`.
fn gate_gradients(
    isa: Isa,
    (x, through, gates): (&[f32], &[f32], &[f32]),
    dx: &mut [f32],
    sums: &mut [f32],
) {
    let c = gates.len();
    let pixels = dx.chunks_exact_mut(c).zip(x.chunks_exact(c).zip(through.chunks_exact(c)));
    isa.run(|| {
        for (dx, (x, through)) in pixels {
            for ((dx, &d), &gate) in dx.iter_mut().zip(through).zip(gates) {
                *dx = d * gate;
            }
            for ((sum, &d), &x) in sums.iter_mut().zip(through).zip(x) {
                *sum += d * x;
            }
        }
    });
}
