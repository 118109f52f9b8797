//! RoIAlign and losses of single numbers.

use super::{Random, assert_close, assert_results, wide};
use crate::{
    PointLoss, RoiAlign, point_loss_backward, point_loss_forward, roi_align_backward,
    roi_align_forward, textbook,
};

pub(super) const LOSSES: [PointLoss; 4] = [
    PointLoss::SmoothL1 { beta: 1.0 },
    PointLoss::SmoothL1 { beta: 1.0 / 9.0 },
    PointLoss::SmoothL1 { beta: 0.0 },
    PointLoss::Logistic,
];

/// Regions of every kind: inside, outside, across an edge, without a size.
pub(super) fn regions(random: &mut Random, d: &RoiAlign) -> Vec<f32> {
    let mut boxes = Vec::new();
    for _ in 0..d.regions {
        let numbers = random.numbers(4);
        let (width, height) = (d.w as f32 / d.scale, d.h as f32 / d.scale);
        let (x, y) = (numbers[0] * width, numbers[1] * height);
        let (w, h) = ((numbers[2] + 1.0) * width, (numbers[3] + 0.9).max(0.0) * height);
        boxes.extend([x, y, x + w, y + h]);
    }
    boxes
}

pub(super) fn dims(random: &mut Random, samples: usize, half_pixel: bool) -> RoiAlign {
    RoiAlign {
        h: random.of(1..=9),
        w: random.of(1..=11),
        c: random.of(1..=35),
        regions: random.of(0..=6),
        out_h: random.of(1..=7),
        out_w: random.of(1..=7),
        scale: [1.0, 0.5, 0.0625][random.of(0..=2)],
        samples,
        half_pixel,
    }
}

#[test]
fn regions_are_resampled_as_the_textbook_says() {
    let mut random = Random::new(31);
    for case in 0..60 {
        let d = dims(&mut random, case % 4, case % 2 == 0);
        let boxes = regions(&mut random, &d);
        let (x, dy) = (random.numbers(d.x_len()), random.numbers(d.y_len()));
        let mut expected = vec![vec![0.0; dy.len()], vec![0.0; x.len()]];
        textbook::roi_align_forward(&d, &wide(&x), &boxes, &mut expected[0]);
        textbook::roi_align_backward(&d, &boxes, &wide(&dy), &mut expected[1]);
        let run = || {
            let (mut y, mut dx) = (vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]);
            roi_align_forward(&d, &x, &boxes, &mut y);
            roi_align_backward(&d, &boxes, &dy, &mut dx);
            vec![y, dx]
        };
        assert_results(&format!("{d:?} {boxes:?}"), run, &expected, 1e-4);
    }
}

#[test]
fn losses_of_numbers_are_the_textbooks() {
    let mut random = Random::new(32);
    for (case, length) in [0, 1, 7, 1000, 40_000].into_iter().enumerate() {
        for loss in LOSSES {
            let x: Vec<f32> = random.numbers(length).iter().map(|x| 4.0 * x).collect();
            let target: Vec<f32> = random.numbers(length).iter().map(|t| t.abs()).collect();
            let weight: Vec<f32> = random.numbers(length).iter().map(|w| w.max(0.0)).collect();
            let (x64, t64, w64) = (wide(&x), wide(&target), wide(&weight));
            let sum = textbook::point_loss_forward(loss, &x64, &t64, &w64);
            let mut gradient = vec![0.0; length];
            textbook::point_loss_backward(loss, [&x64, &t64, &w64], 0.7, &mut gradient);
            let run = || {
                let mut dx = vec![f32::NAN; length];
                point_loss_backward(loss, [&x, &target, &weight], 0.7, &mut dx);
                vec![vec![point_loss_forward(loss, &x, &target, &weight)], dx]
            };
            assert_results(&format!("{loss:?}, case {case}"), run, &[vec![sum], gradient], 1e-6);
        }
    }
}

#[test]
fn numbers_without_weight_count_nothing_and_great_logits_do_not_overflow() {
    let nothing = [f32::NAN, f32::INFINITY];
    for loss in LOSSES {
        assert_eq!(point_loss_forward(loss, &nothing, &[0.0; 2], &[0.0; 2]), 0.0);
        let mut dx = [f32::NAN; 2];
        point_loss_backward(loss, [&nothing, &[0.0; 2], &[0.0; 2]], 1.0, &mut dx);
        assert_eq!(dx, [0.0; 2]);
    }
    let found = point_loss_forward(PointLoss::Logistic, &[500.0, -500.0], &[0.0, 1.0], &[1.0; 2]);
    assert_close("loss", &[found], &[1000.0], 1e-7);
}
