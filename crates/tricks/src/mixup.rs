//! §5.4 Mixup
//!
//! Formula (eq. 7 and 8): x̂ = λ x_i + (1 − λ) x_j and ŷ = λ y_i + (1 − λ) y_j, with λ from Beta(α, α).
//!
//! What it does: "each time we randomly sample two examples (x_i, y_i) and (x_j, y_j). Then we form a new example by a
//! weighted linear interpolation of these two examples. [...] In mixup training, we only use the new example".
//!
//! Why: "the mixed examples ask for a longer training progress to converge better": the paper trains 200 epochs instead
//! of 120, with α = 0.2. Table 6.
//!
//! Seam: batch, images and targets alike. Recipe key: `mixup`.
//!
//! Deviation: the paper samples two examples anew for each mixed one. Here the second is the first one's partner in a
//! permutation of their part of the batch, so each example of the part is used twice, and each pair has its own λ.
//!
//! The authors' code mixes each GPU's part with itself in reverse order and draws one λ for the whole batch; that is
//! `pairing = "reversed"` in a recipe.

/// x_i ← λ x_i + (1 − λ) x_j, for the values of an image and for those of its target.
pub fn mix(lambda: f32, x_i: &mut [f32], x_j: &[f32]) {
    assert_eq!(x_i.len(), x_j.len(), "two examples of one shape");
    for (a, &b) in x_i.iter_mut().zip(x_j) {
        *a = lambda * *a + (1.0 - lambda) * b;
    }
}

/// The partner of each example when `count` of them are read backwards. The middle one of an odd count is its own.
pub fn reversed(count: usize) -> Vec<usize> {
    (0..count).rev().collect()
}

#[cfg(test)]
mod tests {
    use super::{mix, reversed};

    #[test]
    fn equations_seven_and_eight() {
        let (mut x, mut y) = ([10.0, -4.0, 0.5], [1.0, 0.0, 0.0]);
        mix(0.75, &mut x, &[2.0, 4.0, 0.5]);
        mix(0.75, &mut y, &[0.0, 0.0, 1.0]);
        assert_eq!(x, [8.0, -2.0, 0.5]);
        assert_eq!(y, [0.75, 0.0, 0.25]);
    }

    #[test]
    fn the_ends_are_the_examples_themselves() {
        for (lambda, expected) in [(1.0, [1.5, -2.5]), (0.0, [7.0, 9.0])] {
            let mut x = [1.5, -2.5];
            mix(lambda, &mut x, &[7.0, 9.0]);
            assert_eq!(x, expected, "λ = {lambda}");
        }
    }

    #[test]
    fn the_authors_pairs() {
        assert_eq!(reversed(4), [3, 2, 1, 0]);
        assert_eq!(reversed(5), [4, 3, 2, 1, 0]);
    }

    #[test]
    #[should_panic(expected = "two examples of one shape")]
    fn examples_of_two_shapes_are_a_mistake_of_the_program() {
        mix(0.5, &mut [1.0], &[1.0, 2.0]);
    }
}
