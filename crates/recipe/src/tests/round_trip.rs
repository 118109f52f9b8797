//! Built-in recipes, and that writing a recipe and reading it again changes nothing.

use proptest::prelude::*;

use super::{models, read, read_with};
use crate::*;

#[test]
fn every_recipe_that_does_not_say_holds_out_the_same_images() {
    for edits in [&["seed=1"][..], &["seed=2"]] {
        assert_eq!(read_with("baseline", edits).unwrap().data.split_seed, 1);
    }
    let edits = ["seed=2", "data.split_seed=3"];
    assert_eq!(read_with("baseline", &edits).unwrap().data.split_seed, 3);
}

#[test]
fn every_builtin_reads_is_complete_and_short() {
    for name in builtin::names() {
        let text = builtin(name).unwrap();
        let recipe = read(name);
        assert_eq!(recipe.name, name, "the name inside is the name of the file");
        assert!(text.lines().count() <= 50, "{name}: a recipe has at most 50 lines");
        let summary = builtin::summary(name).unwrap();
        assert!(summary.ends_with('.') && summary.len() > 20, "{name}: {summary}");
        assert_eq!(parse(&to_toml(&recipe), name, &models()).as_ref(), Ok(&recipe), "{name}");
        assert_eq!(diff(&recipe, &recipe), [] as [String; 0]);
    }
    assert!(builtin::names().is_sorted());
    assert_eq!(builtin::nearest("quick-start"), Some("quickstart"));
    assert_eq!(builtin::nearest("what"), None);
    assert_eq!(builtin("what"), None);
}

#[test]
fn the_baseline_is_the_papers() {
    let recipe = read("baseline");
    assert_eq!(recipe.train.duration, Span::Epochs(120.0));
    assert_eq!((recipe.train.batch, recipe.train.parts, recipe.part_images()), (256, 8, 32));
    assert_eq!(recipe.update.optimizer, Optimizer::Nag { momentum: 0.9 });
    assert_eq!(
        recipe.rate.decay,
        Decay::Step { factor: 0.1, at: [30.0, 60.0, 90.0].map(Span::Epochs).to_vec() }
    );
    assert_eq!(recipe.preprocess.crop.unwrap().aspect, [3.0 / 4.0, 4.0 / 3.0]);
}

#[test]
fn what_the_efficient_recipe_changes() {
    let (mut baseline, efficient) = (read("baseline"), read("efficient"));
    baseline.name = efficient.name.clone();
    assert_eq!(
        diff(&baseline, &efficient),
        [
            "network.last_gamma: 1.0 → 0.0",
            "train.batch: 256 → 1024",
            "train.precision: \"f32\" → \"f16\"",
            "update.decay_on: \"everything\" → \"weights\"",
            "train.loss_scale: off → \"dynamic\"",
            "rate.linear_scaling.reference_batch: off → 256",
            "rate.warmup.duration: off → \"5 epochs\"",
            "rate.warmup.first: off → \"one-step\"",
        ]
    );
}

#[test]
fn a_saved_recipe_states_what_its_file_left_out() {
    let text = to_toml(&read("efficient"));
    for line in [
        "on_bad_sample = \"stop\"",
        "orientation = \"stored\"",
        "precision = \"f16\"",
        "loss_scale = \"dynamic\"",
        "warmup = { duration = \"5 epochs\", first = \"one-step\" }",
    ] {
        assert!(text.lines().any(|each| each == line), "no {line} in {text}");
        assert!(!builtin("efficient").unwrap().contains(line) || line.contains("f16"), "{line}");
    }
    let cosine = read_with("baseline", &["rate.decay={ cosine = {} }"]).unwrap();
    assert!(to_toml(&cosine).contains("decay = { cosine = { last = \"one-step\" } }\n"));
    assert!(to_toml(&cosine).contains("precision = \"f32\"\n"));
}

/// Batch norms of few images are noisy, and nobody should find out from the accuracy.
#[test]
fn small_parts_give_a_note() {
    let notes = |edits: &[&str]| read_with("baseline", edits).expect("good edits").notes();
    for fine in [&["train.parts=16"][..], &["train.batch=16", "train.parts=1"]] {
        assert_eq!(notes(fine), [] as [String; 0], "{fine:?}");
    }
    let one = notes(&["train.parts=256"]);
    assert!(
        one.len() == 1 && one[0].contains("each of the 256 parts of a batch has 1 image:"),
        "{one:?}"
    );
    assert!(one[0].ends_with("lower train.parts or raise train.batch"), "{one:?}");
    let whole = notes(&["train.batch=15", "train.parts=1"]);
    assert!(whole.len() == 1 && whole[0].contains("a batch of 15 images is small"), "{whole:?}");
    for name in builtin::names() {
        assert_eq!(read(name).notes(), [] as [String; 0], "{name}");
    }
}

#[test]
fn json_has_the_same_words() {
    let json = serde_json::to_value(read("efficient")).unwrap();
    assert_eq!(json["train"]["duration"], "120 epochs");
    assert_eq!(json["checkpoint"]["every"], "10 minutes");
    assert_eq!(json["network"]["stem"], "imagenet");
    assert_eq!(json["network"]["init"], "xavier");
    assert_eq!(json["train"]["precision"], "f16");
    assert_eq!(json["update"]["optimizer"]["nag"]["momentum"], 0.9);
    assert_eq!(json["rate"]["decay"]["step"]["at"][1], "60 epochs");
    assert!(json.get("target").is_none() && json.get("mixup").is_none());
}

#[test]
fn a_recipe_in_f16_scales_its_loss_unless_it_says_otherwise() {
    let train = |edits: &[&str]| read_with("baseline", edits).expect("good edits").train;
    let plain = train(&[]);
    assert_eq!((plain.precision, plain.loss_scale), (Precision::F32, None));
    let brain = train(&["train.precision=bf16"]);
    assert_eq!((brain.precision, brain.loss_scale), (Precision::Bf16, None));
    let half = train(&["train.precision=f16"]);
    assert_eq!((half.precision, half.loss_scale), (Precision::F16, Some(LossScale::Dynamic)));
    let authors = train(&["train.precision=f16", "train.loss_scale=off"]);
    assert_eq!((authors.precision, authors.loss_scale), (Precision::F16, Some(LossScale::Off)));
}

fn positive() -> impl Strategy<Value = f64> {
    (1e-9..1e9f64).prop_map(|number| number)
}

fn range(low: f64, high: f64) -> impl Strategy<Value = [f64; 2]> {
    (low..high, low..high).prop_map(|(a, b)| [a.min(b), a.max(b)])
}

fn span() -> impl Strategy<Value = Span> {
    prop_oneof![
        positive().prop_map(Span::Epochs),
        (1..1000u64).prop_map(|epochs| Span::Epochs(epochs as f64)),
        (1..u64::MAX).prop_map(Span::Steps),
    ]
}

fn interval() -> impl Strategy<Value = Interval> {
    prop_oneof![
        span().prop_map(Interval::Span),
        positive().prop_map(Interval::Seconds),
        (1..100_000u64).prop_map(|seconds| Interval::Seconds(seconds as f64)),
    ]
}

prop_compose! {
    fn preprocess()(
        size in 1..64usize,
        randaugment in proptest::option::of((1..20usize, 0.0..=10.0f64)),
        erasing in proptest::option::of((0.0..=1.0f64, range(1e-6, 0.99), range(1e-6, 10.0))),
        jitter in any::<bool>(),
        crop in proptest::option::of((range(1e-6, 1.0), range(1e-6, 10.0))),
        flip in proptest::option::of(0.0..=1.0f64),
        color in proptest::option::of((range(0.0, 2.0), range(0.0, 2.0), range(0.0, 2.0))),
        pca_noise in proptest::option::of(positive()),
        mean in [-1e3..1e3f64, -1e3..1e3f64, -1e3..1e3f64],
        std in [1e-9..1e4f64, 1e-9..1e4f64, 1e-9..1e4f64],
    ) -> Preprocess {
        let color = color.map(|(hue, saturation, brightness)| Color { hue, saturation, brightness });
        let Color { hue, saturation, brightness } = color.unwrap_or(Color {
            hue: [0.5, 1.5],
            saturation: [0.25, 2.0],
            brightness: [1.0, 1.0],
        });
        let colored = color.filter(|_| !jitter);
        let jitter = jitter.then_some(Jitter { brightness, contrast: hue, saturation });
        Preprocess {
            size: Some(size),
            crop: crop.map(|(area, aspect)| Crop { area, aspect }),
            flip,
            randaugment: randaugment
                .map(|(operations, magnitude)| RandAugment { operations, magnitude }),
            jitter,
            color: colored,
            pca_noise,
            normalize: Normalize { mean, std },
            erasing: erasing
                .map(|(probability, area, aspect)| Erasing { probability, area, aspect }),
        }
    }
}

prop_compose! {
    fn rate(run: Span)(
        base in positive(),
        head in proptest::option::of(positive()),
        reference_batch in proptest::option::of(1..5000usize),
        share in proptest::option::of(0.01..1.0f64),
        factor in 1e-6..0.999f64,
        points in proptest::collection::btree_set(1..1000u64, 0..5),
        zero in any::<bool>(),
        way in 0..3usize,
        every in span(),
    ) -> Rate {
        let part = |share: f64| match run {
            Span::Epochs(epochs) => Span::Epochs(epochs * share),
            Span::Steps(steps) => Span::Steps(((steps as f64 * share) as u64).clamp(1, steps)),
        };
        // Points of the other unit are compared with the run only when an epoch's length is known.
        let point = |point: u64| match run {
            Span::Epochs(_) => Span::Steps(point),
            Span::Steps(_) => Span::Epochs(point as f64 / 7.0),
        };
        let end = if zero { RampEnd::Zero } else { RampEnd::OneStep };
        Rate {
            base,
            head,
            linear_scaling: reference_batch.map(|reference_batch| LinearScaling { reference_batch }),
            warmup: share.map(|share| Warmup { duration: part(share), first: end }),
            decay: match way {
                0 => Decay::Step { factor, at: points.into_iter().map(point).collect() },
                1 => Decay::Cosine { last: end },
                _ => Decay::Exponential { factor, every },
            },
        }
    }
}

prop_compose! {
    fn shape()(
        blocks in [1..9usize, 1..9usize, 1..9usize, 1..9usize],
        channels in [1..999usize, 1..999usize, 1..999usize, 1..999usize],
        half in 1..99usize,
    ) -> NetworkShape {
        NetworkShape { blocks, channels, stem_channels: 2 * half }
    }
}

/// What may stand between `[update]` and `[checkpoint]`.
type Refinements = (Target, Option<Mixup>, Option<Cutmix>, Option<Distillation>, Option<Averaging>);

prop_compose! {
    fn refinements()(
        smoothing in proptest::option::of((0.0..1.0f64, any::<bool>())),
        mixup in proptest::option::of((positive(), any::<bool>())),
        cutmix in proptest::option::of(positive()),
        distillation in proptest::option::of(("[a-z\"\\\\/ ]{0,9}x", positive(), any::<bool>())),
        average in proptest::option::of(1e-6..0.999_999f64),
    ) -> Refinements {
        let smoothing = smoothing.map(|(epsilon, all)| Smoothing {
            epsilon,
            over: if all { Spread::All } else { Spread::Others },
        });
        let mixup = mixup.map(|(alpha, reversed)| Mixup {
            alpha,
            pairing: if reversed { Pairing::Reversed } else { Pairing::Permutation },
        });
        let distillation = distillation.map(|(teacher, temperature, half)| Distillation {
            teacher,
            temperature,
            weighting: if half { Weighting::Half } else { Weighting::Sum },
        });
        let cutmix = cutmix.map(|alpha| Cutmix { alpha });
        let average = average.map(|decay| Averaging { decay });
        (Target { smoothing }, mixup, cutmix, distillation, average)
    }
}

prop_compose! {
    fn update()(
        (first, second) in (0.0..0.999f64, 0.0..0.999_999f64),
        (epsilon, decay) in (positive(), 0.0..1.0f64),
        rule in 0..3usize,
        bound in proptest::option::of((positive(), any::<bool>())),
        decay_on in proptest::sample::select(vec![DecayOn::Everything, DecayOn::Weights]),
    ) -> Update {
        Update {
            optimizer: match rule {
                0 => Optimizer::Nag { momentum: first },
                1 => Optimizer::Sgd { momentum: first },
                _ => Optimizer::Adamw { beta1: first, beta2: second, epsilon },
            },
            decay,
            decay_on,
            clip: bound.map(|(bound, norm)| if norm { Clip::Norm(bound) } else { Clip::Value(bound) }),
        }
    }
}

prop_compose! {
    fn recipe()(run in span())(
        name in "[a-z0-9._ \"'äßλ漢-]{0,12}",
        seed in any::<u64>(),
        last_gamma in -1e30..1e30f32,
        shape in proptest::option::of(shape()),
        stem in proptest::sample::select(vec![StemChoice::Imagenet, StemChoice::Small]),
        init in proptest::sample::select(vec![Init::Xavier, Init::XavierChannels, Init::MsraPrelu]),
        from in proptest::option::of("[a-z\"\\\\/ ]{0,9}x"),
        source in proptest::sample::select(vec![Source::Path, Source::FashionMnist]),
        (split, split_seed) in (1e-6..0.999f64, any::<u64>()),
        limit in proptest::option::of(1..99_999usize),
        (skip, exif) in any::<(bool, bool)>(),
        preprocess in preprocess(),
        rate in rate(run),
        (crop, margin) in (1..999usize, 0..999usize),
        (part, power, keep) in (1..999usize, 0..=10u32, 1..99usize),
        (target, mixup, cutmix, distillation, average) in refinements(),
        (evaluate_every, every) in (span(), interval()),
        update in update(),
        (precision, loss_scale) in proptest::sample::select(vec![
            (Precision::F32, None),
            (Precision::Bf16, None),
            (Precision::F16, Some(LossScale::Dynamic)),
            (Precision::F16, Some(LossScale::Off)),
        ]),
        run in Just(run),
    ) -> Recipe {
        Recipe {
            version: 2,
            name: format!("n{name}"),
            seed,
            network: NetworkChoice { model: "resnet50d".into(), stem, init, last_gamma, shape },
            init: from.map(|from| FineTuning { freeze: (keep > 50).then(|| from.clone()), from }),
            data: Data {
                source,
                split,
                split_seed,
                limit,
                on_bad_sample: if skip { OnBadSample::Skip } else { OnBadSample::Stop },
                orientation: if exif { Orientation::Exif } else { Orientation::Stored },
            },
            preprocess,
            validation: Some(Validation { resize: crop + margin, crop }),
            detect: None,
            probe: None,
            train: Train {
                duration: run,
                batch: part << power,
                parts: 1 << power,
                precision,
                loss_scale,
                evaluate_every,
            },
            rate,
            update,
            target,
            mixup,
            cutmix,
            distillation,
            average,
            checkpoint: Checkpointing { every, keep },
        }
    }
}

proptest! {
    #[test]
    fn writing_and_reading_again_changes_nothing(recipe in recipe()) {
        let text = to_toml(&recipe);
        let again = parse(&text, "r.toml", &models());
        prop_assert_eq!(again, Ok(recipe), "{}", text);
    }

    #[test]
    fn no_text_makes_the_reader_panic(cut in 0..2000usize, insert in "\\PC{0,20}") {
        let text = builtin("baseline").unwrap();
        let at = (cut..).find(|&at| text.is_char_boundary(at.min(text.len()))).unwrap().min(text.len());
        let broken = format!("{}{insert}{}", &text[..at], &text[at..]);
        if let Err(errors) = parse(&broken, "r.toml", &models()) {
            prop_assert!(!errors.mistakes.is_empty());
        }
        let _ = parse(&insert, "r.toml", &models());
        let _ = parse_with_edits(text, "r.toml", &[insert.clone(), format!("rate.base={insert}")], &models());
    }
}
