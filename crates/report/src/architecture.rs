//! Figures 1 and 2, the architecture of ResNet and of its tweaks; and that of any network in the same style, drawn from
//! what the network says of itself.

use crate::chart::{document, width};
use crate::text::{escape, rounded};

/// A network in words: each step is a label such as `3×3, 512, s=2`.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkDrawing {
    pub name: String,
    /// The text beside the name, such as the cost.
    pub note: String,
    /// Height, width and channels of the input, such as `224×224×3`.
    pub input: String,
    pub stem: Vec<String>,
    /// Size of the stem's output.
    pub stem_output: String,
    pub stages: Vec<StageDrawing>,
    /// What follows the stages, each with the size of its output.
    pub output: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct StageDrawing {
    pub name: String,
    /// Every block; of equal ones in a row, the first is drawn.
    pub blocks: Vec<BlockDrawing>,
    /// Size of the stage's output.
    pub output: String,
}

/// The layers between which nothing else begins or ends.
#[derive(Clone, Debug, PartialEq)]
pub enum BlockDrawing {
    /// Two paths and their sum (§4.1). An empty path B is the identity.
    Residual { path_a: Vec<String>, path_b: Vec<String> },
    /// Paths over one input, their outputs side by side in the channels. An empty one is the input.
    Branches(Vec<Vec<String>>),
    /// One step after another.
    Chain(Vec<String>),
}

/// The distance between two paths of a block.
const LANE: f64 = 44.0;
/// The height of a block with two paths.
const ROW: f64 = LANE + 74.0;
const SPINE: f64 = 128.0;
const BOX: f64 = 26.0;
const GAP: f64 = 16.0;
const MARGIN: f64 = 16.0;
/// Where details begin, right of the spine.
const DETAIL: f64 = MARGIN + SPINE + 28.0;
/// Blocks that would reach beyond this begin a new line.
const EDGE: f64 = 1240.0;

/// Figure 1: the stem, the stages, and the paths of their blocks.
pub fn figure_1(network: &NetworkDrawing) -> String {
    let mut body = title(&network.name);
    let mut right = DETAIL;
    if !network.note.is_empty() {
        // The title's letters are larger.
        let beside = MARGIN + 1.25 * width(&network.name) + 12.0;
        body += &soft(beside, 26.0, &network.note);
        right = beside + width(&network.note);
    }
    let mut top = 44.0;
    let spine = |top: f64, height: f64, name: &str, size: &str| {
        let next = top + height;
        spine_box(top, name, size) + &arrow_down(MARGIN + SPINE / 2.0, top + 48.0, next)
    };
    body += &spine(top, 76.0, "Input", &network.input);
    top += 76.0;
    body += &spine(top, 84.0, "Input stem", &network.stem_output);
    let (stem, end) = chain(DETAIL, top + 24.0, &network.stem, &[]);
    body += &stem;
    right = right.max(end);
    top += 84.0;
    for stage in &network.stages {
        let (row, size) = stage_row(stage, top);
        body += &spine(top, size[1], &stage.name, &stage.output);
        body += &row;
        right = right.max(size[0]);
        top += size[1];
    }
    body += &spine_box(top, "Output", "");
    let (output, end) = chain(DETAIL, top + 24.0, &network.output, &[]);
    body += &output;
    let size = [right.max(end) + MARGIN, top + 48.0 + MARGIN];
    document(size, &escape(&network.name), |_| body.clone())
}

/// Figure 2: the parts of each tweak that differ from the network before it; what changed is framed in color.
///
/// `networks` begins with the original; each of the others becomes one row for its stem and one for the first block of
/// its last stage, where these differ from the network before.
pub fn figure_2(networks: &[NetworkDrawing]) -> String {
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
        let first = |network: &NetworkDrawing| network.stages.last()?.blocks.first().cloned();
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

/// Each block of a stage that is not like the one before it, and where they end to the right and below.
fn stage_row(stage: &StageDrawing, top: f64) -> (String, [f64; 2]) {
    let (mut svg, mut x, mut right) = (String::new(), DETAIL, DETAIL);
    let (mut top_of_line, mut line) = (top, 0.0f64);
    let count = stage.blocks.len();
    let mut first = 0;
    for alike in stage.blocks.chunk_by(|a, b| a == b) {
        let caption = match alike.len() {
            _ if count == 1 => String::new(),
            1 => format!("block {}", first + 1),
            more => format!("blocks {} to {}", first + 1, first + more),
        };
        first += alike.len();
        let end = |x| block(x, 0.0, &caption, &alike[0], None).1;
        if x > DETAIL && end(x) > EDGE {
            (x, top_of_line, line) = (DETAIL, top_of_line + line, 0.0);
        }
        let (drawn, end) = block(x, top_of_line + 24.0, &caption, &alike[0], None);
        svg += &drawn;
        right = right.max(end);
        x = end + 20.0;
        line = line.max(ROW + (alike[0].lanes() as f64 - 2.0) * LANE);
    }
    (svg, [right, top_of_line + line - top])
}

impl BlockDrawing {
    /// The number of paths that lie above each other.
    fn lanes(&self) -> usize {
        match self {
            BlockDrawing::Residual { .. } => 2,
            BlockDrawing::Branches(branches) => branches.len(),
            BlockDrawing::Chain(_) => 1,
        }
    }
}

/// A block under its caption, and where it ends. `old` is the block whose steps are not new.
fn block(
    x: f64,
    y: f64,
    caption: &str,
    block: &BlockDrawing,
    old: Option<&BlockDrawing>,
) -> (String, f64) {
    let (path_a, path_b) = match block {
        BlockDrawing::Residual { path_a, path_b } => (path_a, path_b),
        BlockDrawing::Branches(paths) => return branches(x, y, caption, paths),
        BlockDrawing::Chain(labels) => {
            let (svg, end) = chain(x, y, labels, &[]);
            let end = end.max(x + GAP + width(caption));
            return (svg + &soft(x + GAP, y - 17.0, caption), end);
        }
    };
    let (old_a, old_b) = match old {
        Some(BlockDrawing::Residual { path_a, path_b }) => (path_a.as_slice(), path_b.as_slice()),
        _ => (&[][..], &[][..]),
    };
    let inner = x + 2.0 * GAP;
    let lower = y + LANE;
    let wide = steps_width(path_a).max(steps_width(path_b));
    let start = |steps: &[String]| inner + (wide - steps_width(steps)) / 2.0;
    let sum = inner + wide + 2.0 * GAP;
    let mut svg = wire(&format!("M{x} {y}H{}", rounded(start(path_a), 2)));
    svg += &steps(start(path_a), y, path_a, old_a);
    svg += &arrow_right(start(path_a) + steps_width(path_a), sum - 9.0, y);
    let fork = x + GAP;
    if path_b.is_empty() {
        svg += &wire(&format!("M{fork} {y}V{lower}H{sum}V{}", y + 15.0));
    } else {
        let begin = start(path_b);
        let end = begin + steps_width(path_b);
        svg += &wire(&format!("M{fork} {y}V{lower}H{}", rounded(begin, 2)));
        svg += &steps(begin, lower, path_b, old_b);
        svg += &wire(&format!("M{} {lower}H{sum}V{}", rounded(end, 2), y + 15.0));
    }
    let label = if path_b.is_empty() { "identity" } else { "path B" };
    let caption = if caption.is_empty() { String::new() } else { format!("{caption}: ") };
    svg += &format!(
        "<path class=\"tip\" d=\"M{sum} {tip}l-4 7h8z\"/><circle class=\"box\" cx=\"{sum}\" cy=\"{y}\" r=\"9\"/>\
         <path class=\"wire\" d=\"M{} {y}h10M{sum} {}v10\"/>",
        sum - 5.0,
        y - 5.0,
        tip = y + 9.0,
    );
    svg += &soft(fork + 4.0, y - 17.0, &format!("{caption}path A"));
    svg += &soft(fork + 4.0, lower + 25.0, label);
    svg += &arrow_right(sum + 9.0, sum + 9.0 + GAP, y);
    (svg, sum + 9.0 + GAP)
}

/// Paths from one fork to the bar where their outputs come to stand side by side.
fn branches(x: f64, y: f64, caption: &str, paths: &[Vec<String>]) -> (String, f64) {
    let (fork, inner) = (x + GAP, x + 2.0 * GAP);
    let wide = paths.iter().map(|path| steps_width(path)).fold(width(caption), f64::max);
    let bar = inner + wide + 2.0 * GAP;
    let last = y + (paths.len() - 1) as f64 * LANE;
    let mut svg = wire(&format!("M{x} {y}H{fork}V{last}"));
    for (lane, path) in paths.iter().enumerate() {
        let y = y + lane as f64 * LANE;
        let begin = inner + (wide - steps_width(path)) / 2.0;
        svg += &wire(&format!("M{fork} {y}H{}", rounded(begin, 2)));
        svg += &steps(begin, y, path, &[]);
        svg += &arrow_right(begin + steps_width(path), bar, y);
    }
    svg += &format!(
        "<rect class=\"box\" x=\"{}\" y=\"{}\" width=\"10\" height=\"{}\" rx=\"4\"/>",
        rounded(bar, 2),
        y - BOX / 2.0,
        last - y + BOX
    );
    svg += &soft(fork + 4.0, y - 17.0, caption);
    svg += &format!(
        "<text class=\"soft end\" x=\"{}\" y=\"{}\">side by side</text>\n",
        rounded(bar + 10.0, 2),
        last + 25.0
    );
    svg += &arrow_right(bar + 10.0, bar + 10.0 + GAP, y);
    (svg, bar + 10.0 + GAP)
}

fn soft(x: f64, y: f64, text: &str) -> String {
    format!("<text class=\"soft\" x=\"{}\" y=\"{y}\">{}</text>\n", rounded(x, 2), escape(text))
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
