//! The rate and the events of a run, step by step.

use super::{read, read_with};
use crate::{DecayOn, Schedule, Span};
use tricks::Role;

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-12 * expected.abs()
}

#[test]
fn the_baseline_falls_at_30_60_and_90_epochs() {
    let schedule = Schedule::new(&read("baseline"), 5004).unwrap();
    assert_eq!(schedule.total_steps(), 120 * 5004);
    assert_eq!((schedule.initial_rate(), schedule.warmup_steps()), (0.1, 0));
    let cases = [
        (0, 0.1),
        (30 * 5004 - 1, 0.1),
        (30 * 5004, 0.01),
        (60 * 5004 - 1, 0.01),
        (60 * 5004, 0.001),
        (90 * 5004, 0.0001),
        (120 * 5004 - 1, 0.0001),
    ];
    for (step, expected) in cases {
        assert!(close(schedule.rate(step), expected), "step {step}: {}", schedule.rate(step));
    }
}

#[test]
fn the_efficient_recipe_warms_up_to_the_scaled_rate() {
    let schedule = Schedule::new(&read("efficient"), 1251).unwrap();
    let m = 5 * 1251;
    assert_eq!(schedule.warmup_steps(), m);
    let cases = [
        (0, 0.4 / m as f64),
        (1, 0.8 / m as f64),
        (m / 2, 0.4 * (m / 2 + 1) as f64 / m as f64),
        (m - 1, 0.4),
        (m, 0.4),
        (30 * 1251, 0.04),
    ];
    for (step, expected) in cases {
        assert!(close(schedule.rate(step), expected), "step {step}: {}", schedule.rate(step));
    }
}

#[test]
fn validation_and_checkpoints_fall_due() {
    let cases: &[(&str, &str, u64, &[u64])] = &[
        ("2 epochs", "1 epoch", 4, &[3, 7]),
        ("2 epochs", "0.5 epochs", 5, &[2, 4, 7, 9]),
        ("10 steps", "3 steps", 4, &[2, 5, 8, 9]),
        ("10 steps", "100 steps", 4, &[9]),
        ("4 steps", "0.01 epochs", 4, &[0, 1, 2, 3]),
    ];
    for (duration, every, steps_per_epoch, expected) in cases {
        let edits = [
            format!("train.duration={duration}"),
            format!("train.evaluate_every={every}"),
            format!("checkpoint.every={every}"),
            "rate.decay.step.at=[]".to_owned(),
        ];
        let recipe = read_with("baseline", &edits.each_ref().map(String::as_str)).unwrap();
        let schedule = Schedule::new(&recipe, *steps_per_epoch).unwrap();
        let steps = 0..schedule.total_steps();
        let evaluated: Vec<u64> =
            steps.clone().filter(|&step| schedule.evaluate_at(step)).collect();
        let kept: Vec<u64> = steps.filter(|&step| schedule.checkpoint_at(step)).collect();
        assert_eq!((evaluated.as_slice(), kept.as_slice()), (*expected, *expected), "{every}");
    }
}

#[test]
fn time_between_checkpoints_is_left_to_the_clock() {
    let recipe = read_with("baseline", &["checkpoint.every=30 seconds"]).unwrap();
    let schedule = Schedule::new(&recipe, 1).unwrap();
    let kept: Vec<u64> = (0..120).filter(|&step| schedule.checkpoint_at(step)).collect();
    assert_eq!(kept, [119]);
}

#[test]
fn what_only_the_length_of_an_epoch_shows_is_refused() {
    let cases: &[(&[&str], u64, &str)] = &[
        (
            &[],
            0,
            "recipe 'efficient': train.batch: there are fewer training images than one batch of 1024; lower it, or bring more images",
        ),
        (
            &["train.duration=0.01 epochs", "rate.warmup=off", "rate.decay.step.at=[]"],
            10,
            "recipe 'efficient': train.duration: 0.01 epochs of 10 steps an epoch is less than one step; raise it",
        ),
        (
            &["train.duration=100 steps", "rate.decay.step.at=[\"10 steps\", \"10 epochs\"]"],
            25,
            "recipe 'efficient': rate.warmup.duration: a warm-up of 5 epochs (125 steps) is longer than the run of 100 steps (100 steps); shorten it, or raise train.duration
             recipe 'efficient': rate.decay.step.at: the rate cannot fall at 10 epochs (250 steps): the run ends at 100 steps (100 steps); leave this point out, or raise train.duration",
        ),
    ];
    for (edits, steps_per_epoch, expected) in cases {
        let recipe = read_with("efficient", edits).unwrap();
        let errors = Schedule::new(&recipe, *steps_per_epoch).unwrap_err().to_string();
        let expected: Vec<&str> = expected.lines().map(str::trim).collect();
        assert_eq!(errors.lines().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn epochs_round_to_the_nearest_step() {
    assert_eq!(Span::Epochs(0.5).steps(5), 3);
    assert_eq!(Span::Epochs(1.0).steps(5), 5);
    assert_eq!(Span::Steps(7).steps(5), 7);
}

#[test]
fn weight_decay_follows_the_recipe() {
    let gamma = Role::Gamma { last_in_block: true };
    for (role, weights_only) in
        [(Role::Weight, true), (Role::Bias, false), (gamma, false), (Role::Beta, false)]
    {
        assert!(DecayOn::Everything.acts_on(role));
        assert_eq!(DecayOn::Weights.acts_on(role), weights_only, "{role:?}");
    }
}
