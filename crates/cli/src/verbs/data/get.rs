//! `trickbag data get`: datasets that others publish.

use std::path::Path;

use anyhow::Result;
use fetch::PublishedSet;
use serde_json::{Value, json};

use crate::args::DataGet;
use crate::output::{self, Usage, grouped};
use crate::progress::Fetching;
use crate::verbs::place;

/// Another server for the files.
const MIRROR: &str = "TRICKBAG_DATA_MIRROR";

pub(crate) fn run(args: &DataGet) -> Result<()> {
    let Some(name) = &args.name else {
        if args.out.is_some() {
            let text = "-o is for a dataset: give its name too; without one, `trickbag data get` lists them";
            return Err(Usage(text.to_owned()).into());
        }
        list(args.json);
        return Ok(());
    };
    let dataset = fetch::find(name)?;
    let folder = args.out.clone().unwrap_or_else(|| Path::new("data").join(name));
    place::check_folder("-o", &folder)?;
    let (megabytes, licence) = (dataset.megabytes(), dataset.licence);
    output::note(&format!("{name}: about {megabytes:.0} MB; licence: {licence}"));
    let mirror = std::env::var(MIRROR).ok().filter(|address| !address.is_empty());
    let mut bar = Fetching::new();
    let got = fetch::get(dataset, &folder, mirror.as_deref(), &mut |transfer| bar.at(transfer))?;
    match args.json {
        true => output::json(&json!({
            "name": name,
            "path": got.folder.display().to_string(),
            "bytes": got.bytes,
        })),
        false => output::print(&format!(
            "{}: {} of {name}; train on it with --data {}",
            got.folder.display(),
            output::bytes(got.bytes),
            output::shell_word(&got.folder)
        )),
    }
    Ok(())
}

fn list(as_json: bool) {
    let datasets = fetch::datasets();
    if as_json {
        output::json(&Value::Array(datasets.iter().map(as_value).collect()));
        return;
    }
    let mut rows =
        vec![["name", "images", "classes", "MB", "licence", "what"].map(str::to_owned).to_vec()];
    rows.extend(datasets.iter().map(|dataset| {
        let [train, validation] = dataset.images.map(|count| grouped(count.into()));
        vec![
            dataset.name.to_owned(),
            format!("{train} + {validation}"),
            dataset.classes.to_string(),
            format!("{:.0}", dataset.megabytes()),
            dataset.licence.to_owned(),
            dataset.about.to_owned(),
        ]
    }));
    output::print(&output::table(&rows));
    output::note(
        "addresses and checksums are torchvision's, sizes about right: none was fetched by trickbag's authors",
    );
}

fn as_value(dataset: &PublishedSet) -> Value {
    let files = dataset.files.iter().map(|file| json!({"url": file.url, "md5": file.md5}));
    json!({
        "name": dataset.name,
        "about": dataset.about,
        "images": {"train": dataset.images[0], "validation": dataset.images[1]},
        "classes": dataset.classes,
        "megabytes": dataset.megabytes(),
        "licence": dataset.licence,
        "files": files.collect::<Vec<_>>(),
    })
}
