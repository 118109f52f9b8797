//! Why a model folder cannot be used, and what to do about it.

use std::io;

use train::model_file::ModelFileError;

/// What is wrong with a folder or with one of its files; [`crate::ClassifyError`] adds the path.
#[derive(Debug, thiserror::Error)]
pub enum FolderProblem {
    #[error("no model here; give a run folder, or a folder with config.json and model.safetensors")]
    NoModel,

    #[error(
        "this run has no model yet: it is written when the run ends; go on with it by `trickbag train --resume --out` \
         and this folder"
    )]
    NotTrained,

    #[error(
        "model.safetensors is here and config.json is not: the command that wrote the folder was interrupted; give the \
         same command again"
    )]
    Interrupted,

    #[error(
        "this run has no best checkpoint: none was evaluated yet, or its checkpoints were removed; leave --best or /best out"
    )]
    NoBest,

    #[error("it is a checkpoint of {task}; give one of a classifier, or the run folder")]
    OtherTask { task: &'static str },

    #[error("it is no regular file; put the model's own file there, or give another folder")]
    NotFile,

    #[error("cannot be read: {0}; check that the file is there and may be read")]
    Unreadable(io::Error),

    #[error(
        "it has {bytes} bytes, and a config.json has at most {limit}; write the folder again by `trickbag export \
         --format timm` or `trickbag import`"
    )]
    ConfigTooLarge { bytes: u64, limit: u64 },

    #[error("not the JSON of a model: {0}; correct that place")]
    Json(serde_json::Error),

    #[error("{key} is {found}; {mend}")]
    Key { key: &'static str, found: String, mend: String },

    #[error("{key} is {found}, and {other} {expected}; {mend}")]
    Disagreement {
        key: &'static str,
        found: String,
        other: &'static str,
        /// What the other key says, with its verb.
        expected: String,
        mend: String,
    },

    #[error(
        "timm's {architecture} with model_args {model_args} is none of the networks here; `trickbag models` lists them"
    )]
    NotOurs { architecture: String, model_args: String },

    #[error(transparent)]
    Network(#[from] zoo::NetworkError),

    #[error("not a whole safetensors file: {0}; copy it again, or train or export the model again")]
    Damaged(String),

    #[error(
        "{name} is {dtype}; only F32 is read: save it as float32, in PyTorch by tensor.float()"
    )]
    Dtype { name: String, dtype: String },

    #[error(
        "{name} holds {value}: the model is broken; train it again with a lower rate (--set rate.base=…)"
    )]
    NotFinite { name: String, value: f32 },

    #[error(
        "the checksum of its tensors is {computed:08x}, and they were written with {stored:08x}: the file was damaged or \
         changed since; copy it again, or train or export the model again"
    )]
    Checksum { stored: u32, computed: u32 },

    #[error(
        "{0}; config.json and the weights are of two models: copy both files again, or export the model again"
    )]
    Tensors(#[from] nn::Mismatch),
}

impl From<ModelFileError> for FolderProblem {
    fn from(error: ModelFileError) -> FolderProblem {
        match error {
            ModelFileError::NotFile => FolderProblem::NotFile,
            ModelFileError::Unreadable(error) => FolderProblem::Unreadable(error),
            ModelFileError::Damaged(what) => FolderProblem::Damaged(what),
            ModelFileError::Dtype { name, dtype } => FolderProblem::Dtype { name, dtype },
            ModelFileError::NotFinite { name, value } => FolderProblem::NotFinite { name, value },
            ModelFileError::Checksum { stored, computed } => {
                FolderProblem::Checksum { stored, computed }
            }
        }
    }
}
