//! Element-wise operations: a + b, a += b, a y + b x, max(x, 0), min(x, ceiling) and their gradients; conversion
//! between precisions; Σ x², and whether all of x is finite.

use crate::check;
use crate::element::{self, Element};
use crate::isa::Isa;
use crate::output::Output;
use crate::parallel::{self, ELEMENTS};
use crate::scratch::Slot;

/// `out[i] = body(a[i], b[i])`.
fn map2<E: Element>(a: &[E], b: &[E], out: &mut [E], body: impl Fn(f32, f32) -> f32 + Sync) {
    let isa = Isa::current();
    parallel::chunks(out, ELEMENTS, |index, part| {
        element::rows(part, |at, part| {
            let start = index * ELEMENTS + at;
            let (a, b) = (&a[start..][..part.len()], &b[start..][..part.len()]);
            element::read(isa, Slot::First, a, |a| {
                element::read(isa, Slot::Second, b, |b| {
                    element::write(isa, Slot::Result, part, |part| {
                        isa.run(|| {
                            for ((to, &a), &b) in part.iter_mut().zip(a).zip(b) {
                                *to = body(a, b);
                            }
                        });
                    });
                });
            });
        });
    });
}

/// `y = a + b`.
#[track_caller]
pub fn add<'a, E: Element>(a: &[E], b: &[E], y: impl Into<Output<'a, E>>) {
    let y = &mut *y.into().writer();
    check::length("add", "a", a.len(), y.len());
    check::length("add", "b", b.len(), y.len());
    map2(a, b, y, |a, b| a + b);
}

/// `a += b`.
#[track_caller]
pub fn add_assign<E: Element>(a: &mut [E], b: &[E]) {
    check::length("add_assign", "b", b.len(), a.len());
    let isa = Isa::current();
    parallel::chunks(a, ELEMENTS, |index, part| {
        element::rows(part, |at, part| {
            let b = &b[index * ELEMENTS + at..][..part.len()];
            element::read(isa, Slot::Second, b, |b| {
                element::update(isa, Slot::Result, part, |part| {
                    isa.run(|| {
                        for (a, &b) in part.iter_mut().zip(b) {
                            *a += b;
                        }
                    });
                });
            });
        });
    });
}

/// `y = a y + b x`.
#[track_caller]
pub fn blend(a: f32, y: &mut [f32], b: f32, x: &[f32]) {
    check::length("blend", "x", x.len(), y.len());
    let isa = Isa::current();
    parallel::chunks(y, ELEMENTS, |index, part| {
        let x = &x[index * ELEMENTS..][..part.len()];
        isa.run(|| {
            for (y, &x) in part.iter_mut().zip(x) {
                *y = a * *y + b * x;
            }
        });
    });
}

/// `y = a y`.
pub fn scale(a: f32, y: &mut [f32]) {
    let isa = Isa::current();
    parallel::chunks(y, ELEMENTS, |_, part| isa.run(|| part.iter_mut().for_each(|y| *y *= a)));
}

/// Σ x² in 64 bits, and whether every number of `x` is finite. Reads `x` once.
pub fn health(x: &[f32]) -> (f64, bool) {
    let sum = sum_of_squares(x);
    // The square of a finite `f32` is below 2^256, so no sum of them that fits in memory overflows an `f64`; and since
    // no square is negative, an infinity or a NaN among them remains to the end.
    (sum, sum.is_finite())
}

/// Σ x², in 64 bits.
pub(crate) fn sum_of_squares(x: &[f32]) -> f64 {
    let isa = Isa::current();
    let mut partials = vec![0.0; x.len().div_ceil(ELEMENTS)];
    parallel::chunks(&mut partials, 1, |index, partial| {
        let x = &x[index * ELEMENTS..x.len().min((index + 1) * ELEMENTS)];
        // Eight sums side by side: one alone would wait for each addition.
        let (eights, rest) = x.as_chunks::<8>();
        let mut sums = [0.0f64; 8];
        isa.run(|| {
            for x in eights {
                for (sum, &x) in sums.iter_mut().zip(x) {
                    *sum += f64::from(x) * f64::from(x);
                }
            }
        });
        let rest = rest.iter().map(|&x| f64::from(x) * f64::from(x));
        partial[0] = sums.into_iter().chain(rest).sum();
    });
    partials.iter().sum()
}

/// `to = from`, rounded where it is narrower.
#[track_caller]
pub fn convert<'a, A: Element, B: Element>(from: &[A], to: impl Into<Output<'a, B>>) {
    let to = &mut *to.into().writer();
    check::length("convert", "from", from.len(), to.len());
    let isa = Isa::current();
    parallel::chunks(to, ELEMENTS, |index, part| {
        element::rows(part, |at, part| {
            let from = &from[index * ELEMENTS + at..][..part.len()];
            element::read(isa, Slot::First, from, |from| element::round(isa, from, part));
        });
    });
}

/// `y = max(x, 0)`. NaN stays NaN.
#[track_caller]
pub fn relu<'a, E: Element>(x: &[E], y: impl Into<Output<'a, E>>) {
    let y = &mut *y.into().writer();
    check::length("relu", "x", x.len(), y.len());
    map2(x, x, y, |x, _| if x < 0.0 { 0.0 } else { x });
}

/// `dx = dy` where the output `y` is positive, else 0.
#[track_caller]
pub fn relu_backward<'a, E: Element>(y: &[E], dy: &[E], dx: impl Into<Output<'a, E>>) {
    let dx = &mut *dx.into().writer();
    check::length("relu_backward", "y", y.len(), dx.len());
    check::length("relu_backward", "dy", dy.len(), dx.len());
    map2(y, dy, dx, |y, dy| if y > 0.0 { dy } else { 0.0 });
}

/// `y = min(x, ceiling)`, where an element can hold `ceiling` exactly. NaN stays NaN.
#[track_caller]
pub fn at_most<'a, E: Element>(ceiling: f32, x: &[E], y: impl Into<Output<'a, E>>) {
    let y = &mut *y.into().writer();
    check::length("at_most", "x", x.len(), y.len());
    map2(x, x, y, |x, _| if x > ceiling { ceiling } else { x });
}

/// `dx = dy` where the output `y` is below the ceiling, else 0.
#[track_caller]
pub fn at_most_backward<'a, E: Element>(
    ceiling: f32,
    y: &[E],
    dy: &[E],
    dx: impl Into<Output<'a, E>>,
) {
    let dx = &mut *dx.into().writer();
    check::length("at_most_backward", "y", y.len(), dx.len());
    check::length("at_most_backward", "dy", dy.len(), dx.len());
    map2(y, dy, dx, |y, dy| if y < ceiling { dy } else { 0.0 });
}
