//! The update in place: into the same buffers, never into a copy.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::backend::Flex;
use burn::tensor::Tensor;
use kernels::Nag;
use tricks::Role;

use super::{Random, flat, numbers};
use crate::ops::flex::{floats, tensor};
use crate::ops::update::{composed_adamw, composed_momentum, update};
use crate::{AdamW, ParameterSpec, Parameters, Rule, Sgd, Slots, cpu};

const NAG: Rule = Rule::Nag(Nag { rate: 0.1, momentum: 0.9, decay: 1e-4 });
const SGD: Rule = Rule::Sgd(Sgd { rate: 0.1, momentum: 0.9, decay: 1e-4 });
const ADAMW: Rule =
    Rule::AdamW(AdamW { rate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decay: 1e-2, step: 3 });
const RULES: [Rule; 3] = [NAG, SGD, ADAMW];

/// Where the numbers of a tensor stand.
fn address(tensor: &Tensor<1>) -> *const f32 {
    let primitive = tensor.clone().try_into_primitive::<Flex>().expect("a tensor on the CPU");
    floats(&primitive).as_ptr()
}

fn message(result: std::thread::Result<()>) -> String {
    let payload = result.expect_err("an update of a shared buffer must panic");
    payload.downcast_ref::<String>().cloned().unwrap_or_else(|| {
        (*payload.downcast_ref::<&str>().expect("a panic with a message")).to_owned()
    })
}

fn parameters(random: &mut Random) -> Parameters {
    let spec =
        |name: &str, role, length: usize| ParameterSpec::new(name.to_owned(), role, vec![length]);
    let specs = vec![spec("weight", Role::Weight, 5), spec("bias", Role::Bias, 3)];
    Parameters::new(specs, vec![random.numbers(5), random.numbers(3)], &cpu())
}

/// Slots of positive numbers: AdamW takes the root of one.
fn slots(rule: Rule, random: &mut Random, length: usize) -> Vec<Tensor<1>> {
    let slot = |_| flat(random.numbers(length).into_iter().map(f32::abs).collect());
    (0..rule.slots()).map(slot).collect()
}

#[test]
fn keeps_the_buffers() {
    let mut random = Random::new(31);
    for rule in RULES {
        let [w, g] = [(); 2].map(|()| flat(random.numbers(1000)));
        let slots = slots(rule, &mut random, 1000);
        let addresses = |w: &Tensor<1>, slots: &[Tensor<1>]| -> Vec<*const f32> {
            [w].into_iter().chain(slots).map(address).collect()
        };
        let (before, old) = (addresses(&w, &slots), numbers(w.clone()));
        let (w, slots) = update(rule, w, g, slots);
        assert_eq!(addresses(&w, &slots), before);
        assert_ne!(numbers(w), old);
    }
}

#[test]
fn is_that_of_the_default_bodies() {
    let mut random = Random::new(36);
    for rule in RULES {
        let length = 1003;
        let [w, g] = [(); 2].map(|()| random.numbers(length));
        let slots: Vec<Vec<f32>> =
            slots(rule, &mut random, length).into_iter().map(numbers).collect();
        let (found, found_slots) = update(
            rule,
            flat(w.clone()),
            flat(g.clone()),
            slots.iter().cloned().map(flat).collect(),
        );
        let flex = |values: &[f32]| tensor(values.to_vec(), &[length]);
        let (expected, expected_slots) = match rule {
            Rule::AdamW(numbers) => {
                let (w, m, v) = composed_adamw::<Flex>(
                    flex(&w),
                    flex(&g),
                    flex(&slots[0]),
                    flex(&slots[1]),
                    numbers,
                );
                (w, vec![m, v])
            }
            rule => {
                let (w, v) = composed_momentum::<Flex>(flex(&w), flex(&g), flex(&slots[0]), rule);
                (w, vec![v])
            }
        };
        let found = [vec![found], found_slots].concat().into_iter().map(numbers);
        for (found, expected) in found.zip([vec![expected], expected_slots].concat()) {
            for (a, b) in found.iter().zip(floats(&expected)) {
                assert!((a - b).abs() <= 1e-6 * b.abs().max(1.0), "{rule:?}: {a}, not {b}");
            }
        }
    }
}

#[test]
fn keeps_the_buffers_of_all_parameters() {
    for rule in RULES {
        let mut random = Random::new(32);
        let mut parameters = parameters(&mut random);
        let mut slots = Slots::zeros(rule.slots(), &parameters, &cpu());
        let addresses = |parameters: &Parameters, slots: &Slots| -> Vec<*const f32> {
            let values = parameters.iter().map(|parameter| &parameter.value);
            values.chain(slots.iter().flatten()).map(address).collect()
        };
        let before = addresses(&parameters, &slots);
        for _ in 0..2 {
            let leaves = parameters.tracked();
            let weight: Tensor<1> = leaves.get("weight");
            let gradients = leaves.gradients((weight.clone() * weight).sum());
            slots.update(&mut parameters, gradients, |_| rule);
            assert_eq!(addresses(&parameters, &slots), before);
        }
    }
}

#[test]
fn refuses_a_shared_buffer() {
    let mut random = Random::new(33);
    for rule in RULES {
        for (shared, expected) in
            [(0, "the parameter is still shared"), (1, "a slot is still shared")]
        {
            let [w, g] = [(); 2].map(|()| flat(random.numbers(9)));
            let slots = slots(rule, &mut random, 9);
            let kept = if shared == 0 { w.clone() } else { slots[slots.len() - 1].clone() };
            let before = numbers(kept.clone());
            let result = catch_unwind(AssertUnwindSafe(|| drop(update(rule, w, g, slots))));
            assert!(message(result).contains(expected));
            assert_eq!(numbers(kept), before);
        }
    }
}

#[test]
fn refuses_leaves_that_are_still_held() {
    let mut random = Random::new(34);
    let mut parameters = parameters(&mut random);
    let mut slots = Slots::zeros(1, &parameters, &cpu());
    let leaves = parameters.tracked();
    let gradients = vec![flat(random.numbers(5)), flat(random.numbers(3))];
    let result = catch_unwind(AssertUnwindSafe(|| {
        slots.update(&mut parameters, gradients, |_| NAG);
    }));
    assert!(message(result).contains("the parameter is still shared"));
    drop(leaves);
}

#[test]
fn each_role_has_its_own_numbers() {
    let mut random = Random::new(35);
    let mut parameters = parameters(&mut random);
    let mut slots = Slots::zeros(1, &parameters, &cpu());
    let before: Vec<Vec<f32>> = parameters.iter().map(|p| numbers(p.value.clone())).collect();
    let gradients = [5, 3].map(|length| flat(vec![0.0; length])).to_vec();
    slots.update(&mut parameters, gradients, |spec| {
        let decay = if spec.role == Role::Weight { 0.5 } else { 0.0 };
        Rule::Nag(Nag { rate: 1.0, momentum: 0.0, decay })
    });
    let after: Vec<Vec<f32>> = parameters.iter().map(|p| numbers(p.value.clone())).collect();
    let halved: Vec<f32> = before[0].iter().map(|w| w / 2.0).collect();
    assert_eq!(after, [halved, before[1].clone()]);
}
