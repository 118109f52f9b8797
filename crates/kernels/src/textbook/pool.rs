//! Pools by their definitions: a scan of each window, padding included.

use super::{Real, zero};
use crate::{GlobalPool, Pool2d};

/// A place of a window.
struct Visit {
    /// Index in the output.
    y: usize,
    /// Index in the input, unless the place is outside the image.
    x: Option<usize>,
    /// Whether it is at least inside the padded image.
    padded: bool,
    /// Place in the window.
    place: usize,
}

fn for_each_place(d: &Pool2d, mut body: impl FnMut(Visit)) {
    let (out_h, out_w) = (d.out_h(), d.out_w());
    let [kh, kw] = d.kernel;
    for y in 0..d.y_len() {
        let (at, c) = (y / d.c, y % d.c);
        let (n, oy, ox) = (at / out_w / out_h, at / out_w % out_h, at % out_w);
        for place in 0..kh * kw {
            let py = oy * d.stride[0] + place / kw;
            let px = ox * d.stride[1] + place % kw;
            let iy = py.checked_sub(d.padding[0]).filter(|&iy| iy < d.h);
            let ix = px.checked_sub(d.padding[1]).filter(|&ix| ix < d.w);
            let padded = py < d.h + 2 * d.padding[0] && px < d.w + 2 * d.padding[1];
            let x = iy.zip(ix).map(|(iy, ix)| ((n * d.h + iy) * d.w + ix) * d.c + c);
            body(Visit { y, x, padded, place });
        }
    }
}

/// The twin of [`crate::max_pool_forward`].
pub fn max_pool_forward<T: Real>(d: &Pool2d, x: &[T], y: &mut [T], argmax: &mut [u8]) {
    let mut seen = vec![false; y.len()];
    for_each_place(d, |visit| {
        let Some(at) = visit.x else { return };
        let (value, best) = (x[at], y[visit.y]);
        let not_a_number = |value: T| value.partial_cmp(&value).is_none();
        if !seen[visit.y] || value > best || (not_a_number(value) && !not_a_number(best)) {
            seen[visit.y] = true;
            y[visit.y] = value;
            argmax[visit.y] = visit.place as u8;
        }
    });
}

/// The twin of [`crate::max_pool_backward`].
pub fn max_pool_backward<T: Real>(d: &Pool2d, argmax: &[u8], dy: &[T], dx: &mut [T]) {
    dx.fill(zero());
    for_each_place(d, |visit| {
        if let Some(at) = visit.x
            && usize::from(argmax[visit.y]) == visit.place
        {
            dx[at] += dy[visit.y];
        }
    });
}

/// How many places each window's mean divides by.
fn divisors(d: &Pool2d) -> Vec<usize> {
    let mut divisors = vec![0; d.y_len()];
    for_each_place(d, |visit| {
        let counts = if d.count_include_pad { visit.padded } else { visit.x.is_some() };
        divisors[visit.y] += usize::from(counts);
    });
    divisors
}

/// The twin of [`crate::avg_pool_forward`].
pub fn avg_pool_forward<T: Real>(d: &Pool2d, x: &[T], y: &mut [T]) {
    let divisors = divisors(d);
    y.fill(zero());
    for_each_place(d, |visit| {
        if let Some(at) = visit.x {
            y[visit.y] += x[at] / T::of(divisors[visit.y] as f64);
        }
    });
}

/// The twin of [`crate::avg_pool_backward`].
pub fn avg_pool_backward<T: Real>(d: &Pool2d, dy: &[T], dx: &mut [T]) {
    let divisors = divisors(d);
    dx.fill(zero());
    for_each_place(d, |visit| {
        if let Some(at) = visit.x {
            dx[at] += dy[visit.y] / T::of(divisors[visit.y] as f64);
        }
    });
}

/// The twin of [`crate::global_avg_pool_forward`].
pub fn global_avg_pool_forward<T: Real>(d: &GlobalPool, x: &[T], y: &mut [T]) {
    y.fill(zero());
    for (at, &value) in x.iter().enumerate() {
        y[at / (d.hw * d.c) * d.c + at % d.c] += value / T::of(d.hw as f64);
    }
}

/// The twin of [`crate::global_avg_pool_backward`].
pub fn global_avg_pool_backward<T: Real>(d: &GlobalPool, dy: &[T], dx: &mut [T]) {
    for (at, dx) in dx.iter_mut().enumerate() {
        *dx = dy[at / (d.hw * d.c) * d.c + at % d.c] / T::of(d.hw as f64);
    }
}
