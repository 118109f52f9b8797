//! RoIAlign and losses of single numbers.

use std::sync::Arc;

use burn::backend::Flex;
use kernels::{PointLoss, RoiAlign};

use super::{Random, TOLERANCE, assert_same};
use crate::ops::flex;
use crate::ops::point_loss::{PointLossOp, composed_point_loss, composed_point_loss_backward};
use crate::ops::roi_align::{Regions, RoiAlignOp, composed_roi_align, composed_roi_align_backward};

#[test]
fn roi_align() {
    let mut random = Random::new(51);
    for case in 0..20 {
        let d = RoiAlign {
            h: random.of(1..=7),
            w: random.of(1..=9),
            c: random.of(1..=20),
            regions: random.of(1..=5),
            out_h: random.of(1..=4),
            out_w: random.of(1..=5),
            scale: 0.25,
            samples: case % 3,
            half_pixel: case % 2 == 0,
        };
        let mut boxes = Vec::new();
        for _ in 0..d.regions {
            let [x, y] = random.pair(0..=20).map(|place| place as f32 - 3.0);
            let [w, h] = random.pair(0..=30).map(|side| side as f32);
            boxes.extend([x, y, x + w, y + h]);
        }
        let boxes = Regions(Arc::new(boxes));
        let x = random.tensor(&[1, d.h, d.w, d.c]);
        let dy = random.tensor(&[d.regions, d.out_h, d.out_w, d.c]);
        assert_same(
            &format!("y of {d:?}"),
            Flex::roi_align_op(x.clone(), boxes.clone(), d),
            composed_roi_align::<Flex>(x, &boxes, d),
            TOLERANCE,
        );
        assert_same(
            &format!("dx of {d:?}"),
            Flex::roi_align_backward_op(dy.clone(), boxes.clone(), d),
            composed_roi_align_backward::<Flex>(dy, &boxes, d),
            TOLERANCE,
        );
    }
}

#[test]
fn point_loss() {
    let mut random = Random::new(52);
    for loss in
        [PointLoss::SmoothL1 { beta: 1.0 }, PointLoss::SmoothL1 { beta: 0.0 }, PointLoss::Logistic]
    {
        for length in [1, 8, 333] {
            let weight = random.numbers(length).iter().map(|w| w.max(0.0)).collect();
            let weight = flex::tensor(weight, &[length]);
            let (x, target) = (random.tensor(&[length]), random.tensor(&[length]));
            let dloss = random.tensor(&[1]);
            let what = |part| format!("{part} of {loss:?}, {length} numbers");
            assert_same(
                &what("sum"),
                Flex::point_loss_op(x.clone(), target.clone(), weight.clone(), loss),
                composed_point_loss::<Flex>(x.clone(), target.clone(), weight.clone(), loss),
                TOLERANCE,
            );
            assert_same(
                &what("dx"),
                Flex::point_loss_backward_op(
                    x.clone(),
                    target.clone(),
                    weight.clone(),
                    dloss.clone(),
                    loss,
                ),
                composed_point_loss_backward::<Flex>([x, target, weight], dloss, loss),
                TOLERANCE,
            );
        }
    }
}
