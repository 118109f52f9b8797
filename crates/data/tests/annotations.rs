//! Boxes and masks through the loaders: they stay where the image shows them, whatever is cut, scaled and flipped.

use std::io::Cursor;
use std::sync::Arc;

use data::{
    Annotation, Batch, BatchParts, BoundingBox, Boxes, Dataset, Mask, Preparation, ShorterSide,
    TrainLoader, ValidationLoader, ValidationShare,
};
use recipe::{Crop, Interpolation, Normalize, OnBadSample, Preprocess};

const IGNORED: u8 = 255;
const NORMALIZE: Normalize = Normalize { mean: [0.0; 3], std: [1.0; 3] };

/// A scene: black, with an object in it, and in the object a patch that no class is given to.
#[derive(Clone, Copy)]
struct Scene {
    width: usize,
    height: usize,
    /// Left, top, right, bottom.
    object: [usize; 4],
    class: u8,
}

impl Scene {
    fn of(number: usize) -> Scene {
        let (width, height) = (40 + number * 7 % 31, 36 + number * 11 % 29);
        let (left, top) = (3 + number * 5 % 12, 2 + number * 3 % 9);
        let object = [left, top, left + 15 + number % 9, top + 18 + number % 7];
        Scene { width, height, object, class: 1 + (number % 3) as u8 }
    }

    /// The scene of an image by its path.
    fn at(path: &str) -> Scene {
        let (_, name) = path.rsplit_once('/').unwrap();
        Scene::of(name.trim_end_matches(".png").parse().unwrap())
    }

    /// The class of a pixel.
    fn index(&self, x: usize, y: usize) -> u8 {
        let inside = |[left, top, right, bottom]: [usize; 4]| {
            (left..right).contains(&x) && (top..bottom).contains(&y)
        };
        let [left, top, right, bottom] = self.object;
        if inside([left + 4, top + 4, right - 4, bottom - 4]) {
            IGNORED
        } else if inside(self.object) {
            self.class
        } else {
            0
        }
    }

    fn png(&self) -> Vec<u8> {
        let image = image::RgbImage::from_fn(self.width as u32, self.height as u32, |x, y| {
            image::Rgb([color(self.index(x as usize, y as usize)); 3])
        });
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    fn mask(&self) -> Mask {
        let Scene { width, height, .. } = *self;
        let indices = (0..width * height).map(|at| self.index(at % width, at / width)).collect();
        Mask { width, height, indices }
    }

    fn boxes(&self) -> Boxes {
        let corners = self.object.map(|edge| edge as f32);
        Boxes(vec![BoundingBox::new(corners, self.class.into())])
    }
}

/// How bright a class is in the images.
fn color(index: u8) -> u8 {
    match index {
        0 => 0,
        IGNORED => 120,
        _ => 200,
    }
}

/// 24 training and 6 validation images, in a tar in memory.
fn dataset() -> Dataset {
    let mut builder = tar::Builder::new(Vec::new());
    for number in 0..30 {
        let bytes = Scene::of(number).png();
        let part = if number < 24 { "train" } else { "val" };
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        let path = format!("{part}/{}/{number}.png", ["a", "b"][number % 2]);
        builder.append_data(&mut header, path, bytes.as_slice()).unwrap();
    }
    Dataset::from_bytes("set.tar", builder.into_inner().unwrap(), 0.1, 0).unwrap()
}

fn crops() -> Preparation {
    Preprocess {
        size: Some(32),
        interpolation: Some(Interpolation::Bilinear),
        crop: Some(Crop { area: [0.3, 1.0], aspect: [0.75, 1.33] }),
        flip: Some(0.5),
        randaugment: None,
        jitter: None,
        color: None,
        pca_noise: None,
        normalize: NORMALIZE,
        erasing: None,
    }
    .into()
}

fn whole() -> Preparation {
    ShorterSide { side: 30, longest: 44, flip: Some(0.5), normalize: NORMALIZE }.into()
}

fn batches<A: Annotation>(
    set: &Arc<Dataset<A>>,
    preparation: Preparation,
    workers: usize,
) -> Vec<Batch<A::Prepared>> {
    let (set, parts) = (set.clone(), BatchParts::whole(6));
    let mut loader =
        TrainLoader::new(set, preparation, OnBadSample::Stop, 5, parts, 0, workers).unwrap();
    (0..16).map(|_| loader.next().unwrap()).collect()
}

/// Every image of the batches: its number, its height and width, the first value of each pixel, its annotation.
fn samples<P: Clone>(batches: &[Batch<P>]) -> Vec<(usize, [usize; 2], Vec<f32>, P)> {
    let mut found = Vec::new();
    for batch in batches {
        let mut values = batch.images.as_slice();
        assert_eq!([batch.sizes.len(), batch.annotations.len()], [batch.indices.len(); 2]);
        for ((&index, &size), annotation) in
            batch.indices.iter().zip(&batch.sizes).zip(&batch.annotations)
        {
            let (own, rest) = values.split_at(size[0] * size[1] * 3);
            let brightness = own.chunks_exact(3).map(|pixel| pixel[0]).collect();
            found.push((index as usize, size, brightness, annotation.clone()));
            values = rest;
        }
        assert!(values.is_empty());
    }
    found
}

#[test]
fn a_mask_says_what_its_image_shows() {
    let set = Arc::new(dataset().annotated(|path, _| Scene::at(path).mask()));
    let classes: Vec<u8> = (0..set.train.len())
        .map(|index| {
            *set.train.annotation(index).indices.iter().filter(|&&i| i != IGNORED).max().unwrap()
        })
        .collect();
    for preparation in [crops(), whole()] {
        for (index, [height, width], image, mask) in samples(&batches(&set, preparation, 2)) {
            assert_eq!([mask.height, mask.width], [height, width]);
            let mut flat = 0;
            for y in 1..height - 1 {
                for x in 1..width - 1 {
                    let at = y * width + x;
                    let around = [at, at - 1, at + 1, at - width, at + width];
                    if around.iter().all(|&other| image[other] == image[at]) {
                        let shown = match image[at] {
                            0.0 => 0,
                            120.0 => IGNORED,
                            200.0 => classes[index],
                            // Two shades mixed alike by chance.
                            _ => continue,
                        };
                        assert_eq!(mask.indices[at], shown, "image {index} at ({x}, {y})");
                        flat += 1;
                    }
                }
            }
            assert!(flat * 4 > width * height, "{flat} of {width}×{height} pixels compared");
            assert!(mask.indices.iter().all(|&i| [0, IGNORED, classes[index]].contains(&i)));
        }
    }
}

#[test]
fn a_box_is_where_its_image_shows_the_object() {
    let set = Arc::new(dataset().annotated(|path, _| Scene::at(path).boxes()));
    let mut compared = 0;
    for preparation in [crops(), whole()] {
        for (index, [height, width], image, boxes) in samples(&batches(&set, preparation, 2)) {
            let [whole] = boxes.boxes.0[..] else { panic!("image {index} has one box") };
            assert_eq!(whole.class, set.train.annotation(index).0[0].class);
            let [x0, y0, x1, y1] = boxes.boxes.clipped(width, height).0[0].corners;
            if x1 - x0 < 4.0 || y1 - y0 < 4.0 {
                continue;
            }
            let bright: Vec<[f32; 2]> = (0..width * height)
                .filter(|&at| image[at] >= 100.0)
                .map(|at| [(at % width) as f32, (at / width) as f32])
                .collect();
            let edge = |axis: usize| {
                let along = bright.iter().map(|place| place[axis]);
                let (low, high) =
                    (along.clone().fold(f32::MAX, f32::min), along.fold(0.0, f32::max));
                [low, high + 1.0]
            };
            let ([left, right], [top, bottom]) = (edge(0), edge(1));
            for (given, shown) in [(x0, left), (y0, top), (x1, right), (y1, bottom)] {
                assert!((given - shown).abs() <= 1.25, "image {index}: {given}, shown {shown}");
            }
            compared += 1;
        }
    }
    assert!(compared > 150, "{compared} of 192 boxes compared");
}

#[test]
fn samples_of_several_sizes_do_not_depend_on_the_number_of_workers() {
    let set = Arc::new(dataset().annotated(|path, _| Scene::at(path).boxes()));
    let one = batches(&set, whole(), 1);
    let sizes: std::collections::BTreeSet<[usize; 2]> =
        one.iter().flat_map(|batch| batch.sizes.iter().copied()).collect();
    assert!(sizes.len() > 5, "{sizes:?}");
    assert!(one.iter().any(|batch| batch.sizes.iter().any(|size| size != &batch.sizes[0])));
    assert!(batches(&set, whole(), 3) == one);
}

#[test]
fn validation_flips_no_box() {
    let set = Arc::new(dataset().annotated(|path, _| Scene::at(path).boxes()));
    let share = ValidationShare::WHOLE;
    let mut loader = ValidationLoader::new(set.clone(), whole(), 4, share, 2usize).unwrap();
    let mut made = Vec::new();
    while let Some(batch) = loader.next().unwrap() {
        made.push(batch);
    }
    let samples = samples(&made);
    assert_eq!(samples.len(), 6);
    for (index, [height, width], _, boxes) in samples {
        let scene = Scene::at(&set.validation.name(index));
        let scale = [width as f64 / scene.width as f64, height as f64 / scene.height as f64];
        let expected = [0, 1, 2, 3].map(|at| (scene.object[at] as f64 * scale[at % 2]) as f32);
        for (given, expected) in boxes.boxes.0[0].corners.iter().zip(expected) {
            assert!((given - expected).abs() < 1e-4, "image {index}: {boxes:?}");
        }
    }
}

#[test]
fn a_mask_that_does_not_fit_its_image_is_named_or_stood_in_for() {
    let wrong = |path: &str, _| {
        let scene = Scene::at(path);
        let wider = Scene { width: scene.width + 1, ..scene };
        if path.ends_with("/7.png") { wider.mask() } else { scene.mask() }
    };
    let set = Arc::new(dataset().annotated(wrong));
    let load = |on_bad_sample| {
        let (set, parts) = (set.clone(), BatchParts::whole(24));
        TrainLoader::new(set, crops(), on_bad_sample, 5, parts, 0, 2usize).unwrap().next()
    };
    let error = load(OnBadSample::Stop).unwrap_err().to_string();
    let start = "set.tar:train/b/7.png: its mask has ";
    assert!(error.starts_with(start) && error.contains("; correct the annotation"), "{error}");
    let batch = load(OnBadSample::Skip).unwrap();
    let [skipped] = &batch.skipped[..] else { panic!("one image is skipped") };
    assert!(set.train.name(skipped.index as usize).ends_with("/7.png"));
    assert!(skipped.reason.starts_with("its mask has "), "{}", skipped.reason);
    assert!(!batch.indices.contains(&skipped.index));
}
