//! Datasets on disk, and the loaders over them.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data::{
    Batch, BatchParts, DataError, Dataset, ImageSet, TrainLoader, ValidationLoader, ValidationShare,
};
use recipe::{Interpolation, OnBadSample, Validation};

mod common;
use common::{NORMALIZE, open, preprocess, train_batches, validation_batches, validation_share};

/// A PNG that differs from all others.
fn picture(number: u32) -> Vec<u8> {
    let (width, height) = (20 + number % 7, 16 + number % 5);
    let image = image::RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([x * 12 + number, y * 15, number * 31].map(|value| value as u8))
    });
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Three classes, 7 training and 3 validation images each.
fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for (class, name) in ["bird", "cat", "dog"].into_iter().enumerate() {
        for number in 0..10 {
            let part = if number < 7 { "train" } else { "val" };
            let bytes = picture(class as u32 * 10 + number);
            files.push((format!("{part}/{name}/{number}.png"), bytes));
        }
    }
    files
}

fn folder(root: &Path, files: &[(String, Vec<u8>)]) {
    for (path, bytes) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// The same files in another order, below a common root.
fn tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in files.iter().rev() {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, format!("./set/{path}"), bytes.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn folder_tar_and_gzipped_tar_give_identical_batches() {
    let place = tempfile::tempdir().unwrap();
    let files = files();
    folder(&place.path().join("set"), &files);
    let archive = tar(&files);
    fs::write(place.path().join("set.tar"), &archive).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &archive).unwrap();
    fs::write(place.path().join("set.tar.gz"), gzip.finish().unwrap()).unwrap();
    let sets: Vec<Arc<Dataset>> =
        ["set", "set.tar", "set.tar.gz"].map(|name| open(&place.path().join(name))).into();
    for set in &sets {
        assert_eq!(set.classes, ["bird", "cat", "dog"]);
        assert_eq!((set.train.len(), set.validation.len()), (21, 9));
        let total: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
        assert_eq!(set.train.bytes().unwrap() + set.validation.bytes().unwrap(), total as u64);
        assert_eq!(train_batches(set, 0, 7, 2), train_batches(&sets[0], 0, 7, 2));
        assert_eq!(validation_batches(set, 2), validation_batches(&sets[0], 2));
    }
    assert!(sets[0].train.name(0).ends_with("set/train/bird/0.png"));
    assert!(sets[1].train.name(0).ends_with("set.tar:set/train/bird/0.png"));
}

#[test]
fn batches_do_not_depend_on_the_number_of_workers() {
    let place = tempfile::tempdir().unwrap();
    folder(place.path(), &files());
    let set = open(place.path());
    let (train, validation) = (train_batches(&set, 0, 13, 1), validation_batches(&set, 1));
    for workers in [2, 3, 7] {
        assert!(train_batches(&set, 0, 13, workers) == train, "{workers} workers");
        assert!(validation_batches(&set, workers) == validation, "{workers} workers");
    }
}

#[test]
fn starting_at_a_step_equals_running_to_it() {
    let place = tempfile::tempdir().unwrap();
    folder(place.path(), &files());
    let set = open(place.path());
    let all = train_batches(&set, 0, 17, 2);
    // Five steps an epoch: inside the first, at the edges, and beyond.
    for first in [0, 1, 4, 5, 6, 12] {
        let resumed = train_batches(&set, first, 5, 2);
        assert!(resumed == all[first as usize..first as usize + 5], "from step {first}");
    }
}

#[test]
fn an_epoch_holds_every_image_at_most_once_and_validation_each_once() {
    let set = Arc::new(Dataset::fashion_mnist());
    assert_eq!(TrainLoader::steps_per_epoch(&set, 999).unwrap(), 5);
    let parts = BatchParts::whole(999);
    let mut loader =
        TrainLoader::new(set.clone(), preprocess(8), OnBadSample::Stop, 0, parts, 0, 2usize)
            .unwrap();
    let mut seen: Vec<u32> = (0..5).flat_map(|_| loader.next().unwrap().indices).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 4995);
    assert!(loader.waited() > std::time::Duration::ZERO);

    let validation = Validation { resize: 8, crop: 8 };
    let share = ValidationShare::WHOLE;
    let mut loader = ValidationLoader::new(
        set.clone(),
        (validation, NORMALIZE, Interpolation::Bilinear),
        300,
        share,
        2usize,
    )
    .unwrap();
    let mut indices = Vec::new();
    let mut sizes = Vec::new();
    while let Some(batch) = loader.next().unwrap() {
        assert_eq!(batch.images.len(), batch.annotations.len() * 8 * 8 * 3);
        for (&index, &label) in batch.indices.iter().zip(&batch.annotations) {
            assert_eq!(set.validation.label(index as usize), label);
        }
        sizes.push(batch.annotations.len());
        indices.extend(batch.indices);
    }
    assert_eq!(sizes, [300, 300, 300, 100]);
    assert_eq!(indices, (0..1000).collect::<Vec<u32>>());
}

#[test]
fn fashion_mnist_is_balanced_and_named() {
    let set = Dataset::fashion_mnist();
    assert_eq!(set.classes.len(), 10);
    assert_eq!(set.classes[9], "Ankle boot");
    let counts = |part: &ImageSet| {
        let mut counts = [0; 10];
        (0..part.len()).for_each(|index| counts[part.label(index) as usize] += 1);
        counts
    };
    assert_eq!(counts(&set.train), [500; 10]);
    assert_eq!(counts(&set.validation), [100; 10]);
    // The first training image of the original set is an ankle boot.
    assert_eq!(set.train.label(0), 9);
    let image = set.train.image(0).unwrap();
    assert_eq!((image.width, image.height), (28, 28));
    assert!(image.pixels.chunks_exact(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]));
    assert!(image.pixels.iter().any(|&value| value > 200));
    assert_eq!(set.train.name(0), "fashion-mnist:train/0");
}

#[test]
fn a_broken_image_is_an_error_that_names_its_path_and_ends_the_loader() {
    let place = tempfile::tempdir().unwrap();
    let mut files = files();
    files[3].1.truncate(60);
    folder(&place.path().join("set"), &files);
    let archive = place.path().join("set.tar");
    fs::write(&archive, tar(&files)).unwrap();
    for (path, inner) in
        [(place.path().join("set"), "/train/bird/3.png"), (archive, ":set/train/bird/3.png")]
    {
        let expected = format!("{}{inner}: not a readable image: ", path.display());
        let set = open(&path);
        assert!(set.train.image(3).unwrap_err().to_string().starts_with(&expected));
        for workers in [1usize, 3] {
            let (set, parts) = (set.clone(), BatchParts::whole(7));
            let mut loader =
                TrainLoader::new(set, preprocess(8), OnBadSample::Stop, 0, parts, 0, workers)
                    .unwrap();
            let error = (0..3).find_map(|_| loader.next().err()).expect("an error in epoch 0");
            assert!(error.to_string().starts_with(&expected), "{error}");
            assert!(matches!(loader.next(), Err(DataError::Stopped)));
        }
    }
}

/// Batches of a loader that lets other images stand in for bad ones.
fn skipping(
    set: &Arc<Dataset>,
    parts: BatchParts,
    first: u64,
    count: u64,
    workers: usize,
) -> Vec<Batch> {
    let (set, skip) = (set.clone(), OnBadSample::Skip);
    let mut loader = TrainLoader::new(set, preprocess(12), skip, 3, parts, first, workers).unwrap();
    (0..count).map(|_| loader.next().unwrap()).collect()
}

/// One batch from the parts of a step, given in order.
fn joined(parts: &[Batch]) -> Batch {
    let mut whole = Batch { part: 0, ..parts[0].clone() };
    for part in &parts[1..] {
        assert_eq!(part.step, whole.step);
        whole.images.extend(&part.images);
        whole.annotations.extend(&part.annotations);
        whole.sizes.extend(&part.sizes);
        whole.indices.extend(&part.indices);
        whole.skipped.extend(part.skipped.clone());
    }
    whole
}

/// Two training images are spoiled, so that stand-ins are among the images.
#[test]
fn the_parts_of_all_processes_are_the_whole_batch_to_the_bit() {
    let place = tempfile::tempdir().unwrap();
    let mut files = files();
    files[3].1.truncate(60);
    files[15].1.clear();
    folder(place.path(), &files);
    let set = open(place.path());
    let (first, steps) = (1, 12);
    let whole = skipping(&set, BatchParts::whole(8), first, steps, 2);
    assert!(whole.iter().any(|batch| !batch.skipped.is_empty()));
    assert!(whole.iter().map(|batch| batch.step).eq(first..first + steps));
    for (parts, processes) in [(1, 1), (2, 1), (2, 2), (4, 2), (8, 1), (8, 4)] {
        let each = parts / processes;
        let mut by_step = vec![Vec::new(); steps as usize];
        for process in 0..processes {
            let mine = process * each..(process + 1) * each;
            let parts = BatchParts { batch: 8, parts, mine: mine.clone() };
            let made = skipping(&set, parts, first, steps * each as u64, 1 + process);
            for (at, batch) in made.into_iter().enumerate() {
                assert_eq!(batch.step, first + (at / each) as u64);
                assert_eq!(batch.part, mine.start + at % each);
                by_step[at / each].push(batch);
            }
        }
        let joined: Vec<Batch> = by_step.iter().map(|parts| joined(parts)).collect();
        assert!(joined == whole, "{parts} parts, {processes} processes");
    }
}

#[test]
fn a_process_reads_only_the_images_of_its_own_parts() {
    let place = tempfile::tempdir().unwrap();
    folder(place.path(), &files());
    let set = open(place.path());
    // The images of part 1 of the first step do not exist any more.
    let order = data::order(3, 0, set.train.len());
    (4..8).for_each(|at| fs::remove_file(set.train.name(order[at] as usize)).unwrap());
    for (mine, works) in [(0..1, true), (1..2, false), (0..2, false)] {
        let parts = BatchParts { batch: 8, parts: 2, mine: mine.clone() };
        let mut loader =
            TrainLoader::new(set.clone(), preprocess(8), OnBadSample::Stop, 3, parts, 0, 2usize)
                .unwrap();
        let outcome = mine.clone().try_for_each(|_| loader.next().map(drop));
        assert_eq!(outcome.is_ok(), works, "parts {mine:?}");
    }
}

#[test]
fn validation_shares_hold_every_image_once_and_know_their_numbers() {
    let set = Arc::new(Dataset::fashion_mnist());
    let whole = validation_batches(&set, 2);
    assert_eq!(whole.len(), 250);
    for size in [2, 3, 8, 300] {
        let mut batches = Vec::new();
        for rank in 0..size {
            let share = validation_share(&set, ValidationShare { rank, size }, 1 + rank % 2);
            assert!(share.iter().all(|batch| batch.step as usize % size == rank));
            assert!(share.is_sorted_by_key(|batch| batch.step));
            batches.extend(share);
        }
        batches.sort_by_key(|batch| batch.step);
        assert!(batches == whole, "{size} shares");
    }
}

/// Every fifth training image is spoiled, each in its way; what stays of a batch is what it was.
#[test]
fn bad_images_are_skipped_and_listed_alike_for_any_number_of_threads() {
    let place = tempfile::tempdir().unwrap();
    let mut files = files();
    let spoiled: Vec<usize> = (0..files.len()).filter(|at| at % 10 < 7 && at % 5 == 3).collect();
    for &at in &spoiled {
        files[at].1.truncate(60 * (at % 2));
    }
    folder(&place.path().join("set"), &files);
    let set = open(&place.path().join("set"));
    let batches = |first: u64, count: u64, workers: usize| -> Vec<Batch> {
        skipping(&set, BatchParts::whole(4), first, count, workers)
    };
    let all = batches(0, 15, 1);
    assert_eq!(all, batches(0, 15, 3));
    for step in [1, 6, 14] {
        assert_eq!(all[step as usize..], batches(step, 15 - step, 2), "resumed at step {step}");
    }
    let bad = |index: u32| {
        let name = set.train.name(index as usize);
        spoiled.iter().any(|&at| name.ends_with(&files[at].0))
    };
    let mut seen = 0;
    for (step, batch) in all.iter().enumerate() {
        let order = data::order(3, step as u64 / 5, set.train.len());
        let expected = &order[step % 5 * 4..][..4];
        let replaced: Vec<usize> = (0..4).filter(|&at| bad(expected[at])).collect();
        let listed: Vec<u32> = batch.skipped.iter().map(|skipped| skipped.index).collect();
        assert_eq!(listed, replaced.iter().map(|&at| expected[at]).collect::<Vec<_>>());
        for (at, &expected) in expected.iter().enumerate().take(4) {
            let stands_in = replaced.iter().position(|&replaced| replaced == at);
            let index = stands_in.map_or(expected, |one| batch.skipped[one].stand_in);
            assert_eq!(batch.indices[at], index);
            assert_eq!(batch.annotations[at], set.train.label(index as usize));
            assert!(!bad(index));
        }
        assert!(batch.skipped.iter().all(|skipped| !skipped.reason.is_empty()));
        seen += replaced.len();
    }
    assert!(seen > 6, "{seen} bad images in three epochs");
}

#[test]
fn data_of_bad_images_only_stops_under_skip_too() {
    let place = tempfile::tempdir().unwrap();
    let files: Vec<_> =
        files().into_iter().map(|(path, _)| (path, b"these are words".to_vec())).collect();
    folder(&place.path().join("set"), &files);
    let set = open(&place.path().join("set"));
    let mut loader =
        TrainLoader::new(set, preprocess(8), OnBadSample::Skip, 3, BatchParts::whole(4), 0, 2usize)
            .unwrap();
    assert!(loader.next().unwrap_err().bad_image().is_some());
}

#[test]
fn a_file_that_vanishes_or_shrinks_is_an_error_not_a_crash() {
    let place = tempfile::tempdir().unwrap();
    folder(&place.path().join("set"), &files());
    let archive = place.path().join("set.tar");
    fs::write(&archive, tar(&files())).unwrap();
    let (set, packed) = (open(&place.path().join("set")), open(&archive));
    fs::remove_file(place.path().join("set/train/bird/0.png")).unwrap();
    let message = set.train.image(0).unwrap_err().to_string();
    assert!(message.contains("set/train/bird/0.png: cannot be read: "), "{message}");
    fs::OpenOptions::new().write(true).open(&archive).unwrap().set_len(1000).unwrap();
    let message = packed.train.image(0).unwrap_err().to_string();
    assert!(message.contains("set.tar:set/train/bird/0.png: cannot be read: "), "{message}");
}

#[test]
fn dropping_a_loader_ends_its_threads() {
    let set = Arc::new(Dataset::fashion_mnist());
    for (workers, taken) in [(1usize, 0), (3, 0), (3, 2)] {
        let parts = BatchParts::whole(16);
        let mut loader =
            TrainLoader::new(set.clone(), preprocess(32), OnBadSample::Stop, 0, parts, 0, workers)
                .unwrap();
        (0..taken).for_each(|_| drop(loader.next().unwrap()));
        assert_eq!(Arc::strong_count(&set), 2);
        drop(loader);
        // The threads hold the set: with them gone it is ours alone.
        assert_eq!(Arc::strong_count(&set), 1);
    }
}

#[test]
fn mistakes_say_what_is_wrong_and_how_to_mend_it() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path();
    fs::create_dir_all(root.join("empty")).unwrap();
    folder(&root.join("flat"), &[("a/1.png".into(), picture(0)), ("a/2.png".into(), picture(1))]);
    fs::write(root.join("noise.tar"), [9; 4096]).unwrap();
    fs::write(root.join("noise.gz"), [0x1F, 0x8B, 9, 9, 9]).unwrap();
    fs::write(root.join("nothing.tar"), []).unwrap();
    let whole = tar(&files());
    fs::write(root.join("cut.tar"), &whole[..whole.len() / 2 + 100]).unwrap();
    let failure =
        |path: &str, split: f64| Dataset::open(&root.join(path), split, 0).unwrap_err().to_string();
    let cases = [
        (failure("none", 0.1), "none: no such file or folder; give the path"),
        (failure("empty", 0.1), "empty: no images here; expected class folders"),
        (failure("flat", 0.0), "flat: has no validation part, and data.split is 0; set data.split"),
        (failure("flat", 1.0), "flat: has no validation part, and data.split is 1; set data.split"),
        (failure("flat", f64::NAN), "flat: has no validation part, and data.split is NaN"),
        (failure("noise.tar", 0.1), "noise.tar: not a usable tar archive: "),
        (failure("noise.gz", 0.1), "noise.gz: not a usable gzip file: its stream is damaged"),
        (failure("nothing.tar", 0.1), "nothing.tar: no images here"),
        (failure("cut.tar", 0.1), "cut.tar: not a usable tar archive: "),
    ];
    for (message, expected) in cases {
        let expected = format!("{}/{expected}", root.display());
        assert!(message.starts_with(&expected), "{message}\nis not\n{expected}");
    }
    let set = open(&root.join("flat"));
    let parts = BatchParts::whole(64);
    let error = TrainLoader::new(set, preprocess(8), OnBadSample::Stop, 0, parts, 0, 1usize)
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with(
            "flat: 1 training images do not fill one batch of 64; set train.batch to 1 or less, or add images"
        ),
        "{error}"
    );
}

#[test]
fn a_folder_is_read_once_whatever_links_lead_to_it() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("set");
    let file = |path: &str, seed| (path.to_owned(), picture(seed));
    folder(
        &root,
        &[file("train/hat/1.png", 0), file("train/hat/2.png", 1), file("train/tie/3.png", 2)],
    );
    let link =
        |target: &str, name: &str| std::os::unix::fs::symlink(target, root.join(name)).unwrap();
    // Loops, and one class inside another.
    link(".", "train/hat/self");
    link("..", "train/hat/up");
    link("../tie", "train/hat/tie");
    let set = Dataset::undivided(&root).unwrap();
    assert_eq!((set.train.len(), set.validation.len()), (3, 0));
    let mut told: Vec<&str> =
        set.left_out.iter().map(|left| left.name.rsplit_once('/').unwrap().1).collect();
    told.sort_unstable();
    assert_eq!(told, ["self", "tie", "up"]);
    // A validation part may show what training does.
    link("train", "val");
    let set = Dataset::undivided(&root).unwrap();
    assert_eq!((set.train.len(), set.validation.len()), (3, 3));
    assert_eq!(data::images_in(&root.join("train")).unwrap().len(), 3);
}

#[test]
fn what_is_no_image_file_does_not_stop_the_others() {
    use std::os::unix::ffi::OsStrExt;
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("set");
    folder(&root, &[("a/1.png".into(), picture(0)), ("a/2.png".into(), picture(1))]);
    let odd = std::ffi::OsStr::from_bytes(b"a/\xFF.png");
    fs::write(root.join(odd), picture(2)).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("a/socket.png")).unwrap();
    std::os::unix::fs::symlink("nowhere", root.join("a/notes")).unwrap();
    let set = Dataset::undivided(&root).unwrap();
    assert_eq!(set.train.len(), 2);
    let mut reasons: Vec<&str> = set.left_out.iter().map(|left| left.reason.as_str()).collect();
    reasons.sort_unstable();
    assert_eq!(
        reasons,
        [
            "a link to what cannot be read",
            "it is a socket, and only regular files are read",
            "its name is not UTF-8; rename it"
        ]
    );
    // Asked for images alone, each is given, and reading it tells what it is.
    let images = data::images_in(&root).unwrap();
    assert_eq!(images.len(), 4);
    assert!(images.contains(&root.join(odd)), "{images:?}");
    // An image that is missing is not passed over.
    std::os::unix::fs::symlink("nowhere.png", root.join("a/3.png")).unwrap();
    let message = Dataset::undivided(&root).unwrap_err().to_string();
    assert!(
        message.ends_with(
            "a/3.png: a link to nowhere.png, which is not there; mend the link or remove it"
        ),
        "{message}"
    );
}

#[test]
fn names_in_a_tar_that_are_not_text_do_not_stop_the_others() {
    let whole = tar(&[("a/1.png".into(), picture(0)), ("a/\u{7f}.png".into(), picture(1))]);
    let at = whole.windows(2).position(|pair| pair == b"\x7f.").unwrap();
    let mut spoiled = whole.clone();
    spoiled[at] = 0xFF;
    // The header's checksum is the sum of its bytes.
    let header = at / 512 * 512;
    let field = header + 148..header + 156;
    spoiled[field.clone()].fill(b' ');
    let sum: u32 = spoiled[header..header + 512].iter().map(|&byte| u32::from(byte)).sum();
    spoiled[field].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let set = Dataset::from_bytes("set.tar", spoiled, 0.5, 1).unwrap();
    assert_eq!((set.train.len() + set.validation.len(), set.left_out.len()), (1, 1));
    assert!(set.left_out[0].reason.contains("not UTF-8"), "{:?}", set.left_out);
}

#[test]
fn equal_bytes_never_stand_on_both_sides_of_a_split() {
    let place = tempfile::tempdir().unwrap();
    let files: Vec<(String, Vec<u8>)> = (0..40)
        .map(|at| (format!("{}/{at:02}.png", ["a", "b"][at / 20]), picture(at as u32 / 3)))
        .collect();
    folder(place.path(), &files);
    for seed in 0..10 {
        let set = Dataset::open(place.path(), 0.3, seed).unwrap();
        assert!(!set.validation.is_empty());
        let pixels = |part: &data::ImageSet| -> Vec<Vec<u8>> {
            (0..part.len()).map(|index| part.image(index).unwrap().pixels).collect()
        };
        let trained = pixels(&set.train);
        for image in pixels(&set.validation) {
            assert!(!trained.contains(&image), "seed {seed}");
        }
    }
}

#[test]
fn links_are_followed_and_hidden_files_ignored() {
    let place = tempfile::tempdir().unwrap();
    let root: PathBuf = place.path().join("set");
    folder(&place.path().join("elsewhere"), &[("1.png".into(), picture(0))]);
    folder(
        &root,
        &[
            ("a/1.PNG".into(), picture(1)),
            ("a/._1.PNG".into(), vec![0]),
            ("a/.hidden.png".into(), vec![0]),
            (".git/x/1.png".into(), vec![0]),
        ],
    );
    std::os::unix::fs::symlink(place.path().join("elsewhere"), root.join("b")).unwrap();
    let set = open(&root);
    assert_eq!(set.classes, ["a", "b"]);
    assert_eq!((set.train.len(), set.validation.len()), (2, 0));
    assert_eq!(set.train.image(1).unwrap().width, 20);
}
