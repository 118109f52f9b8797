//! Cross entropy of a map, and its largest logits, on odd shapes.

use super::gradients::{assert_gradient, numbers, out};
use super::{Random, assert_results, wide};
use crate::{Bilinear, IGNORED_CLASS, bilinear_argmax, map_cross_entropy, textbook};

fn draw(random: &mut Random) -> (Bilinear, Vec<u16>) {
    let d = Bilinear {
        n: random.of(1..=2),
        h: random.of(1..=7),
        w: random.of(1..=7),
        c: random.of(1..=21),
        out_h: random.of(1..=17),
        out_w: random.of(1..=17),
        align_corners: random.flip(),
    };
    let class = |random: &mut Random| match random.of(0..=4) {
        0 => IGNORED_CLASS,
        _ => random.of(0..=d.c - 1) as u16,
    };
    let classes = (0..d.n * d.out_h * d.out_w).map(|_| class(random)).collect();
    (d, classes)
}

#[test]
fn random_shapes() {
    let mut random = Random::new(31);
    for _ in 0..60 {
        let (d, classes) = draw(&mut random);
        let z: Vec<f32> = random.numbers(d.n * d.h * d.w * d.c).iter().map(|z| 6.0 * z).collect();
        let mut expected = vec![vec![0.0], vec![0.0; z.len()]];
        expected[0][0] = textbook::map_cross_entropy(&d, &wide(&z), &classes, &mut expected[1]);
        let run = || {
            let mut dz = vec![f32::NAN; z.len()];
            let loss = map_cross_entropy(&d, &z, &classes, &mut dz);
            vec![vec![loss], dz]
        };
        assert_results(&format!("{d:?}"), run, &expected, 3e-6);

        let mut found = vec![0; classes.len()];
        bilinear_argmax(&d, &z, &mut found);
        let mut expected = vec![0; classes.len()];
        textbook::bilinear_argmax(&d, &wide(&z), &mut expected);
        let equal = found.iter().zip(&expected).filter(|(a, b)| a == b).count();
        assert!(equal * 100 >= found.len() * 99, "{d:?}: {equal} of {}", found.len());
    }
}

#[test]
fn has_the_gradient_of_its_textbook() {
    let mut random = Random::new(32);
    for align_corners in [false, true] {
        let d = Bilinear { n: 1, h: 3, w: 2, c: 3, out_h: 7, out_w: 5, align_corners };
        let classes: Vec<u16> =
            (0..35).map(|at| if at % 6 == 0 { IGNORED_CLASS } else { at % 3 }).collect();
        let z = numbers(&mut random, 18);
        let dz = out(18, |dz| {
            textbook::map_cross_entropy(&d, &z, &classes, dz);
        });
        assert_gradient("map", &z, &[1.0], &dz, |z| {
            let mut dz = vec![0.0; 18];
            vec![textbook::map_cross_entropy(&d, z, &classes, &mut dz)]
        });
    }
}

#[test]
fn is_zero_where_every_pixel_is_ignored_and_tells_broken_logits() {
    let d = Bilinear { n: 1, h: 2, w: 2, c: 3, out_h: 4, out_w: 4, align_corners: false };
    let mut dz = vec![f32::NAN; 12];
    assert_eq!(map_cross_entropy(&d, &[1.0; 12], &[IGNORED_CLASS; 16], &mut dz), 0.0);
    assert_eq!(dz, [0.0; 12]);
    let mut z = [1.0; 12];
    z[4] = f32::NAN;
    assert!(map_cross_entropy(&d, &z, &[0; 16], &mut dz).is_nan());
}

#[test]
#[should_panic(expected = "class Some(3) of 3")]
fn refuses_a_class_that_there_is_not() {
    let d = Bilinear { n: 1, h: 1, w: 1, c: 3, out_h: 1, out_w: 1, align_corners: false };
    map_cross_entropy(&d, &[0.0; 3], &[3], &mut vec![0.0; 3]);
}
