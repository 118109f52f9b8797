//! §2.1 step 2: "Randomly crop a rectangular region whose aspect ratio is randomly sampled in [3/4,4/3] and area
//! randomly sampled in [8%,100%], then resize the cropped region".
//!
//! area = H·W·U(a₀, a₁), ratio = exp U(ln r₀, ln r₁), w = ⌊√(area·ratio)⌉, h = ⌊√(area/ratio)⌉ (halves to even),
//! accepted when it fits, at a uniform place. After ten misses: the largest centred region whose ratio is clamped
//! into [r₀, r₁].
//!
//! Deviation: the ratio is log-uniform, as in torchvision and timm, so that r and 1/r are equally likely; the paper only says
//! that it is random.

use rand_chacha::rand_core::RngCore;
use recipe::Crop;

use crate::random::{below, between};
use crate::resize::Region;

const TRIES: usize = 10;

/// A random region of an image of width × height.
pub(super) fn region(crop: &Crop, width: usize, height: usize, rng: &mut impl RngCore) -> Region {
    let pixels = (width * height) as f64;
    let log_aspect = crop.aspect.map(f64::ln);
    for _ in 0..TRIES {
        let area = pixels * between(rng, crop.area);
        let aspect = between(rng, log_aspect).exp();
        let w = (area * aspect).sqrt().round_ties_even() as usize;
        let h = (area / aspect).sqrt().round_ties_even() as usize;
        if (1..=width).contains(&w) && (1..=height).contains(&h) {
            let top = below(rng, (height - h + 1) as u64) as usize;
            let left = below(rng, (width - w + 1) as u64) as usize;
            return Region { left, top, width: w, height: h };
        }
    }
    centered(crop.aspect, width, height)
}

/// The largest centred region with a ratio within the range.
pub(crate) fn centered([low, high]: [f64; 2], width: usize, height: usize) -> Region {
    let ratio = width as f64 / height as f64;
    let side = |length: f64, limit: usize| (length.round_ties_even() as usize).clamp(1, limit);
    let (w, h) = if ratio < low {
        (width, side(width as f64 / low, height))
    } else if ratio > high {
        (side(height as f64 * high, width), height)
    } else {
        (width, height)
    };
    Region { left: (width - w) / 2, top: (height - h) / 2, width: w, height: h }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Stream, at};

    const PAPER: Crop = Crop { area: [0.08, 1.0], aspect: [3.0 / 4.0, 4.0 / 3.0] };

    #[test]
    fn regions_follow_the_papers_distribution() {
        // On a large square nearly every try of area ≤ 3/4 fits, so moments are those of the plain draws there.
        let crop = Crop { area: [0.08, 0.7], ..PAPER };
        let mut rng = at(0, Stream::Augment, 0, 0);
        let n = 20_000;
        let (mut area, mut log_ratio, mut left) = (0.0, 0.0, 0.0);
        for _ in 0..n {
            let r = region(&crop, 1000, 1000, &mut rng);
            assert!(r.left + r.width <= 1000 && r.top + r.height <= 1000);
            area += (r.width * r.height) as f64 / 1e6;
            let log = (r.width as f64 / r.height as f64).ln();
            assert!(log.abs() < (4.0f64 / 3.0).ln() + 0.01);
            log_ratio += log;
            left += r.left as f64 / (1000 - r.width).max(1) as f64;
        }
        let n = f64::from(n);
        assert!((area / n - 0.39).abs() < 0.005, "mean area {}", area / n);
        assert!((log_ratio / n).abs() < 0.005, "mean log ratio {}", log_ratio / n);
        assert!((left / n - 0.5).abs() < 0.01, "mean place {}", left / n);
    }

    #[test]
    fn every_shape_of_image_gets_a_region_inside_it() {
        let mut rng = at(0, Stream::Augment, 0, 1);
        for (width, height) in [(1, 1), (1, 500), (500, 1), (2, 3), (3000, 10), (224, 224)] {
            for _ in 0..200 {
                let r = region(&PAPER, width, height, &mut rng);
                assert!(r.width >= 1 && r.height >= 1, "{r:?}");
                assert!(r.left + r.width <= width && r.top + r.height <= height, "{r:?}");
            }
        }
    }

    #[test]
    fn the_fallback_is_the_largest_centered_region() {
        let cases = [
            ((100, 1000), (0, 433, 100, 133)),
            ((1000, 100), (433, 0, 133, 100)),
            ((110, 100), (0, 0, 110, 100)),
        ];
        for ((width, height), (left, top, w, h)) in cases {
            let expected = Region { left, top, width: w, height: h };
            assert_eq!(centered(PAPER.aspect, width, height), expected);
        }
    }
}
