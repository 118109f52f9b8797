//! Images with masks in each layout, as folders and tars: parts, classes, what is ignored, and what is wrong with them.

use std::fs;
use std::path::Path;

use data::check::{FindingKind, check_masks, has_masks};
use data::{
    Annotation, DataError, Dataset, GaussianBlur, Geometry, IGNORED, RgbImage, ScaledCrop, at, png,
    scaled_crop_sample,
};
use recipe::Normalize;

fn picture(path: &Path, width: usize, height: usize, shade: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let pixels = (0..width * height * 3).map(|at| (at as u8).wrapping_mul(7) ^ shade).collect();
    fs::write(path, png(&RgbImage { width, height, pixels })).unwrap();
}

/// A grey mask.
fn mask(path: &Path, width: usize, height: usize, value: impl Fn(usize) -> u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(::png::ColorType::Grayscale);
    let mut writer = encoder.write_header().unwrap();
    let values: Vec<u8> = (0..width * height).map(value).collect();
    writer.write_image_data(&values).unwrap();
    writer.finish().unwrap();
    fs::write(path, file).unwrap();
}

/// Training images a and b, validation image c, each of 6×4 pixels, with values 0 to 3.
fn ade(root: &Path) {
    let home = root.join("ADEChallengeData2016");
    for (shade, (part, name)) in
        [("training", "a"), ("training", "b"), ("validation", "c"), ("testing", "t")]
            .iter()
            .enumerate()
    {
        picture(&home.join(format!("images/{part}/{name}.png")), 6, 4, shade as u8);
        mask(&home.join(format!("annotations/{part}/{name}.png")), 6, 4, |at| (at % 4) as u8);
    }
    let text = "Idx\tRatio\tTrain\tVal\tName\n1\t.1\t2\t1\twall\n2\t.1\t2\t1\tbuilding, edifice\n3\t.1\t2\t1\tsky\n";
    fs::write(home.join("objectInfo150.txt"), text).unwrap();
}

fn names<A>(set: &data::ImageSet<A>) -> Vec<String> {
    (0..set.len()).map(|at| set.name(at).rsplit('/').next().unwrap().to_owned()).collect()
}

#[test]
fn ade20k_is_read_as_distributed_as_a_folder_and_as_a_tar() {
    let place = tempfile::tempdir().unwrap();
    ade(place.path());
    let tar = tempfile::NamedTempFile::new().unwrap();
    let mut builder = tar::Builder::new(tar.reopen().unwrap());
    builder.append_dir_all(".", place.path()).unwrap();
    builder.finish().unwrap();
    for path in [place.path(), tar.path()] {
        assert!(has_masks(path));
        let dataset = Dataset::with_masks(path, 0.5, 1).unwrap();
        assert_eq!(dataset.classes, ["wall", "building, edifice", "sky"]);
        assert_eq!(names(&dataset.train), ["a.png", "b.png"]);
        assert_eq!(names(&dataset.validation), ["c.png"]);
        let read = dataset.validation.annotation(0).read([6, 4]).unwrap();
        assert_eq!(read.indices[..5], [IGNORED, 0, 1, 2, IGNORED]);
        assert!(dataset.fingerprint().unwrap().training == 2);
    }
    let report = check_masks(place.path(), 2, &mut data::info::unwatched).unwrap();
    assert_eq!((report.findings.len(), report.complete), (0, true), "{:?}", report.findings);
}

#[test]
fn vocs_lists_choose_its_images_and_255_is_ignored() {
    let place = tempfile::tempdir().unwrap();
    let home = place.path().join("VOCdevkit/VOC2012");
    for (shade, name) in ["x", "y", "z"].iter().enumerate() {
        picture(&home.join(format!("JPEGImages/{name}.png")), 3, 2, shade as u8);
    }
    for name in ["x", "y"] {
        mask(&home.join(format!("SegmentationClass/{name}.png")), 3, 2, |at| [0, 20, 255][at % 3]);
    }
    fs::create_dir_all(home.join("ImageSets/Segmentation")).unwrap();
    fs::write(home.join("ImageSets/Segmentation/train.txt"), "y\n").unwrap();
    fs::write(home.join("ImageSets/Segmentation/val.txt"), "x\n").unwrap();
    let dataset = Dataset::with_masks(place.path(), 0.5, 1).unwrap();
    assert_eq!((dataset.classes.len(), dataset.classes[20].as_str()), (21, "tvmonitor"));
    assert_eq!(
        (names(&dataset.train), names(&dataset.validation)),
        (vec!["y.png".into()], vec!["x.png".into()])
    );
    assert_eq!(dataset.train.annotation(0).read([3, 2]).unwrap().indices[..3], [0, 20, IGNORED]);
    fs::write(home.join("ImageSets/Segmentation/val.txt"), "x\nnone\n").unwrap();
    let message = Dataset::with_masks(place.path(), 0.5, 1).unwrap_err().to_string();
    assert!(message.contains("val.txt:2") && message.contains("holds no image none"), "{message}");
}

#[test]
fn folders_of_images_and_masks_need_the_names_of_their_classes() {
    let place = tempfile::tempdir().unwrap();
    for name in ["p", "q", "r", "s"] {
        picture(&place.path().join(format!("images/{name}.png")), 3, 2, name.as_bytes()[0]);
        mask(&place.path().join(format!("masks/{name}.png")), 3, 2, |at| (at % 2) as u8);
    }
    let message = Dataset::with_masks(place.path(), 0.25, 1).unwrap_err().to_string();
    assert!(message.contains("add classes.txt"), "{message}");
    fs::write(place.path().join("classes.txt"), "road\ncar\n").unwrap();
    let dataset = Dataset::with_masks(place.path(), 0.25, 1).unwrap();
    assert_eq!((dataset.train.len(), dataset.validation.len()), (3, 1));
    let message = Dataset::with_masks(&place.path().join("images"), 0.25, 1).unwrap_err();
    assert!(matches!(message, DataError::NotMasks { .. }), "{message}");
}

/// Each mistake once, by the name of its image.
#[test]
fn what_is_wrong_with_masks_is_named_and_stops_a_run() {
    let place = tempfile::tempdir().unwrap();
    ade(place.path());
    let home = place.path().join("ADEChallengeData2016");
    let image = |name: &str| home.join(format!("images/training/{name}.png"));
    let annotation = |name: &str| home.join(format!("annotations/training/{name}.png"));
    for (shade, name) in ["size", "values", "colors", "words"].iter().enumerate() {
        picture(&image(name), 6, 4, 50 + shade as u8);
    }
    mask(&annotation("size"), 5, 4, |_| 1);
    mask(&annotation("values"), 6, 4, |at| if at == 3 { 9 } else { 1 });
    picture(&annotation("colors"), 6, 4, 0);
    fs::write(annotation("words"), "no picture").unwrap();
    let bad = Dataset::with_masks(place.path(), 0.5, 1).unwrap();
    let index =
        |name: &str| (0..bad.train.len()).find(|&at| bad.train.name(at).contains(name)).unwrap();
    let whole = data::Region { left: 0, top: 0, width: 6, height: 4 };
    let geometry = Geometry { region: whole, size: [6, 4], window: whole, mirrored: false };
    for (name, reason) in [
        ("size", "5×4 pixels, and its image 6×4"),
        ("values", "1 pixels have the values 9, and there are 1 to 3"),
        ("colors", "3 channels"),
        ("words", "no PNG"),
    ] {
        let message = bad.train.annotation(index(name)).prepare([6, 4], &geometry).unwrap_err();
        assert!(message.contains(reason) && message.contains(name), "{message}");
    }

    picture(&image("lonely"), 6, 4, 99);
    let message = Dataset::with_masks(place.path(), 0.5, 1).unwrap_err().to_string();
    assert!(message.contains("1 images have no mask") && message.contains("lonely"), "{message}");
    let report = check_masks(place.path(), 3, &mut data::info::unwatched).unwrap();
    let found: Vec<(FindingKind, bool)> =
        report.findings.iter().map(|finding| (finding.kind, finding.kind.stops())).collect();
    let kinds = [
        FindingKind::MaskMissing,
        FindingKind::MaskUnreadable,
        FindingKind::MaskSize,
        FindingKind::MaskColors,
        FindingKind::MaskValues,
    ];
    assert_eq!(found, kinds.map(|kind| (kind, true)), "{:?}", report.findings);
    assert!(report.stops_training());
}

/// Image and mask of a crop show the same place: the mask is the image's red channel.
#[test]
fn a_crop_takes_image_and_mask_from_the_same_place() {
    let (width, height) = (30, 20);
    let at_pixel = |at: usize| (at % width / 3 + 10 * (at / width / 3)) as u8;
    let pixels: Vec<u8> = (0..width * height).flat_map(|at| [at_pixel(at), 0, 200]).collect();
    let image = RgbImage { width, height, pixels };
    let indices = (0..width * height).map(|at| u16::from(at_pixel(at))).collect();
    let truth = data::Mask { width, height, indices };
    let by = ScaledCrop {
        crop: 24,
        shorter: [20, 20],
        flip: Some(0.5),
        blur: None::<GaussianBlur>,
        normalize: Normalize { mean: [0.0; 3], std: [1.0; 3] },
    };
    for index in 0..40 {
        let mut rng = at(3, data::Stream::Augment, 0, index);
        let mut values = vec![f32::NAN; 24 * 24 * 3];
        let geometry = scaled_crop_sample(&by, &image, &mut rng, &mut values);
        let cut = truth.prepare([width, height], &geometry).unwrap().padded(24, 24);
        for (pixel, &class) in values.chunks_exact(3).zip(&cut.indices) {
            match class {
                IGNORED => assert_eq!(pixel, [0.0; 3]),
                class => assert_eq!(pixel, [f32::from(class), 0.0, 200.0]),
            }
        }
        assert_eq!(cut.indices.iter().filter(|&&class| class == IGNORED).count(), 4 * 24);
    }
}
