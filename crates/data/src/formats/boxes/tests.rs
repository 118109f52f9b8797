//! Every layout of boxes, from files that the tests write, and what is wrong with them.

use std::fs;
use std::path::Path;

use crate::{BadBox, Boxes, DataError, Dataset};

/// A whole picture of 2×3 pixels.
fn picture(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let image = crate::RgbImage { width: 200, height: 100, pixels: vec![90; 200 * 100 * 3] };
    fs::write(path, crate::thumbnail(&image, 200)).unwrap();
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// An annotation of an image of 200×100 pixels, with objects by class and corners.
fn xml(objects: &[(&str, [i32; 4])]) -> String {
    let mut text =
        "<annotation><size><width>200</width><height>100</height><depth>3</depth></size>"
            .to_owned();
    for (name, [x0, y0, x1, y1]) in objects {
        text += &format!(
            "<object><name> {name} </name><difficult>{}</difficult><part><name>head</name><bndbox><xmin>1</xmin></bndbox>\
             </part><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>",
            u8::from(*name == "cat")
        );
    }
    text + "</annotation>"
}

fn year(root: &Path, images: &[(&str, &str)]) {
    for (id, text) in images {
        picture(&root.join(format!("JPEGImages/{id}.png")));
        write(&root.join(format!("Annotations/{id}.xml")), text);
    }
}

fn open(path: &Path) -> Result<Dataset<Boxes>, DataError> {
    Dataset::with_boxes(path, 0.5, 1, BadBox::Stops)
}

fn refused(path: &Path) -> String {
    open(path).unwrap_err().to_string()
}

fn corners(dataset: &Dataset<Boxes>, index: usize) -> Vec<[f32; 4]> {
    dataset.train.annotation(index).0.iter().map(|one| one.corners).collect()
}

#[test]
fn years_of_voc_are_joined_and_all_tests_validate() {
    let place = tempfile::tempdir().unwrap();
    let (old, new) =
        (place.path().join("VOCdevkit/VOC2007"), place.path().join("VOCdevkit/VOC2012"));
    let (dog, cat) = (
        xml(&[("dog", [11, 21, 50, 60])]),
        xml(&[("cat", [1, 1, 200, 100]), ("dog", [2, 2, 9, 9])]),
    );
    year(&old, &[("a", &dog), ("b", &cat), ("c", &xml(&[]))]);
    year(&new, &[("d", &cat)]);
    write(&old.join("ImageSets/Main/trainval.txt"), "a 1\nc -1\n");
    write(&old.join("ImageSets/Main/test.txt"), "b\n");
    write(&new.join("ImageSets/Main/trainval.txt"), "d\n");
    write(&new.join("ImageSets/Main/test.txt"), "z\n");
    let dataset = open(place.path()).unwrap();
    assert_eq!((dataset.classes.len(), dataset.classes[7].as_str()), (20, "cat"));
    let names = |set: &crate::ImageSet<Boxes>| -> Vec<String> {
        (0..set.len()).map(|index| set.name(index).rsplit_once('/').unwrap().1.to_owned()).collect()
    };
    assert_eq!(names(&dataset.train), ["a.png", "c.png", "d.png"]);
    assert_eq!(names(&dataset.validation), ["b.png"]);
    assert_eq!(corners(&dataset, 0), [[10.0, 20.0, 50.0, 60.0]]);
    assert!(corners(&dataset, 1).is_empty(), "an image without objects stays");
    let last = dataset.train.annotation(2);
    assert_eq!((last.0[0].class, last.0[0].difficult), (7, true));
    assert_eq!((last.0[1].class, last.0[1].difficult), (11, false));
    assert_eq!(last.0[0].corners, [0.0, 0.0, 200.0, 100.0]);
    assert!(
        dataset.left_out.iter().any(|left| left.name.ends_with("VOC2012/ImageSets/Main/test.txt"))
    );
}

#[test]
fn without_a_test_part_val_validates_and_without_lists_a_share_is_held_out() {
    let place = tempfile::tempdir().unwrap();
    let dog = xml(&[("dog", [11, 21, 50, 60])]);
    year(place.path(), &[("a", &dog), ("b", &dog), ("c", &dog), ("d", &dog)]);
    let dataset = open(place.path()).unwrap();
    // Images of equal bytes are held out together, or not at all.
    assert_eq!((dataset.train.len(), dataset.validation.len()), (4, 0));
    write(&place.path().join("ImageSets/Main/train.txt"), "a\nb\n");
    write(&place.path().join("ImageSets/Main/val.txt"), "c\n");
    let dataset = open(place.path()).unwrap();
    assert_eq!((dataset.train.len(), dataset.validation.len()), (2, 1));
}

#[test]
fn every_mistake_of_voc_is_told_at_once() {
    let place = tempfile::tempdir().unwrap();
    let good = xml(&[("dog", [11, 21, 50, 60])]);
    year(
        place.path(),
        &[
            ("a", &good),
            ("b", "<annotation><object>"),
            ("c", "<annotation><object><name>dog</name></object></annotation>"),
            ("d", &xml(&[("cow", [1, 1, 5, 5])])),
            ("e", &good),
        ],
    );
    fs::remove_file(place.path().join("JPEGImages/e.png")).unwrap();
    picture(&place.path().join("JPEGImages/f.png"));
    write(&place.path().join("ImageSets/Main/train.txt"), "a\nb\nc\ne\nf\ng\n");
    write(&place.path().join("ImageSets/Main/val.txt"), "d\n");
    let text = refused(place.path());
    for expected in [
        "b.xml: broken XML",
        "c.xml: object 1 has no bndbox",
        "d.xml: the class \"cow\" is none of the training part's: dog",
        "JPEGImages/e: e is listed, and there is no image of that name",
        "f.png: it is listed, and there is no Annotations/f.xml",
        "JPEGImages/g: g is listed",
        ": 6 annotations cannot be used",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
}

#[test]
fn bad_boxes_stop_or_are_dropped_and_told() {
    let place = tempfile::tempdir().unwrap();
    let objects = [
        ("dog", [11, 21, 50, 60]),
        ("dog", [50, 21, 50, 60]),
        ("dog", [60, 21, 50, 60]),
        ("dog", [300, 21, 350, 60]),
        ("dog", [0, 0, 220, 60]),
    ];
    year(place.path(), &[("a", &xml(&objects)), ("b", &xml(&[]))]);
    let text = refused(place.path());
    for expected in [
        ": 3 annotations cannot be used",
        "a.xml: object 2: its box reaches from (49, 20) to (49, 60): it has no area",
        "a.xml: object 3: its box reaches from (59, 20) to (49, 60): its corners are swapped",
        "object 4: its box reaches from (299, 20) to (350, 60), its image has 200×100 pixels: it lies outside",
        "--set detect.on_bad_box=drop",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    let dataset = Dataset::with_boxes(place.path(), 0.5, 1, BadBox::Dropped).unwrap();
    assert_eq!(corners(&dataset, 0), [[10.0, 20.0, 50.0, 60.0], [0.0, 0.0, 200.0, 60.0]]);
    let told: Vec<&str> = dataset.left_out.iter().map(|left| left.reason.as_str()).collect();
    assert_eq!(told.len(), 4, "{told:?}");
}

fn coco(file: &str, boxes: &str) -> String {
    format!(
        r#"{{"info": {{}}, "images": [{{"id": 7, "file_name": "{file}", "width": 200, "height": 100}}],
            "annotations": [{boxes}], "categories": [{{"id": 18, "name": "dog"}}, {{"id": 3, "name": "car"}}]}}"#
    )
}

#[test]
fn coco_is_read_by_part_with_its_crowds_and_areas() {
    let place = tempfile::tempdir().unwrap();
    picture(&place.path().join("train2017/1.png"));
    picture(&place.path().join("val2017/1.png"));
    let boxes = r#"{"id": 5, "image_id": 7, "category_id": 18, "bbox": [10.5, 20, 30, 40], "area": 700.5, "iscrowd": 1},
        {"id": 6, "image_id": 7, "category_id": 3, "bbox": [0, 0, 5, 5]}"#;
    let list = |part: &str| place.path().join(format!("annotations/instances_{part}2017.json"));
    write(&list("train"), &coco("1.png", boxes));
    write(&list("val"), &coco("1.png", ""));
    write(&place.path().join("annotations/captions_train2017.json"), "{\"info\": {}}");
    let dataset = open(place.path()).unwrap();
    assert_eq!(dataset.classes, ["car", "dog"]);
    assert_eq!((dataset.train.len(), dataset.validation.len()), (1, 1));
    assert!(dataset.train.name(0).ends_with("train2017/1.png"));
    assert!(dataset.validation.name(0).ends_with("val2017/1.png"));
    let [dog, car] = dataset.train.annotation(0).0[..] else { panic!("two boxes") };
    assert_eq!((dog.corners, dog.class, dog.crowd), ([10.5, 20.0, 40.5, 60.0], 1, true));
    assert_eq!((dog.mask_area, car.mask_area, car.class), (Some(700.5), None, 0));
    // The list itself, whose images are in a folder beside its own.
    let alone = Dataset::with_boxes(&list("train"), 0.5, 1, BadBox::Stops).unwrap();
    assert_eq!((alone.train.len(), alone.classes.len()), (1, 2));
    assert!(alone.train.name(0).ends_with("train2017/1.png"));
}

#[test]
fn mistakes_of_coco_are_told() {
    let place = tempfile::tempdir().unwrap();
    picture(&place.path().join("1.png"));
    let boxes = r#"{"id": 5, "image_id": 7, "category_id": 99, "bbox": [1, 2, 3, 4]},
        {"id": 6, "image_id": 8, "category_id": 3, "bbox": [1, 2, 3, 4]},
        {"id": 9, "image_id": 7, "category_id": 3, "bbox": [1, 2, 0, 4]}"#;
    let list = place.path().join("boxes.json");
    write(&list, &coco("1.png", boxes));
    let text = refused(place.path());
    for expected in [
        "annotation 5 has the category 99, which is not in the list",
        "1 annotations are of images that are not in the list, such as annotation 6 of image 8",
        "annotation 9: its box reaches from (1, 2) to (1, 6): it has no area",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
    write(&list, &coco("2.png", ""));
    assert!(refused(place.path()).contains("its image 2.png is not there"));
    write(&list, "{\"images\": [{\"id\": 1");
    let text = refused(place.path());
    assert!(text.contains("boxes.json: not a usable file of COCO's boxes: EOF"), "{text}");
}

#[test]
fn yolo_is_read_with_its_names_and_images_without_a_text() {
    let place = tempfile::tempdir().unwrap();
    for (part, count) in [("train", 2), ("val", 1)] {
        (0..count).for_each(|at| picture(&place.path().join(format!("images/{part}/{at}.png"))));
    }
    write(&place.path().join("labels/train/0.txt"), "1 0.5 0.5 0.25 0.5\n\n0 0.05 0.1 0.1 0.2\n");
    for names in [
        "names: [dog, 'big cat']\n",
        "nc: 2\nnames:\n  0: dog\n  1: big cat\n",
        "names:\n- dog\n- big cat\n",
    ] {
        write(&place.path().join("data.yaml"), names);
        let dataset = open(place.path()).unwrap();
        assert_eq!(dataset.classes, ["dog", "big cat"]);
        assert_eq!((dataset.train.len(), dataset.validation.len()), (2, 1));
        assert_eq!(corners(&dataset, 0), [[75.0, 25.0, 125.0, 75.0], [0.0, 0.0, 20.0, 20.0]]);
        assert_eq!(dataset.train.annotation(0).0[0].class, 1);
        assert!(corners(&dataset, 1).is_empty());
    }
    write(&place.path().join("labels/train/1.txt"), "2 0.5 0.5 0.1 0.1\n0 0.5 0.5 0.1\n");
    let text = refused(place.path());
    assert!(text.contains("1.txt:1: class 2 is none of the 2 that have names"), "{text}");
    assert!(
        text.contains("1.txt:2: 4 words, where a class and four numbers are expected"),
        "{text}"
    );
}

#[test]
fn other_datasets_are_none_of_boxes() {
    let place = tempfile::tempdir().unwrap();
    picture(&place.path().join("cat/1.png"));
    assert!(!Dataset::has_boxes(place.path()).unwrap());
    assert!(refused(place.path()).contains("no images with boxes here"));
    assert!(refused(&place.path().join("nothing")).contains("no such file"));
}

#[test]
fn a_fingerprint_tells_a_moved_box() {
    let place = tempfile::tempdir().unwrap();
    year(place.path(), &[("a", &xml(&[("dog", [11, 21, 50, 60])]))]);
    let of = || open(place.path()).unwrap().fingerprint().unwrap();
    let first = of();
    assert_eq!(of(), first);
    year(place.path(), &[("a", &xml(&[("dog", [11, 21, 50, 61])]))]);
    assert_ne!(of().names, first.names);
}

#[test]
fn a_check_finds_what_is_wrong_with_annotations() {
    use crate::check::{FindingKind, check};
    let place = tempfile::tempdir().unwrap();
    let objects = [("dog", [11, 21, 50, 60]), ("dog", [50, 21, 50, 60]), ("dog", [0, 0, 220, 60])];
    let other = xml(&[("dog", [1, 1, 9, 9])]).replace("<width>200", "<width>201");
    year(
        place.path(),
        &[("a", &xml(&objects)), ("b", &xml(&[])), ("c", &other), ("d", "<annotation>")],
    );
    let mut all = |_: usize, _: usize| std::ops::ControlFlow::Continue(());
    let report = check(place.path(), 2, &mut all).unwrap();
    let found = |kind: FindingKind| -> Vec<String> {
        let of_kind = report.findings.iter().filter(|finding| finding.kind == kind);
        of_kind.map(|finding| finding.path.rsplit_once('/').unwrap().1.to_owned()).collect()
    };
    assert_eq!(found(FindingKind::BadAnnotation), ["d.xml"]);
    assert_eq!(found(FindingKind::BadBox), ["a.xml: object 2"]);
    assert_eq!(found(FindingKind::BoxCut), ["a.xml: object 3"]);
    assert_eq!(found(FindingKind::NoObjects), ["b.png"]);
    assert_eq!(found(FindingKind::OtherSize), ["c.png"]);
    assert!(report.stops_training() && report.complete);
    assert_eq!((report.train_images, report.classes), (3, 1));
}
