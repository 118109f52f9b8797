//! The way through autodiff: gradients of Σ y·r by the public functions against the textbook's backward in f64 and
//! against finite differences of the textbook's forward.

mod cases;

use burn::tensor::Tensor;
use kernels::{Activation, BatchNorm};

use super::{Random, assert_close, flat, numbers, wide};
use crate::{Affine, batch_norm_train};
use cases::{Case, Shaped, cases};

const TOLERANCE: f64 = 1e-5;

/// What an input is to autodiff.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Tracked,
    /// On the autodiff device, its gradient not asked for.
    Untracked,
    /// On the inner device.
    Constant,
}

fn input(values: &[f32], kind: Kind) -> Tensor<1> {
    let tensor = flat(values.to_vec());
    match kind {
        Kind::Tracked => tensor.autodiff().require_grad(),
        Kind::Untracked => tensor.autodiff(),
        Kind::Constant => tensor,
    }
}

/// Random numbers for a case's inputs, and r for each time its output is used.
struct Draw {
    inputs: Vec<Vec<f32>>,
    r: Vec<f32>,
    r2: Vec<f32>,
}

fn draw(case: &Case, random: &mut Random) -> Draw {
    let inputs: Vec<Vec<f32>> = case.lengths.iter().map(|&length| random.numbers(length)).collect();
    let length = (case.forward)(&wides(&inputs)).len();
    Draw { inputs, r: random.numbers(length), r2: random.numbers(length) }
}

fn wides(inputs: &[Vec<f32>]) -> Vec<Vec<f64>> {
    inputs.iter().map(|input| wide(input)).collect()
}

/// Gradients of `loss` of the inputs, None where there is none.
fn gradients(
    inputs: &[Vec<f32>],
    kinds: &[Kind],
    loss: impl Fn(&[Tensor<1>]) -> Tensor<1>,
) -> Vec<Option<Vec<f32>>> {
    let inputs: Vec<Tensor<1>> =
        inputs.iter().zip(kinds).map(|(values, &kind)| input(values, kind)).collect();
    let loss = loss(&inputs);
    if kinds.contains(&Kind::Tracked) {
        let gradients = loss.backward();
        inputs.iter().map(|input| input.grad(&gradients).map(numbers)).collect()
    } else {
        assert!(!loss.is_tracked(), "a graph that nobody asked for");
        vec![None; inputs.len()]
    }
}

fn dot(y: Tensor<1>, r: &[f32]) -> Tensor<1> {
    (y * flat(r.to_vec())).sum()
}

/// Central differences of Σ y·r in every number of every input.
fn differences(case: &Case, inputs: &[Vec<f64>], r: &[f64]) -> Vec<Vec<f64>> {
    const STEP: f64 = 1e-5;
    let loss = |inputs: &[Vec<f64>]| -> f64 {
        (case.forward)(inputs).iter().zip(r).map(|(y, r)| y * r).sum()
    };
    let mut moved = inputs.to_vec();
    let mut slope = |input: usize, at: usize| {
        moved[input][at] = inputs[input][at] + STEP;
        let above = loss(&moved);
        moved[input][at] = inputs[input][at] - STEP;
        let below = loss(&moved);
        moved[input][at] = inputs[input][at];
        (above - below) / (2.0 * STEP)
    };
    (0..inputs.len())
        .map(|input| (0..inputs[input].len()).map(|at| slope(input, at)).collect())
        .collect()
}

#[test]
fn equal_the_textbook_and_finite_differences() {
    let mut random = Random::new(11);
    for case in cases(&mut random) {
        let Draw { inputs, r, .. } = draw(&case, &mut random);
        let (exact, r64) = (wides(&inputs), wide(&r));
        let y: Vec<Tensor<1>> = inputs.iter().map(|values| flat(values.clone())).collect();
        let y = numbers((case.facade)(Shaped::Whole, &y));
        assert_close(&case.name, &y, &(case.forward)(&exact), TOLERANCE);

        let found = gradients(&inputs, &vec![Kind::Tracked; inputs.len()], |inputs| {
            dot((case.facade)(Shaped::Whole, inputs), &r)
        });
        let textbook = (case.backward)(&exact, &r64);
        let differences = differences(&case, &exact, &r64);
        assert_eq!(found.len(), textbook.len(), "{}", case.name);
        for (index, found) in found.into_iter().enumerate() {
            let what = format!("{}, gradient {index}", case.name);
            let found = found.expect("a tracked input gets a gradient");
            assert_close(&what, &found, &textbook[index], TOLERANCE);
            assert_close(&format!("{what}, differences"), &found, &differences[index], TOLERANCE);
        }
    }
}

/// Every choice of tracked inputs: those get the bits they get when all are tracked, the others get nothing.
#[test]
fn reach_only_what_is_tracked() {
    let mut random = Random::new(12);
    for case in cases(&mut random) {
        let Draw { inputs, r, .. } = draw(&case, &mut random);
        let run = |kinds: &[Kind]| {
            gradients(&inputs, kinds, |inputs| dot((case.facade)(Shaped::Whole, inputs), &r))
        };
        let all = run(&vec![Kind::Tracked; inputs.len()]);
        for chosen in 0..1usize << inputs.len() {
            for other in [Kind::Untracked, Kind::Constant] {
                let kinds: Vec<Kind> = (0..inputs.len())
                    .map(|at| if chosen >> at & 1 == 1 { Kind::Tracked } else { other })
                    .collect();
                for ((found, all), kind) in run(&kinds).iter().zip(&all).zip(&kinds) {
                    let expected = if *kind == Kind::Tracked { all } else { &None };
                    assert_eq!(found, expected, "{} {kinds:?}", case.name);
                }
            }
        }
    }
}

/// Every input used by two calls, as where a block's paths part.
#[test]
fn add_where_an_input_forks() {
    let mut random = Random::new(13);
    for case in cases(&mut random) {
        let Draw { inputs, r, r2 } = draw(&case, &mut random);
        let found = gradients(&inputs, &vec![Kind::Tracked; inputs.len()], |inputs| {
            let (a, b) =
                ((case.facade)(Shaped::Whole, inputs), (case.facade)(Shaped::Whole, inputs));
            dot(a, &r) + dot(b, &r2)
        });
        let sum: Vec<f64> = wide(&r).iter().zip(wide(&r2)).map(|(a, b)| a + b).collect();
        let expected = (case.backward)(&wides(&inputs), &sum);
        for (index, (found, expected)) in found.into_iter().zip(&expected).enumerate() {
            let what = format!("{}, gradient {index}", case.name);
            assert_close(&what, &found.expect("a gradient"), expected, TOLERANCE);
        }
    }
}

/// Inputs that are slices of larger tensors: the same bits, forward and backward.
#[test]
fn take_views() {
    let mut random = Random::new(14);
    for case in cases(&mut random) {
        let Draw { inputs, r, .. } = draw(&case, &mut random);
        let run = |shaped| {
            gradients(&inputs, &vec![Kind::Tracked; inputs.len()], |inputs| {
                dot((case.facade)(shaped, inputs), &r)
            })
        };
        assert_eq!(run(Shaped::View), run(Shaped::Whole), "{}", case.name);
    }
}

/// y = act(batch norm(x) + x): the identity path of a block without a path A.
#[test]
fn add_where_the_residual_is_x() {
    let mut random = Random::new(15);
    let shape = [3, 3, 5, 7];
    let rows = 45;
    for activation in super::ACTIVATIONS {
        let [x, r] = [(); 2].map(|()| random.numbers(rows * 7));
        let [gamma, beta] = [(); 2].map(|()| random.numbers(7));
        let inputs = [x, gamma, beta];
        let found = gradients(&inputs, &[Kind::Tracked; 3], |inputs| {
            let x: Tensor<4> = inputs[0].clone().reshape(shape);
            let affine =
                Affine { gamma: inputs[1].clone(), beta: inputs[2].clone(), epsilon: 1e-5 };
            let (y, mean, variance) = batch_norm_train(x.clone(), affine, Some(x), activation);
            assert!(!mean.is_autodiff() && !variance.is_autodiff());
            dot(y.reshape([-1]), &r)
        });
        let dims = BatchNorm { rows, channels: 7, epsilon: 1e-5, activation };
        let case = cases::batch_norm_train_case("the residual is x", dims, shape, true);
        let [x, gamma, beta] = inputs.each_ref().map(|input| wide(input));
        let expected = (case.backward)(&[x.clone(), gamma, beta, x], &wide(&r));
        let dx: Vec<f64> = expected[0].iter().zip(&expected[3]).map(|(a, b)| a + b).collect();
        for (found, expected) in found.into_iter().zip([&dx, &expected[1], &expected[2]]) {
            assert_close(
                &format!("{activation:?}"),
                &found.expect("a gradient"),
                expected,
                TOLERANCE,
            );
        }
    }
}

/// A graph is used once; two passes over one set of inputs do not see each other.
#[test]
fn do_not_linger() {
    let mut random = Random::new(16);
    let dims = BatchNorm { rows: 12, channels: 3, epsilon: 1e-5, activation: Activation::Relu };
    let case = cases::batch_norm_train_case("twice", dims, [1, 3, 4, 3], true);
    let Draw { inputs, r, .. } = draw(&case, &mut random);
    let inputs: Vec<Tensor<1>> = inputs.iter().map(|values| input(values, Kind::Tracked)).collect();
    let pass = || {
        let gradients = dot((case.facade)(Shaped::Whole, &inputs), &r).backward();
        inputs.iter().map(|input| numbers(input.grad(&gradients).expect("a gradient"))).collect()
    };
    let first: Vec<Vec<f32>> = pass();
    assert_eq!(first, pass());
}
