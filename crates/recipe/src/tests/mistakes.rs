//! What each mistake says; the table of cases is `mistakes.txt`.

use super::{models, read, read_with};
use crate::{builtin, parse, parse_with_edits};

/// The lines that the baseline complains with after `from` became `to` and after the edits of `--set`.
fn complaints(from: &str, to: &str, edits: &[String]) -> Vec<String> {
    let text = builtin("baseline").unwrap();
    assert!(text.contains(from), "the baseline has no '{from}'");
    let text = text.replacen(from, to, 1);
    match parse_with_edits(&text, "r.toml", edits, &models()) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.to_string().lines().map(str::to_owned).collect(),
    }
}

#[test]
fn every_case_of_the_table() {
    let mut cases = 0;
    for block in include_str!("mistakes.txt").split("\n\n") {
        let part = |mark: &str| -> Vec<String> {
            block.lines().filter_map(|line| line.strip_prefix(mark)).map(str::to_owned).collect()
        };
        let (from, edits) = (part("- ").join("\n"), part("$ "));
        if from.is_empty() && edits.is_empty() {
            continue;
        }
        let line = builtin("baseline").unwrap().lines().position(|line| line.contains(&from));
        let here = format!("r.toml:{}:", line.expect(&from) + 1);
        let expected: Vec<String> =
            part("= ").iter().map(|line| line.replace("HERE:", &here)).collect();
        assert_eq!(complaints(&from, &part("+ ").join("\n"), &edits), expected, "{block}");
        cases += 1;
    }
    assert!(cases > 70, "{cases} cases");
}

#[test]
fn toml_itself() {
    let cases = [
        ("seed = 1", "seed = ", "r.toml:4: not TOML: "),
        ("seed = 1", "seed = 1\nseed = 2", "r.toml:5: not TOML: duplicate key"),
        ("size = 224", "size = \"224", "r.toml:17: not TOML: "),
        ("[train]", "[train", "r.toml:28: not TOML: "),
    ];
    for (from, to, expected) in cases {
        let complaints = complaints(from, to, &[]);
        assert_eq!(complaints.len(), 1, "{complaints:#?}");
        assert!(complaints[0].starts_with(expected), "{complaints:#?}");
    }
}

#[test]
fn every_mistake_at_once_in_the_order_of_the_file() {
    let text = r#"version = 3
name = "many"
seeed = 1

[network]
model = "resnet50_D"
stem = "small"
init = "xavir"
last_gamma = "zero"

[data]
source = "path"
split = 2

[preprocess]
size = 224
flip = 1.5
normalize = { mean = [0, 0], std = [1, 1, 1] }

[validation]
resize = 100
crop = 200

[train]
duration = "10 epochs"
batch = 0

[rate]
base = -0.1
warmup = { durration = "5 epochs" }
decay = { step = { factor = 0.1, at = ["20 epochs", 5] } }

[update]
optimizer = { nag = { momentum = 1.9 }, adamw = {} }
decay = 1e-4
decay_on = "weights"
clip = 1.0
"#;
    let errors = parse(text, "many.toml", &models()).unwrap_err();
    let expected = "\
many.toml: missing table 'checkpoint'; add [checkpoint] with every, keep
many.toml:1: version: this program reads version 2 of the format, not 3; write version = 2 if the keys are its keys
many.toml:3: unknown key 'seeed'; did you mean 'seed'?
many.toml:6: network.model: no network is named 'resnet50_D'; did you mean 'resnet50d'?
many.toml:7: network.stem: the small stem is for images of at most 64 pixels, not 224; write stem = \"imagenet\", or lower preprocess.size
many.toml:8: network.init: 'xavir' is not one of xavier, xavier-channels, msra-prelu; did you mean 'xavier'?
many.toml:9: network.last_gamma: expected a number, found text \"zero\"; write for example last_gamma = 0.0
many.toml:13: data.split: 2 is out of range; split is more than 0 and less than 1
many.toml:17: preprocess.flip: 1.5 is out of range; flip is from 0 to 1
many.toml:18: preprocess.normalize.mean: expected a list of 3 numbers, found 2 of them; write for example mean = [123.68, 116.779, 103.939]
many.toml:22: validation.crop: a crop of 200 pixels does not fit a shorter edge of 100; raise validation.resize, or crop less
many.toml:24: train: missing key 'parts'; add parts = 8
many.toml:24: train: missing key 'evaluate_every'; add evaluate_every = \"1 epoch\"
many.toml:26: train.batch: 0 is out of range; batch is a whole number from 1 on
many.toml:29: rate.base: -0.1 is out of range; base is more than 0
many.toml:30: rate.warmup: unknown key 'durration'; did you mean 'duration'?
many.toml:31: rate.decay.step.at: the rate cannot fall at 20 epochs: the run ends at 10 epochs; leave this point out, or raise train.duration
many.toml:31: rate.decay.step.at: 5 has no unit; write \"5 epochs\" or \"5 steps\"
many.toml:34: update.optimizer: it holds nag and adamw, and takes only one of nag, sgd, adamw; keep one of nag, adamw
many.toml:34: update.optimizer.nag.momentum: 1.9 is out of range; momentum is at least 0 and less than 1
many.toml:34: update.optimizer.adamw: missing key 'beta1'; add beta1 = 0.9
many.toml:34: update.optimizer.adamw: missing key 'beta2'; add beta2 = 0.999
many.toml:34: update.optimizer.adamw: missing key 'epsilon'; add epsilon = 1e-8
many.toml:37: update.clip: expected a table, found 1.0; write clip = { norm = 2.0 }, or leave it out to switch it off";
    assert_eq!(errors.to_string(), expected);
}

/// What a recipe of version 1 looked like.
const VERSION_1: &str = r#"# A run of last year.
version = 1
name = "old"

[train]
batch = 64
accumulate = 4

[update]
momentum = 0.8
decay = 1e-4
clip = 2.5
"#;

#[test]
fn a_recipe_of_version_1_is_told_how_it_becomes_one_of_version_2() {
    let told = |text: &str| parse(text, "old.toml", &models()).unwrap_err().to_string();
    let version = "old.toml:2: version: this program no longer reads recipes of version 1, nor resumes runs of them; \
                   write version = 2 and mend the lines below";
    let update = "\
old.toml:10: update.momentum: the momentum belongs to the optimizer, which has a key of its own; write optimizer = { nag = { momentum = 0.8 } }
old.toml:12: update.clip: 'clip' says what it bounds; write clip = { norm = 2.5 }";
    let parts = "old.toml:7: train.accumulate: 'accumulate' has become 'parts'; write parts";
    assert_eq!(told(VERSION_1), format!("{version}\n{parts} = 4\n{update}"));
    let odd = VERSION_1.replace("accumulate = 4", "accumulate = 3");
    let any = format!("{parts}, a power of two that divides the batch");
    assert_eq!(told(&odd), format!("{version}\n{any}\n{update}"));
    let plain = VERSION_1.replace("accumulate = 4", "");
    let missing = "old.toml:5: train: the key 'parts' is new; add parts = 1";
    assert_eq!(told(&plain), format!("{version}\n{missing}\n{update}"));
}

#[test]
fn an_empty_file_asks_for_every_table() {
    let errors = parse("", "r.toml", &models()).unwrap_err();
    assert_eq!(errors.mistakes.len(), 11, "{errors}");
}

#[test]
fn a_mistake_knows_its_column_in_characters() {
    let (from, to) = ("area = [0.08, 1.0]", "area = [0.08, \"γ\"], \"é\" = 1");
    let text = builtin("baseline").unwrap().replace(from, to);
    let errors = parse(&text, "r.toml", &models()).unwrap_err();
    let places: Vec<_> = errors.mistakes.iter().map(|m| (m.line, m.column)).collect();
    assert_eq!(places, [(18, 17), (18, 30)], "{errors}");
}

/// A recipe, edits of it, and what they change.
const EDITS: &[(&str, &[&str], &str)] = &[
    ("baseline", &["rate.base=0.2"], "rate.base: 0.1 → 0.2"),
    ("baseline", &["rate.base = 2"], "rate.base: 0.1 → 2.0"),
    (
        "baseline",
        &["network.model=resnet50d"],
        "network.model: \"resnet50_original\" → \"resnet50d\"",
    ),
    (
        "baseline",
        &["network.model=\"resnet50d\""],
        "network.model: \"resnet50_original\" → \"resnet50d\"",
    ),
    ("baseline", &["name=2018-12-04"], "name: \"baseline\" → \"2018-12-04\""),
    ("baseline", &["train.duration=100 epochs"], "train.duration: \"120 epochs\" → \"100 epochs\""),
    (
        "baseline",
        &["rate.warmup={duration=\"5 epochs\"}"],
        "rate.warmup.duration: off → \"5 epochs\"
             rate.warmup.first: off → \"one-step\"",
    ),
    (
        "baseline",
        &["rate.warmup.duration=5 epochs"],
        "rate.warmup.duration: off → \"5 epochs\"
             rate.warmup.first: off → \"one-step\"",
    ),
    (
        "baseline",
        &["rate.decay.step.at=[]"],
        "rate.decay.step.at: [\"30 epochs\", \"60 epochs\", \"90 epochs\"] → []",
    ),
    (
        "efficient",
        &["rate.warmup=off"],
        "rate.warmup.duration: \"5 epochs\" → off
             rate.warmup.first: \"one-step\" → off",
    ),
    (
        "baseline",
        &["update.optimizer={ sgd = { momentum = 0.8 } }", "update.clip.norm=2"],
        "update.optimizer.nag.momentum: 0.9 → off
             update.optimizer.sgd.momentum: off → 0.8
             update.clip.norm: off → 2.0",
    ),
    ("baseline", &["train.parts=1"], "train.parts: 8 → 1"),
    ("baseline", &["rate.warmup=off"], ""),
    ("baseline", &["preprocess.flip=off"], "preprocess.flip: 0.5 → off"),
    (
        "baseline",
        &["data.on_bad_sample=skip", "data.orientation=stored"],
        "data.on_bad_sample: \"stop\" → \"skip\"",
    ),
    (
        "baseline",
        &["seed=1", "seed=2", "seed=18446744073709551615"],
        "seed: 1 → 18446744073709551615",
    ),
    ("baseline", &["rate.base=fast", "rate.base=0.1"], ""),
    (
        "baseline",
        &["preprocess.pca_noise=off", "preprocess.color=off"],
        "preprocess.color.hue: [0.6, 1.4] → off
             preprocess.color.saturation: [0.6, 1.4] → off
             preprocess.color.brightness: [0.6, 1.4] → off
             preprocess.pca_noise: 0.1 → off",
    ),
];

#[test]
fn set_edits_a_recipe() {
    for (name, edits, expected) in EDITS {
        let edited = read_with(name, edits).unwrap_or_else(|lines| panic!("{edits:?}: {lines:#?}"));
        let expected: Vec<&str> = expected.lines().map(str::trim).collect();
        assert_eq!(crate::diff(&read(name), &edited), expected, "{edits:?}");
    }
}

/// A number beyond a limit is a mistake with its line before anybody asks for memory.
#[test]
fn numbers_beyond_the_limits_are_mistakes_with_their_line() {
    let shape = |blocks, channels, stem| {
        format!("shape = {{ blocks = {blocks}, channels = {channels}, stem_channels = {stem} }}")
    };
    let (four, wide) = ("[1, 1, 1, 1]", "[8, 8, 8, 8]");
    for (to, expected) in [
        (
            shape("[100000, 1, 1, 1]", wide, "8"),
            "network.shape.blocks: 100000 is out of range; blocks is at most 512",
        ),
        (
            shape(four, "[100000, 8, 8, 8]", "8"),
            "network.shape.channels: 100000 is out of range; channels is at most 8192",
        ),
        (
            shape(four, wide, "8194"),
            "network.shape.stem_channels: 8194 is out of range; stem_channels is at most 8192",
        ),
    ] {
        let to = format!("last_gamma = 0.0\n{to}");
        let complaints = complaints("last_gamma = 1.0", &to, &[]);
        assert_eq!(complaints, [format!("r.toml:11: {expected}")]);
    }
    for (mean, expected) in [
        ("[1e9, 0, 0]", "mean: 1e9 is out of range; mean is at least -10000 and at most 10000"),
        ("[-1e9, 0, 0]", "mean: -1e9 is out of range; mean is at least -10000 and at most 10000"),
    ] {
        let to = format!("mean = {mean}");
        let complaints = complaints("mean = [123.68, 116.779, 103.939]", &to, &[]);
        assert!(complaints[0].ends_with(expected), "{complaints:?}");
    }
}
