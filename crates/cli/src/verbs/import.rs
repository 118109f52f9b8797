//! `trickbag import`: a model folder of another program's weights.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use classify::import::{self, Imported};
use classify::model_folder;
use fetch::{HubName, HubSettings, Snapshot};
use serde_json::json;

use crate::args::Import;
use crate::output::{self, Usage};
use crate::progress::Fetching;
use crate::verbs::place;

/// The folder under which imported models are written.
const MODELS: &str = "models";

const CONFIG: &str = "config.json";

pub(crate) fn run(args: &Import) -> Result<()> {
    let published = published(&args.weights)?;
    let default = match (&published, &args.model) {
        (Some(name), _) => Some(folder_of(name)),
        (None, model) => model.as_ref().map(|model| Path::new(MODELS).join(model)),
    };
    if let Some(folder) = args.out.as_ref().or(default.as_ref()) {
        check_new(folder)?;
    }
    let file = match &published {
        Some(name) => fetched(name)?.weights,
        None => PathBuf::from(&args.weights),
    };
    let imported = import::import(
        &import::Import {
            file: &file,
            network: args.model.as_deref(),
            classes: args.classes.map(|classes| classes as usize),
            class_names: args.class_names.as_deref().map(class_names).transpose()?,
        },
        &nn::cpu(),
    )?;
    let of_network = || Path::new(MODELS).join(&imported.model.module.name);
    let folder = args.out.clone().or(default).unwrap_or_else(of_network);
    check_new(&folder)?;
    model_folder::write(&folder, &imported.model, &imported.card)?;
    tell(args, &folder, &imported);
    Ok(())
}

/// The published model that a text names; None where it is a path. A file of that name comes first.
fn published(text: &str) -> Result<Option<HubName>> {
    if Path::new(text).exists() {
        return Ok(None);
    }
    Ok(HubName::parse(text).transpose()?)
}

/// The folder that a published model is imported to: another one for each owner and revision.
fn folder_of(name: &HubName) -> PathBuf {
    let text = name.to_string();
    let text = text.trim_start_matches("timm/").trim_start_matches("hf:");
    Path::new(MODELS).join(text.replace('/', "--"))
}

fn check_new(folder: &Path) -> Result<()> {
    place::check_folder("-o", folder)?;
    if folder.join(CONFIG).exists() {
        let text = format!(
            "{}: a model is here already, and import never overwrites one; give another folder with -o",
            folder.display()
        );
        return Err(Usage(text).into());
    }
    Ok(())
}

/// The files of a published model.
fn fetched(name: &HubName) -> Result<Snapshot> {
    let settings = HubSettings::from_environment(|name| std::env::var(name).ok())?;
    let mut bar = Fetching::new();
    let snapshot = fetch::snapshot(name, &settings, &mut |transfer| bar.at(transfer))?;
    if let Some(reason) = &snapshot.unasked {
        output::note(&format!(
            "note: the copy in the cache is taken, since the hub was not asked: {reason}"
        ));
    }
    output::note(&format!("{name}: commit {}, {}", snapshot.commit, snapshot.folder.display()));
    Ok(snapshot)
}

/// What a recipe's `init.from` names, as a folder: a published model is imported to one where that has not been done. So a run's
/// recipe names a folder that stays as it is.
pub(crate) fn settled_origin(from: &str) -> Result<String> {
    let Some(name) = published(from)? else { return Ok(from.to_owned()) };
    let folder = folder_of(&name);
    let settled = folder.display().to_string();
    if folder.join(CONFIG).exists() {
        output::note(&format!("{name}: {settled} was imported before, and is taken"));
        return Ok(settled);
    }
    place::check_folder("init.from", &folder)?;
    let file = fetched(&name)?.weights;
    let request = import::Import { file: &file, network: None, classes: None, class_names: None };
    let imported = import::import(&request, &nn::cpu())?;
    model_folder::write(&folder, &imported.model, &imported.card)?;
    output::note(&format!("{name}: imported to {settled}"));
    Ok(settled)
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
    let Imported { model, card, config, other_config, format, section, replaced, left_out } =
        imported;
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
            "config": config.as_ref().map(|path| path.display().to_string()),
        }));
        return;
    }
    let section = section.map_or(String::new(), |section| format!(", its {section}"));
    output::note(&format!("{}: {format}{section}", args.weights));
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
    if let Some(other) = other_config {
        output::note(&format!(
            "note: the config.json beside it is of {other}, another network, and is not used"
        ));
    }
    let (validation, levels) = (card.validation, card.normalize);
    let said = match config {
        Some(path) => format!("{} says so", path.display()),
        None => "as for ImageNet, since no config.json beside the file says".to_owned(),
    };
    output::note(&format!(
        "images: shorter edge to {} pixels by {} interpolation, center {}, mean {:?}, deviation {:?}: {said}",
        validation.resize, card.interpolation, validation.crop, levels.mean, levels.std
    ));
    output::print(&format!(
        "{}: {} with {} parameters and {classes} classes",
        folder.display(),
        model.module.name,
        output::grouped(parameters as u64),
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_model_has_a_folder_of_its_own() {
        for (name, folder) in [
            ("timm/resnet18.a1_in1k", "models/resnet18.a1_in1k"),
            ("timm/resnet18.a1_in1k@v1", "models/resnet18.a1_in1k@v1"),
            ("hf:me/resnet18.a1_in1k", "models/me--resnet18.a1_in1k"),
            ("hf:me/a@refs/pr/1", "models/me--a@refs--pr--1"),
        ] {
            let name = published(name).unwrap().expect("no file is called so");
            assert_eq!(folder_of(&name), Path::new(folder));
        }
        assert!(published("weights.pth").unwrap().is_none());
        assert!(published("timm/").is_err());
    }
}
