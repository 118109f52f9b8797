use std::fs;

use record::{Better, EvaluationRow, MeasureColumn, MeasureColumns, TrainRow, Unit};
use tempfile::TempDir;

use crate::run::{ReportError, RunFolder};
use crate::{LIMIT, page};

/// A run folder that a test may damage.
pub(super) struct Folder {
    root: TempDir,
    name: String,
}

const RECIPE: &str = include_str!("../../../../recipes/quickstart.toml");
const CLASSES: [&str; 3] = ["ant", "bee <b>", "cat"];

impl Folder {
    /// Two epochs, six predictions of which three are wrong.
    pub(super) fn of_a_run(name: &str) -> Folder {
        let folder = Folder { root: tempfile::tempdir().unwrap(), name: name.to_owned() };
        fs::create_dir_all(folder.path("mistakes")).unwrap();
        folder.write("recipe.toml", RECIPE);
        let classes = CLASSES.map(|class| format!("{class:?}")).join(",");
        let facts = "\"instruction_set\":\"avx2\",\"threads\":2,\"data\":\"pets\",\"train_images\":1200,\"validation_images\":6";
        folder.write("run.json", &format!("{{{facts},\"classes\":[{classes}]}}"));
        let mut metrics = String::new();
        for step in 1..=4u64 {
            let (epoch, loss) = (step as f64 / 2.0, 1.5 / step as f64);
            metrics += &format!(
                "{{\"kind\":\"train\",\"step\":{step},\"epoch\":{epoch},\"loss\":{loss},\"rate\":0.05,\
                 \"images_per_second\":{},\"wait_share\":0.25,\"seconds\":{step}.5}}\n",
                100 * step
            );
            if step % 2 == 0 {
                metrics += &format!(
                    "{{\"kind\":\"evaluation\",\"step\":{step},\"epoch\":{epoch},\"loss\":{loss},\"top1\":{},\
                     \"top5\":100.0,\"images\":6,\"seconds\":{step}.75}}\n",
                    70.0 - 10.0 * step as f64
                );
            }
        }
        folder.write("metrics.jsonl", &metrics);
        let mut predictions = String::new();
        for (index, (label, predicted, confidence)) in
            [(0, 0, 0.9), (0, 1, 0.875), (1, 1, 0.6), (1, 2, 0.5), (2, 2, 0.7), (2, 0, 0.99)]
                .into_iter()
                .enumerate()
        {
            predictions += &format!(
                "{{\"step\":4,\"image\":\"val/{index}.png\",\"label\":{label},\"predicted\":{predicted},\
                 \"confidence\":{confidence},\"gap\":{}.0}}\n",
                index + 1
            );
        }
        folder.write("predictions.jsonl", &predictions);
        fs::write(folder.path("mistakes/000005.png"), b"\x89PNG\r\n\x1a\nimage").unwrap();
        folder
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.root.path().join(&self.name).join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(super) fn edit(&self, name: &str, edit: impl FnOnce(String) -> String) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        self.write(name, &edit(text));
    }

    pub(super) fn read(&self) -> RunFolder {
        RunFolder::read(&self.path(""), &["resnet18d".to_owned()]).unwrap()
    }
}

/// The page, which has to be well-formed and to ask for nothing outside itself.
#[track_caller]
fn checked(runs: &[RunFolder]) -> String {
    let html = page(runs);
    assert!(html.len() <= LIMIT, "{} bytes", html.len());
    // A script is no XML.
    let markup = html.replace(include_str!("../../assets/page.js"), "");
    let markup = markup.strip_prefix("<!DOCTYPE html>\n").expect("a doctype");
    let document = roxmltree::Document::parse(markup).unwrap_or_else(|error| panic!("{error}"));
    for node in document.descendants() {
        for attribute in node.attributes().filter(|each| ["src", "href"].contains(&each.name())) {
            assert!(attribute.value().starts_with("data:"), "{attribute:?}");
        }
    }
    assert!(!html.contains("http://") && !html.contains("https://"));
    html
}

#[track_caller]
fn holds(html: &str, words: &[&str]) {
    for word in words {
        assert!(html.contains(word), "no {word:?}");
    }
}

#[test]
fn a_page_holds_what_the_run_left() {
    let html = checked(&[Folder::of_a_run("first").read()]);
    holds(
        &html,
        &[
            "<h1>first</h1>",
            "resnet18d by the recipe quickstart · on pets · 1,200 images to train on, 6 to validate",
            "<div class=\"value\">30.00 %</div>",
            "best 50.00 % at epoch 1",
            "4 steps",
            "<div class=\"value\">300</div>",
            "25.00 % of the time waiting for data",
            "data-x=\"0.5 1 1.5 2\" data-y=\"1.5 0.75 0.5 0.375\"",
            "bee &lt;b&gt;",
            "title=\"cat as ant: 50.0 %\">1</td>",
            "50.0 % <span class=\"soft\">1 of 2</span>",
            "data:image/png;base64,iVBORw0KGgppbWFnZQ==",
            "base = 0.2",
            "<dt>instruction set</dt><dd>avx2</dd>",
        ],
    );
    assert!(!html.contains("bee <b>"));
    assert!(!html.contains("class=\"note\""), "{}", html.split("class=\"note\"").nth(1).unwrap());
    // The surest mistake first: cat as ant, then ant as bee, then bee as cat.
    let order: Vec<usize> =
        ["99.0 %", "87.5 %", "50.0 %</span>"].iter().map(|text| html.find(text).unwrap()).collect();
    assert!(order.is_sorted(), "{order:?}");
}

#[test]
fn several_runs_stand_beside_each_other() {
    let (first, second) = (Folder::of_a_run("first"), Folder::of_a_run("second"));
    second.edit("recipe.toml", |text| text.replace("seed = 1", "seed = 2"));
    second.edit("metrics.jsonl", |text| text.replace("\"top1\":30", "\"top1\":93.5"));
    let html = checked(&[first.read(), second.read()]);
    holds(
        &html,
        &[
            "<h1>2 runs</h1>",
            "<td class=\"best\">93.50 %</td>",
            "<code>seed: 1 → 2</code>",
            "data-name=\"first\"",
            "data-name=\"second\"",
            "<details class=\"run\"><summary>second</summary>",
        ],
    );
}

/// Makes the folder one of a detector: another measure, a loss of two parts, no labels to predict.
fn detector(folder: &Folder) {
    let columns = vec![
        MeasureColumn::new("map", "mAP", Unit::Percent).in_full("mean average precision"),
        MeasureColumn::new("distance", "distance", Unit::Plain).in_full("mean distance"),
        MeasureColumn::new("images", "images", Unit::Count),
    ];
    let measure = MeasureColumns::new("map", Better::Higher, columns);
    let columns = serde_json::to_string(&measure).unwrap();
    folder.write(
        "run.json",
        &format!("{{\"measure\":{columns},\"classes\":[\"ant\"],\"threads\":2}}"),
    );
    let mut metrics = String::new();
    for step in 1..=4u64 {
        let (epoch, seconds) = (step as f64 / 2.0, step as f64);
        let row = TrainRow {
            step,
            epoch,
            loss: 1.5,
            gradient_norm: Some(step as f64 + 0.125),
            terms: vec![("rpn_box".to_owned(), 0.5), ("class".to_owned(), 1.0)],
            loss_scale: Some(1024.0),
            skipped: step - 1,
            seconds,
            ..TrainRow::default()
        };
        metrics += &row.to_line();
        let values = vec![50.0 - step as f64, 0.25, 4952.0];
        metrics += &EvaluationRow { step, epoch, values, seconds }.to_line(&measure);
    }
    folder.write("metrics.jsonl", &metrics);
    folder.write("predictions.jsonl", "{\"boxes\":[]}\n");
}

#[test]
fn a_page_serves_any_measure() {
    let folder = Folder::of_a_run("found");
    detector(&folder);
    let html = checked(&[folder.read()]);
    holds(
        &html,
        &[
            "<div class=\"soft\">mAP</div><div class=\"value\">46.00 %</div>",
            "best 49.00 % at epoch 0.5",
            "<div class=\"soft\">Mean distance</div><div class=\"value\">0.25</div>",
            "on 4,952 images",
            "4 steps, 6 skipped",
            "Mean average precision",
            "Parts of the training loss",
            "data-name=\"rpn box\"",
            "Gradient norm",
            "data-y=\"1.125 2.125 3.125 4.125\"",
            "Loss scale",
        ],
    );
    for other in ["top-1", "Top-1", "Confusion", "No predictions", "class=\"note\"", "Accuracy"] {
        assert!(!html.contains(other), "{other}");
    }
}

#[test]
fn runs_of_different_measures_stand_beside_each_other() {
    let (first, second) = (Folder::of_a_run("first"), Folder::of_a_run("second"));
    detector(&second);
    let html = checked(&[first.read(), second.read()]);
    let heads = "<th>top-1</th><th>best top-1</th><th>top-5</th><th>validation loss</th><th>mAP</th>\
                 <th>best mAP</th><th>mean distance</th>";
    holds(&html, &[heads, "<td class=\"best\">49.00 %</td><td>0.25</td>", "Training loss: class"]);
    let row = "<td class=\"best\">30.00 %</td><td class=\"best\">50.00 %</td><td class=\"best\">100.00 %</td>\
               <td class=\"best\">0.375</td><td>–</td><td>–</td><td>–</td>";
    holds(&html, &[row]);
}

#[test]
fn columns_that_cannot_be_read_are_told() {
    let folder = Folder::of_a_run("odd");
    folder.edit("run.json", |text| text.replacen('{', "{\"measure\":7,", 1));
    let run = folder.read();
    assert_eq!((run.evaluations.len(), run.predictions.len()), (2, 6));
    holds(&checked(&[run]), &["run.json does not tell the columns of the measure"]);
}

#[test]
fn what_is_damaged_or_missing_is_told_in_the_page() {
    let folder = Folder::of_a_run("hurt");
    folder.edit("metrics.jsonl", |text| {
        let text = text.replacen("\"loss\":0.75", "\"loss\":null", 1);
        format!("{text}{{\"kind\":\"later\",\"step\":9}}\nnonsense\n{{\"kind\":\"train\",\"ste")
    });
    folder.edit("predictions.jsonl", |text| text.replacen("\"label\":0", "\"label\":77", 1));
    folder.edit("recipe.toml", |text| text.replace("seed = 1", "sed = 1"));
    fs::remove_file(folder.path("run.json")).unwrap();
    let run = folder.read();
    assert_eq!(run.predictions.len(), 6, "without classes any label may be");
    folder.write("run.json", "{\"classes\":[\"a\",\"b\",\"c\"]}");
    let run = folder.read();
    assert_eq!((run.train.len(), run.evaluations.len(), run.predictions.len()), (4, 2, 5));
    assert!(run.train[1].loss.is_nan());
    let html = checked(&[run]);
    holds(
        &html,
        &[
            "lines 8, 9 of metrics.jsonl cannot be read and are left out",
            "line 1 of predictions.jsonl cannot be read and is left out",
            "sed",
        ],
    );

    for file in ["metrics.jsonl", "predictions.jsonl", "run.json"] {
        fs::remove_file(folder.path(file)).unwrap();
    }
    let html = checked(&[folder.read()]);
    holds(
        &html,
        &[
            "No predictions yet",
            "metrics.jsonl is missing",
            "run.json is missing",
            "not evaluated yet",
        ],
    );
    fs::write(folder.path("metrics.jsonl"), [0xff, 0xfe, b'\n', 0]).unwrap();
    fs::write(folder.path("run.json"), [0xff]).unwrap();
    holds(&checked(&[folder.read()]), &["lines 1, 2 of metrics.jsonl", "run.json is damaged"]);
}

#[test]
fn a_folder_that_is_no_run_is_an_error() {
    let folder = Folder::of_a_run("none");
    fs::remove_file(folder.path("recipe.toml")).unwrap();
    let error = RunFolder::read(&folder.path(""), &[]).unwrap_err();
    assert!(matches!(error, ReportError::NotARun { .. }), "{error}");
    assert!(error.to_string().contains("no run here"), "{error}");
    let error = RunFolder::read(&folder.path("nowhere"), &[]).unwrap_err();
    assert!(matches!(error, ReportError::Missing { .. }), "{error}");
    fs::create_dir(folder.path("recipe.toml")).unwrap();
    let error = RunFolder::read(&folder.path(""), &[]).unwrap_err();
    assert!(matches!(error, ReportError::Read { .. }), "{error}");
}

#[test]
fn above_fifty_classes_pairs_take_the_place_of_the_matrix() {
    let folder = Folder::of_a_run("many");
    let classes: Vec<String> = (0..60).map(|class| format!("\"kind {class}\"")).collect();
    folder.write("run.json", &format!("{{\"classes\":[{}]}}", classes.join(",")));
    let mut predictions = String::new();
    for index in 0..180 {
        let label = index % 60;
        let predicted = if label == 7 { 8 } else { label };
        predictions += &format!(
            "{{\"step\":4,\"image\":\"{index}\",\"label\":{label},\"predicted\":{predicted},\"confidence\":0.5,\"gap\":1.0}}\n"
        );
    }
    folder.write("predictions.jsonl", &predictions);
    let html = checked(&[folder.read()]);
    holds(
        &html,
        &["<th>kind 7</th><th>kind 8</th><td>3</td><td>100.00 %</td>", "easiest of 60 classes"],
    );
    assert!(!html.contains("Confusion matrix"));
}

#[test]
fn a_page_never_passes_its_limit() {
    let folder = Folder::of_a_run("large");
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    png.resize(99_000, 7);
    for index in 0..24 {
        fs::write(folder.path(&format!("mistakes/{index:06}.png")), &png).unwrap();
    }
    let mut predictions = String::new();
    for index in 0..24 {
        predictions += &format!(
            "{{\"step\":4,\"image\":\"{index}\",\"label\":0,\"predicted\":1,\"confidence\":0.5,\"gap\":1.0}}\n"
        );
    }
    folder.write("predictions.jsonl", &predictions);
    folder.edit("metrics.jsonl", |text| text.repeat(5000));
    let runs = vec![folder.read(); 40];
    let html = checked(&runs);
    assert_eq!(html.matches("data:image/png").count(), 24, "of one run");
    holds(&html, &["the predictions of 39 runs are left out"]);
}
