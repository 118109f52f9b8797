//! Resizing and the cross entropy of maps.

use std::sync::Arc;

use kernels::Bilinear;

use super::*;
use crate::{ClassMaps, bilinear, map_cross_entropy};

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let mut cases = Vec::new();
    for align_corners in [false, true] {
        for [h, w, out_h, out_w] in [[3, 2, 7, 5], [1, 4, 3, 2], [2, 2, 2, 2]] {
            let d = Bilinear { n: 2, h, w, c: 3, out_h, out_w, align_corners };
            cases.push(bilinear_case(d));
            let class = |random: &mut Random| match random.of(0..=3) {
                3 => ClassMaps::IGNORED,
                class => class as u16,
            };
            let classes = (0..2 * out_h * out_w).map(|_| class(random)).collect();
            cases.push(map_case(d, ClassMaps { n: 2, height: out_h, width: out_w, classes }));
        }
    }
    cases
}

fn bilinear_case(d: Bilinear) -> Case {
    let (small, large) = (d.n * d.h * d.w * d.c, d.n * d.out_h * d.out_w * d.c);
    Case {
        name: format!("{d:?}"),
        lengths: vec![small],
        facade: Box::new(move |shaped, inputs| {
            let x = shaped.tensor(&inputs[0], [d.n, d.h, d.w, d.c]);
            bilinear(x, [d.out_h, d.out_w], d.align_corners).reshape([-1])
        }),
        forward: Box::new(move |inputs| {
            filled(large, |y| textbook::bilinear_forward(&d, &inputs[0], y))
        }),
        backward: Box::new(move |_, dy| {
            vec![filled(small, |dx| textbook::bilinear_backward(&d, dy, dx))]
        }),
    }
}

fn map_case(d: Bilinear, maps: ClassMaps) -> Case {
    let length = d.n * d.h * d.w * d.c;
    let (first, second) = (maps.classes.clone(), maps.classes.clone());
    let maps = Arc::new(maps);
    Case {
        name: format!("cross entropy of a map, {d:?}"),
        lengths: vec![length],
        facade: Box::new(move |shaped, inputs| {
            let z = shaped.tensor(&inputs[0], [d.n, d.h, d.w, d.c]);
            map_cross_entropy(z, &maps, d.align_corners)
        }),
        forward: Box::new(move |inputs| {
            let mut dz = zeros(length);
            vec![textbook::map_cross_entropy(&d, &inputs[0], &first, &mut dz)]
        }),
        backward: Box::new(move |inputs, dy| {
            let dz = filled(length, |dz| {
                textbook::map_cross_entropy(&d, &inputs[0], &second, dz);
            });
            vec![dz.into_iter().map(|dz| dz * dy[0]).collect()]
        }),
    }
}
