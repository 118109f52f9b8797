//! The paper's tables as recipes, and their presets.

use crate::ablation::{Ablation, AblationError};
use crate::tables::{self, TableError};
use crate::*;

/// The networks of the tables.
pub(super) fn models() -> Vec<String> {
    let names = [
        "resnet50_original",
        "resnet50",
        "resnet50c",
        "resnet50d",
        "resnet50s",
        "resnet152d",
        "inception_v3",
        "mobilenetv1_100",
        "mobilenetv1_050",
        "mobilenetv1_025",
        "resnext50_32x4d",
        "seresnet50_original",
        "seresnext50_32x4d",
        "densenet201",
    ];
    names.map(str::to_owned).to_vec()
}

fn row(name: &str) -> Recipe {
    let text = tables::toml(name, &models()).expect("a row's name").unwrap();
    parse(&text, name, &models()).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn every_row_is_a_recipe_with_its_published_numbers() {
    let mut count = 0;
    for table in tables::all() {
        for cell in table.cells() {
            assert_eq!(row(&cell.name()).name, cell.name());
            let ours = ["baseline", "teacher", "teacher-mixup"];
            let unpublished = table.name != "table2" && ours.contains(&table.rows[cell.row].name);
            assert_eq!(cell.published().is_empty(), unpublished, "{}", cell.name());
            count += 1;
        }
    }
    assert_eq!(count, 7 + 3 + 6 + 12 + 4 + 24 + 2);
}

#[test]
fn the_rows_of_tables_8_and_9_are_recipes_of_their_tasks() {
    let mut numbers = Vec::new();
    for cell in tables::transfer().iter().flat_map(tables::Table::cells) {
        let recipe = row(&cell.name());
        let task = match cell.table.name {
            "table8" => TaskKind::Detection,
            _ => TaskKind::Segmentation,
        };
        assert_eq!((recipe.task(), recipe.name.as_str()), (task, &*cell.name()));
        let row = cell.name().split_once('.').unwrap().1.to_owned();
        let from = &recipe.init.as_ref().unwrap().from;
        assert!(from.ends_with(&row) || row == "standard", "{row} begins with {from}");
        assert_eq!(recipe.network.model == "resnet50", row == "standard", "{row}");
        numbers.extend(cell.published().last().map(|each| each.value));
    }
    let detection = [77.54, 78.30, 79.23, 80.71, 80.96, 81.10, 81.33];
    let segmentation = [37.05, 38.88, 39.33, 38.75, 38.90, 37.99, 38.40];
    assert_eq!(numbers, [detection, segmentation].concat());
}

#[test]
fn rows_are_stacks_of_edits() {
    for (name, parent, differences) in [
        (
            "table4.warmup",
            "table4.linear-scaling",
            vec![
                "rate.warmup.duration: off → \"5 epochs\"",
                "rate.warmup.first: off → \"one-step\"",
            ],
        ),
        ("table4.zero-gamma", "table4.warmup", vec!["network.last_gamma: 1.0 → 0.0"]),
        (
            "table4.bs1024.no-bias-decay",
            "table4.bs1024.zero-gamma",
            vec!["update.decay_on: \"everything\" → \"weights\""],
        ),
        (
            "table4.fp16",
            "table4.no-bias-decay",
            vec!["train.precision: \"f32\" → \"f16\"", "train.loss_scale: off → \"dynamic\""],
        ),
        ("table4.bs1024.warmup", "table4.warmup", vec!["train.batch: 256 → 1024"]),
        (
            "table5.resnet50-d",
            "table5.resnet50-c",
            vec!["network.model: \"resnet50c\" → \"resnet50d\""],
        ),
        (
            "table6.smoothing",
            "table6.cosine",
            vec!["target.smoothing.epsilon: off → 0.1", "target.smoothing.over: off → \"others\""],
        ),
        (
            "table6.mixup",
            "table6.smoothing",
            vec![
                "train.duration: \"120 epochs\" → \"200 epochs\"",
                "mixup.alpha: off → 0.2",
                "mixup.pairing: off → \"permutation\"",
            ],
        ),
        (
            "table6.distillation-mixup",
            "table6.mixup",
            vec![
                "distillation.teacher: off → \"runs/table6.teacher-mixup\"",
                "distillation.temperature: off → 20.0",
                "distillation.weighting: off → \"sum\"",
            ],
        ),
        (
            "table6.teacher",
            "table6.smoothing",
            vec!["network.model: \"resnet50d\" → \"resnet152d\""],
        ),
    ] {
        let found: Vec<String> = diff(&row(parent), &row(name))
            .into_iter()
            .filter(|each| !each.starts_with("name: "))
            .collect();
        assert_eq!(found, differences, "{name}");
    }
}

#[test]
fn the_bases_are_the_built_in_recipes() {
    let name = |recipe: Recipe| Recipe { name: String::new(), ..recipe };
    let builtin = |name: &str| parse(builtin(name).unwrap(), name, &models()).unwrap();
    assert_eq!(name(row("table2.resnet50")), name(builtin("baseline")));
    assert_eq!(name(row("table5.resnet50")), name(builtin("efficient")));
    assert_eq!(name(row("table4.bs1024.fp16")), name(builtin("efficient")));
    assert_eq!(name(row("table3.resnet50")), name(builtin("efficient")));
}

#[test]
fn a_row_says_what_it_is() {
    let text = tables::toml("table6.mobilenet.mixup", &models()).unwrap().unwrap();
    let head: Vec<&str> = text.lines().take(2).collect();
    assert_eq!(
        head,
        [
            "# Table 6, MobileNet, + mixup w/o distill. Published: 73.28 top-1, 91.30 top-5.",
            "# efficient + MobileNet + cosine decay (§5.1) + label smoothing (§5.2) + mixup for 200 epochs (§5.4)",
        ]
    );
    let inception = row("table6.inception_v3.teacher");
    assert_eq!((inception.preprocess.side(), inception.validation().resize), (299, 342));
    assert_eq!(inception.network.model, "resnet152d");
}

#[test]
fn unknown_names_are_answered_with_the_nearest() {
    let wrong = |name: &str| tables::toml(name, &models()).unwrap().unwrap_err().to_string();
    for (name, words) in [
        ("table66.mixup", "no table is named \"table66\"; did you mean \"table6\"?"),
        ("table6.mixap", "table6 has no row \"mixap\"; did you mean \"mixup\"?"),
        ("table6.mobilnet.mixup", "no column \"mobilnet\"; did you mean \"mobilenet\"?"),
        ("table2.reference.mobilenet", "table2 has no column \"reference\""),
    ] {
        assert!(wrong(name).contains(words), "{}", wrong(name));
    }
    for no_row in ["quickstart", "my.toml", "runs/table6.toml", "what.ever"] {
        assert!(tables::toml(no_row, &models()).is_none(), "{no_row}");
    }
    let error = presets::find("cifar").unwrap_err().to_string();
    assert!(error.contains("did you mean \"cifar10\"?"), "{error}");
}

fn ablation(table: &str, preset: &str, rows: &[&str], columns: &[&str]) -> Ablation {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let (table, preset) = (tables::find(table).unwrap(), presets::find(preset).unwrap());
    Ablation::new(table, preset, &owned(rows), &owned(columns), &models()).unwrap()
}

#[test]
fn every_table_reads_at_every_preset() {
    for preset in presets::all() {
        for table in tables::all() {
            let planned = Ablation::new(table.clone(), *preset, &[], &[], &models()).unwrap();
            for cell in &planned.cells {
                let text = to_toml(&cell.recipe);
                assert_eq!(parse(&text, "r", &models()).as_ref(), Ok(&cell.recipe), "{text}");
                assert!(cell.teacher.is_none_or(|index| planned.cells[index].teaches));
            }
            let students = planned.cells.iter().filter(|cell| !cell.teaches && cell.chosen).count();
            let all = table.cells().filter(|cell| !table.rows[cell.row].teaches).count();
            assert_eq!(students + planned.left_out.len(), all, "{} {}", preset.name, table.name);
        }
    }
}

#[test]
fn a_preset_shrinks_all_spans_alike() {
    let planned = ablation("table6", "cifar10", &[], &["resnet50d"]);
    let recipe = |name: &str| &planned.cells.iter().find(|cell| cell.name == name).unwrap().recipe;
    assert_eq!(recipe("smoothing").train.duration, Span::Epochs(15.0));
    for mixed in ["mixup", "distillation-mixup", "teacher-mixup"] {
        assert_eq!(recipe(mixed).train.duration, Span::Epochs(25.0), "{mixed}");
    }
    let efficient = recipe("efficient");
    assert_eq!(efficient.rate.warmup.unwrap().duration, Span::Epochs(0.625));
    assert_eq!((efficient.train.batch, efficient.train.parts), (128, 1));
    assert_eq!(efficient.rate.linear_scaling.unwrap().reference_batch, 32);
    let points = [3.75, 7.5, 11.25].map(Span::Epochs).to_vec();
    assert_eq!(efficient.rate.decay, Decay::Step { factor: 0.1, at: points });
    assert!(planned.preset.caption().contains("15 epochs for 120 (mixup: 25 for 200)"));
}

#[test]
fn teachers_come_first_and_only_where_needed() {
    let names = |planned: &Ablation| {
        let chosen = planned.cells.iter().filter(|cell| cell.chosen);
        chosen.map(|cell| cell.name.clone()).collect::<Vec<_>>()
    };
    let some = ablation("table6", "smoke", &["cosine", "distillation"], &["resnet50d"]);
    assert_eq!(names(&some), ["teacher", "cosine", "distillation"]);
    // ResNet-152-D is the same whatever it teaches.
    let other = ablation("table6", "smoke", &["distillation"], &["mobilenet"]);
    assert_eq!(names(&other), ["teacher", "mobilenet.distillation"]);
    let without = ablation("table6", "smoke", &["mixup"], &["resnet50d", "mobilenet"]);
    assert_eq!(names(&without), ["mixup", "mobilenet.mixup"]);
    let table = tables::find("table2").unwrap();
    let smoke = presets::find("smoke").unwrap();
    let rows = ["inception_v3".to_owned()];
    let error = Ablation::new(table, smoke, &rows, &[], &models()).unwrap_err();
    assert!(matches!(error, AblationError::NothingToRun { .. }), "{error}");
    let error =
        Ablation::new(tables::find("table4").unwrap(), smoke, &["warm".to_owned()], &[], &models());
    let Err(AblationError::Name(TableError::Row { nearest, .. })) = error else {
        panic!("{error:?}")
    };
    assert_eq!(nearest.as_deref(), Some("warmup"));
}

/// At the reference batch linear scaling scales by 1, so the paper's first row and ours are one run.
#[test]
fn a_run_is_not_planned_twice() {
    let planned = ablation("table4", "cifar10", &[], &[]);
    let same: Vec<(&str, &str)> = planned
        .cells
        .iter()
        .filter_map(|cell| Some((cell.name.as_str(), planned.cells[cell.same_as?].name.as_str())))
        .collect();
    assert_eq!(same, [("linear-scaling", "baseline")]);
    let second = ablation("table4", "cifar10", &["linear-scaling"], &["bs256"]);
    let chosen: Vec<&str> =
        second.cells.iter().filter(|cell| cell.chosen).map(|cell| cell.name.as_str()).collect();
    assert_eq!(chosen, ["baseline", "linear-scaling"]);
    assert_eq!(planned.cell(0, 1).unwrap().name, "baseline");
    assert_eq!(planned.cell(1, 1).unwrap().name, "bs1024.linear-scaling");
}

/// The authors' released commands: their variant at every point where it is another than the paper's.
#[test]
fn the_authors_commands_say_what_their_code_does() {
    for (name, epochs, batch, base) in [
        ("gluoncv-inception-v3-mixup", 200.0, 1024, 0.4),
        ("gluoncv-mobilenet", 120.0, 1024, 0.4),
        ("gluoncv-mobilenet-mixup", 200.0, 1024, 0.4),
        ("gluoncv-resnet152d", 120.0, 512, 0.2),
        ("gluoncv-resnet152d-mixup", 200.0, 256, 0.1),
        ("gluoncv-resnet50d", 120.0, 1024, 0.4),
        ("gluoncv-resnet50d-mixup", 200.0, 1024, 0.4),
    ] {
        let recipe = parse(builtin(name).unwrap(), name, &models()).unwrap();
        assert_eq!(recipe.train.duration, Span::Epochs(epochs), "{name}");
        assert_eq!((recipe.train.batch, recipe.rate.base), (batch, base), "{name}");
        assert_eq!(recipe.train.parts, 8, "{name}");
        assert_eq!(recipe.network.init, Init::MsraPrelu);
        assert_eq!(recipe.rate.linear_scaling, None);
        let warmup = Warmup { duration: Span::Epochs(5.0), first: RampEnd::Zero };
        assert_eq!(recipe.rate.warmup, Some(warmup));
        assert_eq!(recipe.rate.decay, Decay::Cosine { last: RampEnd::Zero });
        assert_eq!(recipe.target.smoothing, Some(Smoothing { epsilon: 0.1, over: Spread::All }));
        assert!(recipe.preprocess.color.is_none() && recipe.preprocess.jitter.is_some());
        let mixup = Mixup { alpha: 0.2, pairing: Pairing::Reversed };
        assert_eq!(recipe.mixup, name.ends_with("mixup").then_some(mixup), "{name}");
    }
}
