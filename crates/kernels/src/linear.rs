//! A linear layer: y = x·wᵀ + b, and its gradients dx = dy·w, dw = dyᵀ·x, db = Σ dy.

use crate::check;
use crate::element::{self, Element};
use crate::gemm::{self, Destination, Shape};
use crate::isa::Isa;
use crate::lanes::{Lanes, laned};
use crate::output::Output;
use crate::pack::{ByColumns, ByRows, Matrix};
use crate::parallel;
use crate::scratch::{self, Slot};

/// The most rows for which the weights are read where they are, unpacked.
const FEW_ROWS: usize = 4;
/// Results that are summed up together.
const TOGETHER: usize = 4;
/// Floats of the widest vector.
const MOST_LANES: usize = 16;

/// The dims of a linear layer: `x` is `[rows, c_in]`, `w` is `[c_out, c_in]`, `y` is
/// `[rows, c_out]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinearDims {
    pub rows: usize,
    pub c_in: usize,
    pub c_out: usize,
}

impl LinearDims {
    #[track_caller]
    fn check(&self, operation: &str, x: usize, w: usize, y: usize) {
        assert!(self.c_in > 0, "{operation}: needs at least one input");
        check::length(operation, "x", x, self.rows * self.c_in);
        check::length(operation, "w", w, self.c_out * self.c_in);
        check::length(operation, "y", y, self.rows * self.c_out);
    }
}

fn dense(data: &[f32], columns: usize) -> Matrix<'_> {
    Matrix { data, columns, stride: columns }
}

/// `y = x·wᵀ + b`; `b` is `[c_out]`.
#[track_caller]
pub fn linear_forward<'a>(
    d: &LinearDims,
    x: &[f32],
    w: &[f32],
    b: Option<&[f32]>,
    y: impl Into<Output<'a, f32>>,
) {
    let y = &mut *y.into().writer();
    d.check("linear_forward", x.len(), w.len(), y.len());
    if d.rows <= FEW_ROWS {
        few_rows(d, x, w, y);
    } else {
        let shape = Shape { rows: d.rows, columns: d.c_out, inner: d.c_in };
        let (left, right) = (ByRows(dense(x, d.c_in)), ByRows(dense(w, d.c_in)));
        // SAFETY: rows are `c_out` apart.
        let output = unsafe { Destination::new(y, |row| row * d.c_out) };
        gemm::multiply(Isa::current(), shape, &left, &right, &output);
    }
    if let Some(b) = b {
        check::length("linear_forward", "b", b.len(), d.c_out);
        let rows = (parallel::ELEMENTS / d.c_out.max(1)).max(1);
        parallel::chunks(y, rows * d.c_out, |_, part| {
            for row in part.chunks_exact_mut(d.c_out) {
                for (y, &b) in row.iter_mut().zip(b) {
                    *y += b;
                }
            }
        });
    }
}

/// The forward product as scalar products of rows, for so few rows of `x` that packing `w` would cost
/// more than the product.
fn few_rows(d: &LinearDims, x: &[f32], w: &[f32], y: &mut [f32]) {
    let isa = Isa::current();
    let chunk = (2 * parallel::ELEMENTS / d.c_in).max(1).next_multiple_of(TOGETHER);
    for (x, y) in x.chunks_exact(d.c_in).zip(y.chunks_exact_mut(d.c_out.max(1))) {
        parallel::chunks(y, chunk, |index, y| {
            let w = &w[index * chunk * d.c_in..][..y.len() * d.c_in];
            // SAFETY: `w` has a row for each element of `y`, as long as `x`.
            unsafe { products(isa, x, w, y) };
        });
    }
}

laned! {
    /// # Safety
    ///
    /// `w` holds a row for each element of `y`, each as long as `x`.
    unsafe fn products[][](x: &[f32], w: &[f32], y: &mut [f32]) = products_of
}

/// # Safety
///
/// As [`products`].
#[inline(always)]
unsafe fn products_of<V: Lanes>(x: &[f32], w: &[f32], y: &mut [f32]) {
    let whole = x.len() / V::COUNT * V::COUNT;
    for (y, w) in y.chunks_mut(TOGETHER).zip(w.chunks(TOGETHER * x.len())) {
        let mut rows = [w.as_ptr(); TOGETHER];
        for (place, row) in rows.iter_mut().zip(w.chunks_exact(x.len())) {
            *place = row.as_ptr();
        }
        let mut sums = [V::zero(); TOGETHER];
        for at in (0..whole).step_by(V::COUNT) {
            // SAFETY: `at` and a vector are within the rows.
            unsafe {
                let value = V::load(x.as_ptr().add(at));
                for (sum, row) in sums.iter_mut().zip(rows) {
                    *sum = sum.plus_product(value, V::load(row.add(at)));
                }
            }
        }
        for ((y, sum), row) in y.iter_mut().zip(sums).zip(rows) {
            let mut lanes = [0.0f32; MOST_LANES];
            // SAFETY: there is room for the widest vector.
            unsafe { sum.store(lanes.as_mut_ptr()) };
            *y = lanes.iter().sum();
            for (at, &x) in x.iter().enumerate().skip(whole) {
                // SAFETY: rows are as long as `x`.
                *y += x * unsafe { *row.add(at) };
            }
        }
    }
}

/// `dx = dy·w`.
#[track_caller]
pub fn linear_input_grad<'a>(
    d: &LinearDims,
    dy: &[f32],
    w: &[f32],
    dx: impl Into<Output<'a, f32>>,
) {
    let dx = &mut *dx.into().writer();
    d.check("linear_input_grad", dx.len(), w.len(), dy.len());
    assert!(d.c_out > 0, "linear_input_grad: needs at least one output");
    let shape = Shape { rows: d.rows, columns: d.c_in, inner: d.c_out };
    let (left, right) = (ByRows(dense(dy, d.c_out)), ByColumns(dense(w, d.c_in)));
    // SAFETY: rows are `c_in` apart.
    let output = unsafe { Destination::new(dx, |row| row * d.c_in) };
    gemm::multiply(Isa::current(), shape, &left, &right, &output);
}

/// `dw = dyᵀ·x`.
#[track_caller]
pub fn linear_weight_grad<'a>(
    d: &LinearDims,
    x: &[f32],
    dy: &[f32],
    dw: impl Into<Output<'a, f32>>,
) {
    let dw = &mut *dw.into().writer();
    d.check("linear_weight_grad", x.len(), dw.len(), dy.len());
    let shape = Shape { rows: d.c_out, columns: d.c_in, inner: d.rows };
    let (left, right) = (ByColumns(dense(dy, d.c_out)), ByColumns(dense(x, d.c_in)));
    gemm::multiply_reduce(Isa::current(), shape, &left, &right, dw);
}

/// `db = Σ dy` over the rows.
#[track_caller]
pub fn linear_bias_grad<'a, E: Element>(d: &LinearDims, dy: &[E], db: impl Into<Output<'a, f32>>) {
    let db = &mut *db.into().writer();
    let isa = Isa::current();
    check::length("linear_bias_grad", "dy", dy.len(), d.rows * d.c_out);
    check::length("linear_bias_grad", "db", db.len(), d.c_out);
    if db.is_empty() || d.rows == 0 {
        db.fill(0.0);
        return;
    }
    let rows = (4 * parallel::ELEMENTS / d.c_out).clamp(16, 1024);
    let chunk = rows * d.c_out;
    scratch::with(Slot::Partials, dy.len().div_ceil(chunk) * d.c_out, |partials| {
        parallel::chunks(partials, d.c_out, |index, sums| {
            sums.fill(0.0);
            let part = &dy[index * chunk..((index + 1) * chunk).min(dy.len())];
            element::read(isa, Slot::First, part, |part| {
                for row in part.chunks_exact(d.c_out) {
                    for (sum, &value) in sums.iter_mut().zip(row) {
                        *sum += value;
                    }
                }
            });
        });
        parallel::sum_in_order(partials, db);
    });
}
