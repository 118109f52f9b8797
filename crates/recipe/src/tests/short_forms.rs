//! Short forms: words and numbers that stand for a whole table with the paper's values, in `--set` and in files.

use super::{models, read, read_with};
use crate::{builtin, diff, parse, to_toml};

/// A recipe, a short edit, and the long one that it stands for.
const FORMS: &[(&str, &str, &str)] = &[
    ("baseline", "mixup=on", r#"mixup={ alpha = 0.2, pairing = "permutation" }"#),
    ("baseline", "mixup=0.3", r#"mixup={ alpha = 0.3, pairing = "permutation" }"#),
    ("baseline", "cutmix=on", "cutmix={ alpha = 1.0 }"),
    ("baseline", "cutmix=2", "cutmix={ alpha = 2.0 }"),
    ("baseline", "target.smoothing=on", r#"target.smoothing={ epsilon = 0.1, over = "others" }"#),
    (
        "baseline",
        "target.smoothing=0.05",
        r#"target.smoothing={ epsilon = 0.05, over = "others" }"#,
    ),
    ("baseline", "average=on", "average={ decay = 0.9999 }"),
    ("baseline", "average=0.999", "average={ decay = 0.999 }"),
    ("baseline", "rate.decay=cosine", "rate.decay={ cosine = {} }"),
    (
        "baseline",
        "rate.decay=step",
        "rate.decay={ step = { factor = 0.1, at = [\"30 epochs\", \"60 epochs\", \"90 epochs\"] } }",
    ),
    ("baseline", "rate.warmup=on", r#"rate.warmup={ duration = "5 epochs" }"#),
    ("baseline", "rate.warmup=300 steps", r#"rate.warmup={ duration = "300 steps" }"#),
    ("baseline", "rate.linear_scaling=on", "rate.linear_scaling={ reference_batch = 256 }"),
    ("baseline", "rate.linear_scaling=128", "rate.linear_scaling={ reference_batch = 128 }"),
    ("baseline", "update.optimizer=sgd", "update.optimizer={ sgd = { momentum = 0.9 } }"),
    (
        "baseline",
        "update.optimizer=adamw",
        "update.optimizer={ adamw = { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 } }",
    ),
];

#[test]
fn a_short_form_stands_for_the_papers_values() {
    for (name, short, long) in FORMS {
        let edited = |edit| read_with(name, &[edit]).unwrap_or_else(|lines| panic!("{lines:#?}"));
        assert_eq!(edited(short), edited(long), "{short}");
        assert!(!to_toml(&edited(short)).contains("\"on\""), "a saved recipe is complete");
    }
}

#[test]
fn a_file_takes_the_same_short_forms() {
    for (line, short) in [
        ("mixup = \"on\"", "mixup=on"),
        ("mixup = 0.3", "mixup=0.3"),
        ("target.smoothing = 0.05", "target.smoothing=0.05"),
        ("average = 0.999", "average=0.999"),
        ("rate.warmup = \"300 steps\"", "rate.warmup=300 steps"),
        ("rate.linear_scaling = \"on\"", "rate.linear_scaling=on"),
    ] {
        // A dotted key stands before the first table.
        let text = builtin("baseline").unwrap();
        let text = match line.split_once("rate.") {
            Some((_, line)) => text.replacen("\nbase = ", &format!("\n{line}\nbase = "), 1),
            None => text.replace("version = 2\n", &format!("version = 2\n{line}\n")),
        };
        let read = parse(&text, "r.toml", &models()).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(read, read_with("baseline", &[short]).unwrap(), "{line}");
    }
}

#[test]
fn a_short_form_can_be_refined_by_the_next_edit() {
    let twice = read_with("baseline", &["mixup=on", "mixup.pairing=reversed"]).unwrap();
    assert_eq!(
        diff(&read("baseline"), &twice),
        ["mixup.alpha: off → 0.2", "mixup.pairing: off → \"reversed\""]
    );
    assert_eq!(read_with("baseline", &["mixup=on", "mixup=off"]).unwrap(), read("baseline"));
}

#[test]
fn another_precision_leaves_the_loss_scale_of_the_file_behind() {
    let saved = to_toml(&read("efficient"));
    assert!(saved.contains("loss_scale = "), "{saved}");
    let with = |edits: &[&str]| {
        let edits: Vec<String> = edits.iter().map(ToString::to_string).collect();
        crate::parse_with_edits(&saved, "r.toml", &edits, &models())
    };
    for precision in ["f32", "bf16"] {
        let recipe = with(&[&format!("train.precision={precision}")]).unwrap();
        assert_eq!(recipe.train.loss_scale, None, "{precision}");
    }
    assert!(with(&["train.precision=f16"]).unwrap().train.loss_scale.is_some());
    let refused = with(&["train.loss_scale=dynamic", "train.precision=f32"]).unwrap_err();
    assert!(refused.to_string().contains("f32 needs no loss scale"), "{refused}");
}

#[test]
fn points_can_be_shares_of_the_run() {
    let at = |edits: &[&str]| {
        let shares = [r#"rate.decay.step.at=["50 %", "80%"]"#];
        let recipe =
            read_with("baseline", &[&shares, edits].concat()).map_err(|lines| lines[0].clone())?;
        Ok::<_, String>(
            to_toml(&recipe).lines().find(|line| line.starts_with("decay = {")).unwrap().to_owned(),
        )
    };
    let expected = |at: &str| Ok(format!("decay = {{ step = {{ factor = 0.1, at = [{at}] }} }}"));
    assert_eq!(at(&[]), expected(r#""60 epochs", "96 epochs""#));
    assert_eq!(at(&["train.duration=4 epochs"]), expected(r#""2 epochs", "3.2 epochs""#));
    assert_eq!(at(&["train.duration=11 steps"]), expected(r#""6 steps", "9 steps""#));
    let longer = read_with("resnet18d-64", &["train.duration=40 epochs"]).unwrap();
    assert!(to_toml(&longer).contains(r#"at = ["20 epochs", "32 epochs"]"#));
    for (share, words) in [
        (
            "100 %",
            "\"100 %\" is out of range; a share of the run is more than 0 % and less than 100 %",
        ),
        ("0 %", "\"0 %\" is out of range"),
        ("half %", "'half' is not a number"),
    ] {
        let edit = format!("rate.decay.step.at=[\"{share}\"]");
        let lines = read_with("baseline", &[&edit]).unwrap_err();
        assert!(lines[0].contains(words), "{lines:?}");
    }
    let falling = read_with("baseline", &[r#"rate.decay.step.at=["80 %", "50 %"]"#]).unwrap_err();
    assert!(falling[0].contains("write the points in ascending order"), "{falling:?}");
}
