//! The rate and the events of a run, step by step.

use super::{models, read, read_with};
use crate::{DecayOn, Schedule, Span, check_classes, parse_with_edits};
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

/// §5.1: T leaves the warm-up out.
#[test]
fn the_cosine_falls_from_the_end_of_the_warm_up_to_the_end_of_the_run() {
    // 5 epochs of 10 steps warm up, 115 follow.
    let with = |edits: &[&str]| Schedule::new(&read_with("efficient", edits).unwrap(), 10).unwrap();
    let papers = with(&["rate.decay={ cosine = {} }"]);
    let authors = with(&["rate.decay={ cosine = { last = \"zero\" } }", "rate.warmup.first=zero"]);
    let cases = [
        (0, 0.4 / 50.0, 0.0),
        (25, 0.4 * 26.0 / 50.0, 0.2),
        (49, 0.4, 0.4 * 49.0 / 50.0),
        (50, 0.4, 0.4),
        (625, 0.2, 0.199_726_580_36),
        (1199, 7.462_7e-7, 0.0),
    ];
    for (step, paper, author) in cases {
        let (a, b) = (papers.rate(step), authors.rate(step));
        assert!((a - paper).abs() < 1e-9, "step {step}: {a}");
        assert!((b - author).abs() < 1e-9, "step {step}, the authors': {b}");
    }
    assert_eq!((authors.rate(0), authors.rate(1199)), (0.0, 0.0));
}

#[test]
fn the_exponential_falls_every_two_epochs() {
    let edits = ["rate.decay={ exponential = { factor = 0.94, every = \"2 epochs\" } }"];
    let schedule = Schedule::new(&read_with("baseline", &edits).unwrap(), 100).unwrap();
    for (step, expected) in [(0, 0.1), (199, 0.1), (200, 0.094), (399, 0.094), (400, 0.088_36)] {
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
            "recipe 'efficient': rate.warmup.duration: a warm-up of 5 epochs (125 steps) is longer than the run of 100 steps; shorten it, or raise train.duration
             recipe 'efficient': rate.decay.step.at: the rate cannot fall at 10 epochs (250 steps): the run ends at 100 steps; leave this point out, raise train.duration, or write shares of the run such as \"50 %\"",
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
fn what_only_the_number_of_classes_shows_is_refused() {
    let edits = ["target.smoothing={ epsilon = 0.95, over = \"others\" }"];
    let recipe = read_with("baseline", &edits).unwrap();
    assert_eq!(check_classes(&recipe, 20), []);
    let mistakes: Vec<String> =
        check_classes(&recipe, 10).iter().map(ToString::to_string).collect();
    let expected = "recipe 'baseline': target.smoothing.epsilon: 0.95 is out of range for 10 classes; epsilon is at most (K - 1)/K, here 0.9000";
    assert_eq!(mistakes, [expected]);
}

/// The recipe no longer knows its lines; its text does.
#[test]
fn what_only_the_data_show_finds_its_line() {
    let text = crate::builtin("efficient").unwrap();
    let edits = ["train.duration=100 steps".to_owned()];
    let recipe = parse_with_edits(text, "e.toml", &edits, &models()).unwrap();
    let errors =
        Schedule::new(&recipe, 25).unwrap_err().located(text, "e.toml", &edits).to_string();
    let line = |word: &str| text.lines().position(|line| line.starts_with(word)).unwrap() + 1;
    let (warmup, points) = (line("warmup"), line("decay = { step"));
    let starts = [
        format!("e.toml:{warmup}: rate.warmup.duration: a warm-up of 5 epochs (125 steps)"),
        format!("e.toml:{points}: rate.decay.step.at: the rate cannot fall at 30 epochs"),
    ];
    for (error, start) in errors.lines().zip(&starts) {
        assert!(error.starts_with(start), "{error}");
    }
    assert_eq!(errors.lines().count(), 4, "{errors}");
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
