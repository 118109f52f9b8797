//! The keys of a recipe: which exist, which are optional, and what each looks like.

use crate::mistake::{Complaint, did_you_mean, nearest};
use crate::reader::Reader;
use crate::tree::{Place, Table, Value};

/// One key of the format.
pub(crate) struct Key {
    /// Dotted, such as `rate.warmup.duration`.
    pub(crate) path: &'static str,
    /// Whether a recipe may leave it out.
    pub(crate) optional: bool,
    kind: Kind,
}

/// What stands at a key.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Table,
    /// A table that holds exactly one of its keys.
    Choice,
    /// TOML of a value that the key takes.
    Value(&'static str),
}

const fn table(path: &'static str) -> Key {
    Key { path, optional: false, kind: Kind::Table }
}

const fn optional_table(path: &'static str) -> Key {
    Key { path, optional: true, kind: Kind::Table }
}

const fn choice(path: &'static str) -> Key {
    Key { path, optional: false, kind: Kind::Choice }
}

const fn optional_choice(path: &'static str) -> Key {
    Key { path, optional: true, kind: Kind::Choice }
}

const fn value(path: &'static str, example: &'static str) -> Key {
    Key { path, optional: false, kind: Kind::Value(example) }
}

const fn optional(path: &'static str, example: &'static str) -> Key {
    Key { path, optional: true, kind: Kind::Value(example) }
}

/// Every key, in the order of [`crate::Recipe`].
pub(crate) static KEYS: &[Key] = &[
    value("version", "2"),
    value("name", r#""my-run""#),
    value("seed", "1"),
    table("network"),
    value("network.model", r#""resnet50d""#),
    value("network.stem", r#""imagenet""#),
    value("network.init", r#""xavier""#),
    value("network.last_gamma", "0.0"),
    optional_table("network.shape"),
    value("network.shape.blocks", "[3, 4, 6, 3]"),
    value("network.shape.channels", "[64, 128, 256, 512]"),
    value("network.shape.stem_channels", "64"),
    optional_table("init"),
    value("init.from", r#""runs/pretrained""#),
    optional("init.freeze", r#""stage1""#),
    table("data"),
    value("data.source", r#""path""#),
    value("data.split", "0.1"),
    optional("data.split_seed", "1"),
    optional("data.limit", "10000"),
    optional("data.on_bad_sample", r#""skip""#),
    optional("data.orientation", r#""exif""#),
    table("preprocess"),
    value("preprocess.size", "224"),
    optional_table("preprocess.crop"),
    value("preprocess.crop.area", "[0.08, 1.0]"),
    value("preprocess.crop.aspect", "[0.75, 1.3333333333333333]"),
    optional("preprocess.flip", "0.5"),
    optional_table("preprocess.randaugment"),
    value("preprocess.randaugment.operations", "2"),
    value("preprocess.randaugment.magnitude", "9.0"),
    optional_table("preprocess.jitter"),
    value("preprocess.jitter.brightness", "[0.6, 1.4]"),
    value("preprocess.jitter.contrast", "[0.6, 1.4]"),
    value("preprocess.jitter.saturation", "[0.6, 1.4]"),
    optional_table("preprocess.color"),
    value("preprocess.color.hue", "[0.6, 1.4]"),
    value("preprocess.color.saturation", "[0.6, 1.4]"),
    value("preprocess.color.brightness", "[0.6, 1.4]"),
    optional("preprocess.pca_noise", "0.1"),
    table("preprocess.normalize"),
    value("preprocess.normalize.mean", "[123.68, 116.779, 103.939]"),
    value("preprocess.normalize.std", "[58.393, 57.12, 57.375]"),
    optional_table("preprocess.erasing"),
    value("preprocess.erasing.probability", "0.25"),
    value("preprocess.erasing.area", "[0.02, 0.4]"),
    value("preprocess.erasing.aspect", "[0.3, 3.3333333333333335]"),
    table("validation"),
    value("validation.resize", "256"),
    value("validation.crop", "224"),
    table("train"),
    value("train.duration", r#""120 epochs""#),
    value("train.batch", "256"),
    value("train.parts", "8"),
    optional("train.precision", r#""f16""#),
    optional("train.loss_scale", r#""dynamic""#),
    value("train.evaluate_every", r#""1 epoch""#),
    table("rate"),
    value("rate.base", "0.1"),
    optional("rate.head", "10.0"),
    optional_table("rate.linear_scaling"),
    value("rate.linear_scaling.reference_batch", "256"),
    optional_table("rate.warmup"),
    value("rate.warmup.duration", r#""5 epochs""#),
    optional("rate.warmup.first", r#""zero""#),
    choice("rate.decay"),
    optional_table("rate.decay.step"),
    value("rate.decay.step.factor", "0.1"),
    value("rate.decay.step.at", r#"["30 epochs", "60 epochs", "90 epochs"]"#),
    optional_table("rate.decay.cosine"),
    optional("rate.decay.cosine.last", r#""zero""#),
    optional_table("rate.decay.exponential"),
    value("rate.decay.exponential.factor", "0.94"),
    value("rate.decay.exponential.every", r#""2 epochs""#),
    table("update"),
    choice("update.optimizer"),
    optional_table("update.optimizer.nag"),
    value("update.optimizer.nag.momentum", "0.9"),
    optional_table("update.optimizer.sgd"),
    value("update.optimizer.sgd.momentum", "0.9"),
    optional_table("update.optimizer.adamw"),
    value("update.optimizer.adamw.beta1", "0.9"),
    value("update.optimizer.adamw.beta2", "0.999"),
    value("update.optimizer.adamw.epsilon", "1e-8"),
    value("update.decay", "1e-4"),
    value("update.decay_on", r#""weights""#),
    optional_choice("update.clip"),
    optional("update.clip.norm", "2.0"),
    optional("update.clip.value", "1.0"),
    optional_table("target"),
    optional_table("target.smoothing"),
    value("target.smoothing.epsilon", "0.1"),
    value("target.smoothing.over", r#""others""#),
    optional_table("mixup"),
    value("mixup.alpha", "0.2"),
    value("mixup.pairing", r#""permutation""#),
    optional_table("cutmix"),
    value("cutmix.alpha", "1.0"),
    optional_table("distillation"),
    value("distillation.teacher", r#""runs/teacher""#),
    value("distillation.temperature", "20.0"),
    value("distillation.weighting", r#""sum""#),
    optional_table("average"),
    value("average.decay", "0.9999"),
    table("checkpoint"),
    value("checkpoint.every", r#""5 minutes""#),
    value("checkpoint.keep", "2"),
];

pub(crate) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// The path of `key` in the table at `table`; the empty path is the whole recipe.
pub(crate) fn join(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
}

/// `rate.warmup` ↦ (`rate`, `warmup`).
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

impl Key {
    pub(crate) fn is_table(&self) -> bool {
        !matches!(self.kind, Kind::Value(_))
    }

    /// How to write it: `base = 0.1`, `warmup = { duration = "5 epochs" }`.
    pub(crate) fn example(&self) -> String {
        let (_, name) = split(self.path);
        let inner: Vec<String> = match self.kind {
            Kind::Value(example) => return format!("{name} = {example}"),
            Kind::Choice => children(self.path).take(1).map(Key::example).collect(),
            Kind::Table => {
                let required = children(self.path).filter(|key| !key.optional);
                let inner: Vec<String> = required.map(Key::example).collect();
                let tables = children(self.path).filter(|key| inner.is_empty() && key.is_table());
                let inner_table: Vec<String> = tables.take(1).map(Key::example).collect();
                [inner, inner_table].concat()
            }
        };
        match inner.is_empty() {
            true => format!("{name} = {{}}"),
            false => format!("{name} = {{ {} }}", inner.join(", ")),
        }
    }

    /// How to give it on the command line: `--set rate.base=0.1`, `--set 'train.duration=120 epochs'`.
    pub(crate) fn argument(&self) -> String {
        let example = self.example();
        let (_, value) = example.split_once(" = ").expect("an example has a value");
        let text = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        let edit = format!("{}={}", self.path, text.unwrap_or(value));
        // Quotes keep a shell from taking the edit apart.
        let is_word = edit.chars().all(|c| c.is_ascii_alphanumeric() || "=._-".contains(c));
        if is_word { format!("--set {edit}") } else { format!("--set '{edit}'") }
    }

    /// What to add where it is missing.
    fn addition(&self) -> String {
        if !self.is_table() || self.path.contains('.') {
            return format!("add {}", self.example());
        }
        let required = children(self.path).filter(|key| !key.optional);
        let names: Vec<&str> = required.map(|key| split(key.path).1).collect();
        format!("add [{}] with {}", self.path, names.join(", "))
    }
}

fn children(table: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| split(key.path).0 == table)
}

/// The tables that hold exactly one of their keys, each with the names of these.
pub(crate) fn choices() -> impl Iterator<Item = (&'static Key, Vec<&'static str>)> {
    let choices = KEYS.iter().filter(|key| key.kind == Kind::Choice);
    choices.map(|key| (key, children(key.path).map(|child| split(child.path).1).collect()))
}

/// Reports every key that does not exist, every one that is missing, and every table that is not one.
pub(crate) fn check_structure(reader: &mut Reader<'_>, path: &str, place: &Place, table: &Table) {
    let here: Vec<&str> = children(path).map(|key| split(key.path).1).collect();
    let mut misspelt = Vec::new();
    for entry in table.entries() {
        let inner_path = join(path, &entry.key);
        match (find(&inner_path), &entry.node.value) {
            (None, _) => {
                reader.complain(path, &entry.place, unknown_key(path, &entry.key));
                misspelt.extend(nearest(&entry.key, &here));
            }
            (Some(key), Value::Table(inner)) if key.is_table() => {
                check_structure(reader, key.path, &entry.place, inner);
            }
            (Some(key), other) if key.is_table() => {
                let mut complaint = Complaint::expected("a table", &other.describe());
                if key.optional {
                    complaint.mend =
                        format!("write {}, or leave it out to switch it off", key.example());
                }
                reader.complain(key.path, &entry.node.place, complaint);
            }
            // The reader of this value checks it.
            (Some(_), _) => {}
        }
    }
    for key in children(path).filter(|key| !key.optional) {
        let (_, name) = split(key.path);
        // A misspelt key is one mistake, not also a missing one.
        if table.get(name).is_none() && !misspelt.contains(&name) {
            let what = if key.is_table() { "table" } else { "key" };
            let complaint = Complaint::new(format!("missing {what} '{name}'"), key.addition());
            reader.complain(path, place, complaint);
        }
    }
}

/// The complaint about `key` in the table at `path`, with what was meant: a key of this table, else one of another.
pub(crate) fn unknown_key(path: &str, key: &str) -> Complaint {
    let here: Vec<&str> = children(path).map(|key| split(key.path).1).collect();
    let elsewhere = || {
        let same = KEYS.iter().find(|other| split(other.path).1 == key)?;
        Some(format!("did you mean '{}'?", same.path))
    };
    let renamed = || (key == "accumulate").then(|| "it is 'train.parts' now".to_owned());
    let mend = did_you_mean(key, &here)
        .or_else(renamed)
        .or_else(elsewhere)
        .unwrap_or_else(|| format!("the keys here are {}", here.join(", ")));
    Complaint::new(format!("unknown key '{key}'"), mend)
}
