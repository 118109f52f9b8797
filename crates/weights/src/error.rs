//! Why the tensors of a file were not read, and what to do; the caller knows the file's path.

/// An error of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeightsError {
    #[error(
        "neither a safetensors file nor one that torch.save wrote; give a .safetensors, .pth or .pt file of weights"
    )]
    Unknown,

    #[error("the file is damaged: {0}; copy or download it again")]
    Damaged(String),

    #[error(
        "the pickle asks for {name}, which is neither a tensor nor a plain container; nothing was executed. In PyTorch \
         save the weights alone: torch.save(model.state_dict(), \"weights.pth\")"
    )]
    Forbidden { name: String },

    #[error(
        "the pickle cannot be read: {problem}; in PyTorch save the weights alone: torch.save(model.state_dict(), \"weights.pth\")"
    )]
    Pickle { problem: String },

    #[error("there are no tensors in it; give a file of a model's weights")]
    NoTensors,

    #[error(
        "two tensors are named {name} once prefixes such as module. are off; remove one of them from the file"
    )]
    Twice { name: String },

    #[error("{name} {problem}")]
    Tensor { name: String, problem: String },
}

impl WeightsError {
    pub(crate) fn damaged(what: impl Into<String>) -> WeightsError {
        WeightsError::Damaged(what.into())
    }

    pub(crate) fn pickle(problem: impl Into<String>) -> WeightsError {
        WeightsError::Pickle { problem: problem.into() }
    }
}
