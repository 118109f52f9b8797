//! Gradient accumulation
//!
//! Formula: the gradient of a batch in k equal parts is (g_1 + … + g_k)/k, each g_i that of the mean loss of a part.
//!
//! What it does: trains with a batch that memory does not hold, part by part.
//!
//! Why: the paper's batches (1024, §3.1) and their rates then work on any machine. Not in the paper; practitioners expect
//! it.
//!
//! Seam: batch, which comes in parts, and update, which takes their mean. Recipe key: `train.accumulate`.
//!
//! The result is that of the whole batch but for batch norms, which see the statistics of a part.

use std::ops::Range;

/// The examples of each part.
pub fn parts(batch: usize, parts: usize) -> impl Iterator<Item = Range<usize>> {
    assert!(parts > 0 && batch.is_multiple_of(parts), "{batch} examples in {parts} equal parts");
    let size = batch / parts;
    (0..parts).map(move |part| part * size..(part + 1) * size)
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn parts_are_equal_and_make_the_whole() {
        assert_eq!(parts(8, 2).collect::<Vec<_>>(), [0..4, 4..8]);
        assert_eq!(parts(6, 3).collect::<Vec<_>>(), [0..2, 2..4, 4..6]);
        assert_eq!(parts(5, 1).collect::<Vec<_>>(), vec![0..5]);
    }

    #[test]
    #[should_panic(expected = "8 examples in 3 equal parts")]
    fn unequal_parts_are_a_mistake_of_the_program() {
        let _ = parts(8, 3);
    }
}
