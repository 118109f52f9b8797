//! What `check` and `info` find in datasets that hold one of everything.

use std::collections::BTreeSet;
use std::fs;
use std::io::Cursor;
use std::ops::ControlFlow;
use std::path::Path;

use data::check::{CheckReport, FindingKind, bad_images, check};
use data::info::{contact_sheet, info, unwatched};
use data::{DataError, Dataset, RgbImage, decode};
use image::{DynamicImage, ImageFormat};
use jpeg_encoder::{ColorType, Encoder};
use recipe::Orientation;

fn noise(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|at| (((at + 1) * (seed * 2 + 77) * 2_654_435_761) >> 13) as u8).collect()
}

fn png(seed: u8) -> Vec<u8> {
    encoded(
        DynamicImage::from(image::RgbImage::from_pixel(9, 7, image::Rgb([seed, 80, 200]))),
        ImageFormat::Png,
    )
}

fn encoded(image: DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// 24×16 pixels, with an EXIF orientation where it is not 0.
fn jpeg(color: ColorType, components: usize, orientation: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 90);
    if orientation > 0 {
        let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        exif.extend([orientation, 0, 0, 0]);
        encoder.add_app_segment(1, &exif).unwrap();
    }
    encoder.encode(&noise(24 * 16 * components, components), 24, 16, color).unwrap();
    bytes
}

fn animation() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
    for _ in 0..2 {
        encoder.encode_frame(image::Frame::new(image::RgbaImage::new(5, 4))).unwrap();
    }
    drop(encoder);
    bytes
}

/// A GIF of one pixel whose frame leaves it by 65,535 in both directions.
const BOMB: &[u8] = b"GIF89a\x01\0\x01\0\0\0\0\x2C\0\0\0\0\xFF\xFF\xFF\xFF\0\x02\x01\0\0\x3B";

/// A dataset of two classes with one of everything, and what is to be found.
fn one_of_everything(root: &Path) -> BTreeSet<(FindingKind, &'static str)> {
    let photo = jpeg(ColorType::Rgb, 3, 0);
    let grey = image::ImageBuffer::<image::Luma<u16>, _>::from_pixel(9, 7, image::Luma([999u16]));
    let files: [(&str, Vec<u8>); 18] = [
        ("train/a/fine.jpg", photo.clone()),
        ("train/a/upright.jpg", jpeg(ColorType::Rgb, 3, 1)),
        ("train/a/again.jpg", photo.clone()),
        ("train/a/turned.jpg", jpeg(ColorType::Rgb, 3, 6)),
        ("train/a/print.jpg", jpeg(ColorType::Cmyk, 4, 0)),
        ("train/a/deep.png", encoded(DynamicImage::ImageLuma16(grey), ImageFormat::Png)),
        ("train/a/moving.gif", animation()),
        ("train/a/cut.jpg", photo[..photo.len() / 2].to_vec()),
        ("train/a/cut.png", png(1)[..60].to_vec()),
        ("train/a/bomb.gif", BOMB.to_vec()),
        ("train/a/empty.jpg", Vec::new()),
        ("train/a/words.jpg", b"these are words".to_vec()),
        ("train/a/also-empty.png", Vec::new()),
        ("train/a/scan.tif", b"II*\0".to_vec()),
        ("train/b/photo", png(4)),
        ("train/b/only.png", png(2)),
        ("val/a/seen.png", png(3)),
        ("val/b/leak.jpg", photo),
    ];
    for (path, bytes) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    [
        (FindingKind::Unreadable, "train/a/words.jpg"),
        (FindingKind::Truncated, "train/a/cut.jpg"),
        (FindingKind::Truncated, "train/a/cut.png"),
        (FindingKind::Empty, "train/a/empty.jpg"),
        (FindingKind::Empty, "train/a/also-empty.png"),
        (FindingKind::TooManyPixels, "train/a/bomb.gif"),
        (FindingKind::Leak, "val/b/leak.jpg"),
        // The first of them by name is the original.
        (FindingKind::Duplicate, "train/a/fine.jpg"),
        (FindingKind::ClassImbalance, "train/b"),
        (FindingKind::Cmyk, "train/a/print.jpg"),
        (FindingKind::SixteenBit, "train/a/deep.png"),
        (FindingKind::Palette, "train/a/moving.gif"),
        (FindingKind::Animated, "train/a/moving.gif"),
        (FindingKind::Rotated, "train/a/turned.jpg"),
        (FindingKind::LeftOut, "train/a/scan.tif"),
        (FindingKind::LeftOut, "train/b/photo"),
    ]
    .into()
}

fn found<'a>(report: &'a CheckReport, root: &Path) -> BTreeSet<(FindingKind, &'a str)> {
    let root = format!("{}/", root.display());
    let findings = report.findings.iter();
    findings.map(|found| (found.kind, found.path.strip_prefix(&root).unwrap())).collect()
}

#[test]
fn every_kind_is_found_once_and_nothing_else() {
    let place = tempfile::tempdir().unwrap();
    let expected = one_of_everything(place.path());
    let kinds: BTreeSet<FindingKind> = expected.iter().map(|&(kind, _)| kind).collect();
    assert_eq!(
        kinds.len(),
        FindingKind::ALL.len() - 13,
        "all but classes that differ, a single class, and what only boxes or masks can have"
    );
    let mut reports = Vec::new();
    for threads in [1, 3] {
        let mut seen = 0;
        let mut watch = |done: usize, total: usize| {
            assert_eq!((done, total), (seen + 1, 16));
            seen += 1;
            ControlFlow::Continue(())
        };
        let report = check(place.path(), threads, &mut watch).unwrap();
        assert_eq!(found(&report, place.path()), expected);
        assert_eq!(report.findings.len(), expected.len());
        assert!(report.complete && report.stops_training());
        assert_eq!((report.classes, report.train_images, report.validation_images), (2, 14, 2));
        reports.push(report.findings);
    }
    assert_eq!(reports[0], reports[1]);
    let leak = reports[0].iter().find(|found| found.kind == FindingKind::Leak).unwrap();
    assert!(leak.detail.contains("train/a/again.jpg, under another class"), "{}", leak.detail);
}

#[test]
fn classes_that_differ_are_one_finding_among_the_others() {
    let place = tempfile::tempdir().unwrap();
    let mut expected = one_of_everything(place.path());
    fs::rename(place.path().join("val/b"), place.path().join("val/c")).unwrap();
    let report = check(place.path(), 2, &mut unwatched).unwrap();
    expected.remove(&(FindingKind::Leak, "val/b/leak.jpg"));
    expected.extend([(FindingKind::Leak, "val/c/leak.jpg"), (FindingKind::ClassMismatch, "val")]);
    assert_eq!(found(&report, place.path()), expected);
    let mismatch =
        report.findings.iter().find(|found| found.kind == FindingKind::ClassMismatch).unwrap();
    assert_eq!(mismatch.detail, "missing b; extra c");
}

#[test]
fn a_clean_dataset_has_no_findings_and_stops_nothing() {
    let place = tempfile::tempdir().unwrap();
    for (class, seed) in [("a", 1), ("a", 2), ("b", 3)] {
        let folder = place.path().join(class);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{seed}.png")), png(seed)).unwrap();
    }
    let report = check(place.path(), 2, &mut unwatched).unwrap();
    assert_eq!(report.findings, []);
    assert!(!report.stops_training());
    fs::remove_dir_all(place.path().join("b")).unwrap();
    let report = check(place.path(), 2, &mut unwatched).unwrap();
    let kinds: Vec<FindingKind> = report.findings.iter().map(|found| found.kind).collect();
    assert_eq!(kinds, [FindingKind::OneClass]);
    let error = check(&place.path().join("a"), 2, &mut unwatched).unwrap_err();
    assert!(matches!(error, DataError::NotDataset { .. }), "{error}");
}

#[test]
fn all_bad_images_are_named_in_order() {
    let place = tempfile::tempdir().unwrap();
    one_of_everything(place.path());
    let set = Dataset::open(place.path(), 0.1, 0).unwrap();
    for threads in [1, 3] {
        let bad = bad_images(&set, threads, &mut unwatched);
        let names: Vec<&str> = bad.iter().map(|bad| bad.name.rsplit_once('/').unwrap().1).collect();
        let expected =
            ["also-empty.png", "bomb.gif", "cut.jpg", "cut.png", "empty.jpg", "words.jpg"];
        assert_eq!(names, expected);
        let text = DataError::BadImages { name: "set".into(), images: 16, bad }.to_string();
        assert!(text.starts_with("set: 6 of 16 images cannot be used; "), "{text}");
        assert!(text.contains("cut.jpg: the JPEG is cut short\n"), "{text}");
        assert!(text.contains("bomb.gif: 65535×65535 pixels are more than the limit"), "{text}");
    }
}

/// Means of two images of one color each lie in the middle, whatever their sizes.
#[test]
fn info_counts_and_weighs_each_image_alike() {
    let place = tempfile::tempdir().unwrap();
    let plain = |side: u32, value: u8| {
        let image = image::RgbImage::from_pixel(side, side * 2, image::Rgb([value, 0, 255]));
        encoded(DynamicImage::from(image), ImageFormat::Png)
    };
    for (path, bytes) in [
        ("train/a/1.png", plain(4, 10)),
        ("train/a/2.png", b"words".to_vec()),
        ("train/b/1.png", plain(40, 30)),
        ("val/a/1.png", plain(6, 200)),
        ("val/b/1.png", plain(8, 200)),
    ] {
        let path = place.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let set = Dataset::undivided(place.path()).unwrap();
    let found = info(&set, 3, &mut unwatched).unwrap();
    assert_eq!(found, info(&set, 1, &mut unwatched).unwrap());
    assert_eq!(found.images, [[2, 1], [1, 1]]);
    assert_eq!((found.width, found.height), ([4, 8, 40], [8, 16, 80]));
    assert_eq!((found.unreadable, found.mean), (1, [20.0, 0.0, 255.0]));
    assert_eq!(found.std, [10.0, 0.0, 0.0]);
    let mut twice = 0;
    let early = info(&set, 2, &mut |_: usize, _: usize| {
        twice += 1;
        if twice == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(early.is_none());

    let sheet = decode(&contact_sheet(&set, 9, 3, 16), "sheet").unwrap();
    assert_eq!((sheet.width, sheet.height), (2 * 20 + 4, 2 * 20 + 4));
    let pixel = |x: usize, y: usize| &sheet.pixels[(y * sheet.width + x) * 3..][..3];
    assert_eq!(pixel(12, 12), [10, 0, 255], "the first image, in the middle of its square");
    assert_eq!(pixel(32, 12), [255, 255, 255], "words leave theirs empty");
    assert_eq!(pixel(12, 32), [30, 0, 255], "the second class");
}

#[test]
fn orientation_turns_images_only_where_it_is_asked_for() {
    let place = tempfile::tempdir().unwrap();
    for (name, orientation) in [("1.jpg", 6), ("2.jpg", 0)] {
        let folder = place.path().join("a");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), jpeg(ColorType::Rgb, 3, orientation)).unwrap();
    }
    let sizes = |set: &Dataset| {
        [0, 1].map(|index| {
            let RgbImage { width, height, .. } = set.train.image(index).unwrap();
            (width, height)
        })
    };
    let set = Dataset::undivided(place.path()).unwrap();
    assert_eq!(sizes(&set), [(24, 16), (24, 16)]);
    let stored = set.train.image(0).unwrap();
    let set = set.oriented(Orientation::Exif);
    assert_eq!(sizes(&set), [(16, 24), (24, 16)]);
    assert_eq!(set.train.image(0).unwrap(), stored.upright(6));
}
