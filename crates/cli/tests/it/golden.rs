//! The losses of the first 20 steps of each built-in recipe that a small machine can train, and of every trick at once, as
//! they were when this was written: a change that moves them changes what every run computes.
//!
//! Bits hold per instruction set, so there is a tolerance. Networks are narrow and batches small, for speed; all else is
//! the recipe's.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::fixtures::Sandbox;

const NARROW: &str =
    "network.shape={ blocks = [1, 1, 1, 1], channels = [8, 16, 32, 64], stem_channels = 8 }";

/// The losses in metrics.jsonl.
fn losses(folder: &Path) -> Vec<f64> {
    let text = fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.filter(|row| row["kind"] == "train").map(|row| row["loss"].as_f64().unwrap()).collect()
}

#[track_caller]
fn compare(found: &[f64], golden: &[f64]) {
    assert_eq!(found.len(), golden.len(), "{found:?}");
    for (step, (loss, golden)) in found.iter().zip(golden).enumerate() {
        assert!(
            (loss / golden - 1.0).abs() < 1e-3,
            "step {step} is {loss}, not {golden}: {found:?}"
        );
    }
}

/// Trains 20 steps of the recipe.
#[track_caller]
fn check(recipe: &str, golden: &[f64]) {
    let sandbox = Sandbox::new();
    let data = sandbox.colors();
    let mut arguments = vec!["train", recipe, "--out", "run", "--set", NARROW];
    if recipe != "quickstart" {
        arguments.extend(["--data", data.to_str().unwrap()]);
    }
    let edits = [
        "train.duration=20 steps",
        "train.batch=8",
        "train.evaluate_every=20 steps",
        "rate.warmup.duration=5 steps",
        "rate.decay.step.at=[\"12 steps\", \"17 steps\"]",
    ];
    edits.iter().for_each(|edit| arguments.extend(["--set", edit]));
    sandbox.succeed(&arguments);
    compare(&losses(&sandbox.path("run")), golden);
}

#[test]
fn quickstart() {
    check("quickstart", &QUICKSTART);
}

#[test]
fn resnet18d_32() {
    check("resnet18d-32", &RESNET18D_32);
}

#[test]
fn resnet18d_64() {
    check("resnet18d-64", &RESNET18D_64);
}

#[test]
fn resnet18d_128() {
    check("resnet18d-128", &RESNET18D_128);
}

#[test]
fn every_trick_at_once() {
    let sandbox = Sandbox::new();
    let (recipe, data) = (sandbox.everything(), sandbox.path("colors"));
    let (recipe, data) = (recipe.to_str().unwrap(), data.to_str().unwrap());
    let duration = "train.duration=20 steps";
    sandbox.succeed(&["train", recipe, "--data", data, "--out", "run", "--set", duration]);
    compare(&losses(&sandbox.path("teacher"))[..20], &TINY);
    compare(&losses(&sandbox.path("run")), &EVERYTHING);
}

const TINY: [f64; 20] = [
    1.20044, 1.18222, 1.13141, 1.14335, 1.27528, 1.12273, 1.08732, 0.91492, 0.89618, 1.06921,
    0.87774, 0.81104, 1.08481, 1.03801, 1.36286, 1.20202, 0.97534, 1.16154, 0.98, 0.88457,
];
const EVERYTHING: [f64; 20] = [
    5.71085, 5.73403, 5.45438, 5.58016, 5.78816, 5.79218, 5.5452, 5.49799, 5.45345, 5.71131,
    5.68218, 5.79142, 5.5955, 5.51415, 5.72979, 5.59229, 5.53938, 5.51601, 5.67736, 5.38001,
];
const QUICKSTART: [f64; 20] = [
    2.81508, 2.28418, 2.04293, 2.93844, 3.02332, 2.52559, 2.90587, 2.30288, 2.26902, 2.08449,
    2.04796, 2.20476, 2.72078, 1.79001, 2.83982, 2.62944, 2.29292, 2.27329, 2.05968, 2.24014,
];
const RESNET18D_32: [f64; 20] = [
    0.83654, 0.99808, 0.95182, 0.60869, 0.8396, 1.11741, 0.49511, 0.47607, 0.42958, 0.50904,
    1.03112, 0.46304, 0.34755, 0.37439, 0.23841, 0.28607, 0.34991, 0.38236, 0.2264, 0.64632,
];
const RESNET18D_64: [f64; 20] = [
    0.95457, 1.14945, 1.02263, 0.59806, 0.66974, 0.84895, 0.57261, 0.36272, 0.31438, 0.45747,
    0.81415, 0.34427, 0.26718, 0.20791, 0.20724, 0.2474, 0.32655, 0.25216, 0.19748, 0.46021,
];
const RESNET18D_128: [f64; 20] = [
    1.11745, 1.07113, 0.740636, 0.555344, 0.406264, 0.627847, 0.242846, 0.130303, 0.252623,
    0.166961, 0.570484, 0.355034, 0.111021, 0.0682969, 0.0649152, 0.107125, 0.270239, 0.131629,
    0.0494045, 0.409386,
];
