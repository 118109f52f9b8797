//! Line charts as SVG: axes, ticks, legend, and the data again where a script is to read it.
//!
//! Colors are classes of `assets/chart.css`: a palette that color-blind people tell apart, one for white and one for
//! dark, with dashes once it repeats. A file brings its own ground, so that it can be read on any page.

use crate::scale::Scale;
use crate::text::{escape, rounded, significant};

/// The style sheet of charts and drawings.
pub(crate) const STYLE: &str = include_str!("../assets/chart.css");

/// Colors in the style sheet.
const COLORS: usize = 7;

#[derive(Clone, Debug, Default)]
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
    /// Vertical lines, each with its text.
    pub(crate) marks: Vec<(f64, String)>,
    pub(crate) legend: bool,
}

/// What an axis measures; values that it has to reach beside those of the data.
#[derive(Clone, Debug, Default)]
pub(crate) struct Axis {
    pub(crate) label: String,
    pub(crate) reach: Vec<f64>,
}

/// Points in the order of x. What is not finite breaks the line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) color: usize,
    pub(crate) line: Line,
    pub(crate) points: Vec<(f64, f64)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Line {
    #[default]
    Solid,
    Dashed,
    /// A dot at each point, too.
    Dotted,
    /// With the area below it.
    Filled,
}

/// Pixels of the whole and of the plot inside.
struct Frame {
    size: [f64; 2],
    x: Scale,
    y: Scale,
    legend: Vec<[f64; 2]>,
}

impl Axis {
    pub(crate) fn new(label: &str, reach: &[f64]) -> Axis {
        Axis { label: label.to_owned(), reach: reach.to_owned() }
    }
}

impl Chart {
    /// A file of its own.
    pub(crate) fn file(&self) -> String {
        // Around the chart, since the ground of a file has an edge.
        let [width, height] = [720.0, 432.0];
        document([width, height], &escape(&self.title), |_| {
            let body = self.body([width - 16.0, height - 16.0], false);
            format!("<g transform=\"translate(8 10)\">\n{body}</g>\n")
        })
    }

    /// A part of a page that has [`STYLE`] in it; a script finds the data in `data-` attributes.
    pub(crate) fn inline(&self, size: [f64; 2]) -> String {
        let frame = self.frame(size);
        let (x, y) = (&frame.x, &frame.y);
        let ends = [x.from, y.to, x.to, y.from].map(|pixel| rounded(pixel, 2)).join(" ");
        format!(
            "<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\" data-plot=\"{ends}\" \
             data-domain=\"{} {}\" data-axis=\"{}\">{}</svg>\n",
            size[0],
            size[1],
            escape(&self.title),
            x.low,
            x.high,
            escape(&self.x.label),
            self.body(size, true)
        )
    }

    fn body(&self, size: [f64; 2], with_data: bool) -> String {
        let frame = self.frame(size);
        let mut svg = format!(
            "<text class=\"title\" x=\"{}\" y=\"18\">{}</text>\n",
            rounded(frame.x.from, 2),
            escape(&self.title)
        );
        svg += &self.legend(&frame);
        svg += &self.axes(&frame);
        svg += &marks(&self.marks, &frame);
        for series in &self.series {
            svg += &series.draw(&frame, with_data);
        }
        if with_data {
            let (top, bottom) = (rounded(frame.y.to, 2), rounded(frame.y.from, 2));
            svg += &format!("<line class=\"cursor\" y1=\"{top}\" y2=\"{bottom}\"/>");
        }
        svg
    }

    fn frame(&self, size: [f64; 2]) -> Frame {
        let values = |axis: &Axis, pick: fn(&(f64, f64)) -> f64| {
            let own = self.series.iter().flat_map(move |series| series.points.iter().map(pick));
            own.chain(axis.reach.clone()).collect::<Vec<f64>>()
        };
        let x = Scale::of(values(&self.x, |point| point.0).into_iter(), false);
        let y = Scale::of(values(&self.y, |point| point.1).into_iter(), true);
        let widest = y.ticks().iter().map(|(_, text)| width(text)).fold(0.0, f64::max);
        let left = 20.0 + widest;
        let legend = self.places(left, size[0] - 12.0);
        let below_legend = legend.last().map_or(28.0, |place| place[1] + 10.0);
        let x = x.on(left, size[0] - 18.0);
        let y = y.on(size[1] - 42.0, below_legend + 24.0);
        Frame { size, x, y, legend }
    }

    /// Where each entry of the legend begins: in rows, as many as are needed.
    fn places(&self, left: f64, right: f64) -> Vec<[f64; 2]> {
        let mut places = Vec::new();
        let mut at = [left, 38.0];
        for series in self.series.iter().filter(|_| self.legend) {
            let room = 40.0 + width(&series.name);
            if at[0] > left && at[0] + room > right {
                at = [left, at[1] + 18.0];
            }
            places.push(at);
            at[0] += room;
        }
        places
    }

    fn legend(&self, frame: &Frame) -> String {
        let mut svg = String::new();
        for (series, [x, y]) in self.series.iter().zip(&frame.legend) {
            let (from, to, text) = (rounded(*x, 2), rounded(x + 18.0, 2), rounded(x + 24.0, 2));
            svg += &format!(
                "<line class=\"{}\" x1=\"{from}\" y1=\"{y}\" x2=\"{to}\" y2=\"{y}\"/>\
                 <text x=\"{text}\" y=\"{}\">{}</text>\n",
                series.class(),
                y + 4.0,
                escape(&series.name)
            );
        }
        svg
    }

    fn axes(&self, frame: &Frame) -> String {
        let Frame { x, y, size, .. } = frame;
        let [left, right, top, bottom] = [x.from, x.to, y.to, y.from].map(|v| rounded(v, 2));
        let mut svg = format!(
            "<text class=\"soft\" x=\"{left}\" y=\"{}\">{}</text>\n",
            rounded(y.to - 9.0, 2),
            escape(&self.y.label)
        );
        for (value, text) in y.ticks() {
            let at = y.place(value);
            svg += &format!(
                "<line class=\"grid\" x1=\"{left}\" y1=\"{0}\" x2=\"{right}\" y2=\"{0}\"/>\
                 <text class=\"soft end\" x=\"{1}\" y=\"{2}\">{text}</text>\n",
                rounded(at, 2),
                rounded(x.from - 7.0, 2),
                rounded(at + 4.0, 2)
            );
        }
        for (value, text) in x.ticks() {
            let at = rounded(x.place(value), 2);
            svg += &format!(
                "<line class=\"axis\" x1=\"{at}\" y1=\"{bottom}\" x2=\"{at}\" y2=\"{}\"/>\
                 <text class=\"soft middle\" x=\"{at}\" y=\"{}\">{text}</text>\n",
                rounded(y.from + 5.0, 2),
                rounded(y.from + 19.0, 2)
            );
        }
        svg + &format!(
            "<path class=\"axis\" d=\"M{left} {top}V{bottom}H{right}\"/>\
             <text class=\"soft end\" x=\"{right}\" y=\"{}\">{}</text>\n",
            size[1] - 8.0,
            escape(&self.x.label)
        )
    }
}

impl Series {
    fn class(&self) -> String {
        // The palette once again is dashed, which no line of the first round then is beside its own color.
        let dashed = self.line == Line::Dashed || (self.color / COLORS) % 2 == 1;
        format!("line c{}{}", self.color % COLORS, if dashed { " dashed" } else { "" })
    }

    fn draw(&self, frame: &Frame, with_data: bool) -> String {
        let mut svg = String::new();
        let path = self.path(frame);
        if self.line == Line::Filled
            && let (Some(first), Some(last)) = (self.points.first(), self.points.last())
        {
            svg += &format!(
                "<path class=\"area c{}\" d=\"{path}L{} {bottom}H{}Z\"/>\n",
                self.color % COLORS,
                rounded(frame.x.place(last.0), 2),
                rounded(frame.x.place(first.0), 2),
                bottom = rounded(frame.y.from, 2),
            );
        }
        svg += &format!("<path class=\"{}\" d=\"{path}\"", self.class());
        if with_data {
            let list = |pick: fn(&(f64, f64)) -> f64| {
                self.points
                    .iter()
                    .map(|point| significant(pick(point)))
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            let (x, y) = (list(|point| point.0), list(|point| point.1));
            svg += &format!(" data-name=\"{}\" data-x=\"{x}\" data-y=\"{y}\"", escape(&self.name));
        }
        svg += "/>\n";
        if self.line == Line::Dotted {
            for (x, y) in self.points.iter().filter(|point| point.1.is_finite()) {
                svg += &format!(
                    "<circle class=\"dot c{}\" cx=\"{}\" cy=\"{}\" r=\"2.5\"/>\n",
                    self.color % COLORS,
                    rounded(frame.x.place(*x), 2),
                    rounded(frame.y.place(*y), 2)
                );
            }
        }
        svg
    }

    fn path(&self, frame: &Frame) -> String {
        let mut path = String::new();
        let mut pen_down = false;
        for &(x, y) in &self.points {
            if !(x.is_finite() && y.is_finite()) {
                pen_down = false;
                continue;
            }
            let command = if pen_down { 'L' } else { 'M' };
            let (x, y) = (rounded(frame.x.place(x), 2), rounded(frame.y.place(y), 2));
            path += &format!("{command}{x} {y}");
            pen_down = true;
        }
        path
    }
}

fn marks(marks: &[(f64, String)], frame: &Frame) -> String {
    let mut svg = String::new();
    for (value, text) in marks {
        let at = frame.x.place(*value);
        svg += &format!(
            "<line class=\"mark\" x1=\"{0}\" y1=\"{1}\" x2=\"{0}\" y2=\"{2}\"/>\
             <text x=\"{3}\" y=\"{4}\">{5}</text>\n",
            rounded(at, 2),
            rounded(frame.y.to, 2),
            rounded(frame.y.from, 2),
            rounded(at + 6.0, 2),
            rounded(frame.y.to + 12.0, 2),
            escape(text)
        );
    }
    svg
}

/// Pixels of a text in the size of the style sheet, near enough to lay it out.
pub(crate) fn width(text: &str) -> f64 {
    6.5 * text.chars().count() as f64
}

/// An SVG file around what `body` draws; `title` is escaped already.
pub(crate) fn document(size: [f64; 2], title: &str, body: impl Fn([f64; 2]) -> String) -> String {
    let [width, height] = size;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n\
         <rect class=\"ground\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>\n{}</svg>\n",
        body(size)
    )
}
