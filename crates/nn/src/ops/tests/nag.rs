//! The update in place: into the same buffers, never into a copy.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::backend::Flex;
use burn::tensor::Tensor;
use kernels::Nag;
use tricks::Role;

use super::{Random, flat, numbers};
use crate::ops::flex::floats;
use crate::ops::nag;
use crate::{ParameterSpec, Parameters, Velocity, cpu};

const HYPER: Nag = Nag { rate: 0.1, momentum: 0.9, decay: 1e-4 };

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
    let spec = |name: &str, role, length| ParameterSpec {
        name: name.to_owned(),
        role,
        shape: vec![length],
        fans: None,
        in_head: false,
    };
    let specs = vec![spec("weight", Role::Weight, 5), spec("bias", Role::Bias, 3)];
    Parameters::new(specs, vec![random.numbers(5), random.numbers(3)], &cpu())
}

#[test]
fn keeps_the_buffers() {
    let mut random = Random::new(31);
    let [w, g, v] = [(); 3].map(|()| flat(random.numbers(1000)));
    let (before, old) = ([address(&w), address(&v)], numbers(w.clone()));
    let (w, v) = nag(HYPER, w, g, v);
    assert_eq!([address(&w), address(&v)], before);
    assert_ne!(numbers(w), old);
}

#[test]
fn keeps_the_buffers_of_all_parameters() {
    let mut random = Random::new(32);
    let mut parameters = parameters(&mut random);
    let mut velocity = Velocity::zeros(&parameters, &cpu());
    let addresses = |parameters: &Parameters, velocity: &Velocity| -> Vec<*const f32> {
        let values = parameters.iter().map(|parameter| &parameter.value);
        values.chain(velocity.iter()).map(address).collect()
    };
    let before = addresses(&parameters, &velocity);
    for _ in 0..2 {
        let leaves = parameters.tracked();
        let weight: Tensor<1> = leaves.get("weight");
        let gradients = leaves.gradients((weight.clone() * weight).sum());
        velocity.update(&mut parameters, gradients, |_| HYPER);
        assert_eq!(addresses(&parameters, &velocity), before);
    }
}

#[test]
fn refuses_a_shared_buffer() {
    let mut random = Random::new(33);
    for (shared, expected) in
        [(0, "the parameter is still shared"), (2, "the velocity is still shared")]
    {
        let tensors = [(); 3].map(|()| flat(random.numbers(9)));
        let kept = tensors[shared].clone();
        let before = numbers(kept.clone());
        let [w, g, v] = tensors;
        let result = catch_unwind(AssertUnwindSafe(|| drop(nag(HYPER, w, g, v))));
        assert!(message(result).contains(expected));
        assert_eq!(numbers(kept), before);
    }
}

#[test]
fn refuses_leaves_that_are_still_held() {
    let mut random = Random::new(34);
    let mut parameters = parameters(&mut random);
    let mut velocity = Velocity::zeros(&parameters, &cpu());
    let leaves = parameters.tracked();
    let gradients = vec![flat(random.numbers(5)), flat(random.numbers(3))];
    let result = catch_unwind(AssertUnwindSafe(|| {
        velocity.update(&mut parameters, gradients, |_| HYPER);
    }));
    assert!(message(result).contains("the parameter is still shared"));
    drop(leaves);
}

#[test]
fn each_role_has_its_own_numbers() {
    let mut random = Random::new(35);
    let mut parameters = parameters(&mut random);
    let mut velocity = Velocity::zeros(&parameters, &cpu());
    let before: Vec<Vec<f32>> = parameters.iter().map(|p| numbers(p.value.clone())).collect();
    let gradients = [5, 3].map(|length| flat(vec![0.0; length])).to_vec();
    velocity.update(&mut parameters, gradients, |spec| {
        let decay = if spec.role == Role::Weight { 0.5 } else { 0.0 };
        Nag { rate: 1.0, momentum: 0.0, decay }
    });
    let after: Vec<Vec<f32>> = parameters.iter().map(|p| numbers(p.value.clone())).collect();
    let halved: Vec<f32> = before[0].iter().map(|w| w / 2.0).collect();
    assert_eq!(after, [halved, before[1].clone()]);
}
