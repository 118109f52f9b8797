//! CutMix (Yun et al. 2019)
//!
//! Formula: x̂ = M ⊙ x_i + (1 − M) ⊙ x_j and ŷ = λ y_i + (1 − λ) y_j; M is 0 in a box of width W √(1 − λ) and height
//! H √(1 − λ) around a uniform center, with λ from Beta(α, α).
//!
//! What it does: a box of one image is pasted over another, and the targets mix by the box's area.
//!
//! Why: unlike in mixup, every region of a mixed image looks natural. Not in the paper; practitioners expect it beside mixup.
//!
//! Seam: batch, where mixup is: x_j is the partner of x_i in a permutation of their part of the batch. Recipe key: `cutmix`.
//!
//! A box that leaves the image is cut off at its edge, and λ is then the share of the area outside the rest.

/// The pixels `left..right` of the rows `top..bottom`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Box {
    pub left: usize,
    pub right: usize,
    pub top: usize,
    pub bottom: usize,
}

/// The box around a center that takes 1 − λ of a square image of `side` pixels.
pub fn region(lambda: f64, side: usize, [x, y]: [usize; 2]) -> Box {
    let edge = (side as f64 * (1.0 - lambda).sqrt()) as usize;
    let span = |center: usize| {
        let start = center.saturating_sub(edge / 2);
        (start, (center + edge.div_ceil(2)).min(side))
    };
    let ((left, right), (top, bottom)) = (span(x), span(y));
    Box { left, right, top, bottom }
}

impl Box {
    /// λ, the share of the image outside the box.
    pub fn lambda(&self, side: usize) -> f32 {
        let inside = (self.right - self.left) * (self.bottom - self.top);
        (1.0 - inside as f64 / (side * side) as f64) as f32
    }

    /// Pastes the box of x_j over x_i; both are `side` rows of `side` RGB pixels.
    pub fn paste(&self, side: usize, x_i: &mut [f32], x_j: &[f32]) {
        assert!(x_i.len() == side * side * 3 && x_j.len() == x_i.len(), "two images of {side}²");
        for row in self.top..self.bottom {
            let span = (row * side + self.left) * 3..(row * side + self.right) * 3;
            x_i[span.clone()].copy_from_slice(&x_j[span]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Box, region};

    #[test]
    fn boxes_by_hand() {
        let found = |lambda, center| {
            let Box { left, right, top, bottom } = region(lambda, 8, center);
            (left, right, top, bottom)
        };
        // 8 √(1 − 0.75) = 4 pixels.
        assert_eq!(found(0.75, [4, 4]), (2, 6, 2, 6));
        assert_eq!(found(0.75, [0, 7]), (0, 2, 5, 8));
        assert_eq!(found(1.0, [3, 3]), (3, 3, 3, 3));
        assert_eq!(found(0.0, [4, 4]), (0, 8, 0, 8));
        // 8 √0.2 = 3.58 pixels.
        assert_eq!(found(0.8, [4, 4]), (3, 6, 3, 6));
    }

    #[test]
    fn lambda_is_the_area_that_stays() {
        assert_eq!(region(0.75, 8, [4, 4]).lambda(8), 0.75);
        assert_eq!(region(0.75, 8, [0, 7]).lambda(8), 1.0 - 6.0 / 64.0);
        assert_eq!(region(1.0, 8, [4, 4]).lambda(8), 1.0);
        assert_eq!(region(0.0, 8, [4, 4]).lambda(8), 0.0);
    }

    #[test]
    fn pasting_takes_the_box_and_nothing_else() {
        let side = 4;
        let mut x_i = vec![0.0; side * side * 3];
        let x_j: Vec<f32> = (1..=side * side * 3).map(|value| value as f32).collect();
        let region = Box { left: 1, right: 3, top: 2, bottom: 4 };
        region.paste(side, &mut x_i, &x_j);
        for (index, value) in x_i.iter().enumerate() {
            let (row, column) = (index / 3 / side, index / 3 % side);
            let inside = (1..3).contains(&column) && (2..4).contains(&row);
            assert_eq!(*value, if inside { x_j[index] } else { 0.0 }, "value {index}");
        }
    }
}
