//! Sums, means and health of contributions.

use super::*;
use crate::{ParameterSpec, Parameters, Role, cpu};

fn numbers(tensor: &Tensor<1>) -> Vec<f32> {
    tensor.to_data().try_into_vec().expect("tensors here are f32")
}

fn parameters() -> Parameters {
    let spec = |name: &str, length| ParameterSpec::new(name.to_owned(), Role::Beta, vec![length]);
    let values = vec![vec![1.0, 2.0], vec![-3.0]];
    Parameters::new(vec![spec("a", 2), spec("b", 1)], values, &cpu())
}

/// A part with the loss weight · Σ w², of which a third is a term, whose batch norm saw a mean and a variance of `weight`.
fn part(weight: f32, loss_scale: Option<f32>) -> Contribution {
    let leaves = parameters().tracked();
    let (a, b): (Tensor<1>, Tensor<1>) = (leaves.get("a"), leaves.get("b"));
    let total = ((a.clone() * a).sum() + (b.clone() * b).sum()) * weight;
    let loss = Loss { terms: vec![("third", total.clone() / 3.0)], total };
    let observations = Observations::default();
    let constant = Tensor::full([3], weight, &cpu());
    observations.observe("bn", constant.clone(), constant / 2.0, 2);
    Contribution::of_part(leaves, loss, observations, loss_scale)
}

fn batch(weights: &[f32], loss_scale: Option<f32>) -> BatchMean {
    let mut tree = Tree::default();
    weights.iter().for_each(|&weight| tree.add(part(weight, loss_scale)));
    BatchMean::of(tree.sum(), weights.len(), loss_scale)
}

#[test]
fn a_batch_is_the_mean_of_its_parts() {
    for (weights, mean) in [(&[1.0][..], 1.0), (&[0.5, 1.5], 1.0), (&[0.5, 1.0, 3.0, 3.5], 2.0)] {
        let batch = batch(weights, None);
        let read = batch.read();
        assert_eq!((read.loss, read.finite), (14.0 * mean, true));
        assert!((read.terms[0].1 - 14.0 * mean / 3.0).abs() < 1e-6 && read.terms[0].0 == "third");
        assert!((read.norm - 56.0f64.sqrt() * f64::from(mean)).abs() < 1e-6);
        let (gradients, observed) = batch.into_means(1.0);
        let gradients: Vec<Vec<f32>> = gradients.iter().map(numbers).collect();
        assert_eq!(gradients, [vec![2.0 * mean, 4.0 * mean], vec![-6.0 * mean]]);
        assert_eq!(observed["bn"].each_ref().map(numbers), [vec![mean; 3], vec![mean; 3]]);
    }
}

/// Multiplication by a power of two changes no digit.
#[test]
fn the_gradient_of_a_scaled_loss_is_the_same_unless_it_overflows() {
    for scale in [1.0, 65_536.0, 2f32.powi(-20)] {
        let batch = batch(&[0.5, 1.0, 3.0, 3.5], Some(scale));
        let read = batch.read();
        assert_eq!((read.loss, read.finite), (28.0, true));
        assert!((read.norm - 224.0f64.sqrt()).abs() < 1e-6);
        let (gradients, observed) = batch.into_means(0.25);
        let gradients: Vec<Vec<f32>> = gradients.iter().map(numbers).collect();
        assert_eq!(gradients, [vec![1.0, 2.0], vec![-3.0]]);
        assert_eq!(numbers(&observed["bn"][0]), [2.0; 3]);
    }
    let read = batch(&[1.0], Some(2f32.powi(127))).read();
    assert_eq!((read.loss, read.finite), (14.0, false));
}

#[test]
fn what_is_not_finite_is_seen_in_gradients_and_in_observations() {
    assert!(!batch(&[f32::INFINITY], None).read().finite);
    assert!(!batch(&[1.0, f32::NAN], None).read().finite);
    let mut seen = part(1.0, None);
    let nan = Tensor::full([3], f32::NAN, &cpu());
    seen.observed.insert("bn".to_owned(), [nan.clone(), nan]);
    let read = BatchMean::of(seen, 1, None).read();
    assert_eq!((read.loss, read.finite), (14.0, false));
}

/// (a + b) + (c + d) rounds otherwise than ((a + b) + c) + d.
#[test]
fn parts_are_joined_as_a_binary_tree_whoever_adds_which() {
    let weights = [1.0, 3e-8, 5e-8, 7e-8, 0.3, 1e7, -1e7, 1e-3];
    let whole = {
        let mut tree = Tree::default();
        weights.iter().for_each(|&weight| tree.add(part(weight, None)));
        tree.sum()
    };
    for ranks in [2, 4, 8] {
        // Each rank sums its own parts; their sums are joined like parts.
        let mut tree = Tree::default();
        for own in weights.chunks(weights.len() / ranks) {
            let mut rank = Tree::default();
            own.iter().for_each(|&weight| rank.add(part(weight, None)));
            tree.add(rank.sum());
        }
        let sum = tree.sum();
        for (a, b) in sum.gradients.iter().zip(&whole.gradients) {
            assert_eq!(numbers(a), numbers(b), "{ranks} ranks");
        }
        assert_eq!(numbers(&sum.losses[0]), numbers(&whole.losses[0]));
    }
    let losses: Vec<f32> = weights.iter().map(|w| numbers(&part(*w, None).losses[0])[0]).collect();
    let pairs: Vec<f32> = losses.chunks(2).map(|pair| pair[0] + pair[1]).collect();
    let tree = (pairs[0] + pairs[1]) + (pairs[2] + pairs[3]);
    assert_eq!(numbers(&whole.losses[0]), [tree]);
    assert_ne!(losses.iter().sum::<f32>(), tree, "the case tells the two apart");
}

#[test]
#[should_panic(expected = "2ᵏ parts")]
fn three_parts_are_no_tree() {
    batch(&[1.0, 2.0, 3.0], None);
}

#[test]
fn a_message_holds_every_number_and_takes_its_changes() {
    let sum = part(1.0, None).exchanged(&cpu(), |values| {
        assert_eq!(values.len(), 2 + 1 + 6 + 2);
        values.iter_mut().for_each(|value| *value *= 2.0);
        Ok::<(), ()>(())
    });
    let sum = sum.unwrap();
    assert_eq!(
        sum.gradients.iter().map(numbers).collect::<Vec<_>>(),
        [vec![4.0, 8.0], vec![-12.0]]
    );
    assert_eq!(numbers(&sum.observed["bn"][1]), [2.0; 3]);
    assert_eq!(numbers(&sum.losses[0]), [28.0]);
    assert!(part(1.0, None).exchanged(&cpu(), |_| Err("gone")).is_err());
}
