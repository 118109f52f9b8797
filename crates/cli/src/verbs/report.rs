//! `trickbag report`: one page about runs.

use std::path::{Path, PathBuf};

use anyhow::Result;
use record::names;

use crate::args::Report;
use crate::output;

pub(crate) fn run(args: &Report) -> Result<()> {
    let file = match (&args.out, args.runs.as_slice()) {
        (Some(file), _) => file.clone(),
        (None, [run]) => run.join(names::REPORT),
        (None, _) => PathBuf::from(names::REPORT),
    };
    let folders: Vec<&Path> = args.runs.iter().map(PathBuf::as_path).collect();
    let page = write(&folders, &file)?;
    output::print(&format!("report: {}", page.display()));
    Ok(())
}

/// Writes the page of these run folders.
pub(crate) fn write(folders: &[&Path], file: &Path) -> Result<PathBuf> {
    let runs = read(folders)?;
    train::durable::write(file, report::page(&runs).as_bytes())?;
    Ok(file.to_owned())
}

/// The runs in these folders.
pub(crate) fn read(folders: &[&Path]) -> Result<Vec<report::RunFolder>> {
    let models = zoo::names();
    let read = |folder: &&Path| report::RunFolder::read(folder, &models);
    Ok(folders.iter().map(read).collect::<Result<_, _>>()?)
}
