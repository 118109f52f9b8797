//! RandAugment (Cubuk et al. 2019): N operations in a row, each drawn from the same 14, all of magnitude M.
//!
//! M is 0 to 10, 10 being the end of AutoAugment's range: 30 degrees, a shear of 0.3, 150/331 of the side, four bits
//! fewer, all levels inverted, and 1 ± 0.9 for color, contrast, brightness and sharpness. Signs are drawn.

use rand_chacha::rand_core::RngCore;
use recipe::RandAugment;

use super::operations::ImageOperation;
use crate::random::below;

/// The operations of one image of `side` pixels.
pub(super) fn draw(by: &RandAugment, side: usize, rng: &mut impl RngCore) -> Vec<ImageOperation> {
    (0..by.operations).map(|_| operation(below(rng, 14), by.magnitude, side, rng)).collect()
}

fn operation(kind: u64, magnitude: f64, side: usize, rng: &mut impl RngCore) -> ImageOperation {
    let share = magnitude / 10.0;
    // The sign is drawn whether or not the operation has one.
    let signed = if below(rng, 2) == 0 { share } else { -share };
    let factor = (1.0 + 0.9 * signed) as f32;
    let pixels = (signed * 150.0 / 331.0 * side as f64) as i64;
    match kind {
        0 => ImageOperation::Identity,
        1 => ImageOperation::AutoContrast,
        2 => ImageOperation::Equalize,
        3 => ImageOperation::Rotate(30.0 * signed),
        4 => ImageOperation::Solarize((256.0 * (1.0 - share)).round() as u16),
        5 => ImageOperation::Posterize(8 - (4.0 * share).round() as u32),
        6 => ImageOperation::Color(factor),
        7 => ImageOperation::Contrast(factor),
        8 => ImageOperation::Brightness(factor),
        9 => ImageOperation::Sharpness(factor),
        10 => ImageOperation::ShearX(0.3 * signed),
        11 => ImageOperation::ShearY(0.3 * signed),
        12 => ImageOperation::TranslateX(pixels),
        _ => ImageOperation::TranslateY(pixels),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Stream, at};

    #[test]
    fn all_fourteen_come_up_in_rows_of_two() {
        let mut rng = at(0, Stream::Augment, 0, 0);
        let mut seen = [0u32; 14];
        for _ in 0..7000 {
            let drawn = draw(&RandAugment { operations: 2, magnitude: 9.0 }, 32, &mut rng);
            assert_eq!(drawn.len(), 2);
            for operation in drawn {
                let kinds = (0..14).map(|kind| self::operation(kind, 9.0, 32, &mut rng));
                let same = |other: ImageOperation| {
                    std::mem::discriminant(&other) == std::mem::discriminant(&operation)
                };
                seen[kinds.into_iter().position(same).expect("one of the 14")] += 1;
            }
        }
        assert!(seen.iter().all(|&count| (850..1150).contains(&count)), "{seen:?}");
    }

    #[test]
    fn magnitudes_run_from_nothing_to_the_end_of_the_range() {
        let mut rng = at(0, Stream::Augment, 0, 0);
        let mut ends = |kind, magnitude| loop {
            // Until the sign is positive.
            let found = operation(kind, magnitude, 331, &mut rng);
            let negative = matches!(
                found,
                ImageOperation::Rotate(..0.0)
                    | ImageOperation::ShearX(..0.0)
                    | ImageOperation::TranslateX(..0)
                    | ImageOperation::Color(..1.0)
            );
            if !negative {
                return found;
            }
        };
        assert_eq!(ends(3, 10.0), ImageOperation::Rotate(30.0));
        assert_eq!(ends(4, 10.0), ImageOperation::Solarize(0));
        assert_eq!(ends(4, 0.0), ImageOperation::Solarize(256));
        assert_eq!(ends(5, 10.0), ImageOperation::Posterize(4));
        assert_eq!(ends(5, 0.0), ImageOperation::Posterize(8));
        assert_eq!(ends(6, 10.0), ImageOperation::Color(1.9));
        assert_eq!(ends(6, 0.0), ImageOperation::Color(1.0));
        assert_eq!(ends(10, 5.0), ImageOperation::ShearX(0.15));
        assert_eq!(ends(12, 10.0), ImageOperation::TranslateX(150));
    }
}
