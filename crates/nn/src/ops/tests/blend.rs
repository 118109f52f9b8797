//! Operations over all parameters compared with their default bodies, and averages of parameters and statistics.

use burn::backend::Flex;

use super::{Random, flat, numbers};
use crate::ops::blend::{BlendOp, composed_blend, composed_health};
use crate::ops::flex::{floats, tensor};
use crate::ops::{blend, health};
use crate::{NormSpec, ParameterSpec, Parameters, Role, Statistics, cpu};

#[test]
fn as_the_default_bodies() {
    let mut random = Random::new(41);
    for length in [1, 5, 1000, 40_000] {
        let [y, x] = [(); 2].map(|()| random.tensor(&[length]));
        let found = <Flex as BlendOp>::blend(y.clone(), x.clone(), 0.75, -0.5);
        let composed = composed_blend::<Flex>(y, x.clone(), 0.75, -0.5);
        for (a, b) in floats(&found).iter().zip(floats(&composed)) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
        let found = <Flex as BlendOp>::health(x.clone());
        let composed = composed_health::<Flex>(x);
        let [[found, finite], [composed, also]] =
            [&found, &composed].map(|health| [floats(health)[0], floats(health)[1]]);
        assert!((found - composed).abs() <= 1e-4 * composed, "{found} {composed}");
        assert_eq!([finite, also], [0.0; 2]);
    }
}

#[test]
fn a_tensor_that_is_shared_stays_as_it_was() {
    let (y, x) = (flat(vec![1.0, 2.0]), flat(vec![10.0, 20.0]));
    let kept = y.clone();
    assert_eq!(numbers(blend(0.5, y, 0.25, &x)), [3.0, 6.0]);
    assert_eq!(numbers(kept), [1.0, 2.0]);
    assert_eq!(numbers(health(&x)), [500.0, 0.0]);
}

#[test]
fn one_number_that_is_not_finite_spoils_the_health() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for (length, at) in [(1, 0), (9, 8), (40_000, 20_011)] {
            let mut values = vec![1.0; length];
            values[at] = bad;
            let x = flat(values.clone());
            let composed = composed_health::<Flex>(tensor(values, &[length]));
            assert!(numbers(health(&x))[1].is_nan(), "{bad} at {at}");
            assert!(floats(&composed)[1].is_nan(), "{bad} at {at}");
        }
    }
}

#[test]
fn averages_move_towards_the_other() {
    let spec = |length| ParameterSpec::new("a".to_owned(), Role::Beta, vec![length]);
    let parameters = |values: Vec<f32>| Parameters::new(vec![spec(2)], vec![values], &cpu());
    let mut average = parameters(vec![1.0, -1.0]);
    let other = parameters(vec![5.0, 3.0]);
    average.average(0.75, &other);
    average.average(0.5, &other);
    let value = |parameters: &Parameters| numbers(parameters.iter().next().unwrap().value.clone());
    assert_eq!(value(&average), [3.5, 1.5]);
    assert_eq!(value(&other), [5.0, 3.0]);

    let norms = [NormSpec { name: "bn".to_owned(), channels: 1, frozen: false }];
    let (mut average, mut other) =
        (Statistics::new(&norms, &cpu()), Statistics::new(&norms, &cpu()));
    other.set("bn", [vec![8.0], vec![3.0]], &cpu());
    average.average(0.75, &other);
    let [mean, variance] = average.get("bn").map(numbers);
    assert_eq!((mean, variance), (vec![2.0], vec![1.5]));
}
