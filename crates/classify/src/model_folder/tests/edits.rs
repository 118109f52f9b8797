//! Edits of `config.json`: each counts or is refused, and none is a panic.

use recipe::LONGEST_EDGE;
use serde_json::{Value, json};

use super::super::parse::{crop_share, parse, resize};
use super::*;

/// The config of a small network that timm can build.
fn ours() -> Value {
    let shape = Shape { blocks: [1; 4], channels: [8; 4], stem_channels: 64 };
    let options = Options { shape: Some(shape), ..Options::plain(4) };
    let network = zoo::network("resnet18", &options).expect("a known name");
    config(&network, &card(options))
}

fn timms() -> Value {
    json!({
        "architecture": "resnet18",
        "num_classes": 4,
        "num_features": 512,
        "model_args": {"num_classes": 4, "in_chans": 3},
        "pretrained_cfg": {
            "tag": "a1_in1k",
            "input_size": [3, 224, 224],
            "interpolation": "bilinear",
            "crop_pct": 0.875,
            "crop_mode": "center",
            "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225],
            "num_classes": 1000,
        },
    })
}

/// The paths of all values inside one, as JSON pointers.
fn pointers(value: &Value, at: &str, into: &mut Vec<String>) {
    let mut child = |name: String, child: &Value| {
        let path = format!("{at}/{name}");
        into.push(path.clone());
        pointers(child, &path, into);
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| child(name.clone(), value)),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(at, value)| child(at.to_string(), value))
        }
        _ => {}
    }
}

/// The config without the value at a pointer.
fn without(config: &Value, pointer: &str) -> Value {
    let mut config = config.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match config.pointer_mut(parent).unwrap() {
        Value::Object(map) => drop(map.remove(name)),
        Value::Array(list) => drop(list.remove(name.parse().unwrap())),
        _ => unreachable!("a parent holds something"),
    }
    config
}

fn with(config: &Value, pointer: &str, value: &Value) -> Value {
    let mut config = config.clone();
    *config.pointer_mut(pointer).expect(pointer) = value.clone();
    config
}

/// What no key takes, or few do.
fn absurd() -> Vec<Value> {
    vec![
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(-1e300),
        json!(1e300),
        json!(1e-300),
        json!(u64::MAX),
        json!(100_000),
        json!("text"),
        json!(""),
        json!([]),
        json!([1]),
        json!([0, 0, 0]),
        json!([-1, 0.5, 2]),
        json!([1e300, 1e300, 1e300]),
        json!([3, 0, 0]),
        json!([3, 100_000, 100_000]),
        json!([u64::MAX, 1, 1, 1]),
        json!([1, 1, 1, 1, 1]),
        json!(["a", "b"]),
        json!({}),
        json!({"a": 1}),
        json!([[[[[[]]]]]]),
    ]
}

/// What every accepted config keeps to, so that nothing behind it panics or asks for absurd amounts of memory.
fn assert_sound((network, card): &(Network, Card), text: &str) {
    let Validation { resize, crop } = card.validation;
    assert!((network.least.max(1)..=resize).contains(&crop) && resize <= LONGEST_EDGE, "{text}");
    assert_eq!(card.classes.len(), network.classes(), "{text}");
    assert!(card.normalize.std.iter().all(|std| std.is_finite() && *std > 0.0), "{text}");
    assert!(card.normalize.mean.iter().all(|mean| mean.is_finite()), "{text}");
    assert!(card.split.share > 0.0 && card.split.share < 1.0, "{text}");
    assert!(i64::try_from(card.step).is_ok(), "{text}");
}

/// Free text that says where a model comes from and changes nothing.
const FREE: [&str; 2] = ["/trickbag/version", "/pretrained_cfg/tag"];

#[test]
fn every_edit_of_our_config_counts_or_is_refused() {
    let config = ours();
    let original = parse(&config.to_string()).expect("our own config");
    let mut paths = Vec::new();
    pointers(&config, "", &mut paths);
    assert!(paths.len() > 60, "{paths:?}");
    let (mut refused, mut counted) = (0, 0);
    for path in &paths {
        for value in absurd().iter().filter(|value| config.pointer(path) != Some(value)) {
            let text = with(&config, path, value).to_string();
            match parse(&text) {
                Ok(read) => {
                    assert_sound(&read, &text);
                    let is_free = FREE.contains(&path.as_str()) && value.is_string();
                    assert!(read != original || is_free, "{path} = {value} is ignored");
                    counted += 1;
                }
                Err(problem) => {
                    assert!(!problem.to_string().is_empty());
                    refused += 1;
                }
            }
        }
        for gone in [without(&config, path), with(&config, path, &Value::Null)] {
            if let Ok(read) = parse(&gone.to_string()) {
                assert_sound(&read, path);
            }
        }
    }
    assert!(refused > 1000 && counted > 20, "{refused} refused, {counted} counted");
}

#[test]
fn no_edit_of_a_config_of_timms_is_a_panic() {
    let config = timms();
    let mut paths = Vec::new();
    pointers(&config, "", &mut paths);
    for path in &paths {
        let edits =
            absurd().into_iter().chain([Value::Null]).map(|value| with(&config, path, &value));
        for edited in edits.chain([without(&config, path)]) {
            let text = edited.to_string();
            if let Ok(read) = parse(&text) {
                assert_sound(&read, &text);
            }
        }
    }
    for text in
        ["", "{", "null", "[]", "{}", "7", "\"text\"", "{\"num_classes\": NaN}", "\u{feff}{}"]
    {
        assert!(matches!(parse(text), Err(FolderProblem::Json(_))), "{text}");
    }
    let deep = "[".repeat(100_000);
    assert!(matches!(parse(&deep), Err(FolderProblem::Json(_))));
    let twice = config.to_string().replacen('{', "{\"num_classes\": 5, ", 1);
    assert!(parse(&twice).unwrap_err().to_string().contains("duplicate field `num_classes`"));
}

/// The edits that `import --help` speaks of.
#[test]
fn timms_keys_say_how_images_are_prepared() {
    let config = ours();
    let read = |pointer: &str, value: Value| {
        parse(&with(&config, pointer, &value).to_string()).map(|(_, card)| card)
    };
    let original = parse(&config.to_string()).unwrap().1;
    assert_eq!(original.validation, Validation { resize: 37, crop: 32 });
    assert_eq!(read("/pretrained_cfg/crop_pct", json!(0.8)).unwrap().validation.resize, 40);
    assert_eq!(read("/pretrained_cfg/crop_pct", json!(1)).unwrap().validation.resize, 32);
    let mean = read("/pretrained_cfg/mean", json!([0.485, 0.456, 0.406])).unwrap().normalize.mean;
    assert_eq!(mean, [123.675, 116.28, 103.53], "to the bit");
    // The size of the last features follows from the size of the images, and is told.
    let text = read("/pretrained_cfg/input_size", json!([3, 64, 64])).unwrap_err().to_string();
    for words in [
        "pretrained_cfg.pool_size is [1,1]",
        "pretrained_cfg.input_size makes it [2,2]",
        "write [2,2]",
    ] {
        assert!(text.contains(words), "no {words:?} in: {text}");
    }
    for (pointer, value, words) in [
        (
            "/pretrained_cfg/crop_pct",
            json!(1.2),
            "pretrained_cfg.crop_pct is 1.2; write a share of at most 1",
        ),
        (
            "/pretrained_cfg/crop_pct",
            json!(1e-9),
            "resizes the shorter edge to 8192 pixels or fewer",
        ),
        ("/pretrained_cfg/input_size", json!([1, 32, 32]), "three channels"),
        ("/pretrained_cfg/input_size", json!([3, 32, 48]), "square images"),
        (
            "/pretrained_cfg/std",
            json!([0.0, 0.2, 0.2]),
            "pretrained_cfg.std is [0.0, 0.2, 0.2]; write three numbers, above 0",
        ),
        ("/pretrained_cfg/std", json!([-0.2, 0.2, 0.2]), "above 0"),
        (
            "/pretrained_cfg/mean",
            json!([123.675, 116.28, 103.53]),
            "a share of the largest level, 255",
        ),
        (
            "/pretrained_cfg/interpolation",
            json!("bicubic"),
            "pretrained_cfg.interpolation is \"bicubic\"; trickbag knows \"bilinear\"",
        ),
        (
            "/pretrained_cfg/num_classes",
            json!(5),
            "pretrained_cfg.num_classes is 5, and num_classes makes it 4",
        ),
        ("/trickbag/split", json!(1.5), "trickbag.split is 1.5"),
    ] {
        let text = read(pointer, value.clone()).unwrap_err().to_string();
        assert!(text.contains(words), "{pointer} = {value}: no {words:?} in: {text}");
    }
    let mut unknown = config.clone();
    unknown["trickbag"]["crop_size"] = json!(32);
    let text = parse(&unknown.to_string()).unwrap_err().to_string();
    assert!(text.contains("unknown field `crop_size`") && text.contains("line 1"), "{text}");
}

/// Earlier versions wrote sizes and levels twice. Where both stand they agree, or both are named.
#[test]
fn what_earlier_versions_wrote_twice_has_to_agree() {
    let mut config = ours();
    config["pretrained_cfg"]["crop_pct"] = json!(32.0 / 37.0);
    for (key, value) in [
        ("resize", json!(37)),
        ("crop", json!(32)),
        ("mean", json!([120.0, 110.5, 100.0])),
        ("std", json!([60.0, 61.0, 62.5])),
    ] {
        config["trickbag"][key] = value;
    }
    let original = parse(&ours().to_string()).unwrap().1;
    assert_eq!(parse(&config.to_string()).unwrap().1, original);
    for (pointer, value, words) in [
        (
            "/trickbag/resize",
            json!(40),
            ["trickbag.resize is 40", "pretrained_cfg.crop_pct is 0.86", "change both"],
        ),
        ("/trickbag/resize", json!(0), ["trickbag.resize is 0", "says 37", "change both"]),
        (
            "/trickbag/crop",
            json!(64),
            ["trickbag.crop is 64", "pretrained_cfg.input_size says 32", "change both"],
        ),
        (
            "/pretrained_cfg/crop_pct",
            json!(0.8),
            ["trickbag.resize is 37", "says 40", "change both"],
        ),
        (
            "/pretrained_cfg/mean",
            json!([0.5, 0.5, 0.5]),
            ["trickbag.mean is [120.0", "pretrained_cfg.mean is [0.5", "take trickbag.mean out"],
        ),
        (
            "/trickbag/std",
            json!([60.0, 61.0]),
            ["trickbag.std is [60.0, 61.0]", "pretrained_cfg.std is [0.2", "change both"],
        ),
    ] {
        let text = parse(&with(&config, pointer, &value).to_string()).unwrap_err().to_string();
        words
            .iter()
            .for_each(|words| assert!(text.contains(words), "{pointer}: no {words:?} in: {text}"));
    }
}

/// crop / resize is one too small for 48/59 and 323 other pairs up to here.
#[test]
fn timms_rule_gives_every_pair_of_sizes_back() {
    for wanted in 1..=600 {
        for crop in 1..=wanted {
            let share = crop_share(Validation { resize: wanted, crop });
            assert!(share > 0.0 && share <= 1.0);
            // As it stands in the file.
            let share: f64 = json!(share).to_string().parse().unwrap();
            assert_eq!(resize(crop, share), wanted, "{crop} of {wanted}");
        }
    }
    for wanted in [1000, 4095, 4096, 8191, LONGEST_EDGE] {
        for crop in [1, wanted / 2, wanted - 1, wanted] {
            assert_eq!(resize(crop, crop_share(Validation { resize: wanted, crop })), wanted);
        }
    }
}

#[test]
fn limits_of_recipes_and_of_networks_are_the_same() {
    assert_eq!(recipe::MOST_BLOCKS, zoo::MOST_BLOCKS);
    assert_eq!(recipe::MOST_CHANNELS, zoo::MOST_CHANNELS);
}
