//! What a loader allocates: nothing for a sample once it is running, and never more than its budget.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use data::{BatchParts, Dataset, Resources, TrainLoader};
use dhat::HeapStats;
use jpeg_encoder::{ColorType, Encoder};
use recipe::{Color, Crop, Normalize, OnBadSample, Preprocess};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// The profiler counts all that a process does, so one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn jpeg(width: u16, height: u16, progressive: bool) -> Vec<u8> {
    let pixels: Vec<u8> = (0..usize::from(width) * usize::from(height) * 3)
        .map(|at| ((at / 3 % 50) * 4 + at / 3 / usize::from(width)) as u8)
        .collect();
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, 85);
    encoder.set_progressive(progressive);
    encoder.encode(&pixels, width, height, ColorType::Rgb).unwrap();
    file
}

fn png(width: u32, height: u32) -> Vec<u8> {
    let image =
        image::ImageBuffer::<image::Rgba<u16>, _>::from_pixel(width, height, image::Rgba([9; 4]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::DynamicImage::ImageRgba16(image).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A folder of two classes, each with these files.
fn folder(root: &Path, files: &[(&str, Vec<u8>)]) -> Arc<Dataset> {
    for class in ["a", "b"] {
        fs::create_dir_all(root.join(class)).unwrap();
        for (name, bytes) in files {
            fs::write(root.join(class).join(name), bytes).unwrap();
        }
    }
    Arc::new(Dataset::undivided(root).unwrap())
}

fn loader(set: &Arc<Dataset>, batch: usize, resources: Resources) -> TrainLoader {
    let range = [0.6, 1.4];
    let preprocess = Preprocess {
        size: 32,
        crop: Some(Crop { area: [0.08, 1.0], aspect: [0.75, 1.33] }),
        flip: Some(0.5),
        randaugment: None,
        jitter: None,
        color: Some(Color { hue: range, saturation: range, brightness: range }),
        pca_noise: Some(0.1),
        normalize: Normalize { mean: [120.0; 3], std: [60.0; 3] },
        erasing: None,
    };
    let parts = BatchParts::whole(batch);
    TrainLoader::new(set.clone(), preprocess, OnBadSample::Stop, 3, parts, 0, resources).unwrap()
}

/// Allocations of so many batches after a while.
fn allocations(set: &Arc<Dataset>, batch: usize, batches: usize) -> u64 {
    let mut loader = loader(set, batch, Resources::from(1usize));
    let mut run = |images: usize| {
        for _ in 0..images / batch {
            loader.next().unwrap();
        }
    };
    run(400);
    let before = HeapStats::get().total_blocks;
    run(batches * batch);
    HeapStats::get().total_blocks - before
}

#[test]
fn a_running_loader_allocates_for_batches_not_for_samples() {
    let _alone = ALONE.lock().unwrap();
    let place = tempfile::tempdir().unwrap();
    let sizes = [(64, 48), (40, 90), (33, 35), (80, 80)];
    let names: Vec<String> = (0..20).map(|number| format!("{number}.jpg")).collect();
    let files: Vec<(&str, Vec<u8>)> = names
        .iter()
        .zip(sizes.into_iter().cycle())
        .map(|(name, (width, height))| (name.as_str(), jpeg(width, height, false)))
        .collect();
    let set = folder(place.path(), &files);
    let _profiler = dhat::Profiler::builder().testing().build();
    let (small, large) = (allocations(&set, 4, 50), allocations(&set, 40, 50));
    // 36 samples more in each of 50 batches, and the orders of 45 epochs.
    assert!(large <= small + 300, "{small} allocations for 50 batches of 4, {large} of 40");
}

#[test]
fn the_budget_is_never_exceeded_and_a_smaller_one_names_the_image() {
    let _alone = ALONE.lock().unwrap();
    let place = tempfile::tempdir().unwrap();
    let set = folder(
        place.path(),
        &[
            ("small.jpg", jpeg(60, 50, false)),
            ("wide.jpg", jpeg(1600, 900, false)),
            ("tall.jpg", jpeg(700, 1800, false)),
            ("progressive.jpg", jpeg(1200, 1000, true)),
            ("deep.png", png(1100, 900)),
        ],
    );
    let megabytes = |count: u64| count << 20;
    let run = |memory: u64, threads: usize| {
        let _profiler = dhat::Profiler::builder().testing().build();
        let mut loader = loader(&set, 5, Resources { threads, memory });
        let outcome = (0..8).try_for_each(|_| loader.next().map(drop));
        (HeapStats::get().max_bytes as u64, outcome)
    };
    let (unlimited, outcome) = run(u64::MAX, 16);
    outcome.unwrap();
    let budget = megabytes(90);
    for threads in [1, 16] {
        let (peak, outcome) = run(budget, threads);
        outcome.unwrap();
        assert!(peak <= budget, "{peak} of {budget} bytes, {threads} threads");
        // Not because there was no need: several threads would have taken more.
        assert!(threads == 1 || peak < unlimited, "{peak} and {unlimited} without a limit");
    }
    let text = run(megabytes(8), 2).1.unwrap_err().to_string();
    assert!(text.contains(".jpg: needs up to ") || text.contains(".png: needs up to "), "{text}");
    assert!(text.contains("of the loader's 8 MB; ") && text.contains("--loader-memory"), "{text}");
}
