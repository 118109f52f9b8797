//! What a recipe means by a key that its file leaves out. A saved recipe states all of them.

use tricks::Precision;

use crate::types::{LossScale, OnBadSample, Orientation, RampEnd, Target};

/// The same for every recipe, whatever its seed.
pub(crate) const SPLIT_SEED: u64 = 1;

pub(crate) const ON_BAD_SAMPLE: OnBadSample = OnBadSample::Stop;

/// The way of torchvision.
pub(crate) const ORIENTATION: Orientation = Orientation::Stored;

/// The paper's baseline (§2.1).
pub(crate) const PRECISION: Precision = Precision::F32;

/// In f16; other precisions have no loss scale.
pub(crate) const LOSS_SCALE: LossScale = LossScale::Dynamic;

/// The paper's formula (§3.1).
pub(crate) const FIRST_OF_WARMUP: RampEnd = RampEnd::OneStep;

/// The paper's formula (§5.1).
pub(crate) const LAST_OF_COSINE: RampEnd = RampEnd::OneStep;

/// A table that only holds a trick: without it the trick is off.
pub(crate) const TARGET: Target = Target { smoothing: None };
