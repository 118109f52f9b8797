//! §2.1 step 4 as the authors' code does it: brightness, contrast and saturation, each by a coefficient from its range,
//! in a random order, on 8-bit pixels that are kept to 0..=255 after each.
//!
//! Deviation: each cuts off the fraction, as Pillow does, where the authors' library rounds; the flip comes before, not
//! last; and PCA noise, which follows, is added to floats.

use rand_chacha::rand_core::RngCore;
use recipe::Jitter;

use super::operations::ImageOperation;
use crate::random::{between, permutation};

/// The operations of one image.
pub(super) fn draw(by: &Jitter, rng: &mut impl RngCore) -> [ImageOperation; 3] {
    let mut coefficient = |range| between(rng, range) as f32;
    let operations = [
        ImageOperation::Brightness(coefficient(by.brightness)),
        ImageOperation::Contrast(coefficient(by.contrast)),
        ImageOperation::Color(coefficient(by.saturation)),
    ];
    let order = permutation(rng, 3);
    [0, 1, 2].map(|place| operations[order[place] as usize])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Stream, at};

    #[test]
    fn all_orders_come_up_with_coefficients_of_their_ranges() {
        let by = Jitter { brightness: [0.6, 1.4], contrast: [0.1, 0.2], saturation: [2.0, 2.0] };
        let mut orders = std::collections::BTreeMap::new();
        for index in 0..600 {
            let drawn = draw(&by, &mut at(0, Stream::Augment, 0, index));
            let name = |operation| match operation {
                ImageOperation::Brightness(0.6..1.4) => 'b',
                ImageOperation::Contrast(0.1..0.2) => 'c',
                ImageOperation::Color(2.0) => 's',
                other => panic!("{other:?}"),
            };
            *orders.entry(drawn.map(name)).or_insert(0) += 1;
        }
        assert_eq!(orders.len(), 6);
        assert!(orders.values().all(|count| (70..130).contains(count)), "{orders:?}");
    }
}
