//! Random erasing (Zhong et al. 2017): with probability p, a rectangle of area s S and height / width r becomes the mean
//! pixel; s and r are uniform in their ranges, its corner anywhere, drawn again until it fits.

use rand_chacha::rand_core::RngCore;
use recipe::Erasing;

use crate::random::{below, between, unit};
use crate::resize::Region;

/// After so many rectangles that do not fit, the image stays whole.
const ATTEMPTS: usize = 100;

/// The rectangle of one image of `side` pixels.
pub(super) fn draw(by: &Erasing, side: usize, rng: &mut impl RngCore) -> Option<Region> {
    if unit(rng) >= by.probability {
        return None;
    }
    (0..ATTEMPTS).find_map(|_| {
        let area = between(rng, by.area) * (side * side) as f64;
        let aspect = between(rng, by.aspect);
        let height = (area * aspect).sqrt().round() as usize;
        let width = (area / aspect).sqrt().round() as usize;
        let [left, top] = [(); 2].map(|()| below(rng, side as u64) as usize);
        let fits = width > 0 && height > 0 && left + width <= side && top + height <= side;
        fits.then_some(Region { left, top, width, height })
    })
}

/// Normalized values of the mean pixel, 0, in the rectangle; `values` are rows of `side` RGB pixels.
pub(crate) fn erase(region: Region, side: usize, values: &mut [f32]) {
    for row in region.top..region.top + region.height {
        values[(row * side + region.left) * 3..][..region.width * 3].fill(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Stream, at};

    const BY: Erasing = Erasing { probability: 0.25, area: [0.02, 0.4], aspect: [0.3, 1.0 / 0.3] };

    #[test]
    fn rectangles_fit_and_come_as_often_as_asked() {
        let mut rng = at(0, Stream::Augment, 0, 0);
        let drawn: Vec<Region> = (0..4000).filter_map(|_| draw(&BY, 32, &mut rng)).collect();
        assert!((900..1100).contains(&drawn.len()), "{} of 4000", drawn.len());
        for region in drawn {
            let Region { left, top, width, height } = region;
            assert!(left + width <= 32 && top + height <= 32, "{region:?}");
            // Rounding an edge to whole pixels moves the area and the aspect a little.
            let share = (width * height) as f64 / 1024.0;
            assert!((0.01..0.44).contains(&share), "{region:?}");
            assert!((0.2..5.0).contains(&(height as f64 / width as f64)), "{region:?}");
        }
        let never = Erasing { probability: 0.0, ..BY };
        assert_eq!(draw(&never, 32, &mut rng), None);
        let always = Erasing { probability: 1.0, ..BY };
        assert!((0..100).all(|_| draw(&always, 32, &mut rng).is_some()));
    }

    #[test]
    fn what_is_erased_is_the_rectangle_and_nothing_else() {
        let mut values = vec![1.0; 5 * 5 * 3];
        erase(Region { left: 1, top: 2, width: 3, height: 2 }, 5, &mut values);
        for (index, value) in values.iter().enumerate() {
            let (row, column) = (index / 3 / 5, index / 3 % 5);
            let inside = (1..4).contains(&column) && (2..4).contains(&row);
            assert_eq!(*value, if inside { 0.0 } else { 1.0 }, "value {index}");
        }
    }
}
