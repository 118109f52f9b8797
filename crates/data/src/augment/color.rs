//! §2.1 step 4: "Scale hue, saturation, and brightness with coefficients uniformly drawn from [0.6,1.4]."
//!
//! hue c: rotate by (c − 1)π in the plane I, Q of YIQ;
//! saturation c: x ↦ c·x + (1 − c)·grey, grey = 0.299 R + 0.587 G + 0.114 B;
//! brightness c: x ↦ c·x.
//! In this order, in 32-bit floats, never clamped. All three are linear, so an image has one 3×3 matrix:
//! brightness · saturation · hue.
//!
//! Deviation: the hue is rotated in YIQ. The paper says to scale it, and leaves open in which space; to scale the hue angle of
//! HSV would make a step where the angle begins anew, at red.

use rand_chacha::rand_core::RngCore;
use recipe::Color;

use crate::random::between;

pub(crate) type Matrix = [[f64; 3]; 3];

pub(crate) const IDENTITY: Matrix = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

const GREY: [f64; 3] = [0.299, 0.587, 0.114];

/// RGB to YIQ (NTSC). The rows of I and Q sum to zero: a grey pixel has no hue to rotate.
const YIQ: Matrix = [GREY, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]];

/// The coefficients of one image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Coefficients {
    pub hue: f64,
    pub saturation: f64,
    pub brightness: f64,
}

pub(super) fn draw(color: &Color, rng: &mut impl RngCore) -> Coefficients {
    Coefficients {
        hue: between(rng, color.hue),
        saturation: between(rng, color.saturation),
        brightness: between(rng, color.brightness),
    }
}

/// The matrix of an image: brightness · saturation · hue.
pub(crate) fn matrix(c: Coefficients) -> Matrix {
    multiply(brightness(c.brightness), multiply(saturation(c.saturation), hue(c.hue)))
}

fn hue(coefficient: f64) -> Matrix {
    let (sin, cos) = ((coefficient - 1.0) * std::f64::consts::PI).sin_cos();
    let rotation = [[1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, sin, cos]];
    multiply(inverse(YIQ), multiply(rotation, YIQ))
}

fn saturation(coefficient: f64) -> Matrix {
    IDENTITY.map(|row| {
        [0, 1, 2].map(|column| coefficient * row[column] + (1.0 - coefficient) * GREY[column])
    })
}

fn brightness(coefficient: f64) -> Matrix {
    IDENTITY.map(|row| row.map(|value| coefficient * value))
}

pub(crate) fn multiply(a: Matrix, b: Matrix) -> Matrix {
    a.map(|row| [0, 1, 2].map(|column| (0..3).map(|k| row[k] * b[k][column]).sum()))
}

/// The inverse of a matrix, by cofactors.
fn inverse(m: Matrix) -> Matrix {
    let cofactor = |row: usize, column: usize| {
        let (r1, r2) = ((row + 1) % 3, (row + 2) % 3);
        let (c1, c2) = ((column + 1) % 3, (column + 2) % 3);
        m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1]
    };
    let determinant: f64 = (0..3).map(|column| m[0][column] * cofactor(0, column)).sum();
    [0, 1, 2].map(|row| [0, 1, 2].map(|column| cofactor(column, row) / determinant))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(m: Matrix, pixel: [f64; 3]) -> [f64; 3] {
        m.map(|row| row.iter().zip(pixel).map(|(a, b)| a * b).sum())
    }

    fn close(a: [f64; 3], b: [f64; 3]) {
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9), "{a:?} is not {b:?}");
    }

    const PIXEL: [f64; 3] = [200.0, 30.0, 90.0];

    #[test]
    fn coefficients_of_one_change_nothing() {
        let one = Coefficients { hue: 1.0, saturation: 1.0, brightness: 1.0 };
        close(apply(matrix(one), PIXEL), PIXEL);
    }

    #[test]
    fn hue_keeps_grey_and_luma_and_returns_after_a_turn() {
        for coefficient in [0.6, 0.9, 1.2, 1.4] {
            close(apply(hue(coefficient), [77.0; 3]), [77.0; 3]);
            let luma = |p: [f64; 3]| p.iter().zip(GREY).map(|(a, b)| a * b).sum::<f64>();
            assert!((luma(apply(hue(coefficient), PIXEL)) - luma(PIXEL)).abs() < 1e-9);
        }
        close(apply(hue(3.0), PIXEL), PIXEL);
        close(apply(hue(1.3), apply(hue(0.7), PIXEL)), PIXEL);
    }

    #[test]
    fn saturation_and_brightness_are_their_formulas() {
        let grey = 0.299 * 200.0 + 0.587 * 30.0 + 0.114 * 90.0;
        close(apply(saturation(0.0), PIXEL), [grey; 3]);
        close(apply(saturation(0.6), PIXEL), PIXEL.map(|x| 0.6 * x + 0.4 * grey));
        close(apply(brightness(1.4), PIXEL), PIXEL.map(|x| 1.4 * x));
    }
}
