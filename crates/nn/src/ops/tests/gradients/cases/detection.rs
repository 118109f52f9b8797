//! RoIAlign and losses of single numbers.

use kernels::{PointLoss, RoiAlign, textbook};

use super::super::super::{Random, flat, wide};
use super::{Case, filled};
use crate::{RoiOptions, point_loss, roi_align};

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let mut cases = Vec::new();
    for (samples, half_pixel) in [(2, false), (0, true), (1, false)] {
        cases.push(roi_align_case(samples, half_pixel, random));
    }
    for loss in [
        PointLoss::SmoothL1 { beta: 1.0 },
        PointLoss::SmoothL1 { beta: 0.25 },
        PointLoss::SmoothL1 { beta: 0.0 },
        PointLoss::Logistic,
    ] {
        cases.push(point_loss_case(loss, random));
    }
    cases
}

fn roi_align_case(samples: usize, half_pixel: bool, random: &mut Random) -> Case {
    let boxes: Vec<[f32; 4]> = (0..3)
        .map(|_| {
            let [x, y] = random.pair(0..=40).map(|place| place as f32 - 4.0);
            let [w, h] = random.pair(3..=60).map(|side| side as f32 + 0.3);
            [x, y, x + w, y + h]
        })
        .collect();
    let options = RoiOptions { size: 3, scale: 0.125, samples, half_pixel };
    let (h, w, c, regions, scale) = (5, 6, 3, boxes.len(), options.scale);
    let d = RoiAlign { h, w, c, regions, out_h: 3, out_w: 3, scale, samples, half_pixel };
    let (flat_boxes, again) = (boxes.as_flattened().to_vec(), boxes.as_flattened().to_vec());
    Case {
        name: format!("RoIAlign, {samples} samples, half a pixel: {half_pixel}"),
        lengths: vec![d.x_len()],
        facade: Box::new(move |shaped, inputs| {
            let y = roi_align(shaped.tensor(&inputs[0], [1, h, w, c]), &boxes, options);
            y.reshape([d.y_len()])
        }),
        forward: Box::new(move |inputs| {
            filled(d.y_len(), |y| textbook::roi_align_forward(&d, &inputs[0], &flat_boxes, y))
        }),
        backward: Box::new(move |_, dy| {
            vec![filled(d.x_len(), |dx| textbook::roi_align_backward(&d, &again, dy, dx))]
        }),
    }
}

fn point_loss_case(loss: PointLoss, random: &mut Random) -> Case {
    let length = 11;
    let target: Vec<f32> = random.numbers(length).iter().map(|t| t.abs()).collect();
    let weight: Vec<f32> = random.numbers(length).iter().map(|w| w.max(0.0)).collect();
    let (wide_target, wide_weight) = (wide(&target), wide(&weight));
    let (target64, weight64) = (wide_target.clone(), wide_weight.clone());
    Case {
        name: format!("{loss:?}"),
        lengths: vec![length],
        facade: Box::new(move |shaped, inputs| {
            let [target, weight] = [&target, &weight].map(|values| flat(values.clone()));
            point_loss(shaped.tensor(&inputs[0], [length]), target, weight, loss)
        }),
        forward: Box::new(move |inputs| {
            vec![textbook::point_loss_forward(loss, &inputs[0], &wide_target, &wide_weight)]
        }),
        backward: Box::new(move |inputs, dy| {
            vec![filled(length, |dx| {
                let inputs = [inputs[0].as_slice(), &target64, &weight64];
                textbook::point_loss_backward(loss, inputs, dy[0], dx);
            })]
        }),
    }
}
