//! Figures 1 and 2: the architecture of ResNet and of its tweaks, drawn from what a network says of itself.

use crate::chart::{document, width};
use crate::text::{escape, rounded};

/// A residual network in words: each step is a label such as `3×3, 512, s=2`.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    pub name: String,
    /// Height, width and channels of what goes in, such as `224×224×3`.
    pub input: String,
    pub stem: Vec<String>,
    /// Size of the stem's output.
    pub stem_output: String,
    pub stages: Vec<Stage>,
    /// What follows the stages, each with the size of its output.
    pub output: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    pub name: String,
    /// Every block; those behind the second are like it.
    pub blocks: Vec<Block>,
    /// Size of the stage's output.
    pub output: String,
}

/// The two paths whose sum a block gives (§4.1). An empty path B is the identity.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    pub path_a: Vec<String>,
    pub path_b: Vec<String>,
}

const ROW: f64 = 118.0;
const SPINE: f64 = 128.0;
const BOX: f64 = 26.0;
const GAP: f64 = 16.0;
const MARGIN: f64 = 16.0;
/// Where details begin, right of the spine.
const DETAIL: f64 = MARGIN + SPINE + 28.0;

/// Figure 1: the stem, the stages, and the two paths of their blocks.
pub fn figure_1(network: &Network) -> String {
    let rows: Vec<f64> = (0..network.stages.len() + 3).map(row_top).collect();
    let mut body = title(&network.name);
    body += &spine_box(rows[0], "Input", &network.input);
    body += &spine_box(rows[1], "Input stem", &network.stem_output);
    let (stem, mut right) = chain(DETAIL, rows[1] + 24.0, &network.stem, &[]);
    body += &stem;
    for (stage, &top) in network.stages.iter().zip(&rows[2..]) {
        body += &spine_box(top, &stage.name, &stage.output);
        let (row, end) = stage_row(stage, top);
        body += &row;
        right = right.max(end);
    }
    let last = rows[rows.len() - 1];
    body += &spine_box(last, "Output", "");
    let (output, end) = chain(DETAIL, last + 24.0, &network.output, &[]);
    body += &output;
    for pair in rows.windows(2) {
        body += &arrow_down(MARGIN + SPINE / 2.0, pair[0] + 48.0, pair[1]);
    }
    let size = [right.max(end) + MARGIN, last + 48.0 + MARGIN];
    document(size, &escape(&network.name), |_| body.clone())
}

/// Figure 2: the parts of each tweak that differ from the network before it; what changed is framed in color.
///
/// `networks` begins with the original; each of the others becomes one row for its stem and one for the first block of
/// its last stage, where these differ from the network before.
pub fn figure_2(networks: &[Network]) -> String {
    let mut body = title("Tweaks of ResNet");
    let (mut top, mut right) = (44.0, 0.0f64);
    for pair in networks.windows(2) {
        let (old, new) = (&pair[0], &pair[1]);
        let mut row = |part: &str, draw: &dyn Fn(f64) -> (String, f64)| {
            let (drawn, end) = draw(top + 24.0);
            body += &(spine_box(top, &new.name, part) + &drawn);
            right = right.max(end);
            top += ROW;
        };
        if old.stem != new.stem {
            row("input stem", &|y| chain(DETAIL, y, &new.stem, &old.stem));
        }
        let first = |network: &Network| network.stages.last()?.blocks.first().cloned();
        if let (Some(old), Some(new)) = (first(old), first(new))
            && old != new
        {
            row("downsampling block", &|y| block(DETAIL, y, "", &new, Some(&old)));
        }
    }
    body += &format!(
        "<text class=\"soft\" x=\"{MARGIN}\" y=\"{}\">In color: what differs from the network before it. \
         s is the stride where it is not 1.</text>\n",
        top + 4.0
    );
    document([right.max(520.0) + MARGIN, top + 24.0], "Tweaks of ResNet", |_| body.clone())
}

fn title(text: &str) -> String {
    format!("<text class=\"title\" x=\"{MARGIN}\" y=\"26\">{}</text>\n", escape(text))
}

/// The input, the stem and the output take less room than a stage with its two paths.
fn row_top(row: usize) -> f64 {
    match row {
        0 => 44.0,
        1 => 44.0 + 76.0,
        row => 44.0 + 76.0 + 84.0 + (row - 2) as f64 * ROW,
    }
}

fn spine_box(top: f64, name: &str, size: &str) -> String {
    let middle = MARGIN + SPINE / 2.0;
    let name_at = if size.is_empty() { top + 28.0 } else { top + 20.0 };
    format!(
        "<rect class=\"spine\" x=\"{MARGIN}\" y=\"{top}\" width=\"{SPINE}\" height=\"48\" rx=\"6\"/>\
         <text class=\"strong middle\" x=\"{middle}\" y=\"{name_at}\">{}</text>\
         <text class=\"soft middle\" x=\"{middle}\" y=\"{}\">{}</text>\n",
        escape(name),
        top + 37.0,
        escape(size)
    )
}

/// The first block of a stage, and the one that the others are like.
fn stage_row(stage: &Stage, top: f64) -> (String, f64) {
    let (mut svg, mut x) = (String::new(), DETAIL);
    let count = stage.blocks.len();
    for (index, each) in stage.blocks.iter().take(2).enumerate() {
        let caption = match (index, count) {
            (0, _) => "block 1: ".to_owned(),
            (_, 2) => "block 2: ".to_owned(),
            _ => format!("blocks 2 to {count}: "),
        };
        let (drawn, end) = block(x, top + 24.0, &caption, each, None);
        svg += &drawn;
        x = end + 20.0;
    }
    (svg, x - 20.0)
}

/// Path A, behind the caption, above path B, forked and summed. `old` is the block whose steps are not new.
fn block(x: f64, y: f64, caption: &str, block: &Block, old: Option<&Block>) -> (String, f64) {
    let old_steps = |pick: fn(&Block) -> &Vec<String>| old.map(pick).cloned();
    let old_a = old_steps(|block| &block.path_a).unwrap_or_default();
    let old_b = old_steps(|block| &block.path_b).unwrap_or_default();
    let inner = x + 2.0 * GAP;
    let lower = y + 44.0;
    let wide = steps_width(&block.path_a).max(steps_width(&block.path_b));
    let start = |steps: &[String]| inner + (wide - steps_width(steps)) / 2.0;
    let sum = inner + wide + 2.0 * GAP;
    let mut svg = wire(&format!("M{x} {y}H{}", rounded(start(&block.path_a), 2)));
    svg += &steps(start(&block.path_a), y, &block.path_a, &old_a);
    svg += &arrow_right(start(&block.path_a) + steps_width(&block.path_a), sum - 9.0, y);
    let fork = x + GAP;
    if block.path_b.is_empty() {
        svg += &wire(&format!("M{fork} {y}V{lower}H{sum}V{}", y + 15.0));
    } else {
        let begin = start(&block.path_b);
        let end = begin + steps_width(&block.path_b);
        svg += &wire(&format!("M{fork} {y}V{lower}H{}", rounded(begin, 2)));
        svg += &steps(begin, lower, &block.path_b, &old_b);
        svg += &wire(&format!("M{} {lower}H{sum}V{}", rounded(end, 2), y + 15.0));
    }
    let label = if block.path_b.is_empty() { "identity" } else { "path B" };
    svg += &format!(
        "<path class=\"tip\" d=\"M{sum} {tip}l-4 7h8z\"/><circle class=\"box\" cx=\"{sum}\" cy=\"{y}\" r=\"9\"/>\
         <path class=\"wire\" d=\"M{} {y}h10M{sum} {}v10\"/>\
         <text class=\"soft\" x=\"{}\" y=\"{}\">{caption}path A</text><text class=\"soft\" x=\"{}\" y=\"{}\">{label}</text>\n",
        sum - 5.0,
        y - 5.0,
        fork + 4.0,
        y - 17.0,
        fork + 4.0,
        lower + 25.0,
        tip = y + 9.0,
    );
    svg += &arrow_right(sum + 9.0, sum + 9.0 + GAP, y);
    (svg, sum + 9.0 + GAP)
}

/// Steps with an arrow to the first.
fn chain(x: f64, y: f64, labels: &[String], old: &[String]) -> (String, f64) {
    let begin = x + GAP;
    let svg = arrow_right(x, begin, y) + &steps(begin, y, labels, old);
    (svg, begin + steps_width(labels))
}

fn steps_width(labels: &[String]) -> f64 {
    let boxes: f64 = labels.iter().map(|label| box_width(label)).sum();
    boxes + GAP * labels.len().saturating_sub(1) as f64
}

fn box_width(label: &str) -> f64 {
    width(label) + 18.0
}

/// Boxes from left to right, joined by arrows.
fn steps(x: f64, y: f64, labels: &[String], old: &[String]) -> String {
    let (mut svg, mut x) = (String::new(), x);
    for (index, label) in labels.iter().enumerate() {
        if index > 0 {
            svg += &arrow_right(x, x + GAP, y);
            x += GAP;
        }
        let changed = !old.is_empty() && !old.contains(label);
        let wide = box_width(label);
        svg += &format!(
            "<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"{wide}\" height=\"{BOX}\" rx=\"4\"/>\
             <text class=\"middle\" x=\"{}\" y=\"{}\">{}</text>\n",
            if changed { "box changed" } else { "box" },
            rounded(x, 2),
            y - BOX / 2.0,
            rounded(x + wide / 2.0, 2),
            y + 4.0,
            escape(label)
        );
        x += wide;
    }
    svg
}

fn wire(path: &str) -> String {
    format!("<path class=\"wire\" d=\"{path}\"/>\n")
}

fn arrow_right(from: f64, to: f64, y: f64) -> String {
    let (from, to) = (rounded(from, 2), rounded(to, 2));
    format!(
        "<path class=\"wire\" d=\"M{from} {y}H{to}\"/><path class=\"tip\" d=\"M{to} {y}l-7 -4v8z\"/>\n"
    )
}

fn arrow_down(x: f64, from: f64, to: f64) -> String {
    format!(
        "<path class=\"wire\" d=\"M{x} {from}V{to}\"/><path class=\"tip\" d=\"M{x} {to}l-4 -7h8z\"/>\n"
    )
}
