//! Resizing and the cross entropy of maps against their default bodies.

use std::sync::Arc;

use kernels::Bilinear;

use super::*;
use crate::ClassMaps;
use crate::ops::resize::{
    ResizeOp, composed_bilinear, composed_bilinear_backward, composed_map_cross_entropy,
};

fn dims(random: &mut Random) -> Bilinear {
    let [n, c] = [random.of(1..=2), random.of(1..=9)];
    let [h, w] = random.pair(1..=6);
    let [out_h, out_w] = random.pair(1..=13);
    Bilinear { n, h, w, c, out_h, out_w, align_corners: random.of(0..=1) == 1 }
}

#[test]
fn resizes() {
    let mut random = Random::new(40);
    for _ in 0..30 {
        let d = dims(&mut random);
        let x = random.tensor(&[d.n, d.h, d.w, d.c]);
        let dy = random.tensor(&[d.n, d.out_h, d.out_w, d.c]);
        let what = |part| format!("{part} of {d:?}");
        let y = Flex::bilinear_op(x.clone(), d);
        assert_same(&what("y"), y, composed_bilinear::<Flex>(x, d), TOLERANCE);
        let dx = Flex::bilinear_backward_op(dy.clone(), d);
        assert_same(&what("dx"), dx, composed_bilinear_backward::<Flex>(dy, d), TOLERANCE);
    }
}

#[test]
fn losses_of_maps() {
    let mut random = Random::new(41);
    for round in 0..30 {
        let d = dims(&mut random);
        let z = random.tensor(&[d.n, d.h, d.w, d.c]);
        let mut class = || match random.of(0..=3) {
            0 => ClassMaps::IGNORED,
            _ if round == 0 => ClassMaps::IGNORED,
            _ => random.of(0..=d.c - 1) as u16,
        };
        let classes = (0..d.n * d.out_h * d.out_w).map(|_| class()).collect();
        let maps = ClassMaps { n: d.n, height: d.out_h, width: d.out_w, classes };
        let (loss, dz) = Flex::map_cross_entropy_op(z.clone(), Arc::new(maps.clone()), d);
        let expected = composed_map_cross_entropy::<Flex>(z, &maps, d);
        assert_same(&format!("loss of {d:?}"), loss, expected.0, TOLERANCE);
        assert_same(&format!("dz of {d:?}"), dz, expected.1, TOLERANCE);
    }
}
