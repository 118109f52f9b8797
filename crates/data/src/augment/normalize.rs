//! §2.1 step 6: "Normalize RGB channels by subtracting 123.68, 116.779, 103.939 and dividing by 58.393, 57.12,
//! 57.375".
//!
//! x ↦ (x − mean)/std. Steps 4 and 5 are M x + δ, so steps 4 to 6 are one affine map of the 8-bit pixel,
//! (M x + δ − mean)/std, and one pass over the image.

use recipe::Normalize;

use super::color::{IDENTITY, Matrix};

/// Values that are written side by side: eight pixels, whole registers of any width.
const LANES: usize = 24;

/// y = A x + b for each pixel.
///
/// Written for pixels that lie as R G B R G B …: value i is Σ over d in −2..=2 of aᵢ,d xᵢ₊d, where a is A's row for the
/// channel of i, moved to its place, and zero where i + d is of another pixel. All loads are then runs of floats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Affine {
    weights: [[f32; LANES]; 5],
    offset: [f32; LANES],
}

impl Affine {
    /// Steps 4 to 6: the colour matrix, the PCA offset, the normalisation.
    pub(crate) fn new(color: Matrix, pca: [f64; 3], normalize: &Normalize) -> Affine {
        let Normalize { mean, std } = normalize;
        let mut affine = Affine { weights: [[0.0; LANES]; 5], offset: [0.0; LANES] };
        for lane in 0..LANES {
            let row = lane % 3;
            for (column, value) in color[row].iter().enumerate() {
                affine.weights[column + 2 - row][lane] = (value / std[row]) as f32;
            }
            affine.offset[lane] = ((pca[row] - mean[row]) / std[row]) as f32;
        }
        affine
    }

    /// Step 6 alone.
    pub(crate) fn normalize(normalize: &Normalize) -> Affine {
        Affine::new(IDENTITY, [0.0; 3], normalize)
    }

    /// Maps all pixels; `row` is memory for one row of `width` pixels.
    pub(crate) fn write(&self, pixels: &[u8], width: usize, row: &mut Vec<f32>, out: &mut [f32]) {
        assert_eq!(pixels.len(), out.len(), "as many values in as out");
        if width == 0 {
            return;
        }
        row.clear();
        row.resize(width * 3 + 4, 0.0);
        // No fused multiply-add is asked for, so the bits are the same on every instruction set.
        pulp::Arch::new().dispatch(Pass { affine: self, pixels, row, out });
    }

    #[inline(always)]
    fn lanes(&self, x: &[f32; LANES + 4]) -> [f32; LANES] {
        let mut y = self.offset;
        for (lane, y) in y.iter_mut().enumerate() {
            for (shift, weights) in self.weights.iter().enumerate() {
                *y += weights[lane] * x[lane + shift];
            }
        }
        y
    }
}

/// One pass over an image.
struct Pass<'a> {
    affine: &'a Affine,
    pixels: &'a [u8],
    /// A row of floats, with two more on each side that only meet zeros.
    row: &'a mut [f32],
    out: &'a mut [f32],
}

impl pulp::NullaryFnOnce for Pass<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Pass { affine, pixels, row, out } = self;
        let width = row.len() - 4;
        for (from, to) in pixels.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            for (value, &byte) in row[2..].iter_mut().zip(from) {
                *value = f32::from(byte);
            }
            let (lanes, rest) = to.as_chunks_mut::<LANES>();
            let left = lanes.len() * LANES;
            for (block, to) in lanes.iter_mut().enumerate() {
                let from = row[block * LANES..].first_chunk().expect("a block and its padding");
                *to = affine.lanes(from);
            }
            if !rest.is_empty() {
                let mut padded = [0.0; LANES + 4];
                padded[..rest.len() + 4].copy_from_slice(&row[left..]);
                rest.copy_from_slice(&affine.lanes(&padded)[..rest.len()]);
            }
        }
    }
}
