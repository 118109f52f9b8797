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

    /// A rank sent nothing for too long.
    #[error(
        "rank {rank} has been silent for {seconds} s: it has stopped, or its machine has, or another rank that it waits for; \
         see to it, then resume the run from its last checkpoint"
    )]
    Silent { rank: usize, seconds: u64 },

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
        "a batch of {parts} {} cannot be dealt out equally to {size} ranks: start a number of ranks that divides the recipe's \
         train.parts, or train with more parts (--set train.parts={size}), which are another recipe: each has its own batch norms",
        if *parts == 1 { "part" } else { "parts" }
    )]
    Parts { parts: usize, size: usize },

    /// The ranks are about to compute different things.
    #[error(
        "the ranks are not alike, and would not compute one run:\n  {}\nStart every rank with the same program, recipe and \
         data, on processors of one kind",
        differences.join("\n  ")
    )]
    Differ { differences: Vec<String> },

    #[error(
        "no MPI library could be opened: {}. Install the launcher's own, or give its path with --mpi",
        tried.join("; ")
    )]
    NoLibrary { tried: Vec<String> },

    #[error(
        "{library}: {call} failed: {said}; give another library with --mpi, or check the network between the ranks"
    )]
    Library { library: String, call: &'static str, said: String },

    /// Every rank would believe to be alone, and do the whole work.
    #[error(
        "the launcher started {ranks} ranks ({variable}={ranks}), but {library} ({version}) joined {size} of them: it is not \
         the MPI of this launcher. Start the ranks with the mpirun of that library, or srun with its --mpi option, or give the \
         launcher's own library with --mpi"
    )]
    OtherLauncher {
        variable: &'static str,
        ranks: usize,
        size: usize,
        library: String,
        version: String,
    },
}

impl WorldError {
    /// Whether the ranks were started wrongly, and not lost on the way.
    pub fn is_usage(&self) -> bool {
        match self {
            WorldError::Size { .. }
            | WorldError::Parts { .. }
            | WorldError::Differ { .. }
            | WorldError::NoLibrary { .. }
            | WorldError::OtherLauncher { .. } => true,
            WorldError::Gone { .. }
            | WorldError::Silent { .. }
            | WorldError::Left { .. }
            | WorldError::Length { .. }
            | WorldError::Library { .. } => false,
        }
    }
}
