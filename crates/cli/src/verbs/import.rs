//! `trickbag import`: a model folder of another program's weights.

use std::path::Path;

use anyhow::{Context, Result};
use classify::import::{self, Imported};
use classify::model_folder;
use serde_json::json;

use crate::args::Import;
use crate::output::{self, Usage};
use crate::verbs::place;

pub(crate) fn run(args: &Import) -> Result<()> {
    let folder = args.out.clone().unwrap_or_else(|| Path::new("models").join(&args.model));
    place::check_folder("-o", &folder)?;
    if folder.join("config.json").exists() {
        let text = format!(
            "{}: a model is here already, and import never overwrites one; give another folder with -o",
            folder.display()
        );
        return Err(Usage(text).into());
    }
    let imported = import::import(
        &import::Import {
            file: &args.file,
            network: &args.model,
            classes: args.classes.map(|classes| classes as usize),
            class_names: args.class_names.as_deref().map(class_names).transpose()?,
        },
        &nn::cpu(),
    )?;
    model_folder::write(&folder, &imported.model, &imported.card)?;
    tell(args, &folder, &imported);
    Ok(())
}

/// The most bytes of a file of class names.
const NAMES_LIMIT: u64 = 64 << 20;

/// The names of the classes, one a line; the last line may be empty.
fn class_names(path: &Path) -> Result<Vec<String>> {
    let name = path.display();
    let wrong = |problem: &str| Usage(format!("--class-names {name}: {problem}"));
    match std::fs::metadata(path) {
        Ok(known) if !known.is_file() => Err(wrong("it is no regular file; give a text file"))?,
        Ok(known) if known.len() > NAMES_LIMIT => {
            Err(wrong("it has more than 64 MB; give a text file with a name on each line"))?;
        }
        _ => {}
    }
    let failed = || format!("{name}: cannot be read; check that it is a text file and may be read");
    let text = std::fs::read_to_string(path).with_context(failed)?;
    let names: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
    if let Some(line) = names.iter().position(String::is_empty) {
        anyhow::bail!("{name}:{}: a class has no name; write one a line", line + 1);
    }
    Ok(names)
}

fn tell(args: &Import, folder: &Path, imported: &Imported) {
    let Imported { model, card, format, section, replaced, left_out } = imported;
    let (classes, parameters) = (model.module.classes(), model.parameters.count());
    if args.json {
        output::json(&json!({
            "model": folder.display().to_string(),
            "network": model.module.name,
            "classes": classes,
            "parameters": parameters,
            "format": format.to_string(),
            "section": section,
            "replaced_classes": replaced,
        }));
        return;
    }
    let section = section.map_or(String::new(), |section| format!(", its {section}"));
    output::note(&format!("{}: {format}{section}", args.file.display()));
    if let Some(replaced) = replaced {
        output::note(&format!(
            "a new classifier for {classes} classes takes the place of its own for {replaced}: train it before use"
        ));
    }
    if *left_out > 0 {
        output::note(&format!(
            "{left_out} tensors of an auxiliary classifier are left out; --model inception_v3_aux keeps them"
        ));
    }
    output::note(&format!(
        "images: shorter edge to {} pixels, center {}, ImageNet's mean and deviation (pretrained_cfg in config.json says so)",
        card.validation.resize, card.validation.crop
    ));
    output::print(&format!(
        "{}: {} with {} parameters and {classes} classes",
        folder.display(),
        model.module.name,
        output::grouped(parameters as u64),
    ));
}
