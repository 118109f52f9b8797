//! `trickbag data info` of images with boxes: boxes by class and size, and a contact sheet with the boxes drawn in.

use std::path::Path;

use anyhow::Result;
use data::{Boxes, Dataset, ImageSet, RgbImage, resize, thumbnail};
use detect::{FoundBox, drawn};
use serde_json::json;

use crate::args::DataInfo;
use crate::output::{self, grouped};

/// Square pixels up to which a box is small, and up to which it is of medium size: COCO's.
const SIZES: [f32; 2] = [1024.0, 9216.0];
/// Of the contact sheet: columns, the most pictures, the side of a picture and the space between them in pixels.
const SHEET: (usize, usize, usize, usize) = (6, 36, 200, 4);

/// The boxes of one class.
#[derive(Clone, Default)]
struct Counts {
    /// Of training and of validation.
    boxes: [usize; 2],
    /// Small, medium and large ones.
    sizes: [usize; 3],
}

pub(super) fn info(args: &DataInfo) -> Result<()> {
    let dataset = Dataset::undivided_boxes(&args.path)?;
    let sets = [&dataset.train, &dataset.validation];
    let mut classes = vec![Counts::default(); dataset.classes.len()];
    let mut without = [0; 2];
    for (part, set) in sets.into_iter().enumerate() {
        for index in 0..set.len() {
            let boxes = &set.annotation(index).0;
            without[part] += usize::from(boxes.is_empty());
            for one in boxes {
                let counts = &mut classes[one.class as usize];
                counts.boxes[part] += 1;
                counts.sizes[SIZES.iter().filter(|&&size| one.area() > size).count()] += 1;
            }
        }
    }
    if let Some(path) = &args.out {
        write_sheet(&dataset.train, path)?;
    }
    if args.json {
        let told = dataset.classes.iter().zip(&classes).map(|(class, counts)| {
            let ([train, validation], [small, medium, large]) = (counts.boxes, counts.sizes);
            json!({
                "class": class, "train_boxes": train, "validation_boxes": validation,
                "small": small, "medium": medium, "large": large,
            })
        });
        output::json(&json!({
            "data": dataset.name,
            "train_images": dataset.train.len(),
            "validation_images": dataset.validation.len(),
            "train_images_without_boxes": without[0],
            "validation_images_without_boxes": without[1],
            "left_out": dataset.left_out.len(),
            "classes": told.collect::<Vec<_>>(),
        }));
        return Ok(());
    }
    output::print(&format!(
        "{}: {} training and {} validation images, {} and {} of them without boxes; {} things left out",
        dataset.name,
        grouped(dataset.train.len() as u64),
        grouped(dataset.validation.len() as u64),
        grouped(without[0] as u64),
        grouped(without[1] as u64),
        grouped(dataset.left_out.len() as u64),
    ));
    let head = ["class", "training boxes", "validation boxes", "small", "medium", "large"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (class, counts) in dataset.classes.iter().zip(&classes) {
        let numbers = counts.boxes.iter().chain(&counts.sizes);
        let numbers = numbers.map(|&count| grouped(count as u64));
        rows.push([class.clone()].into_iter().chain(numbers).collect());
    }
    output::print(&output::table(&rows));
    if let Some(path) = &args.out {
        output::print(&format!("contact sheet: {}", path.display()));
    }
    Ok(())
}

/// Writes a PNG with some of the images, spread over all of them, and their boxes.
fn write_sheet(set: &ImageSet<Boxes>, path: &Path) -> Result<()> {
    let (columns, most, side, gap) = SHEET;
    let count = set.len().min(most);
    let (width, height) =
        (columns * (side + gap) + gap, count.div_ceil(columns) * (side + gap) + gap);
    let mut sheet = RgbImage { width, height, pixels: vec![255; width * height * 3] };
    for place in 0..count {
        let index = place * set.len() / count;
        // An image that does not decode leaves its square empty.
        let Ok(image) = set.image(index) else { continue };
        let boxes = set.annotation(index).0.iter();
        let boxes =
            boxes.map(|one| FoundBox { corners: one.corners, class: one.class, score: 1.0 });
        let image = drawn(&image, &boxes.collect::<Vec<_>>());
        let longer = image.width.max(image.height);
        let [w, h] = [image.width, image.height].map(|edge| (edge * side / longer).max(1));
        let picture = resize(&image, w, h);
        let left = gap + place % columns * (side + gap) + (side - w) / 2;
        let top = gap + place / columns * (side + gap) + (side - h) / 2;
        for (y, row) in picture.pixels.chunks_exact(w * 3).enumerate() {
            let start = ((top + y) * width + left) * 3;
            sheet.pixels[start..][..row.len()].copy_from_slice(row);
        }
    }
    train::durable::write(path, &thumbnail(&sheet, width.max(height)))?;
    Ok(())
}
