//! What the program tells of itself.

use serde_json::Value;

use crate::fixtures::Sandbox;

#[test]
fn models_are_listed_with_the_papers_counts() {
    let list: Value = serde_json::from_str(&Sandbox::new().succeed(&["models", "--json"])).unwrap();
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), zoo::names().len());
    // Table 5: 3.8, 4.1, 4.3 and 4.3 G.
    for (name, parameters, giga) in [
        ("resnet50_original", 25_557_032, "3.86"),
        ("resnet50", 25_557_032, "4.09"),
        ("resnet50c", 25_576_264, "4.33"),
        ("resnet50d", 25_576_264, "4.33"),
        ("mobilenetv1_100", 4_231_976, "0.57"),
        ("seresnet50_original", 28_088_024, "3.86"),
        ("resnext50_32x4d", 25_028_904, "4.23"),
        ("seresnext50_32x4d", 27_559_896, "4.23"),
        ("densenet201", 20_013_928, "4.29"),
        ("inception_v3", 23_834_568, "5.71"),
        ("vgg19", 143_667_240, "19.63"),
    ] {
        let model = list.iter().find(|model| model["name"] == name).unwrap();
        assert_eq!(model["parameters"], parameters, "{name}");
        let multiply_adds = model["multiply_adds"].as_f64().unwrap() / 1e9;
        assert_eq!(format!("{multiply_adds:.2}"), giga, "{name}");
    }
}

#[test]
fn every_recipe_prints_and_is_a_recipe() {
    let sandbox = Sandbox::new();
    let list: Value = serde_json::from_str(&sandbox.succeed(&["recipes", "--json"])).unwrap();
    for each in list.as_array().unwrap() {
        let name = each["name"].as_str().unwrap();
        let text = sandbox.succeed(&["recipes", name]);
        recipe::parse(&text, name, &zoo::names()).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn a_network_is_drawn_from_its_value() {
    let text = Sandbox::new().succeed(&["models", "resnet50d"]);
    for part in ["path A", "path B", "average pool 2×2, stride 2", "layer4.2.conv3", "25.58 M"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_network_is_drawn_into_a_file() {
    let sandbox = Sandbox::new();
    for name in ["inception_v3", "densenet121", "mobilenetv1_100", "vgg19", "seresnet50"] {
        sandbox.succeed(&["models", name, "-o", "net.svg"]);
        let svg = std::fs::read_to_string(sandbox.path("net.svg")).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains(name), "{svg}");
    }
    for (arguments, words) in [
        (vec!["resnet50", "-o", "net.png"], "ends in .svg"),
        (vec!["-o", "net.svg"], "<NAME>"),
        (vec!["resnet51", "-o", "net.svg"], "did you mean"),
        (vec!["resnet50", "-o", "none/net.svg"], "there is no folder none; make it first"),
    ] {
        let text = sandbox.fail(&[&["models"], &arguments[..]].concat(), 2);
        assert!(text.contains(words), "{arguments:?}: {text}");
    }
}

#[test]
fn every_verb_has_help_that_names_its_arguments() {
    let sandbox = Sandbox::new();
    for (verb, words) in [
        ("train", vec!["--data", "--resume", "--dry-run", "--set", "Examples"]),
        ("eval", vec!["--data", "--json"]),
        ("predict", vec!["--top", "--html", "--json", "standard input"]),
        ("import", vec!["--model", "--classes", "--class-names", "Examples"]),
        ("verify", vec!["a packed copy", "--json", "Examples"]),
        ("export", vec!["--format", "--keep-batch-norms", "--json", "onnx", "timm"]),
        ("models", vec!["--size", "--out", "--json"]),
        ("recipes", vec!["--json"]),
        ("tricks", vec!["--json"]),
        ("doctor", vec!["--json"]),
    ] {
        let text = sandbox.succeed(&[verb, "--help"]);
        for word in words {
            assert!(text.contains(word), "{verb} --help lacks {word}: {text}");
        }
    }
}

#[test]
fn every_trick_is_listed() {
    let text = Sandbox::new().succeed(&["tricks", "--json"]);
    let list: Value = serde_json::from_str(&text).unwrap();
    let keys: Vec<&str> =
        list.as_array().unwrap().iter().map(|t| t["recipe_key"].as_str().unwrap()).collect();
    for key in [
        "rate.linear_scaling",
        "rate.warmup",
        "network.last_gamma",
        "update.decay_on",
        "train.parts",
        "update.optimizer.adamw",
        "rate.decay.cosine",
        "target.smoothing",
        "distillation",
        "mixup",
    ] {
        assert!(keys.contains(&key), "{key}: {keys:?}");
    }
    let cosine = list.as_array().unwrap().iter().find(|t| t["recipe_key"] == "rate.decay.cosine");
    let on: Vec<&str> =
        cosine.unwrap()["on_in"].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
    for recipe in ["gluoncv-resnet50d", "table6.cosine", "table6.mobilenet.mixup"] {
        assert!(on.contains(&recipe), "{recipe}: {on:?}");
    }
    assert!(!on.contains(&"baseline") && !on.contains(&"table6.efficient"), "{on:?}");
}

#[test]
fn benches_tell_their_numbers() {
    let sandbox = Sandbox::new();
    let small = ["--model", "resnet18d", "--size", "16", "--batch", "2", "--steps", "1", "--json"];
    for kind in ["step", "infer"] {
        let text = sandbox.succeed(&[&["bench", kind, "--small-stem"], &small[..]].concat());
        let measured: Value = serde_json::from_str(&text).unwrap();
        for key in ["images_per_second", "milliseconds", "gigaflops"] {
            assert!(measured[key].as_f64().unwrap() > 0.0, "{kind} {key}: {text}");
        }
        assert!(measured["peak_memory_bytes"].as_u64().unwrap() > 1_000_000, "{kind}: {text}");
        assert_eq!(measured.get("page_faults_per_step").is_some(), kind == "step", "{text}");
    }
    for precision in ["f32", "f16", "bf16"] {
        let step = ["bench", "step", "--small-stem", "--precision", precision];
        let text = sandbox.succeed(&[&step[..], &small[..]].concat());
        let measured: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(measured["precision"], precision, "{text}");
    }
    let text = sandbox.succeed(&[&["bench", "layers"], &small[..]].concat());
    let measured: Value = serde_json::from_str(&text).unwrap();
    let layers = measured["layers"].as_array().unwrap();
    let count: u64 = layers.iter().map(|layer| layer["count"].as_u64().unwrap()).sum();
    assert_eq!(count, 22, "a ResNet-18-D has 22 convolutions: {text}");
    for product in ["forward", "input_gradient", "weight_gradient"] {
        assert!(layers[0][product]["gigaflops"].as_f64().unwrap() > 0.0, "{product}: {text}");
    }
    let text = sandbox.fail(&["bench", "step", "--model", "vgg19", "--small-stem"], 2);
    assert!(text.contains("vgg19 has no stem for small images"), "{text}");
    let text = sandbox.fail(&["bench", "step", "--model", "inception_v3", "--size", "64"], 2);
    assert!(text.contains("at least 75×75"), "{text}");
}

#[test]
fn doctor_finds_this_machine_well() {
    let text = Sandbox::new().succeed(&["doctor", "--json"]);
    let health: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(health["healthy"], true, "{text}");
}
