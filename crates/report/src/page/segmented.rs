//! A segmenter's answers for the validation images: IoU by class, and the pictures with the worst answers.

use crate::page::{section, thumbnail};
use crate::run::RunFolder;
use crate::segmented::Segmented;
use crate::text::{escape, grouped};

/// The sections about the answers; nothing where the run trained no segmenter.
pub(super) fn sections(run: &RunFolder) -> String {
    let Some(Segmented { classes, worst }) = &run.segmented else { return String::new() };
    if classes.is_empty() {
        let text = "No answers yet: training stores them with its best and its last evaluation.";
        return section("IoU by class", &format!("<p class=\"soft\">{text}</p>\n"));
    }
    let total: u64 = classes.iter().map(|class| class.truth_pixels).sum();
    let mut bars = String::from("<div class=\"bars\">\n");
    for class in classes {
        let share = 100.0 * class.truth_pixels as f64 / total.max(1) as f64;
        let (width, iou) = match class.iou.is_finite() {
            true => (class.iou, format!("{:.1} %", class.iou)),
            false => (0.0, "absent".to_owned()),
        };
        bars += &format!(
            "<div class=\"name\">{}</div><div class=\"bar\"><i style=\"width:{width:.1}%\"></i></div>\
             <div class=\"number\">{iou} <span class=\"soft\">{share:.2} % of {} pixels</span></div>\n",
            escape(&class.class),
            grouped(total),
        );
    }
    bars += "</div>\n";
    let mut pictures = String::from(
        "<p class=\"soft\">Image, truth, answer, and the answer where it is wrong.</p>\n<div class=\"mistakes\">\n",
    );
    for (row, png) in worst {
        pictures += &format!(
            "<figure title=\"{}\">{}<figcaption><b>{:.1} %</b> <span class=\"soft\">of its pixels are right, mean IoU \
             {:.1} %</span></figcaption></figure>\n",
            escape(&row.image),
            thumbnail(png.as_deref().unwrap_or_default()),
            row.pixel_accuracy,
            row.mean_iou,
        );
    }
    pictures += "</div>\n";
    section("IoU by class", &bars) + &section("Pictures with the worst answers", &pictures)
}
