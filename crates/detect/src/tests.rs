//! Settings that several tests share.

use crate::settings::{
    Anchors, Answers, BorderAnchors, ClipAnswers, Detection, DetectorNorms, Kept, LowBest,
    OnBadBox, Proposals, RegionGrid, Regions,
};

/// Table 8's settings.
pub(crate) fn paper() -> Detection {
    Detection {
        side: 600,
        longest: 1000,
        norms: DetectorNorms::Frozen,
        on_bad_box: OnBadBox::Stop,
        anchors: Anchors {
            base: 16.0,
            scales: vec![2.0, 4.0, 8.0, 16.0, 32.0],
            ratios: vec![0.5, 1.0, 2.0],
            border: BorderAnchors::Ignored,
        },
        proposals: Proposals {
            channels: 1024,
            batch: 256,
            positives: 0.5,
            positive: 0.7,
            negative: 0.3,
            low_best: LowBest::Negative,
            beta: 1.0 / 9.0,
            least_side: 16.0,
            overlap: 0.7,
            training: Kept { before: 12_000, after: 2000 },
            test: Kept { before: 6000, after: 300 },
        },
        regions: Regions {
            batch: 128,
            positives: 0.25,
            positive: 0.5,
            beta: 1.0,
            scales: [0.1, 0.1, 0.2, 0.2],
            size: 14,
            samples: 2,
            grid: RegionGrid::Corners,
        },
        answers: Answers {
            score: 0.01,
            overlap: 0.3,
            most: 400,
            clip: ClipAnswers::AfterSuppression,
        },
    }
}
