//! A classifier's answers for the validation images: confusion, accuracy by class, the surest mistakes.

use crate::page::{section, thumbnail};
use crate::prediction::{by_class, confused_pairs, confusion};
use crate::run::RunFolder;
use crate::text::{escape, grouped, percent};

/// With more classes than this, the matrix gives way to the most confused pairs, and the list of classes to its ends.
const MATRIX_CLASSES: usize = 50;
const PAIRS: usize = 40;
const HARDEST: usize = 30;
const EASIEST: usize = 10;

/// The sections about the answers; nothing where the run trained no classifier.
pub(super) fn sections(run: &RunFolder) -> String {
    if !run.is_classification() {
        return String::new();
    }
    if run.predictions.is_empty() {
        let text =
            "No predictions yet: training stores them with its best and its last evaluation.";
        return section("Predictions", &format!("<p class=\"soft\">{text}</p>\n"));
    }
    let classes = run.classes.len().max(1 + largest(run));
    let confused = if classes > MATRIX_CLASSES {
        section("Most confused pairs", &pairs(run))
    } else {
        section("Confusion matrix", &matrix(run, classes))
    };
    let accuracy = section("Accuracy by class", &class_list(run, classes));
    confused + &accuracy + &section("Most confident mistakes", &mistakes(run))
}

/// The confusion matrix: true classes down, predicted classes across; the darker, the larger the share of the true class.
fn matrix(run: &RunFolder, classes: usize) -> String {
    let counts = confusion(&run.predictions, classes);
    let names: Vec<String> = (0..classes).map(|label| escape(&run.class(label))).collect();
    let mut html = String::from(
        "<p class=\"soft\">Rows are true classes, columns what the model said.</p>\n\
         <div class=\"wide\"><table class=\"matrix\">\n<thead><tr><td></td>",
    );
    for name in &names {
        html += &format!("<th scope=\"col\"><span>{name}</span></th>");
    }
    html += "</tr></thead>\n<tbody>\n";
    for (label, row) in counts.chunks(classes).enumerate() {
        html += &format!("<tr><th scope=\"row\">{}</th>", names[label]);
        let total: u64 = row.iter().sum();
        for (predicted, &count) in row.iter().enumerate() {
            if count == 0 {
                html += "<td></td>";
                continue;
            }
            let share = count as f64 / total as f64;
            // The root lets rare mistakes be seen.
            let (class, shade) =
                if label == predicted { ("hit", share) } else { ("miss", share.sqrt()) };
            html += &format!(
                "<td class=\"{class}\" style=\"--shade:{:.0}%\" title=\"{} as {}: {:.1} %\">{count}</td>",
                70.0 * shade,
                names[label],
                names[predicted],
                100.0 * share
            );
        }
        html += "</tr>\n";
    }
    html + "</tbody></table></div>\n"
}

/// The table of the most confused pairs of classes.
fn pairs(run: &RunFolder) -> String {
    let totals = by_class(&run.predictions, run.classes.len().max(1 + largest(run)));
    let mut html = String::from(
        "<div class=\"wide\"><table>\n<thead><tr><th>true class</th><th>taken for</th><th>images</th>\
         <th>share of the class</th></tr></thead>\n<tbody>\n",
    );
    for (label, predicted, count) in confused_pairs(&run.predictions, PAIRS) {
        html += &format!(
            "<tr><th>{}</th><th>{}</th><td>{}</td><td>{}</td></tr>\n",
            escape(&run.class(label)),
            escape(&run.class(predicted)),
            grouped(count),
            percent(100.0 * count as f64 / totals[label].0 as f64)
        );
    }
    html + "</tbody></table></div>\n"
}

/// The largest label of all answers.
fn largest(run: &RunFolder) -> usize {
    run.predictions.iter().map(|each| each.label.max(each.predicted) as usize).max().unwrap_or(0)
}

/// A bar for each class, the hardest first.
fn class_list(run: &RunFolder, classes: usize) -> String {
    let counts = by_class(&run.predictions, classes);
    let mut list: Vec<(usize, u64, u64)> = counts
        .into_iter()
        .enumerate()
        .filter(|(_, (images, _))| *images > 0)
        .map(|(label, (images, right))| (label, images, right))
        .collect();
    // Exact: no rounding decides the order.
    list.sort_by(|a, b| (a.2 * b.1).cmp(&(b.2 * a.1)).then(a.0.cmp(&b.0)));
    let mut html = String::new();
    if list.len() > MATRIX_CLASSES {
        let (hardest, easiest) = (&list[..HARDEST], &list[list.len() - EASIEST..]);
        html += &format!(
            "<p class=\"soft\">The {HARDEST} hardest and the {EASIEST} easiest of {} classes.</p>\n",
            list.len()
        );
        html += &bars(run, hardest);
        html += "<p class=\"soft\">…</p>\n";
        return html + &bars(run, easiest);
    }
    html + &bars(run, &list)
}

fn bars(run: &RunFolder, list: &[(usize, u64, u64)]) -> String {
    let mut html = String::from("<div class=\"bars\">\n");
    for &(label, images, right) in list {
        let accuracy = 100.0 * right as f64 / images as f64;
        html += &format!(
            "<div class=\"name\">{}</div><div class=\"bar\"><i style=\"width:{accuracy:.1}%\"></i></div>\
             <div class=\"number\">{accuracy:.1} % <span class=\"soft\">{} of {}</span></div>\n",
            escape(&run.class(label)),
            grouped(right),
            grouped(images)
        );
    }
    html + "</div>\n"
}

fn mistakes(run: &RunFolder) -> String {
    if run.mistakes.is_empty() {
        return "<p class=\"soft\">None: every image was told right.</p>\n".to_owned();
    }
    let mut html = String::from("<div class=\"mistakes\">\n");
    for (mistake, png) in &run.mistakes {
        let image = escape(&mistake.image);
        let picture = thumbnail(png.as_deref().unwrap_or_default());
        html += &format!(
            "<figure title=\"{image}\">{picture}<figcaption><b>{}</b> <span>{:.1} %</span>\
             <div class=\"soft\">is {}</div></figcaption></figure>\n",
            escape(&run.class(mistake.predicted as usize)),
            100.0 * mistake.confidence,
            escape(&run.class(mistake.label as usize))
        );
    }
    html + "</div>\n"
}
