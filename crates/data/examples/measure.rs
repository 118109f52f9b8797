//! Images per second, and where their time goes: `cargo run --release -p data --example measure -- PATH [SIZE] [WORKERS]`.
#![allow(clippy::print_stdout)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use data::{Dataset, TrainLoader};
use recipe::{Color, Crop, Normalize, Preprocess};

fn main() -> Result<(), data::DataError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: usize| {
        arguments.get(at).map_or(default, |text| text.parse().expect("a whole number"))
    };
    let (size, workers) = (number(1, 224), number(2, 1));
    let start = Instant::now();
    let path = arguments.first().map_or("fashion-mnist", String::as_str);
    let dataset = Arc::new(match path {
        "fashion-mnist" => Dataset::fashion_mnist(),
        path => Dataset::open(Path::new(path), 0.1, 0)?,
    });
    println!(
        "{path}: {} classes, {} + {} images, {} bytes, opened in {:?}",
        dataset.classes.len(),
        dataset.train.len(),
        dataset.validation.len(),
        dataset.train.bytes()? + dataset.validation.bytes()?,
        start.elapsed()
    );
    let range = [0.6, 1.4];
    let paper = Preprocess {
        size,
        crop: Some(Crop { area: [0.08, 1.0], aspect: [3.0 / 4.0, 4.0 / 3.0] }),
        flip: Some(0.5),
        randaugment: None,
        jitter: None,
        color: Some(Color { hue: range, saturation: range, brightness: range }),
        pca_noise: Some(0.1),
        normalize: Normalize { mean: [123.68, 116.779, 103.939], std: [58.393, 57.12, 57.375] },
        erasing: None,
    };
    let crop_flip = Preprocess { color: None, pca_noise: None, ..paper.clone() };
    loader("crop and flip", dataset.clone(), crop_flip, workers)?;
    loader("paper", dataset, paper, workers)
}

fn loader(
    name: &str,
    dataset: Arc<Dataset>,
    preprocess: Preprocess,
    workers: usize,
) -> Result<(), data::DataError> {
    let batch = dataset.train.len().min(50);
    let mut loader = TrainLoader::new(dataset, preprocess, 0, batch, 0, workers)?;
    loader.next()?;
    let start = Instant::now();
    let mut images = 0;
    while start.elapsed() < Duration::from_secs(2) {
        let made = loader.next()?;
        images += made.labels.len();
        loader.recycle(made);
    }
    let rate = images as f64 / start.elapsed().as_secs_f64();
    println!("{name}, {workers} workers: {rate:.0} images/s");
    let times = loader.times();
    let each = |time: Duration| time.as_secs_f64() * 1e6 / times.images as f64;
    let (read, decode) = (each(times.read), each(times.decode));
    let (resize, color) = (each(times.resize), each(times.color));
    println!(
        "µs an image: read {read:.0}, decode {decode:.0}, resize {resize:.0}, color {color:.0}"
    );
    Ok(())
}
