//! §3.2 Loss scaling (Micikevicius et al. 2018), for low-precision training
//!
//! Formula: the gradient of s·ℓ is computed instead of that of ℓ, and divided by s before the update. s starts at 65,536,
//! is doubled after 2,000 good steps in a row, and halved after a step whose gradient overflowed; that step is skipped.
//!
//! What it does: moves small gradients into the range of f16, which reaches from 6e-8 to 65,504.
//!
//! Why: gradients of activations are small, and those that f16 rounds to zero are lost.
//!
//! Seam: precision. Recipe key: `train.loss_scale`.
//!
//! Deviation: the paper names a fixed scale, "multiplying a scalar to the loss", and the authors' code has none (`"off"` in a
//! recipe); here the scale follows the overflows. What the paper stores in FP16 and we do not is told in
//! [`precision`](crate::precision). Table 4.
//!
//! A skipped step counts as a step: its batch has been seen and the schedule moves on, but weights, velocities, averages
//! and running statistics do not change. All scales are powers of two, so multiplying and dividing by them changes no digit.

/// The first scale.
const START: f32 = 65_536.0;

/// The good steps in a row after which the scale is doubled.
const PERIOD: u32 = 2_000;

/// After this many overflows in a row the scale is not at fault: a number that is not finite comes from somewhere else.
pub const MOST_OVERFLOWS: u32 = 100;

/// The state of the scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossScaling {
    pub scale: f32,
    /// Steps since the scale last changed, or since the last overflow.
    pub good_steps: u32,
    /// Overflows in a row, the last step included.
    pub overflows: u32,
}

impl LossScaling {
    pub const fn start() -> LossScaling {
        LossScaling { scale: START, good_steps: 0, overflows: 0 }
    }

    /// The state after one more step.
    pub fn after_step(self, overflow: bool) -> LossScaling {
        let LossScaling { scale, good_steps, overflows } = self;
        if overflow {
            let scale = (scale / 2.0).max(f32::MIN_POSITIVE);
            return LossScaling { scale, good_steps: 0, overflows: overflows.saturating_add(1) };
        }
        let (scale, good_steps) = match good_steps + 1 {
            PERIOD if (scale * 2.0).is_finite() => (scale * 2.0, 0),
            good_steps => (scale, good_steps.min(PERIOD - 1)),
        };
        LossScaling { scale, good_steps, overflows: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_starts_at_65536_and_halves_where_it_overflows() {
        let mut scaling = LossScaling::start();
        assert_eq!(scaling, LossScaling { scale: 65_536.0, good_steps: 0, overflows: 0 });
        for expected in [32_768.0, 16_384.0, 8_192.0] {
            scaling = scaling.after_step(false).after_step(true);
            assert_eq!(scaling, LossScaling { scale: expected, good_steps: 0, overflows: 1 });
        }
    }

    #[test]
    fn it_doubles_after_2000_good_steps_in_a_row() {
        let run = |from: LossScaling, steps| (0..steps).fold(from, |s, _| s.after_step(false));
        let almost = run(LossScaling::start(), 1_999);
        assert_eq!(almost, LossScaling { scale: 65_536.0, good_steps: 1_999, overflows: 0 });
        assert_eq!(run(almost, 1), LossScaling { scale: 131_072.0, good_steps: 0, overflows: 0 });
        assert_eq!(run(almost, 2_001).scale, 262_144.0);
        // An overflow starts the count anew.
        let again = run(almost.after_step(true), 1_999);
        assert_eq!(again, LossScaling { scale: 32_768.0, good_steps: 1_999, overflows: 0 });
        assert_eq!(run(again, 1).scale, 65_536.0);
    }

    #[test]
    fn it_never_leaves_the_numbers() {
        let largest = LossScaling { scale: 2f32.powi(127), good_steps: PERIOD - 1, overflows: 0 };
        assert_eq!(largest.after_step(false), largest);
        let mut scaling = LossScaling::start();
        for _ in 0..300 {
            scaling = scaling.after_step(true);
        }
        assert_eq!((scaling.scale, scaling.overflows), (f32::MIN_POSITIVE, 300));
        assert_eq!(scaling.after_step(false).overflows, 0);
    }
}
