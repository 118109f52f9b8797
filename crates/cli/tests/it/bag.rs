//! The whole bag in one word, and the best model of a run.

use serde_json::Value;

use crate::fixtures::{Sandbox, stderr, write_image};

/// What makes a built-in recipe for photos a matter of seconds.
const TINY: [&str; 8] = [
    "--set",
    "network.shape={ blocks = [1, 1, 1, 1], channels = [4, 4, 8, 8], stem_channels = 8 }",
    "--set",
    "preprocess.size=32",
    "--set",
    "validation={ resize = 32, crop = 32 }",
    "--set",
    "train.duration=6 steps",
];

/// A folder of two classes whose images are enlarged to this side.
fn photos(sandbox: &Sandbox, side: u32) {
    for (class, name) in ["round", "square"].into_iter().enumerate() {
        for index in 0..10 {
            let file = sandbox.path("photos").join(name).join(format!("{index:02}.png"));
            write_image(&file, class, index);
            let image = image::open(&file).unwrap();
            let filter = image::imageops::FilterType::Nearest;
            image.resize_exact(side, side, filter).save(&file).unwrap();
        }
    }
}

#[test]
fn data_without_a_recipe_get_the_one_that_fits_with_the_reason() {
    for (side, threads, name, why) in [
        (
            128,
            "2",
            "photos-small",
            "2 threads would take long with the recipe photos, which computes ",
        ),
        (128, "16", "photos", "16 threads compute"),
        (64, "2", "resnet18d-64", "the images are small, 64 pixels"),
        (32, "2", "resnet18d-32", "the images are tiny, 32 pixels"),
    ] {
        let sandbox = Sandbox::new();
        photos(&sandbox, side);
        let warmup =
            ["--set", "rate.warmup=off", "--set", "rate.decay=cosine", "--set", "train.batch=8"];
        let given = ["train", "--data", "photos", "--dry-run", "--threads", threads];
        let output = sandbox.run(&[&given[..], &TINY, &warmup].concat());
        let said = stderr(&output);
        assert!(
            said.contains(&format!("no recipe is named: {name} is taken, since {why}")),
            "{said}"
        );
        assert!(output.status.success(), "{said}");
    }
}

#[test]
fn a_model_to_start_from_makes_it_fine_tuning_of_that_network() {
    let sandbox = Sandbox::new();
    photos(&sandbox, 40);
    let recipe = sandbox.recipe();
    let recipe = recipe.to_str().unwrap();
    let larger = ["--set", "network.stem=imagenet", "--set", "preprocess.size=32"];
    let first = ["train", recipe, "--data", "photos", "--out", "first"];
    sandbox.succeed(&[&first[..], &larger].concat());
    let shape =
        "network.shape={ blocks = [1, 1, 1, 1], channels = [8, 8, 16, 16], stem_channels = 8 }";
    let tune = ["train", "--data", "photos", "--set", "init.from=first", "--out", "second"];
    let output = sandbox.run(
        &[
            &tune[..],
            &TINY,
            &["--set", "rate.warmup=off", "--set", "train.batch=8", "--set", shape],
        ]
        .concat(),
    );
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("finetune is taken, since init.from names a trained model"), "{said}");
    assert!(said.contains("starts from first: its classifier of 2 classes stays"), "{said}");
    let saved = std::fs::read_to_string(sandbox.path("second/recipe.toml")).unwrap();
    assert!(saved.contains("model = \"resnet18d\""), "{saved}");
}

/// A run whose rate grows too large for it after its best evaluation.
fn worsened(sandbox: &Sandbox) -> (u64, f64, f64) {
    let (recipe, data) = (sandbox.recipe(), sandbox.parts());
    let arguments = ["train", recipe.to_str().unwrap(), "--data", data.to_str().unwrap()];
    for seed in 1..20 {
        let run = format!("run-{seed}");
        let seed = format!("seed={seed}");
        let more = [
            "--out",
            &run,
            "--json",
            "--set",
            &seed,
            "--set",
            "rate.base=0.02",
            "--set",
            "average=off",
        ];
        let more = [
            &more[..],
            &["--set", "rate.decay.step.at=[]", "--set", "train.evaluate_every=2 steps"],
        ]
        .concat();
        let result: Value =
            serde_json::from_str(&sandbox.succeed(&[&arguments[..], &more].concat())).unwrap();
        let (last, best) =
            (result["top1"].as_f64().unwrap(), result["best_top1"].as_f64().unwrap());
        if best > last {
            std::fs::rename(sandbox.path(&run), sandbox.path("run")).unwrap();
            return (result["steps"].as_u64().unwrap(), last, best);
        }
    }
    panic!("no run was worse at its end");
}

#[test]
fn the_best_model_is_evaluated_exported_and_started_from() {
    let sandbox = Sandbox::new();
    let (_, last, best) = worsened(&sandbox);
    let eval = |more: &[&str]| -> (f64, String) {
        let output = sandbox.run(&[&["eval", "--data", "parts", "--json"], more].concat());
        let said = stderr(&output);
        assert!(output.status.success(), "{said}");
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();
        (result["top1"].as_f64().unwrap(), said)
    };
    let (found, said) = eval(&["run"]);
    assert_eq!(found, last);
    assert!(said.contains("--best takes that one"), "{said}");
    let (found, said) = eval(&["run", "--best"]);
    assert_eq!((found, said.as_str()), (best, ""));
    let folder = sandbox.path("run/checkpoints");
    let mut accuracies: Vec<f64> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|file| eval(&[file.unwrap().path().to_str().unwrap()]).0)
        .collect();
    accuracies.sort_by(f64::total_cmp);
    assert_eq!(accuracies.last(), Some(&best), "one of the checkpoints is the best");
    sandbox.succeed(&["export", "run", "--best", "--format", "timm", "-o", "best"]);
    assert_eq!(eval(&["best"]).0, best);
    let refused = sandbox.run(&["eval", "best", "--best", "--data", "parts"]);
    assert!(
        stderr(&refused).contains("is no run folder; leave --best out"),
        "{}",
        stderr(&refused)
    );
    let tune = [
        "train",
        "tiny.toml",
        "--data",
        "parts",
        "--set",
        "train.duration=1 epoch",
        "--set",
        "rate.warmup=off",
    ];
    let tune = [&tune[..], &["--set", "rate.decay=cosine"]].concat();
    let from = |from: &str, out: &str| {
        let from = format!("init.from={from}");
        stderr(&sandbox.run(&[&tune[..], &["--set", &from, "--out", out]].concat()))
    };
    assert!(from("run", "a").contains("init.from=run/best takes that one"));
    let said = from("run/best", "b");
    assert!(said.contains("starts from run/best") && !said.contains("takes that one"), "{said}");
}
