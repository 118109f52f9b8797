//! RoIAlign (§6.1): the features of a region, whatever its size, resampled to a grid of one size.
//!
//! A region's corners times `scale` are places among the features' pixels. It is cut into `out_h` × `out_w` bins; a bin is
//! the mean of samples at ((k + ½)/g, (l + ½)/g) of it, each bilinear between four pixels. A sample more than one pixel
//! outside counts as 0; one nearer is moved to the edge. Rows and columns are apart in this: a bin is Σ v·u·x over rows
//! with weights v and columns with weights u.

use crate::check;
use crate::isa::Isa;
use crate::output::Output;
use crate::parallel;

/// The dims of a resampling; `x` is `[h, w, c]`, `boxes` is `[regions, 4]` (x₀, y₀, x₁, y₁), `y` is
/// `[regions, out_h, out_w, c]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RoiAlign {
    pub h: usize,
    pub w: usize,
    pub c: usize,
    pub regions: usize,
    pub out_h: usize,
    pub out_w: usize,
    /// Features' pixels for a pixel of the image.
    pub scale: f32,
    /// Samples of a bin in each direction; 0 for as many as pixels lie under it.
    pub samples: usize,
    /// Whether the centre of pixel 0 lies at ½, as in detectron2. Otherwise it lies at 0, and a region is at least one pixel
    /// wide and high, as in the first RoIAlign.
    pub half_pixel: bool,
}

/// The pixels that a bin reads along one axis, with their weights.
type Weights = Vec<(usize, f32)>;

impl RoiAlign {
    /// Length of `x`.
    pub fn x_len(&self) -> usize {
        self.h * self.w * self.c
    }

    /// Length of `y`.
    pub fn y_len(&self) -> usize {
        self.regions * self.out_h * self.out_w * self.c
    }

    #[track_caller]
    fn check(&self, operation: &str, x: usize, boxes: usize, y: usize) {
        assert!(self.h > 0 && self.w > 0, "{operation}: no features to read: {self:?}");
        check::length(operation, "x", x, self.x_len());
        check::length(operation, "boxes", boxes, self.regions * 4);
        check::length(operation, "y", y, self.y_len());
    }

    /// For each region the weights of each row of bins.
    fn rows(&self, boxes: &[f32]) -> Vec<Vec<Weights>> {
        let axis = |region: &[f32]| self.axis([region[1], region[3]], self.h, self.out_h);
        boxes.chunks_exact(4).map(axis).collect()
    }

    /// For each region the weights of each column of bins.
    fn columns(&self, boxes: &[f32]) -> Vec<Vec<Weights>> {
        let axis = |region: &[f32]| self.axis([region[0], region[2]], self.w, self.out_w);
        boxes.chunks_exact(4).map(axis).collect()
    }

    fn axis(&self, [first, last]: [f32; 2], extent: usize, bins: usize) -> Vec<Weights> {
        let offset = if self.half_pixel { 0.5 } else { 0.0 };
        let (start, end) = (first * self.scale - offset, last * self.scale - offset);
        let length = if self.half_pixel { end - start } else { (end - start).max(1.0) };
        let bin = length / bins as f32;
        let samples = match self.samples {
            // More would read no other pixel.
            0 => (bin.ceil() as usize).clamp(1, 2 * extent + 2),
            samples => samples,
        };
        let share = 1.0 / samples as f32;
        let weights = |at: usize| {
            let mut found = Weights::new();
            let mut add =
                |place: usize, weight: f32| match found.iter_mut().find(|(p, _)| *p == place) {
                    Some((_, sum)) => *sum += weight,
                    None => found.push((place, weight)),
                };
            for sample in 0..samples {
                let place = start + at as f32 * bin + (sample as f32 + 0.5) * bin / samples as f32;
                if !(-1.0..=extent as f32).contains(&place) {
                    continue;
                }
                let place = place.max(0.0);
                let low = (place as usize).min(extent - 1);
                if low == extent - 1 {
                    add(low, share);
                } else {
                    let high = place - low as f32;
                    add(low, (1.0 - high) * share);
                    add(low + 1, high * share);
                }
            }
            found
        };
        (0..bins).map(weights).collect()
    }

    /// The weights as two matrices: `[regions · out_h, h]` of rows and `[regions · out_w, w]` of columns.
    pub fn matrices(&self, boxes: &[f32]) -> [Vec<f32>; 2] {
        let dense = |regions: Vec<Vec<Weights>>, extent: usize| {
            let bins = regions.iter().flatten();
            let mut values = Vec::new();
            for weights in bins {
                let start = values.len();
                values.resize(start + extent, 0.0);
                weights.iter().for_each(|&(place, weight)| values[start + place] += weight);
            }
            values
        };
        [dense(self.rows(boxes), self.h), dense(self.columns(boxes), self.w)]
    }
}

/// Resamples the regions of `x` into `y`.
#[track_caller]
pub fn roi_align_forward<'a>(
    d: &RoiAlign,
    x: &[f32],
    boxes: &[f32],
    y: impl Into<Output<'a, f32>>,
) {
    let y = &mut *y.into().writer();
    d.check("roi_align_forward", x.len(), boxes.len(), y.len());
    let (isa, rows, columns) = (Isa::current(), d.rows(boxes), d.columns(boxes));
    parallel::chunks(y, d.out_w * d.c, |index, line| {
        let (region, bin) = (index / d.out_h, index % d.out_h);
        line.fill(0.0);
        for &(row, down) in &rows[region][bin] {
            let x = &x[row * d.w * d.c..][..d.w * d.c];
            isa.run(|| {
                for (pixel, weights) in line.chunks_exact_mut(d.c).zip(&columns[region]) {
                    for &(column, across) in weights {
                        let weight = down * across;
                        for (y, &x) in pixel.iter_mut().zip(&x[column * d.c..][..d.c]) {
                            *y += x * weight;
                        }
                    }
                }
            });
        }
    });
}

/// The gradient with respect to `x`: each row of `dx` adds up, in order, the bins that read it.
#[track_caller]
pub fn roi_align_backward<'a>(
    d: &RoiAlign,
    boxes: &[f32],
    dy: &[f32],
    dx: impl Into<Output<'a, f32>>,
) {
    let dx = &mut *dx.into().writer();
    d.check("roi_align_backward", dx.len(), boxes.len(), dy.len());
    let (isa, columns) = (Isa::current(), d.columns(boxes));
    let mut readers: Vec<Vec<(usize, usize, f32)>> = vec![Vec::new(); d.h];
    for (region, bins) in d.rows(boxes).iter().enumerate() {
        for (bin, weights) in bins.iter().enumerate() {
            weights.iter().for_each(|&(row, down)| readers[row].push((region, bin, down)));
        }
    }
    parallel::chunks(dx, d.w * d.c, |row, line| {
        line.fill(0.0);
        for &(region, bin, down) in &readers[row] {
            let dy = &dy[(region * d.out_h + bin) * d.out_w * d.c..][..d.out_w * d.c];
            isa.run(|| {
                for (pixel, weights) in dy.chunks_exact(d.c).zip(&columns[region]) {
                    for &(column, across) in weights {
                        let weight = down * across;
                        for (dx, &dy) in line[column * d.c..][..d.c].iter_mut().zip(pixel) {
                            *dx += dy * weight;
                        }
                    }
                }
            });
        }
    });
}
