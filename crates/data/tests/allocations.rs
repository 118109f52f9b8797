//! What a loader allocates: nothing for a sample once it is running, and never more than its budget.

use std::fs;
use std::io::Write;
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

/// A PNG of four pixels with a chunk that unpacks to so many zeros.
fn png_with(kind: &[u8; 4], keyword: &[u8], zeros: usize) -> Vec<u8> {
    let packed = |bytes: &[u8]| {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let chunk = |kind: &[u8; 4], content: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(kind);
        crc.update(content);
        let length = (content.len() as u32).to_be_bytes();
        [&length[..], kind, content, &crc.sum().to_be_bytes()].concat()
    };
    [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(b"IHDR", &[0, 0, 0, 2, 0, 0, 0, 2, 8, 2, 0, 0, 0]),
        chunk(kind, &[keyword, &packed(&vec![0; zeros])].concat()),
        chunk(b"IDAT", &packed(&[0; 14])),
        chunk(b"IEND", &[]),
    ]
    .concat()
}

/// A WebP that says it has four pixels, and whose frame says it has 268 million.
fn webp_of_two_sizes() -> Vec<u8> {
    let chunk = |name: &[u8; 4], content: &[u8]| {
        [name, &(content.len() as u32).to_le_bytes()[..], content].concat()
    };
    let frame = [&[0x10, 0, 0, 0x9D, 1, 0x2A, 0xFF, 0x3F, 0xFF, 0x3F][..], &[0; 90]].concat();
    let chunks =
        [b"WEBP".to_vec(), chunk(b"VP8X", &[0, 0, 0, 0, 1, 0, 0, 1, 0, 0]), chunk(b"VP8 ", &frame)];
    chunk(b"RIFF", &chunks.concat())
}

/// A progressive JPEG with a second frame header, of another size, after the first.
fn jpeg_of_two_sizes() -> Vec<u8> {
    let file = jpeg(16, 16, true);
    let at = file.windows(2).position(|pair| pair == [0xFF, 0xC2]).unwrap();
    let length = 2 + usize::from(u16::from_be_bytes([file[at + 2], file[at + 3]]));
    let mut second = file[at..at + length].to_vec();
    second[5..9].copy_from_slice(&[0x27, 0x10, 0x27, 0x10]);
    [&file[..at + length], &second, &file[at + length..]].concat()
}

fn loader(set: &Arc<Dataset>, batch: usize, resources: Resources) -> TrainLoader {
    loader_that(OnBadSample::Stop, set, batch, resources)
}

fn loader_that(
    on_bad_sample: OnBadSample,
    set: &Arc<Dataset>,
    batch: usize,
    resources: Resources,
) -> TrainLoader {
    let range = [0.6, 1.4];
    let preprocess = Preprocess {
        size: Some(32),
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
    TrainLoader::new(set.clone(), preprocess, on_bad_sample, 3, parts, 0, resources).unwrap()
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

/// Files of a few kilobytes that unpack to many megabytes, or say one size and have another.
#[test]
fn no_bomb_exceeds_the_budget() {
    const ZEROS: usize = 96 << 20;
    let _alone = ALONE.lock().unwrap();
    let place = tempfile::tempdir().unwrap();
    let flat = |width: u16, height: u16| jpeg(width, height, true);
    let set = folder(
        place.path(),
        &[
            ("fine.jpg", jpeg(60, 50, false)),
            ("profile.png", png_with(b"iCCP", b"a\0\0", ZEROS)),
            ("text.png", png_with(b"zTXt", b"a\0\0", ZEROS)),
            ("unicode.png", png_with(b"iTXt", b"a\0\x01\0\0\0", ZEROS)),
            ("sizes.webp", webp_of_two_sizes()),
            ("sizes.jpg", jpeg_of_two_sizes()),
            ("line.jpg", flat(20_000, 1)),
            ("post.jpg", flat(1, 20_000)),
        ],
    );
    for threads in [1, 8] {
        let budget = 60 << 20;
        let _profiler = dhat::Profiler::builder().testing().build();
        let resources = Resources { threads, memory: budget };
        let mut loader = loader_that(OnBadSample::Skip, &set, 8, resources);
        let mut skipped = std::collections::BTreeSet::new();
        for _ in 0..6 {
            skipped.extend(loader.next().unwrap().skipped.into_iter().map(|skip| skip.index));
        }
        let peak = HeapStats::get().max_bytes as u64;
        assert!(peak <= budget, "{peak} of {budget} bytes, {threads} threads");
        let mut names: Vec<String> = skipped
            .into_iter()
            .map(|index| set.train.name(index as usize).rsplit_once('/').unwrap().1.to_owned())
            .collect();
        names.dedup();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names, ["sizes.jpg", "sizes.webp"], "the others are pictures");
    }
}

#[test]
fn a_gzipped_tar_takes_the_memory_of_its_content_and_not_more() {
    const PAD: usize = 96 << 20;
    let _alone = ALONE.lock().unwrap();
    let mut builder =
        tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let small = jpeg(20, 20, false);
    let pad = vec![0; PAD];
    for (path, content) in [("a/1.jpg", &small), ("a/2.jpg", &small), ("pad.bin", &pad)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, content.as_slice()).unwrap();
    }
    let file = builder.into_inner().unwrap().finish().unwrap();
    drop(pad);
    let _profiler = dhat::Profiler::builder().testing().build();
    let set = Dataset::from_bytes("set.tar.gz", file, 0.5, 1).unwrap();
    let peak = HeapStats::get().max_bytes;
    assert_eq!(set.train.len(), 2, "equal images stay together");
    assert!(peak < PAD + (12 << 20), "{} MB for {} MB", peak >> 20, PAD >> 20);
}
