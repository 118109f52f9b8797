//! A recipe as TOML, complete and in a stable order, and the difference of two.

use crate::types::*;
use crate::words::{
    DECAY_ON, INITS, LOSS_SCALES, ON_BAD_SAMPLE, ORIENTATIONS, PAIRINGS, PRECISIONS, RAMP_ENDS,
    SOURCES, SPREADS, STEMS, WEIGHTINGS, word,
};

/// A value as TOML writes it, or the entries of a table.
enum Written {
    Plain(String),
    Table(Vec<(&'static str, Written)>),
}

use Written::{Plain, Table};

type Entries = Vec<(&'static str, Written)>;

/// The whole recipe as TOML; reading it again gives the same recipe.
pub fn to_toml(recipe: &Recipe) -> String {
    let mut text = String::new();
    for (key, value) in entries(recipe) {
        match value {
            Plain(value) => text.push_str(&format!("{key} = {value}\n")),
            Table(entries) => {
                text.push_str(&format!("\n[{key}]\n"));
                for (key, value) in entries {
                    text.push_str(&format!("{key} = {}\n", inline(&value)));
                }
            }
        }
    }
    text
}

fn inline(value: &Written) -> String {
    match value {
        Plain(value) => value.clone(),
        Table(entries) => {
            if entries.is_empty() {
                return "{}".to_owned();
            }
            let entries = entries.iter().map(|(key, value)| format!("{key} = {}", inline(value)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

/// The keys that differ between two recipes, each with its value in `a` and in `b`: `rate.base: 0.1 → 0.2`.
pub fn diff(a: &Recipe, b: &Recipe) -> Vec<String> {
    let (a, b) = (leaves(a), leaves(b));
    let value = |leaves: &[(String, String)], key: &str| {
        let found = leaves.iter().find(|(each, _)| each == key);
        found.map_or("off".to_owned(), |(_, value)| value.clone())
    };
    let mut keys: Vec<&String> = a.iter().map(|(key, _)| key).collect();
    keys.extend(
        b.iter().map(|(key, _)| key).filter(|key| a.iter().all(|(other, _)| other != *key)),
    );
    let changes = keys.into_iter().map(|key| (key, value(&a, key), value(&b, key)));
    changes.filter(|(_, a, b)| a != b).map(|(key, a, b)| format!("{key}: {a} → {b}")).collect()
}

/// Every plain value with its dotted key.
fn leaves(recipe: &Recipe) -> Vec<(String, String)> {
    fn walk(path: &str, value: Written, leaves: &mut Vec<(String, String)>) {
        match value {
            Plain(value) => leaves.push((path.to_owned(), value)),
            Table(entries) if entries.is_empty() => leaves.push((path.to_owned(), "{}".to_owned())),
            Table(entries) => {
                for (key, value) in entries {
                    walk(&crate::schema::join(path, key), value, leaves);
                }
            }
        }
    }
    let mut leaves = Vec::new();
    walk("", Table(entries(recipe)), &mut leaves);
    leaves
}

fn entries(recipe: &Recipe) -> Entries {
    let Recipe {
        version,
        name,
        seed,
        network: network_table,
        init,
        data: data_table,
        preprocess: preprocess_table,
        validation,
        train: train_table,
        rate: rate_table,
        update: update_table,
        target,
        mixup,
        cutmix,
        distillation,
        average,
        checkpoint,
    } = recipe;
    let tricks = [
        ("target", target.smoothing.map(smoothing)),
        ("mixup", mixup.map(mixing)),
        ("cutmix", cutmix.map(|Cutmix { alpha }| Table(vec![("alpha", number(alpha))]))),
        ("distillation", distillation.as_ref().map(distilling)),
        ("average", average.map(|Averaging { decay }| Table(vec![("decay", number(decay))]))),
    ];
    let mut entries = vec![
        ("version", Plain(version.to_string())),
        ("name", text(name)),
        ("seed", Plain(seed.to_string())),
        ("network", network(network_table)),
    ];
    entries.extend(init.as_ref().map(|init| ("init", fine_tuning(init))));
    entries.extend([
        ("data", data(data_table)),
        ("preprocess", preprocess(preprocess_table)),
        (
            "validation",
            Table(vec![
                ("resize", Plain(validation.resize.to_string())),
                ("crop", Plain(validation.crop.to_string())),
            ]),
        ),
        ("train", train(train_table)),
        ("rate", rate(rate_table)),
        ("update", update(update_table)),
    ]);
    entries.extend(tricks.into_iter().filter_map(|(name, table)| Some((name, table?))));
    let Checkpointing { every, keep } = checkpoint;
    let checkpoint = vec![("every", text(every)), ("keep", Plain(keep.to_string()))];
    entries.push(("checkpoint", Table(checkpoint)));
    entries
}

fn data(data: &Data) -> Written {
    let Data { source, split, split_seed, limit, on_bad_sample, orientation } = *data;
    let mut entries = vec![
        ("source", text(word(SOURCES, &source))),
        ("split", number(split)),
        ("split_seed", Plain(split_seed.to_string())),
    ];
    entries.extend(limit.map(|limit| ("limit", Plain(limit.to_string()))));
    entries.push(("on_bad_sample", text(word(ON_BAD_SAMPLE, &on_bad_sample))));
    entries.push(("orientation", text(word(ORIENTATIONS, &orientation))));
    Table(entries)
}

fn train(train: &Train) -> Written {
    let Train { duration, batch, parts, precision, loss_scale, evaluate_every } = train;
    let mut entries = vec![
        ("duration", text(duration)),
        ("batch", Plain(batch.to_string())),
        ("parts", Plain(parts.to_string())),
        ("precision", text(word(PRECISIONS, precision))),
    ];
    if let Some(loss_scale) = loss_scale {
        entries.push(("loss_scale", text(word(LOSS_SCALES, loss_scale))));
    }
    entries.push(("evaluate_every", text(evaluate_every)));
    Table(entries)
}

fn update(update: &Update) -> Written {
    let Update { optimizer, decay, decay_on, clip } = update;
    let optimizer = match *optimizer {
        Optimizer::Nag { momentum } => ("nag", Table(vec![("momentum", number(momentum))])),
        Optimizer::Sgd { momentum } => ("sgd", Table(vec![("momentum", number(momentum))])),
        Optimizer::Adamw { beta1, beta2, epsilon } => {
            let adamw = vec![
                ("beta1", number(beta1)),
                ("beta2", number(beta2)),
                ("epsilon", number(epsilon)),
            ];
            ("adamw", Table(adamw))
        }
    };
    let mut entries = vec![
        ("optimizer", Table(vec![optimizer])),
        ("decay", number(*decay)),
        ("decay_on", text(word(DECAY_ON, decay_on))),
    ];
    let clip = clip.map(|clip| match clip {
        Clip::Norm(norm) => ("norm", number(norm)),
        Clip::Value(value) => ("value", number(value)),
    });
    entries.extend(clip.map(|clip| ("clip", Table(vec![clip]))));
    Table(entries)
}

fn smoothing(Smoothing { epsilon, over }: Smoothing) -> Written {
    let smoothing = vec![("epsilon", number(epsilon)), ("over", text(word(SPREADS, &over)))];
    Table(vec![("smoothing", Table(smoothing))])
}

fn mixing(Mixup { alpha, pairing }: Mixup) -> Written {
    Table(vec![("alpha", number(alpha)), ("pairing", text(word(PAIRINGS, &pairing)))])
}

fn distilling(Distillation { teacher, temperature, weighting }: &Distillation) -> Written {
    Table(vec![
        ("teacher", text(teacher)),
        ("temperature", number(*temperature)),
        ("weighting", text(word(WEIGHTINGS, weighting))),
    ])
}

fn fine_tuning(FineTuning { from, freeze }: &FineTuning) -> Written {
    let freeze = freeze.iter().map(|feature| ("freeze", text(feature)));
    Table([("from", text(from))].into_iter().chain(freeze).collect())
}

fn network(network: &NetworkChoice) -> Written {
    let NetworkChoice { model, stem, init, last_gamma, shape } = network;
    let mut entries = vec![
        ("model", text(model)),
        ("stem", text(word(STEMS, stem))),
        ("init", text(word(INITS, init))),
        ("last_gamma", Plain(format!("{last_gamma:?}"))),
    ];
    if let Some(NetworkShape { blocks, channels, stem_channels }) = shape {
        let shape = vec![
            ("blocks", Plain(format!("{blocks:?}"))),
            ("channels", Plain(format!("{channels:?}"))),
            ("stem_channels", Plain(stem_channels.to_string())),
        ];
        entries.push(("shape", Table(shape)));
    }
    Table(entries)
}

fn preprocess(preprocess: &Preprocess) -> Written {
    let Preprocess {
        size,
        crop,
        flip,
        randaugment,
        jitter,
        color,
        pca_noise,
        normalize,
        erasing,
        ..
    } = preprocess;
    let mut entries = vec![("size", Plain(size.to_string()))];
    if let Some(Crop { area, aspect }) = crop {
        entries.push(("crop", Table(vec![("area", numbers(area)), ("aspect", numbers(aspect))])));
    }
    if let Some(flip) = flip {
        entries.push(("flip", number(*flip)));
    }
    if let Some(RandAugment { operations, magnitude }) = randaugment {
        let randaugment =
            vec![("operations", Plain(operations.to_string())), ("magnitude", number(*magnitude))];
        entries.push(("randaugment", Table(randaugment)));
    }
    if let Some(Jitter { brightness, contrast, saturation }) = jitter {
        let jitter = vec![
            ("brightness", numbers(brightness)),
            ("contrast", numbers(contrast)),
            ("saturation", numbers(saturation)),
        ];
        entries.push(("jitter", Table(jitter)));
    }
    if let Some(Color { hue, saturation, brightness }) = color {
        let color = vec![
            ("hue", numbers(hue)),
            ("saturation", numbers(saturation)),
            ("brightness", numbers(brightness)),
        ];
        entries.push(("color", Table(color)));
    }
    if let Some(deviation) = pca_noise {
        entries.push(("pca_noise", number(*deviation)));
    }
    let Normalize { mean, std } = normalize;
    entries.push(("normalize", Table(vec![("mean", numbers(mean)), ("std", numbers(std))])));
    if let Some(Erasing { probability, area, aspect }) = erasing {
        let erasing = vec![
            ("probability", number(*probability)),
            ("area", numbers(area)),
            ("aspect", numbers(aspect)),
        ];
        entries.push(("erasing", Table(erasing)));
    }
    Table(entries)
}

fn rate(rate: &Rate) -> Written {
    let Rate { base, head, linear_scaling, warmup, decay } = rate;
    let mut entries = vec![("base", number(*base))];
    entries.extend(head.map(|head| ("head", number(head))));
    if let Some(LinearScaling { reference_batch }) = linear_scaling {
        let scaling = vec![("reference_batch", Plain(reference_batch.to_string()))];
        entries.push(("linear_scaling", Table(scaling)));
    }
    if let Some(Warmup { duration, first }) = warmup {
        let warmup = vec![("duration", text(duration)), ("first", text(word(RAMP_ENDS, first)))];
        entries.push(("warmup", Table(warmup)));
    }
    let decay = match decay {
        Decay::Step { factor, at } => {
            let points = at.iter().map(|point| inline(&text(point))).collect::<Vec<_>>().join(", ");
            let step = vec![("factor", number(*factor)), ("at", Plain(format!("[{points}]")))];
            ("step", Table(step))
        }
        Decay::Cosine { last } => ("cosine", Table(vec![("last", text(word(RAMP_ENDS, last)))])),
        Decay::Exponential { factor, every } => {
            ("exponential", Table(vec![("factor", number(*factor)), ("every", text(every))]))
        }
    };
    entries.push(("decay", Table(vec![decay])));
    Table(entries)
}

/// Text in quotes, escaped as TOML asks.
fn text(text: impl ToString) -> Written {
    Plain(toml::Value::String(text.to_string()).to_string())
}

/// The shortest decimal that reads back as the same number; always with a point or an exponent, as TOML's floats.
fn number(number: f64) -> Written {
    Plain(format!("{number:?}"))
}

fn numbers(numbers: &[f64]) -> Written {
    Plain(format!("{numbers:?}"))
}
