//! Concatenation, excitation, biased convolutions, dropout and ceilings against their default bodies.

use kernels::{DropoutDraw, Excite};

use super::*;
use crate::ops::concat::{Branches, ConcatOp, composed_concat, composed_concat_backward};
use crate::ops::conv2d_bias::{Conv2dBiasOp, composed_bias_backward, composed_conv2d_bias};
use crate::ops::excite::{ExciteOp, Excited, composed_excite, composed_excite_backward};
use crate::ops::unary::{Unary, UnaryOp, composed_unary, composed_unary_backward};

#[test]
fn concat() {
    let mut random = Random::new(20);
    for widths in [[3, 5, 0, 0], [1, 64, 7, 0], [20, 1, 9, 33]] {
        let [n, h, w] = [2, random.of(1..=6), random.of(1..=6)];
        let mut branches = || -> Vec<FlexTensor> {
            let kept = widths.iter().filter(|&&c| c > 0);
            kept.map(|&c| random.tensor(&[n, h, w, c])).collect()
        };
        let list = branches();
        let y = Flex::concat_op(Branches::new(list.clone()));
        let expected = composed_concat::<Flex>(Branches::new(list.clone()));
        assert_same(&format!("y of {widths:?}"), y.clone(), expected, 0.0);
        let back = Flex::concat_backward_op(y.clone(), widths).list();
        let expected = composed_concat_backward::<Flex>(y, widths).list();
        assert_eq!((back.len(), expected.len()), (list.len(), list.len()));
        for ((back, expected), branch) in back.into_iter().zip(expected).zip(list) {
            assert_same(&format!("back of {widths:?}"), back.clone(), expected, 0.0);
            assert_same(&format!("back of {widths:?}"), back, branch, 0.0);
        }
    }
}

#[test]
fn excite() {
    let mut random = Random::new(21);
    for [n, h, w, c] in [[1, 1, 1, 1], [3, 2, 5, 7], [2, 7, 7, 64]] {
        for activation in ACTIVATIONS {
            let dims = Excite { n, hw: h * w, c, activation };
            let [x, residual, dy] = [(); 3].map(|()| random.tensor(&[n, h, w, c]));
            let z = random.tensor(&[n, c]);
            let what = |part| format!("{part} of {dims:?}");
            let y = Flex::excite_op(x.clone(), z.clone(), residual.clone(), dims);
            let expected = composed_excite::<Flex>(x.clone(), z.clone(), residual, dims);
            assert_same(&what("y"), y.clone(), expected, TOLERANCE);
            let saved = Excited { x, z, y };
            let found = Flex::excite_backward_op(saved.clone(), dy.clone(), dims);
            let expected = composed_excite_backward::<Flex>(saved, dy, dims);
            assert_same(&what("dx"), found.0, expected.0, TOLERANCE);
            assert_same(&what("dz"), found.1, expected.1, TOLERANCE);
            assert_same(&what("dresidual"), found.2, expected.2, TOLERANCE);
        }
    }
}

#[test]
fn conv2d_bias() {
    let mut random = Random::new(22);
    for channels in [[1, 1, 1], [3, 5, 1], [16, 24, 1], [6, 6, 3]] {
        for activation in ACTIVATIONS {
            let d = random.conv2d(channels);
            let [x, w, y] = conv_shapes(&d);
            let (x, w, b) = (random.tensor(&x), random.tensor(&w), random.tensor(&[d.c_out]));
            let dy = random.tensor(&y);
            let y = Flex::conv2d_bias_op(x.clone(), w.clone(), b.clone(), activation, d);
            let expected = composed_conv2d_bias::<Flex>(x, w, b, activation, d);
            assert_same(&format!("y of {d:?}"), y.clone(), expected, TOLERANCE);
            let found = Flex::bias_backward_op(y.clone(), dy.clone(), activation, d);
            let expected = composed_bias_backward::<Flex>(y, dy, activation, d);
            assert_same(&format!("dz of {d:?}"), found.0, expected.0, TOLERANCE);
            assert_same(&format!("db of {d:?}"), found.1, expected.1, TOLERANCE);
        }
    }
}

#[test]
fn unary() {
    let mut random = Random::new(23);
    for shape in [vec![7], vec![3, 50], vec![2, 9, 9, 31]] {
        for unary in [
            Unary::Dropout(DropoutDraw { share: 0.0, key: 3 }),
            Unary::Dropout(DropoutDraw { share: 0.4, key: 4 }),
            Unary::AtMost(0.5),
        ] {
            let (x, dy) = (random.tensor(&shape), random.tensor(&shape));
            let y = Flex::unary_op(x.clone(), unary);
            let expected = composed_unary::<Flex>(x, unary);
            assert_same(&format!("y of {unary:?}"), y.clone(), expected, TOLERANCE);
            let found = Flex::unary_backward_op(y.clone(), dy.clone(), unary);
            let expected = composed_unary_backward::<Flex>(y, dy, unary);
            assert_same(&format!("dx of {unary:?}"), found, expected, TOLERANCE);
        }
    }
}
