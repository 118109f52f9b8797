//! Packed copies: the same batches, and nothing stale, cut or changed passes.

use std::fs;
use std::io::Cursor;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use data::info::unwatched;
use data::pack::{Encoding, Packing, pack};
use data::{Batch, BatchParts, Dataset, TrainLoader, resize};
use recipe::{Crop, Normalize, OnBadSample, Preprocess};

const KEPT: Packing = Packing { short_side: None, encoding: Encoding::Kept, upright: false };
const RAW: Packing = Packing { encoding: Encoding::Raw, ..KEPT };

/// Three classes of 4 training and 2 validation images, PNG and JPEG, of 30 to 70 pixels.
fn folder(root: &Path, with_validation: bool) {
    for number in 0..18u32 {
        let part = if number % 6 < 4 { "train" } else { "val" };
        let class = ["x", "y", "z"][number as usize / 6];
        let (width, height) = (30 + number * 7 % 40, 64 - number * 5 % 30);
        let image = image::RgbImage::from_fn(width, height, |x, y| {
            image::Rgb([x * 3 + number, y * 3, x + y + number * 5].map(|value| value as u8))
        });
        let mut bytes = Vec::new();
        let name = if number % 2 == 0 {
            image.write_to(&mut Cursor::new(&mut bytes), image::ImageFormat::Png).unwrap();
            format!("{number}.png")
        } else {
            let encoder = jpeg_encoder::Encoder::new(&mut bytes, 95);
            let (width, height) = (width as u16, height as u16);
            encoder.encode(&image, width, height, jpeg_encoder::ColorType::Rgb).unwrap();
            format!("{number}.jpg")
        };
        let part = if with_validation { root.join(part) } else { root.to_owned() };
        fs::create_dir_all(part.join(class)).unwrap();
        fs::write(part.join(class).join(name), bytes).unwrap();
    }
}

fn packed(from: &Path, to: &Path, packing: &Packing) {
    let set = Dataset::undivided(from).unwrap();
    pack(&set, to, packing, 2, &mut unwatched).unwrap().unwrap();
}

fn batches(path: &Path) -> Vec<Batch> {
    let set = Arc::new(Dataset::open(path, 0.4, 5).unwrap());
    let preprocess = Preprocess {
        size: Some(24),
        crop: Some(Crop { area: [0.2, 1.0], aspect: [0.75, 1.33] }),
        flip: Some(0.5),
        randaugment: None,
        jitter: None,
        color: None,
        pca_noise: None,
        normalize: Normalize { mean: [120.0; 3], std: [60.0; 3] },
        erasing: None,
    };
    let parts = BatchParts::whole(4);
    let mut loader =
        TrainLoader::new(set, preprocess, OnBadSample::Stop, 3, parts, 0, 2usize).unwrap();
    (0..6).map(|_| loader.next().unwrap()).collect()
}

#[test]
fn kept_and_raw_copies_give_the_same_batches_with_and_without_validation() {
    for with_validation in [true, false] {
        let place = tempfile::tempdir().unwrap();
        let from = place.path().join("set");
        folder(&from, with_validation);
        for (name, packing) in [("kept", KEPT), ("raw", RAW)] {
            let to = place.path().join(name);
            packed(&from, &to, &packing);
            assert_eq!(batches(&to), batches(&from), "{name}");
            let set = Dataset::open(&to, 0.4, 5).unwrap();
            let original = Dataset::open(&from, 0.4, 5).unwrap();
            assert_eq!(set.classes, ["x", "y", "z"]);
            for index in 0..set.validation.len() {
                let (image, expected) =
                    (set.validation.image(index), original.validation.image(index));
                assert_eq!(image.unwrap(), expected.unwrap());
            }
            let name = set.train.name(0);
            assert!(name.starts_with(&format!("{}:", to.display())), "{name}");
        }
    }
}

/// Shrunk images are Pillow's resize of the original; those that are small already stay as they are.
#[test]
fn short_sides_are_cut_down_and_no_image_grows() {
    let place = tempfile::tempdir().unwrap();
    let from = place.path().join("set");
    folder(&from, true);
    let original = Dataset::undivided(&from).unwrap();
    for encoding in [Encoding::Raw, Encoding::Kept, Encoding::Jpeg(95)] {
        let to = place.path().join(format!("{encoding:?}"));
        packed(&from, &to, &Packing { short_side: Some(40), encoding, upright: false });
        let set = Dataset::undivided(&to).unwrap();
        let mut shrunk = 0;
        for index in 0..set.train.len() {
            let (image, mut expected) =
                (set.train.image(index).unwrap(), original.train.image(index).unwrap());
            let (width, height) = (expected.width, expected.height);
            let is_large = width.min(height) > 40;
            if is_large {
                shrunk += 1;
                let longer = 40 * width.max(height) / width.min(height);
                let (w, h) = if width <= height { (40, longer) } else { (longer, 40) };
                expected = resize(&expected, w, h);
            }
            assert_eq!((image.width, image.height), (expected.width, expected.height));
            let is_exact = encoding == Encoding::Raw || (encoding == Encoding::Kept && !is_large);
            assert!(!is_exact || image == expected, "{encoding:?}, image {index}");
            let differences = image.pixels.iter().zip(&expected.pixels);
            let sum: u64 = differences.map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
            assert!(sum < 4 * image.pixels.len() as u64, "{encoding:?}, image {index}: {sum}");
        }
        assert!((2..12).contains(&shrunk), "{shrunk} shrunk");
    }
}

#[test]
fn cut_stale_and_changed_files_are_refused_by_name() {
    let place = tempfile::tempdir().unwrap();
    let (from, to) = (place.path().join("set"), place.path().join("pack"));
    folder(&from, true);
    packed(&from, &to, &KEPT);
    packed(&from, &place.path().join("raw"), &RAW);
    let shard = to.join("shard-00000.pack");
    let (whole, index) = (fs::read(&shard).unwrap(), fs::read(to.join("index.pack")).unwrap());
    let refused = |file: &str, bytes: &[u8], words: &[&str]| {
        let before = fs::read(to.join(file)).unwrap();
        fs::write(to.join(file), bytes).unwrap();
        let text = Dataset::undivided(&to).unwrap_err().to_string();
        fs::write(to.join(file), before).unwrap();
        for word in words.iter().chain(&[file, "packed copy"]) {
            assert!(text.contains(word), "no {word:?} in: {text}");
        }
    };
    let longer = [&whole[..], b"x"].concat();
    let mut damaged = index.clone();
    damaged[100] ^= 1;
    refused("shard-00000.pack", &whole[..whole.len() - 1], &["cut or added to"]);
    refused("shard-00000.pack", &longer, &["cut or added to"]);
    refused("shard-00000.pack", b"", &["does not begin as a shard"]);
    let other = fs::read(place.path().join("raw/shard-00000.pack")).unwrap();
    refused("shard-00000.pack", &other, &["another pack than the index"]);
    refused("index.pack", &index[..index.len() - 1], &["cut or added to"]);
    refused("index.pack", &damaged, &["content hash"]);
    refused("index.pack", b"noise", &["does not begin"]);

    // Headers stay as they are, so that only reading the image can tell.
    let mut flipped = whole.clone();
    flipped[whole.len() / 3] ^= 1;
    fs::write(&shard, &flipped).unwrap();
    let set = Dataset::undivided(&to).unwrap();
    let parts = [&set.train, &set.validation].into_iter();
    let errors: Vec<String> = parts
        .flat_map(|part| (0..part.len()).filter_map(move |index| part.image(index).err()))
        .map(|error| error.to_string())
        .collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("pack:") && errors[0].contains("have changed since"), "{errors:?}");

    fs::remove_file(to.join("index.pack")).unwrap();
    let text = Dataset::undivided(&to).unwrap_err().to_string();
    assert!(text.contains("pack: not a usable packed copy: it is not finished"), "{text}");
    fs::write(to.join("index.pack"), &index).unwrap();
    fs::remove_file(&shard).unwrap();
    let text = Dataset::undivided(&to).unwrap_err().to_string();
    assert!(text.contains("shard-00000.pack: cannot be read"), "{text}");
}

#[test]
fn a_folder_in_use_is_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let (from, to) = (place.path().join("set"), place.path().join("pack"));
    folder(&from, true);
    let set = Dataset::undivided(&from).unwrap();
    fs::create_dir(&to).unwrap();
    fs::write(to.join("thesis.tex"), "years of work").unwrap();
    let refused =
        |packing: &Packing| pack(&set, &to, packing, 2, &mut unwatched).unwrap_err().to_string();
    assert!(refused(&KEPT).contains("pack: holds thesis.tex; "), "{}", refused(&KEPT));
    fs::remove_file(to.join("thesis.tex")).unwrap();
    packed(&from, &to, &KEPT);
    let before = fs::read(to.join("shard-00000.pack")).unwrap();
    assert!(refused(&RAW).contains("holds another pack"), "{}", refused(&RAW));
    // The same again changes nothing.
    packed(&from, &to, &KEPT);
    assert!(before == fs::read(to.join("shard-00000.pack")).unwrap());
}

#[test]
fn a_bad_image_is_named_and_nothing_is_finished() {
    let place = tempfile::tempdir().unwrap();
    let (from, to) = (place.path().join("set"), place.path().join("pack"));
    folder(&from, true);
    fs::write(from.join("train/y/6.png"), "words").unwrap();
    let set = Dataset::undivided(&from).unwrap();
    let error = pack(&set, &to, &KEPT, 2, &mut unwatched).unwrap_err();
    assert!(error.bad_image().is_some() && error.to_string().contains("train/y/6.png"), "{error}");
    assert!(!to.join("index.pack").exists() && !to.join("shard-00000.pack").exists());
}

#[test]
fn the_embedded_set_packs_as_pixels() {
    let place = tempfile::tempdir().unwrap();
    let set = Dataset::fashion_mnist();
    pack(&set, place.path(), &RAW, 2, &mut unwatched).unwrap().unwrap();
    let copy = Dataset::undivided(place.path()).unwrap();
    assert_eq!((copy.train.len(), copy.validation.len()), (5000, 1000));
    for index in [0, 4095, 4096, 4999] {
        assert_eq!(copy.train.image(index).unwrap(), set.train.image(index).unwrap());
    }
}

#[test]
fn two_packs_into_one_folder_do_not_meet() {
    let place = tempfile::tempdir().unwrap();
    let (from, to) = (place.path().join("set"), place.path().join("pack"));
    folder(&from, true);
    let set = Dataset::undivided(&from).unwrap();
    let images = set.train.len() + set.validation.len();
    let mut refused = 0;
    let mut second = |_: usize, _: usize| {
        let other = pack(&set, &to, &KEPT, 1, &mut unwatched);
        let text = other.unwrap_err().to_string();
        let owner = format!("process {} is writing a packed copy", std::process::id());
        assert!(text.contains(&owner), "{text}");
        refused += 1;
        ControlFlow::Continue(())
    };
    let first = pack(&set, &to, &KEPT, 2, &mut second).unwrap().unwrap();
    assert!(refused > 0 && first.images == images);
    // The first is whole, and a lock that a killed process left is none.
    fs::write(to.join(".pack.lock"), "4294967\n").unwrap();
    let again = pack(&set, &to, &KEPT, 1, &mut unwatched).unwrap();
    assert_eq!(again, Some(first));
    assert_eq!(Dataset::undivided(&to).unwrap().train.len(), set.train.len());
    assert!(!to.join(".pack.lock").exists());
}
