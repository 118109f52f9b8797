//! `trickbag data check`: what is wrong with a dataset, as a table by kind.

use anyhow::{Result, bail};
use data::check::{self, CheckReport, Finding, FindingKind};
use serde_json::json;

use crate::args::DataCheck;
use crate::output::{self, grouped};
use crate::progress::Counter;

pub(crate) fn run(args: &DataCheck) -> Result<()> {
    let mut counter = Counter::new("checking");
    let mut watch = |done, total| counter.at(done, total);
    let report = match check::has_masks(&args.path) {
        true => check::check_masks(&args.path, args.threads.count(), &mut watch)?,
        false => check::check(&args.path, args.threads.count(), &mut watch)?,
    };
    if args.json {
        output::json(&as_json(args, &report));
    } else {
        output::print(&as_text(args, &report));
    }
    let stopping = report.findings.iter().filter(|finding| finding.kind.stops()).count();
    if stopping > 0 {
        let findings = if stopping == 1 { "finding" } else { "findings" };
        bail!("{}: {stopping} {findings} would stop training", args.path.display());
    }
    Ok(())
}

fn as_json(args: &DataCheck, report: &CheckReport) -> serde_json::Value {
    let findings = report.findings.iter().map(|Finding { kind, path, detail }| {
        json!({"kind": kind.name(), "stops_training": kind.stops(), "path": path, "detail": detail})
    });
    let counts: serde_json::Map<String, serde_json::Value> = FindingKind::ALL
        .into_iter()
        .map(|kind| (kind.name().to_owned(), of(report, kind).count().into()))
        .collect();
    json!({
        "data": args.path.display().to_string(),
        "classes": report.classes,
        "train_images": report.train_images,
        "validation_images": report.validation_images,
        "bytes": report.bytes,
        "stops_training": report.stops_training(),
        "counts": counts,
        "findings": findings.collect::<Vec<_>>(),
    })
}

fn of(report: &CheckReport, kind: FindingKind) -> impl Iterator<Item = &Finding> {
    report.findings.iter().filter(move |finding| finding.kind == kind)
}

fn as_text(args: &DataCheck, report: &CheckReport) -> String {
    let mut text = format!(
        "{}: {} training and {} validation images in {} classes, {}",
        args.path.display(),
        grouped(report.train_images as u64),
        grouped(report.validation_images as u64),
        report.classes,
        output::bytes(report.bytes),
    );
    let found: Vec<FindingKind> =
        FindingKind::ALL.into_iter().filter(|&kind| of(report, kind).next().is_some()).collect();
    if found.is_empty() {
        return text + "\nnothing found";
    }
    let mut rows = vec![["kind", "found", "training", "meaning"].map(str::to_owned).to_vec()];
    for &kind in &found {
        let training = if kind.stops() { "stops" } else { "goes on" };
        let count = grouped(of(report, kind).count() as u64);
        let name = kind.name().replace('_', " ");
        rows.push(vec![name, count, training.to_owned(), kind.meaning().to_owned()]);
    }
    text += &format!("\n\n{}", output::table(&rows));
    for kind in found {
        text += &format!("\n\n{}", kind.name().replace('_', " "));
        for Finding { path, detail, .. } in of(report, kind).take(args.paths) {
            text += &format!("\n  {path}: {detail}");
        }
        let more = of(report, kind).count().saturating_sub(args.paths);
        if more > 0 {
            text += &format!("\n  and {more} more (--paths tells how many to list)");
        }
    }
    text
}
