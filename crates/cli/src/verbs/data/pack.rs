//! `trickbag data pack`: a prepared copy as indexed shards.

use anyhow::{Context, Result};
use data::Dataset;
use data::pack::{self, Encoding, Packing};
use serde_json::json;

use crate::args::DataPack;
use crate::output::{self, grouped};
use crate::progress::Counter;
use crate::verbs::bad_images;

pub(crate) fn run(args: &DataPack) -> Result<()> {
    let dataset = Dataset::undivided(&args.path)?;
    let threads = args.threads.count();
    let packing = Packing {
        short_side: args.short_side.map(usize::from),
        encoding: match args.quality {
            _ if args.raw => Encoding::Raw,
            Some(quality) => Encoding::Jpeg(quality),
            None => Encoding::Kept,
        },
        upright: args.upright,
    };
    let mut counter = Counter::new("packing");
    let mut watch = |done, total| counter.at(done, total);
    let packed = pack::pack(&dataset, &args.out, &packing, threads, &mut watch);
    let packed = packed.map_err(|error| bad_images::name_all(error, &dataset, threads))?;
    let packed = packed.context("the packing was interrupted")?;
    if args.json {
        output::json(&json!({
            "pack": args.out.display().to_string(),
            "images": packed.images,
            "shards": packed.shards,
            "bytes": packed.bytes,
        }));
        return Ok(());
    }
    let shards = if packed.shards == 1 { "shard" } else { "shards" };
    output::print(&format!(
        "{}: {} images in {} {shards}, {}; train on it with --data {}",
        args.out.display(),
        grouped(packed.images as u64),
        packed.shards,
        output::bytes(packed.bytes),
        args.out.display(),
    ));
    Ok(())
}
