//! `trickbag figures`: the paper's figures as SVG.

use std::path::{Path, PathBuf};

use anyhow::Result;
use report::architecture::{figure_1, figure_2};
use report::figures;

use crate::args::Figures;
use crate::output::{self, Usage};
use crate::verbs::architecture;

/// Of Figure 1, and then, each after the one it was made from, of Figure 2; with the paper's names.
const NETWORKS: [(&str, &str); 4] = [
    ("resnet50_original", "ResNet-50"),
    ("resnet50", "ResNet-B"),
    ("resnet50c", "ResNet-C"),
    ("resnet50d", "ResNet-D"),
];

pub(crate) fn run(args: &Figures) -> Result<()> {
    // Everything is read before anything is written.
    let (curves, gaps) = (read(&args.curves)?, read(&args.gaps)?);
    check(&curves, |run| run.evaluations.is_empty(), "has no evaluation yet: figure 3b needs one")?;
    let why = "has no predictions: figure 4b needs them, and training stores them with its best and its last evaluation";
    check(&gaps, |run| run.predictions.is_empty(), why)?;
    let networks = NETWORKS.map(|(name, title)| architecture::titled(name, title));
    let classes: Vec<usize> = args.classes.iter().map(|&k| k as usize).collect();
    let mut files = vec![
        ("figure1.svg", figure_1(&networks[0])),
        ("figure2.svg", figure_2(&networks)),
        ("figure3a.svg", figures::figure_3a()),
        ("figure4a.svg", figures::figure_4a(&classes)),
    ];
    if !curves.is_empty() {
        files.push(("figure3b.svg", figures::figure_3b(&curves)));
    }
    if !gaps.is_empty() {
        files.push(("figure4b.svg", figures::figure_4b(&gaps)));
    }
    files.sort();
    std::fs::create_dir_all(&args.out)
        .map_err(|cause| train::durable::WriteError { path: args.out.clone(), cause })?;
    for (name, svg) in files {
        let file = args.out.join(name);
        train::durable::write(&file, svg.as_bytes())?;
        output::print(&file.display().to_string());
    }
    Ok(())
}

fn read(folders: &[PathBuf]) -> Result<Vec<report::RunFolder>> {
    let folders: Vec<&Path> = folders.iter().map(PathBuf::as_path).collect();
    super::report::read(&folders)
}

fn check(
    runs: &[report::RunFolder],
    lacks: impl Fn(&report::RunFolder) -> bool,
    why: &str,
) -> Result<()> {
    match runs.iter().find(|run| lacks(run)) {
        Some(run) => Err(Usage(format!("{}: this run {why}", run.folder.display())).into()),
        None => Ok(()),
    }
}
