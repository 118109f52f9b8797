//! Cross entropy of a map (§6.2): coarse logits are resized bilinearly to the size of a map of class indices, and each of
//! its pixels is a row of the loss ℓ = mean of −log softmax(z)_class. Ignored pixels count for nothing; where all are
//! ignored, the loss and its gradient are 0.
//!
//! The resized logits never exist: one pass makes a row of them, its loss and its gradient, and adds the gradient to the
//! coarse logits it came from. An image of 480×480 pixels and 150 classes would take 138 MB otherwise.

use crate::check;
use crate::isa::{Isa, vectorised};
use crate::output::Output;
use crate::parallel;
use crate::resize::{Bilinear, Mixture};

/// The class of pixels that count for nothing.
pub const IGNORED_CLASS: u16 = u16::MAX;
/// Classes that are summed side by side.
const LANES: usize = 8;

/// The mean loss of logits `z` `[n, h, w, c]` under `classes` `[n, out_h, out_w]`; `dz` is its gradient.
///
/// # Panics
/// Where a class is neither below `c` nor [`IGNORED_CLASS`].
#[track_caller]
pub fn map_cross_entropy<'a>(
    d: &Bilinear,
    z: &[f32],
    classes: &[u16],
    dz: impl Into<Output<'a, f32>>,
) -> f32 {
    let dz = &mut *dz.into().writer();
    check::length("map_cross_entropy", "z", z.len(), d.n * d.h * d.w * d.c);
    check::length("map_cross_entropy", "dz", dz.len(), z.len());
    check::length("map_cross_entropy", "classes", classes.len(), d.n * d.out_h * d.out_w);
    let wrong = classes.iter().find(|&&k| k != IGNORED_CLASS && usize::from(k) >= d.c);
    assert!(wrong.is_none(), "map_cross_entropy: class {wrong:?} of {}", d.c);
    let counted = classes.iter().filter(|&&class| class != IGNORED_CLASS).count();
    if counted == 0 || z.is_empty() {
        dz.fill(0.0);
        return 0.0;
    }
    let (isa, share) = (Isa::current(), 1.0 / counted as f32);
    let (down, across) = (d.vertical(), d.horizontal());
    let row = d.w * d.c;
    // Output rows between input rows i and i + 1 form a band, which has a gradient for each of the two.
    let mut bands = vec![0.0f32; 2 * z.len()];
    let mut losses = vec![0.0f64; d.n * d.h];
    parallel::chunks2((&mut bands, 2 * row), (&mut losses, 1), |index, band, loss| {
        let (image, first) = (index / d.h, index % d.h);
        let mut memory =
            BandMemory { z: vec![0.0; row], dz: vec![0.0; row], pixel: vec![0.0; d.c] };
        for (oy, vertical) in down.iter().enumerate() {
            if vertical.places[0] != first {
                continue;
            }
            let classes = &classes[(image * d.out_h + oy) * d.out_w..][..d.out_w];
            let input = |place: usize| &z[(image * d.h + place) * row..][..row];
            let rows = vertical.places.map(input);
            let weights = vertical.weights.map(|weight| weight as f32);
            let second = vertical.places[1] - first;
            output_row(isa, (rows, weights), &across, classes, share, &mut memory, loss);
            let (near, far) = band.split_at_mut(row);
            add_scaled(isa, near, &memory.dz, weights[0]);
            add_scaled(isa, if second == 1 { far } else { near }, &memory.dz, weights[1]);
        }
    });
    parallel::chunks(dz, row, |index, dz| {
        let band = |index: usize, half: usize| &bands[(2 * index + half) * row..][..row];
        dz.copy_from_slice(band(index, 0));
        if index % d.h > 0 {
            add_scaled(isa, dz, band(index - 1, 1), 1.0);
        }
    });
    (losses.iter().sum::<f64>() / counted as f64) as f32
}

/// The class of the largest of the resized logits at every pixel of `[n, out_h, out_w]`, the lower one of equal ones.
#[track_caller]
pub fn bilinear_argmax(d: &Bilinear, z: &[f32], classes: &mut [u16]) {
    check::length("bilinear_argmax", "z", z.len(), d.n * d.h * d.w * d.c);
    check::length("bilinear_argmax", "classes", classes.len(), d.n * d.out_h * d.out_w);
    let (isa, down, across) = (Isa::current(), d.vertical(), d.horizontal());
    let row = d.w * d.c;
    parallel::chunks(classes, d.out_w.max(1), |index, classes| {
        let (image, oy) = (index / d.out_h, index % d.out_h);
        let Mixture { places, weights } = down[oy];
        let mut z_row = vec![0.0; row];
        let rows = places.map(|place| &z[(image * d.h + place) * row..][..row]);
        mix(isa, rows, weights.map(|weight| weight as f32), &mut z_row);
        let mut pixel = vec![0.0; d.c];
        for (class, horizontal) in classes.iter_mut().zip(&across) {
            let ends = horizontal.places.map(|place| &z_row[place * d.c..][..d.c]);
            mix(isa, ends, horizontal.weights.map(|weight| weight as f32), &mut pixel);
            let mut best = 0;
            for (k, &value) in pixel.iter().enumerate() {
                if value > pixel[best] {
                    best = k;
                }
            }
            *class = best as u16;
        }
    });
}

/// What a band's rows need of memory.
struct BandMemory {
    /// A row of logits between two input rows, `[w, c]`.
    z: Vec<f32>,
    /// The gradient of that row.
    dz: Vec<f32>,
    /// Logits of a pixel, then its probabilities.
    pixel: Vec<f32>,
}

vectorised! {
    /// out = a·from[0] + b·from[1].
    fn mix(from: [&[f32]; 2], weights: [f32; 2], out: &mut [f32]) {
        for ((out, &a), &b) in out.iter_mut().zip(from[0]).zip(from[1]) {
            *out = a * weights[0] + b * weights[1];
        }
    }
}

vectorised! {
    /// to += weight·from.
    fn add_scaled(to: &mut [f32], from: &[f32], weight: f32) {
        for (to, &from) in to.iter_mut().zip(from) {
            *to += from * weight;
        }
    }
}

vectorised! {
    /// The losses of one row of the map, added up, and `share` times their gradient in the row between two input rows, which
    /// is `mixed` of them by their weights.
    fn output_row(
        mixed: ([&[f32]; 2], [f32; 2]),
        across: &[Mixture],
        classes: &[u16],
        share: f32,
        memory: &mut BandMemory,
        loss: &mut [f64],
    ) {
        let BandMemory { z, dz, pixel } = memory;
        let (c, (rows, weights)) = (pixel.len(), mixed);
        for ((z, &a), &b) in z.iter_mut().zip(rows[0]).zip(rows[1]) {
            *z = a * weights[0] + b * weights[1];
        }
        dz.fill(0.0);
        for (horizontal, &class) in across.iter().zip(classes) {
            if class == IGNORED_CLASS {
                continue;
            }
            let [left, right] = horizontal.weights.map(|weight| weight as f32);
            let [near, far] = horizontal.places.map(|place| place * c);
            let ends = z[near..near + c].iter().zip(&z[far..far + c]);
            for (pixel, (&a, &b)) in pixel.iter_mut().zip(ends) {
                *pixel = a * left + b * right;
            }
            let own = pixel[usize::from(class)];
            let (greatest, sum) = softmax_parts(pixel);
            loss[0] += f64::from(sum).ln() + f64::from(greatest) - f64::from(own);
            let factor = share / sum;
            for pixel in pixel.iter_mut() {
                *pixel *= factor;
            }
            pixel[usize::from(class)] -= share;
            for (dz, &pixel) in dz[near..near + c].iter_mut().zip(&*pixel) {
                *dz += pixel * left;
            }
            for (dz, &pixel) in dz[far..far + c].iter_mut().zip(&*pixel) {
                *dz += pixel * right;
            }
        }
    }
}

/// Turns z into exp(z − greatest); returns the greatest and the sum.
#[inline(always)]
fn softmax_parts(z: &mut [f32]) -> (f32, f32) {
    let mut most = [f32::NEG_INFINITY; LANES];
    let (whole, rest) = z.as_chunks::<LANES>();
    for lanes in whole {
        for (most, &z) in most.iter_mut().zip(lanes) {
            *most = if z > *most { z } else { *most };
        }
    }
    let greatest =
        most.iter().chain(rest).fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
    let mut sums = [0.0f32; LANES];
    let (whole, rest) = z.as_chunks_mut::<LANES>();
    for lanes in whole {
        for (sum, z) in sums.iter_mut().zip(lanes) {
            *z = power(*z - greatest);
            *sum += *z;
        }
    }
    let mut sum: f32 = sums.iter().sum();
    for z in rest {
        *z = power(*z - greatest);
        sum += *z;
    }
    (greatest, sum)
}

/// eˣ for x ≤ 0 to two units in the last place, at least e⁻⁸⁷; NaN stays NaN. x = n ln 2 + r, and eʳ is a polynomial
/// (Cephes' `expf`).
#[inline(always)]
fn power(x: f32) -> f32 {
    const LEAST: f32 = -87.0;
    /// Adding it rounds to a whole number, which the low bits of the sum then hold.
    const ROUND: f32 = 12_582_912.0;
    let x = if x < LEAST { LEAST } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p * r + coefficient;
    }
    let scale = f32::from_bits(shifted.to_bits().wrapping_sub(ROUND.to_bits() - 127) << 23);
    (p * r * r + r + 1.0) * scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_right_to_two_units_in_the_last_place() {
        for at in 0..870_000 {
            let x = -(at as f32) * 1e-4;
            let (found, exact) = (f64::from(power(x)), f64::from(x).exp());
            assert!((found / exact - 1.0).abs() < 2.5e-7, "{x}: {found:e} for {exact:e}");
        }
        assert_eq!(power(0.0), 1.0);
        assert!(power(f32::NEG_INFINITY) < 2e-38);
        assert!(power(f32::NAN).is_nan());
    }
}
