//! Bilinear resizing, with PyTorch's two ways to lay the output's grid over the input's: centres of
//! pixels at (o + ½)·in/out − ½ (never below 0), or corners aligned, at o·(in − 1)/(out − 1).

use crate::check;
use crate::isa::Isa;
use crate::output::Output;
use crate::parallel;

/// The dims of a resize; `x` is `[n, h, w, c]`, `y` is `[n, out_h, out_w, c]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bilinear {
    pub n: usize,
    pub h: usize,
    pub w: usize,
    pub c: usize,
    pub out_h: usize,
    pub out_w: usize,
    pub align_corners: bool,
}

/// An output coordinate as a mixture of two input coordinates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mixture {
    pub(crate) places: [usize; 2],
    pub(crate) weights: [f64; 2],
}

impl Bilinear {
    #[track_caller]
    fn check(&self, operation: &str, x: usize, y: usize) {
        assert!(
            self.h > 0 && self.w > 0,
            "{operation}: an image without pixels has nothing to resize"
        );
        check::length(operation, "x", x, self.n * self.h * self.w * self.c);
        check::length(operation, "y", y, self.n * self.out_h * self.out_w * self.c);
    }

    fn mixtures(&self, input: usize, output: usize) -> Vec<Mixture> {
        let place = |out: usize| {
            let at = if !self.align_corners {
                ((out as f64 + 0.5) * input as f64 / output as f64 - 0.5).max(0.0)
            } else if output > 1 {
                (out * (input - 1)) as f64 / (output - 1) as f64
            } else {
                0.0
            };
            let first = (at as usize).min(input - 1);
            let second = (first + 1).min(input - 1);
            let weight = at - first as f64;
            Mixture { places: [first, second], weights: [1.0 - weight, weight] }
        };
        (0..output).map(place).collect()
    }

    pub(crate) fn vertical(&self) -> Vec<Mixture> {
        self.mixtures(self.h, self.out_h)
    }

    pub(crate) fn horizontal(&self) -> Vec<Mixture> {
        self.mixtures(self.w, self.out_w)
    }
}

/// Resizes `x` into `y`.
#[track_caller]
pub fn bilinear_forward<'a>(d: &Bilinear, x: &[f32], y: impl Into<Output<'a, f32>>) {
    let y = &mut *y.into().writer();
    d.check("bilinear_forward", x.len(), y.len());
    let (isa, down, across) = (Isa::current(), d.vertical(), d.horizontal());
    parallel::chunks(y, d.out_w * d.c, |index, row| {
        let (image, oy) = (index / d.out_h, index % d.out_h);
        let vertical = down[oy];
        isa.run(|| {
            for (pixel, horizontal) in row.chunks_exact_mut(d.c).zip(&across) {
                let corner = |v: usize, h: usize| {
                    let at = (image * d.h + vertical.places[v]) * d.w + horizontal.places[h];
                    let weight = (vertical.weights[v] * horizontal.weights[h]) as f32;
                    (&x[at * d.c..][..d.c], weight)
                };
                let corners = [corner(0, 0), corner(0, 1), corner(1, 0), corner(1, 1)];
                for (k, y) in pixel.iter_mut().enumerate() {
                    let [a, b, c, e] = corners.map(|(x, weight)| x[k] * weight);
                    *y = (a + b) + (c + e);
                }
            }
        });
    });
}

/// The gradient with respect to the input: each row of `dx` adds up, in order, the rows of `dy` that it
/// was mixed into.
#[track_caller]
pub fn bilinear_backward<'a>(d: &Bilinear, dy: &[f32], dx: impl Into<Output<'a, f32>>) {
    let dx = &mut *dx.into().writer();
    d.check("bilinear_backward", dx.len(), dy.len());
    let (isa, down, across) = (Isa::current(), d.vertical(), d.horizontal());
    parallel::chunks(dx, d.w * d.c, |index, row| {
        let (image, iy) = (index / d.h, index % d.h);
        row.fill(0.0);
        for (oy, vertical) in down.iter().enumerate() {
            for v in 0..2 {
                if vertical.places[v] != iy || vertical.weights[v] == 0.0 {
                    continue;
                }
                let dy = &dy[(image * d.out_h + oy) * d.out_w * d.c..][..d.out_w * d.c];
                isa.run(|| {
                    for (pixel, horizontal) in dy.chunks_exact(d.c).zip(&across) {
                        for h in 0..2 {
                            let weight = (vertical.weights[v] * horizontal.weights[h]) as f32;
                            let dx = &mut row[horizontal.places[h] * d.c..][..d.c];
                            for (dx, &dy) in dx.iter_mut().zip(pixel) {
                                *dx += dy * weight;
                            }
                        }
                    }
                });
            }
        }
    });
}
