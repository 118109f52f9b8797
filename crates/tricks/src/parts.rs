//! Parts of a batch
//!
//! Formula: a batch is cut into P equal parts of neighbouring images, and its gradient is (g_0 + … + g_{P−1})/P, where
//! g_i is the gradient of the mean loss of part i.
//!
//! What it does: each part passes through the network alone. Batch norms use the statistics of the part, mixup and CutMix
//! pair images inside it, and the running statistics move once a step, by the mean of what the parts observed.
//!
//! Why: "Each model is trained for 120 epochs on 8 Nvidia V100 GPUs with a total batch size of 256" (§2.1): in the authors'
//! code each GPU normalizes its own 32 images. A part is also as much as memory has to hold at once, and as much as one
//! process of several has to compute.
//!
//! Seam: batch, which comes in parts, and update, which takes their mean. Recipe key: `train.parts`.
//!
//! P is a power of two, and the parts' gradients are summed as one binary tree: neighbours first, then pairs of neighbours.
//! R processes, R a power of two of at most P, each sum one subtree, so the sum has the same bits for every R.
//!
//! In the authors' code each GPU kept running statistics of its own and saved the mean of them, which is the same numbers.

use std::ops::Range;

/// The most parts that a recipe may ask for.
pub const MOST: usize = 1024;

/// Whether a batch can be cut into this many parts.
pub fn is_allowed(parts: usize) -> bool {
    parts.is_power_of_two() && parts <= MOST
}

/// The images of part `part` of `parts`, as indices into the batch.
pub fn images(batch: usize, part: usize, parts: usize) -> Range<usize> {
    assert!(parts > 0 && batch.is_multiple_of(parts), "{batch} images in {parts} equal parts");
    assert!(part < parts, "part {part} of {parts}");
    let size = batch / parts;
    part * size..(part + 1) * size
}

/// How often the last two sums are joined once the sum of part `part` lies on a stack with those of the parts before it.
///
/// Joining so after every part leaves one sum, that of the whole tree, and never keeps more than 1 + log₂ P of them.
pub fn joins_after(part: usize) -> u32 {
    part.trailing_ones()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_equal_neighbours_and_make_the_whole() {
        let all = |batch, parts| -> Vec<_> {
            (0..parts).map(|part| images(batch, part, parts)).collect()
        };
        assert_eq!(all(8, 2), [0..4, 4..8]);
        assert_eq!(all(12, 4), [0..3, 3..6, 6..9, 9..12]);
        assert_eq!(all(5, 1), vec![0..5]);
    }

    #[test]
    fn powers_of_two_up_to_1024_are_allowed() {
        let allowed: Vec<usize> = (0..3000).filter(|&parts| is_allowed(parts)).collect();
        assert_eq!(allowed, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]);
    }

    /// The sum of some neighbouring parts, written down with its brackets, and the most sums that lay on the stack.
    fn sum(parts: Range<usize>) -> (String, usize) {
        let (mut stack, mut most) = (Vec::<String>::new(), 0);
        for (index, part) in parts.enumerate() {
            stack.push(part.to_string());
            most = most.max(stack.len());
            for _ in 0..joins_after(index) {
                let (b, a) = (stack.pop().unwrap(), stack.pop().unwrap());
                stack.push(format!("({a}+{b})"));
            }
        }
        assert_eq!(stack.len(), 1, "one sum is left");
        (stack.remove(0), most)
    }

    #[test]
    fn sums_are_joined_as_a_binary_tree() {
        assert_eq!(sum(0..1), ("0".to_owned(), 1));
        assert_eq!(sum(0..4), ("((0+1)+(2+3))".to_owned(), 3));
        assert_eq!(sum(0..8), ("(((0+1)+(2+3))+((4+5)+(6+7)))".to_owned(), 4));
        assert_eq!(sum(0..MOST).1, 11);
    }

    #[test]
    fn any_number_of_processes_makes_the_same_tree() {
        let (alone, _) = sum(0..8);
        for ranks in [1, 2, 4, 8] {
            let mut sums: Vec<String> =
                (0..ranks).map(|rank| sum(images(8, rank, ranks)).0).collect();
            while sums.len() > 1 {
                sums = sums.chunks(2).map(|pair| format!("({}+{})", pair[0], pair[1])).collect();
            }
            assert_eq!(sums, [alone.as_str()], "{ranks} processes");
        }
    }

    #[test]
    #[should_panic(expected = "8 images in 3 equal parts")]
    fn unequal_parts_are_a_mistake_of_the_program() {
        let _ = images(8, 0, 3);
    }
}
