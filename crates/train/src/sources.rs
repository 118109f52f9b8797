//! What a run is computed from beside its recipe, each known by its content, so that a resumed run can tell whether it is
//! still the same.

use serde::{Deserialize, Serialize};

/// The data and the models that a run reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSources {
    pub images: ImageFacts,
    /// The hash of the teacher's weights, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<String>,
    /// The hash of the weights that the run began with, where they were a model's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// A dataset as a fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageFacts {
    /// How many images.
    pub training: u64,
    /// How many images.
    pub validation: u64,
    /// The hash of the images' paths inside the dataset and of their annotations, in their order.
    pub names: String,
    /// The hash of the images' sizes in bytes, in their order.
    pub sizes: String,
}
