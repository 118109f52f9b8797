//! `trickbag models`: every network with its cost, or one drawn.

use std::path::Path;

use anyhow::Result;
use report::architecture::figure_1;
use serde_json::{Value, json};
use zoo::{Network, Options};

use crate::args::Models;
use crate::output::{self, Usage, grouped};
use crate::verbs::architecture::described;
use crate::verbs::place;

/// ImageNet's, which the published counts are for.
const CLASSES: usize = 1000;

pub(crate) fn run(args: &Models) -> Result<()> {
    let names = match &args.name {
        Some(name) => vec![name.clone()],
        None => zoo::names(),
    };
    let mut networks = Vec::new();
    for name in names {
        networks.push(zoo::network(&name, &Options::plain(CLASSES))?);
    }
    let side = |network: &Network| args.size.map_or(network.input, usize::from);
    for network in &networks {
        zoo::check_side(network, side(network))?;
    }
    if let Some(file) = &args.out {
        return draw_into(file, &networks[0], side(&networks[0]));
    }
    match (&args.name, args.json) {
        (Some(_), true) => output::json(&detail(&networks[0], side(&networks[0]))),
        (Some(_), false) => draw(&networks[0], side(&networks[0])),
        (None, true) => {
            output::json(&networks.iter().map(|network| summary(network, side(network))).collect());
        }
        (None, false) => list(&networks, side),
    }
    Ok(())
}

fn draw_into(file: &Path, network: &Network, side: usize) -> Result<()> {
    if file.extension().is_none_or(|extension| extension != "svg") {
        let text =
            format!("{}: a network is drawn as SVG; give a name that ends in .svg", file.display());
        return Err(Usage(text).into());
    }
    place::check_file("-o", file)?;
    train::durable::write(file, figure_1(&described(network, side)).as_bytes())?;
    output::print(&file.display().to_string());
    Ok(())
}

fn summary(network: &Network, side: usize) -> Value {
    let cost = zoo::cost(network, side);
    json!({
        "name": network.name,
        "parameters": cost.parameters,
        "multiply_adds": cost.multiply_adds,
        "fvcore_count": cost.fvcore,
        "activations": cost.activations,
        "input": [side, side, 3],
    })
}

fn detail(network: &Network, side: usize) -> Value {
    let mut value = summary(network, side);
    let rows = zoo::rows(network, side);
    let layers = rows.iter().map(|row| {
        json!({
            "name": row.name,
            "kind": row.kind,
            "input": row.input,
            "output": row.output,
            "parameters": row.parameters,
            "multiply_adds": row.multiply_adds,
        })
    });
    value["layers"] = layers.collect();
    value
}

fn list(networks: &[Network], side: impl Fn(&Network) -> usize) {
    let head =
        ["network", "parameters", "multiply-adds", "as fvcore counts", "activations", "input"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for network in networks {
        let side = side(network);
        let cost = zoo::cost(network, side);
        rows.push(vec![
            network.name.clone(),
            grouped(cost.parameters),
            format!("{:.2} G", cost.multiply_adds as f64 / 1e9),
            format!("{:.2} G", cost.fvcore as f64 / 1e9),
            format!("{:.2} M", cost.activations as f64 / 1e6),
            format!("{side}×{side}"),
        ]);
    }
    output::print(&output::table(&rows));
}

fn draw(network: &Network, side: usize) {
    output::print(&zoo::draw(network, side));
    let head = ["layer", "kind", "input", "output", "parameters", "multiply-adds"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let size = |[height, width, channels]: [usize; 3]| format!("{height}×{width}×{channels}");
    for row in zoo::rows(network, side) {
        rows.push(vec![
            row.name,
            row.kind,
            size(row.input),
            size(row.output),
            grouped(row.parameters),
            grouped(row.multiply_adds),
        ]);
    }
    output::print(&output::table(&rows));
}
