//! Why the ranks of a world cannot go on together.

/// An error of the connection between ranks, or of the number of ranks.
///
/// No error leaves the ranks able to continue: end the run, and resume it from its last checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorldError {
    /// The connection to another rank is closed.
    #[error(
        "rank {rank} is gone: it stopped or failed, and its own messages say why; \
         once that is mended, resume the run from its last checkpoint"
    )]
    Gone { rank: usize },

    /// A call after one that failed.
    #[error("this rank left the others after an earlier error, so it cannot {verb}; end the run")]
    Left { verb: &'static str },

    /// Two ranks do not compute the same thing.
    #[error(
        "{verb}: rank {rank} sent {sent} bytes where {expected} were expected, so it does not compute \
         the same run; start every rank with the same program, recipe and data"
    )]
    Length { verb: &'static str, rank: usize, sent: usize, expected: usize },

    /// The sum over the ranks would not be a binary tree.
    #[error("the number of ranks, {size}, is not a power of two; start 1, 2, 4, 8 … ranks")]
    Size { size: usize },

    /// The ranks would get unequal numbers of parts.
    #[error(
        "{parts} parts cannot be dealt out equally to {size} ranks; \
         start a number of ranks that divides the recipe's train.parts"
    )]
    Parts { parts: usize, size: usize },
}
