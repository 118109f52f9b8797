//! Training batches from a dataset, as fast as the loader makes them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use data::{BatchParts, Dataset, Times, TrainLoader};
use recipe::{Color, Crop, Normalize, OnBadSample, Preprocess};
use serde_json::json;

use super::median;
use crate::args::{Augment, BenchLoader};
use crate::output;

/// Images of a batch, or all there are.
const BATCH: usize = 50;

pub(crate) fn run(args: &BenchLoader) -> Result<()> {
    let dataset = Arc::new(Dataset::undivided(&args.data)?);
    let batch = dataset.train.len().min(BATCH);
    let (images, bytes) = (dataset.train.len(), dataset.train.bytes()?);
    let threads = args.threads.count();
    let preprocess = preprocess(args.augment, usize::from(args.size));
    let mut loader = TrainLoader::new(
        dataset,
        preprocess,
        OnBadSample::Stop,
        0,
        BatchParts::whole(batch),
        0,
        threads,
    )?;
    loader.next()?;
    let mut rates = Vec::new();
    for _ in 0..args.rounds {
        let (start, mut made) = (Instant::now(), 0);
        while start.elapsed().as_secs_f64() < args.seconds {
            made += loader.next()?.indices.len();
        }
        rates.push(made as f64 / start.elapsed().as_secs_f64());
    }
    let rate = median(rates);
    let shares = shares(&loader.times());
    let milliseconds = 1e3 * threads as f64 / rate;
    if args.json {
        let shares: serde_json::Map<_, _> =
            shares.iter().map(|&(step, share)| (step.to_owned(), share.into())).collect();
        output::json(&json!({
            "data": args.data.display().to_string(),
            "size": args.size,
            "augment": if args.augment == Augment::Paper { "paper" } else { "crop-flip" },
            "threads": threads,
            "images": images,
            "bytes": bytes,
            "images_per_second": rate,
            "milliseconds": milliseconds,
            "shares": shares,
        }));
        return Ok(());
    }
    let shares = shares.map(|(step, share)| format!("{step} {:.0} %", 100.0 * share));
    output::print(&format!(
        "{}: {rate:.0} images/s on {threads} threads, {milliseconds:.2} ms of one an image: {}",
        args.data.display(),
        shares.join(", ")
    ));
    Ok(())
}

/// Each step's share of the time spent on images.
fn shares(times: &Times) -> [(&'static str, f64); 5] {
    let Times { read, decode, copy, resize, color, .. } = *times;
    let all = (read + decode + copy + resize + color).max(Duration::from_nanos(1));
    [("read", read), ("decode", decode), ("copy", copy), ("resize", resize), ("color", color)]
        .map(|(step, time)| (step, time.as_secs_f64() / all.as_secs_f64()))
}

/// §2.1's steps, with the paper's numbers.
fn preprocess(augment: Augment, size: usize) -> Preprocess {
    let range = [0.6, 1.4];
    let is_paper = augment == Augment::Paper;
    Preprocess {
        size: Some(size),
        crop: Some(Crop { area: [0.08, 1.0], aspect: [3.0 / 4.0, 4.0 / 3.0] }),
        flip: Some(0.5),
        randaugment: None,
        jitter: None,
        color: is_paper.then_some(Color { hue: range, saturation: range, brightness: range }),
        pca_noise: is_paper.then_some(0.1),
        normalize: Normalize { mean: [123.68, 116.779, 103.939], std: [58.393, 57.12, 57.375] },
        erasing: None,
    }
}
