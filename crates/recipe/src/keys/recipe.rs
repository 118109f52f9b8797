//! The root of a recipe: a run, written down as closed, complete, plain data (§2.1, §3.1).
//!
//! A trick that is off is absent (`None`); a trick that is on is complete. No type of a recipe has a default, and nothing
//! reads a file, a clock or a device.

use super::rules::SEED;
use super::*;

/// What a recipe trains for. Said by the table that only recipes of this task have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// §2 to §5: neither table.
    Classification,
    /// §6.1: the table `[detect]`.
    Detection,
    /// §6.2: the table `[segment]`.
    Segmentation,
    #[cfg(test)]
    Probing,
}

/// For keys that other tasks have no use for.
pub(super) const CLASSIFICATION: &[TaskKind] = &[TaskKind::Classification];

impl TaskKind {
    /// The task in a word, such as `detection`.
    pub fn name(self) -> &'static str {
        match self {
            TaskKind::Classification => "classification",
            TaskKind::Detection => "detection",
            TaskKind::Segmentation => "segmentation",
            #[cfg(test)]
            TaskKind::Probing => "probing",
        }
    }
}

table! {
    /// One run. `trickbag recipes NAME` prints one as TOML.
    pub struct Recipe {
        /// Version of the file format; this program reads version 2.
        version: u32 = key("2"),
        /// Name of the run, and of its folder.
        name: String = key(r#""my-run""#).rules(Text::FolderName),
        /// Every random draw of the run is a function of this number and of its position.
        seed: u64 = key("1").rules(SEED),
        network: NetworkChoice = key(""),
        init: Option<FineTuning> = key(""),
        data: Data = key(""),
        preprocess: Preprocess = key(""),
        validation: Option<Validation> = key("").only(CLASSIFICATION).needed(),
        detect: Option<Detection> = key("").makes(TaskKind::Detection),
        segment: Option<Segmentation> = key("").makes(TaskKind::Segmentation),
        #[cfg(test)]
        probe: Option<crate::tests::probe::Probe> = key("").makes(TaskKind::Probing),
        train: Train = key(""),
        rate: Rate = key(""),
        update: Update = key(""),
        target: Target = key("").absent(Target { smoothing: None }).only(CLASSIFICATION),
        mixup: Option<Mixup> = key("").only(CLASSIFICATION).short(&[
            Short { given: Given::Word("on"), means: r#"{ alpha = 0.2, pairing = "permutation" }"# },
            Short { given: Given::Number, means: r#"{ alpha = $, pairing = "permutation" }"# },
        ]),
        cutmix: Option<Cutmix> = key("").only(CLASSIFICATION).short(&[
            Short { given: Given::Word("on"), means: "{ alpha = 1.0 }" },
            Short { given: Given::Number, means: "{ alpha = $ }" },
        ]),
        distillation: Option<Distillation> = key("").only(CLASSIFICATION),
        average: Option<Averaging> = key("").short(&[
            Short { given: Given::Word("on"), means: "{ decay = 0.9999 }" },
            Short { given: Given::Number, means: "{ decay = $ }" },
        ]),
        checkpoint: Checkpointing = key(""),
    }
}

impl Recipe {
    /// What it trains for, by the table that it has.
    pub fn task(&self) -> TaskKind {
        let has = |name: &str| entries(self).iter().any(|(key, _)| *key == name);
        let tables = crate::schema::tasks();
        let found = tables.into_iter().find(|(name, _)| has(name));
        found.map_or(TaskKind::Classification, |(_, task)| task)
    }

    /// The FCN and its crops, in a recipe of segmentation.
    ///
    /// # Panics
    /// For another task.
    pub fn segmentation(&self) -> &Segmentation {
        self.segment.as_ref().expect("a recipe of segmentation has [segment]")
    }

    /// How validation images are cut, in a recipe of classification.
    ///
    /// # Panics
    /// For another task, whose own table says it.
    pub fn validation(&self) -> Validation {
        self.validation.expect("a recipe of classification has [validation]")
    }
}
