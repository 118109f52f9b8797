//! Checkpoints: what a run needs to go on, bit for bit, as if it had never stopped.
//!
//! A checkpoint is a safetensors file, `step-00001234.safetensors`, with one metadata key, `trickbag`, that holds
//! `{"step", "facts", "crc32c"}` as JSON (more keys would come out in random order). The checksum covers the step,
//! the facts, and each tensor's name, shape and bits, so a changed byte is either found or harmless. The file
//! is written by [`durable`], and older ones are deleted only after the new one is on the disk: at any moment at least
//! one whole checkpoint exists. Tensors stream out and in, so memory holds them once.

mod error;
mod file;
mod folder;
#[cfg(test)]
mod tests;

use nn::FileTensors;
use record::Best;
use serde::{Deserialize, Serialize};
use tricks::loss_scaling::LossScaling;

use crate::sources::RunSources;
pub use error::{CheckpointError, Damage};
pub use file::{facts, load};
pub(crate) use file::{of_bytes, to_bytes};
pub use folder::{latest, list, prune, save};

/// The state of a run between two steps, as a file holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// How many steps are done.
    pub step: u64,
    pub facts: RunFacts,
    pub tensors: FileTensors,
}

/// The facts about a run that are saved beside its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunFacts {
    /// The resolved recipe, as TOML.
    pub recipe: String,
    /// The instruction set that the run was computed with; another one gives other bits.
    pub instruction_set: String,
    pub best: Option<Best>,
    /// The loss scale (§3.2); None where the recipe does not scale the loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scaling: Option<ScaleFacts>,
    /// Seconds of work since the start of the run, before each resume too.
    pub work_seconds: f64,
    /// Images trained on since the start of the run.
    pub images: u64,
    pub classes: Vec<String>,
    /// What the run is computed from; None in a checkpoint of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<RunSources>,
}

/// The state of a loss scale.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScaleFacts {
    pub scale: f32,
    pub good_steps: u32,
    pub overflows: u32,
}

impl From<LossScaling> for ScaleFacts {
    fn from(LossScaling { scale, good_steps, overflows }: LossScaling) -> ScaleFacts {
        ScaleFacts { scale, good_steps, overflows }
    }
}

impl From<ScaleFacts> for LossScaling {
    fn from(ScaleFacts { scale, good_steps, overflows }: ScaleFacts) -> LossScaling {
        LossScaling { scale, good_steps, overflows }
    }
}
