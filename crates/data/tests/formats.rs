//! Every format: the same images in all of them, written by `refs/format_fixtures.py`.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use data::Dataset;
use tempfile::TempDir;

mod common;
use common::{open, train_batches, validation_batches};

const ANIMALS: [&str; 3] = ["bird", "cat", "dog"];
const SYNSETS: [&str; 3] = ["n00000001", "n00000002", "n00000003"];

fn fixtures() -> TempDir {
    let place = tempfile::tempdir().unwrap();
    let archive = include_bytes!("../testdata/formats.tar.gz").as_slice();
    tar::Archive::new(flate2::read::GzDecoder::new(archive)).unpack(place.path()).unwrap();
    place
}

/// The same classes, and the same batches of both parts for any number of workers and from any step on.
fn assert_same(path: &Path, classes: &[&str], expected: &Arc<Dataset>) {
    let set = open(path);
    let name = path.display();
    assert_eq!(set.classes, classes, "{name}");
    assert_eq!(set.train.len(), expected.train.len(), "{name}");
    assert_eq!(set.validation.len(), expected.validation.len(), "{name}");
    for index in 0..set.train.len() {
        let (found, expected) = (set.train.image(index), expected.train.image(index));
        assert_eq!(found.unwrap(), expected.unwrap(), "{}", set.train.name(index));
    }
    let (train, validation) = (train_batches(expected, 0, 7, 1), validation_batches(expected, 1));
    for workers in [1, 3] {
        assert!(train_batches(&set, 0, 7, workers) == train, "{name}, {workers} workers");
        assert!(validation_batches(&set, workers) == validation, "{name}, {workers} workers");
    }
    // Five steps into the run is inside its second epoch.
    assert!(train_batches(&set, 5, 2, 2) == train[5..], "{name} from step 5");
    assert!(set.train.bytes().unwrap() > 0, "{name}");
}

#[test]
fn every_format_of_the_same_images_gives_the_same_batches() {
    let place = fixtures();
    let at = |path: &str| place.path().join(path);
    let expected = open(&at("folder"));
    assert_eq!((expected.train.len(), expected.validation.len()), (12, 6));
    for path in [
        "folder",
        "set.tar",
        "set.tar.gz",
        "webdataset",
        "webdataset/shard-{train-000,train-001,val-000}.tar",
        "lists",
        "table",
        "places365",
        "parquet",
        "parquet-cifar10",
        "recordio",
        "cifar-10-binary.tar.gz",
        "cifar-10-python.tar.gz",
        "cifar-100-binary",
        "cifar-100-python",
    ] {
        if path.contains('{') {
            // A pattern ends alike for all its shards.
            fs::rename(at("webdataset/shard-val-000.tar.gz"), at("webdataset/shard-val-000.tar"))
                .unwrap();
        }
        let names = ["b/bird", "c/cat", "d/dog"];
        let classes = if path == "places365" { names } else { ANIMALS };
        assert_same(&at(path), &classes, &expected);
    }
    assert_same(&at("imagenet"), &SYNSETS, &expected);
    assert_same(&at("imagenet-folders"), &SYNSETS, &expected);
    assert_same(&at("mnist"), &["0", "1", "2"], &open(&at("grey")));
}

#[test]
fn a_file_by_itself_is_a_dataset_without_validation_part() {
    let place = fixtures();
    let at = |path: &str| place.path().join(path);
    for (path, classes, images, held) in [
        ("lists/train.txt", ANIMALS, 12, 3),
        ("webdataset/shard-train-001.tar", ["0", "1", "2"], 6, 3),
        // Without a .cls, folders tell.
        ("webdataset/shard-train-000.tar", ANIMALS, 7, 3),
        ("parquet/data/train-00000-of-00002.parquet", ANIMALS, 7, 2),
        ("recordio/train.rec", ANIMALS, 12, 3),
        ("imagenet/ILSVRC2012_img_train.tar", SYNSETS, 12, 3),
    ] {
        let set = Dataset::open(&at(path), 0.1, 0).unwrap();
        assert_eq!(set.classes, classes, "{path}");
        assert_eq!(set.train.len() + set.validation.len(), images, "{path}");
        assert_eq!(set.validation.len(), held, "{path}: one of each class that has two");
        // In memory it is the same.
        if !path.ends_with(".txt") {
            let held = Dataset::from_bytes("held", fs::read(at(path)).unwrap(), 0.1, 0).unwrap();
            let [found, expected] = [&held, &set].map(|set| set.train.image(1).unwrap());
            assert_eq!(found, expected, "{path}");
        }
    }
}

#[test]
fn classes_of_flat_validation_images_come_from_any_of_the_usual_files() {
    let place = fixtures();
    let root = place.path().join("imagenet-folders");
    let expected = open(&place.path().join("folder"));
    fs::remove_file(root.join("LOC_val_solution.csv")).unwrap();
    let message = Dataset::open(&root, 0.1, 0).unwrap_err().to_string();
    assert!(message.contains("not a dataset: found 6 images"), "{message}");
    let kit = "imagenet/ILSVRC2012_devkit_t12.tar.gz";
    fs::copy(place.path().join(kit), root.join("ILSVRC2012_devkit_t12.tar.gz")).unwrap();
    assert_same(&root, &SYNSETS, &expected);
    // In the order in which refs/format_fixtures.py shuffled them.
    let labels = [2, 0, 1, 1, 0, 2];
    let synsets = labels.map(|label| format!("{}\n", SYNSETS[label])).concat();
    let list: String =
        (1..).zip(labels).map(|(n, l)| format!("ILSVRC2012_val_{n:08}.JPEG {l}\n")).collect();
    for (name, text) in
        [("imagenet_2012_validation_synset_labels.txt", &synsets), ("val.txt", &list)]
    {
        fs::remove_file(root.join("ILSVRC2012_devkit_t12.tar.gz")).ok();
        fs::write(root.join(name), text).unwrap();
        assert_same(&root, &SYNSETS, &expected);
        fs::write(root.join(name), &text[..text.len() / 2]).unwrap();
        let message = Dataset::open(&root, 0.1, 0).unwrap_err().to_string();
        assert!(message.contains("not a usable "), "{message}");
        fs::remove_file(root.join(name)).unwrap();
    }
}

/// What is done to a file, and what the message then says of it.
type Damage = (&'static str, &'static str, fn(&mut Vec<u8>), &'static str);

#[test]
fn damaged_files_are_named_with_what_is_wrong() {
    let cases: [Damage; 17] = [
        ("recordio", "train.rec", |b| b.truncate(200), "is no position in"),
        ("recordio", "train.rec", |b| b[0] = 0, "does not begin with the word 0xced7230a"),
        (
            "recordio",
            "val.rec",
            |b| drop(b.splice(4..8, [255, 255, 255, 31])),
            "record at byte 0: not a usable RecordIO image: 536870911 bytes are told",
        ),
        ("recordio", "val.rec", |b| b.truncate(b.len() - 9), "the file ends before"),
        ("recordio", "val.rec", |b| b[8] = 7, "it has 7 labels"),
        ("recordio", "val.rec", |b| b[15] = 0x7F, "is no class"),
        ("mnist", "t10k-images-idx3-ubyte", |b| b[4] = 255, "its header says"),
        ("mnist", "t10k-labels-idx1-ubyte", |b| b.truncate(11), "it has 11 bytes"),
        ("mnist", "t10k-images-idx3-ubyte", |b| b.clear(), "does not begin"),
        ("mnist", "train-images-idx3-ubyte.gz", |b| b.truncate(90), "its stream is damaged"),
        (
            "cifar-100-binary",
            "test.bin",
            |b| b.truncate(4000),
            "its 4000 bytes are no multiple of 3074",
        ),
        ("cifar-100-binary", "test.bin", |b| b[1] = 9, "test.bin: image 0: label 9 is not 0 to 2"),
        ("cifar-100-python", "test", |b| b.truncate(3000), "cut short at byte"),
        (
            "parquet",
            "data/validation-00000-of-00001.parquet",
            |b| b.truncate(1000),
            "not a usable Parquet file",
        ),
        ("lists", "val.txt", |b| b.extend(b"9.png\n"), "val.txt:7: not a usable list of images"),
        (
            "places365",
            "places365_val.txt",
            |b| b.extend(b"x.jpg 3\n"),
            "places365_val.txt:7: label 3 is not 0 to 2",
        ),
        (
            "table",
            "metadata.csv",
            |b| b.extend(b"\n\"x.png\",cow,some"),
            "its split some is none of",
        ),
    ];
    let place = fixtures();
    for (root, file, damage, expected) in cases {
        let root = place.path().join(root);
        let whole = fs::read(root.join(file)).unwrap();
        let mut bytes = whole.clone();
        damage(&mut bytes);
        fs::write(root.join(file), bytes).unwrap();
        let message = Dataset::open(&root, 0.1, 0).expect_err(file).to_string();
        assert!(message.contains(expected), "{message}\nis not\n{expected}");
        assert!(message.contains(&root.display().to_string()), "{message}");
        fs::write(root.join(file), whole).unwrap();
    }
}

#[test]
fn samples_that_are_not_whole_are_named() {
    let place = tempfile::tempdir().unwrap();
    let tar_of = |files: &[(&str, &str)]| {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, path, content.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    };
    for (files, expected) in [
        (
            vec![("1.jpg", "x"), ("1.cls", "0"), ("2.jpg", "x")],
            ":2.jpg: not a usable WebDataset sample: it has no label;",
        ),
        (
            vec![("1.jpg", "x"), ("1.cls", "0"), ("2.cls", "0")],
            ":2.cls: not a usable WebDataset sample: it has no image;",
        ),
        (
            vec![("1.jpg", "x"), ("1.png", "x"), ("1.cls", "0")],
            "it has several images: 1.jpg, 1.png;",
        ),
        (
            vec![("1.jpg", "x"), ("1.cls", " ")],
            ":1.cls: not a usable WebDataset sample: it is empty;",
        ),
        (vec![("1.jpg", "x"), ("1.json", "{}")], "it has no key label;"),
        (vec![("1.jpg", "x"), ("1.cls", "-1")], "label -1 is not a class"),
    ] {
        fs::write(place.path().join("a.tar"), tar_of(&files)).unwrap();
        let message = Dataset::open(place.path(), 0.1, 0).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}\nis not\n{expected}");
    }
    let message = Dataset::from_bytes("x", vec![0, 0, 8, 3], 0.1, 0).unwrap_err().to_string();
    assert!(message.contains("give the folder"), "{message}");
    let pattern = place.path().join("a-{0..3}.tar");
    let message = Dataset::open(&pattern, 0.1, 0).unwrap_err().to_string();
    assert!(message.contains("a-0.tar: cannot be read: "), "{message}");
}

#[test]
fn a_folder_that_is_nothing_known_lists_what_was_looked_for() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("notes.md"), "nothing").unwrap();
    let message = Dataset::open(place.path(), 0.1, 0).unwrap_err().to_string();
    for kind in
        ["class folders", "train.txt", "WebDataset", "ImageNet", "Parquet", "RecordIO", "idx"]
    {
        assert!(message.contains(kind), "{message}");
    }
}

/// Labels and parts are in MATLAB files, the images in the folder that their archive unpacks to.
#[test]
fn flowers_are_read_as_distributed() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    fs::create_dir(at("jpg")).unwrap();
    for number in 1..=6u8 {
        let image = image::RgbImage::from_pixel(16, 16, image::Rgb([number * 40; 3]));
        let file = at("jpg").join(format!("image_{number:05}.jpg"));
        // Files are known by their content.
        image.save_with_format(file, image::ImageFormat::Png).unwrap();
    }
    fs::write(at("imagelabels.mat"), include_bytes!("../testdata/flowers102-imagelabels.mat"))
        .unwrap();
    fs::write(at("setid.mat"), include_bytes!("../testdata/flowers102-setid.mat")).unwrap();
    let set = Dataset::open(place.path(), 0.1, 0).unwrap();
    assert_eq!((set.classes.len(), set.train.len(), set.validation.len()), (102, 3, 2));
    assert_eq!((&*set.classes[2], &*set.classes[101]), ("canterbury bells", "blackberry lily"));
    // In order of label: image 2 of class 1, image 1 of class 3, image 4 of class 102.
    let found: Vec<(u32, u8)> = (0..3)
        .map(|index| (*set.train.annotation(index), set.train.image(index).unwrap().pixels[0]))
        .collect();
    assert_eq!(found.iter().map(|(label, _)| *label).collect::<Vec<_>>(), [0, 2, 101]);
    assert!(
        found.iter().zip([80, 40, 160]).all(|((_, gray), told)| gray.abs_diff(told) < 4),
        "{found:?}"
    );

    fs::remove_file(at("jpg/image_00004.jpg")).unwrap();
    let missing = Dataset::open(place.path(), 0.1, 0).unwrap_err().to_string();
    assert!(missing.contains("image_00004.jpg is not there"), "{missing}");
    fs::write(at("setid.mat"), "words").unwrap();
    let broken = Dataset::open(place.path(), 0.1, 0).unwrap_err().to_string();
    assert!(broken.contains("setid.mat") && broken.contains("MATLAB 5"), "{broken}");
}
