use crate::architecture::{BlockDrawing, NetworkDrawing, StageDrawing, figure_1, figure_2};
use crate::chart::{Axis, Chart, Line, Series};
use crate::figures::{figure_3a, figure_3b, figure_4a, figure_4b};
use crate::tests::page::Folder;

const SVG: &str = "http://www.w3.org/2000/svg";

/// The texts of an SVG, which has to be well-formed XML and to ask for nothing outside itself.
#[track_caller]
fn texts(svg: &str) -> Vec<String> {
    let document = roxmltree::Document::parse(svg).unwrap_or_else(|error| panic!("{error}: {svg}"));
    assert!(document.root_element().has_tag_name(("http://www.w3.org/2000/svg", "svg")));
    assert!(!svg.replace("http://www.w3.org/2000/svg", "").contains("http"), "{svg}");
    let texts = document
        .descendants()
        .filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "text")));
    texts.map(|node| node.text().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_chart_is_the_same_bytes_as_ever() {
    let chart = Chart {
        title: "A < B & \"C\"".into(),
        x: Axis::new("epoch", &[0.0]),
        y: Axis::new("loss", &[]),
        series: vec![
            Series {
                name: "<one>".into(),
                line: Line::Dotted,
                points: vec![(1.0, 2.0), (2.0, f64::NAN), (3.0, 1.0), (4.0, 0.5)],
                ..Series::default()
            },
            Series { name: "none".into(), color: 8, ..Series::default() },
        ],
        legend: true,
        ..Chart::default()
    };
    let inline = chart.inline([440.0, 270.0]);
    assert_eq!(inline, include_str!("chart.svg"));
    assert!(texts(&chart.file()).contains(&"<one>".to_owned()));
    // The line breaks where there is no number, and the palette's second round is dashed.
    assert_eq!(inline.matches('M').count(), 2 + 1, "two pieces of a line and the axes");
    assert!(inline.contains("line c1 dashed"));
}

#[test]
fn figure_3a_holds_both_schedules() {
    let svg = figure_3a();
    assert_eq!(svg, figure_3a());
    let texts = texts(&svg);
    for expected in ["cosine", "step decay", "epoch", "0.4", "120"] {
        assert!(texts.iter().any(|text| text == expected), "{expected}: {texts:?}");
    }
}

#[test]
fn figure_4a_is_of_any_number_of_classes() {
    let svg = figure_4a(&[1000, 7]);
    let texts = texts(&svg);
    for expected in ["K = 1,000", "K = 7", "ε = 0.1, K = 1,000: 9.10", "ε"] {
        assert!(texts.iter().any(|text| text == expected), "{expected}: {texts:?}");
    }
}

#[test]
fn figures_of_runs_are_of_their_rows() {
    let runs = [Folder::of_a_run("step").read(), Folder::of_a_run("cosine").read()];
    let curves = texts(&figure_3b(&runs));
    let gaps = texts(&figure_4b(&runs));
    for name in ["step", "cosine"] {
        assert!(curves.iter().any(|text| text == name), "{curves:?}");
        let full = format!("{name} (mean 3.5, 6 images)");
        assert!(gaps.contains(&full), "{gaps:?}");
    }
}

/// The mark of eq. 5: log(2 · 0.9 / 0.1) for the three classes here.
#[test]
fn figure_4b_marks_the_gap_of_theory() {
    for (over, mark) in [("others", "2.89"), ("all", "3.33")] {
        let folder = Folder::of_a_run("smoothed");
        let smoothing = format!("[target]\nsmoothing = {{ epsilon = 0.1, over = \"{over}\" }}\n\n");
        folder.edit("recipe.toml", |text| {
            text.replace("[checkpoint]", &(smoothing + "[checkpoint]"))
        });
        let texts = texts(&figure_4b(&[folder.read()]));
        let wanted = format!("theory, ε = 0.1, K = 3: {mark}");
        assert!(texts.contains(&wanted), "{texts:?}");
    }
    let plain = texts(&figure_4b(&[Folder::of_a_run("plain").read()]));
    assert!(!plain.iter().any(|text| text.contains("theory")), "{plain:?}");
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|&word| word.to_owned()).collect()
}

fn network(name: &str, stem: &[&str], path_a: &[&str], path_b: &[&str]) -> NetworkDrawing {
    let first = BlockDrawing::Residual { path_a: words(path_a), path_b: words(path_b) };
    let next =
        BlockDrawing::Residual { path_a: words(&["3×3, 8", "3×3, 8"]), path_b: Vec::new() };
    NetworkDrawing {
        name: name.into(),
        note: "9 k parameters".into(),
        input: "224×224×3".into(),
        stem: words(stem),
        stem_output: "56×56×8".into(),
        stages: vec![StageDrawing {
            name: "Stage 1".into(),
            blocks: vec![first, next.clone(), next],
            output: "28×28×8".into(),
        }],
        output: words(&["global average pool", "linear, 10"]),
    }
}

#[test]
fn figure_1_shows_every_step_once() {
    let svg =
        figure_1(&network("net & co", &["7×7, 8, s=2"], &["1×1, 4", "3×3, 4, s=2"], &["1×1, 8"]));
    let texts = texts(&svg);
    for expected in [
        "net & co",
        "224×224×3",
        "7×7, 8, s=2",
        "1×1, 4",
        "3×3, 4, s=2",
        "1×1, 8",
        "identity",
        "blocks 2 to 3: path A",
        "28×28×8",
        "linear, 10",
    ] {
        let count = texts.iter().filter(|text| *text == expected).count();
        assert_eq!(count, 1, "{expected}: {texts:?}");
    }
}

/// Equal neighbours are drawn once, and what does not fit beside begins a new line.
#[test]
fn blocks_of_any_kind_are_drawn() {
    let chain = |label: &str| BlockDrawing::Chain(words(&[label]));
    let module =
        |label: &str| BlockDrawing::Branches(vec![Vec::new(), words(&[label, label, label])]);
    let mut drawn = network("net", &["3×3, 8"], &[], &[]);
    let wide = "a label that is as long as a line of text";
    drawn.stages[0].blocks = vec![
        chain("norm & ReLU"),
        chain("1×1"),
        chain("1×1"),
        module("5×5"),
        module("5×5"),
        module("5×5"),
        module(wide),
        module("7×7"),
    ];
    let svg = figure_1(&drawn);
    let texts = texts(&svg);
    let count = |wanted: &str| texts.iter().filter(|text| *text == wanted).count();
    for caption in ["block 1", "blocks 2 to 3", "blocks 4 to 6", "block 7", "block 8"] {
        assert_eq!(count(caption), 1, "{caption}: {texts:?}");
    }
    assert_eq!((count("5×5"), count("7×7"), count("1×1"), count("norm & ReLU")), (3, 3, 1, 1));
    let document = roxmltree::Document::parse(&svg).unwrap();
    let place = |wanted: &str, axis: &str| -> f64 {
        let mut nodes = document.descendants().filter(|node| node.text() == Some(wanted));
        nodes.next().unwrap().attribute(axis).unwrap().parse().unwrap()
    };
    assert!(place("block 7", "y") > place("blocks 4 to 6", "y"), "a new line");
    assert!(place("block 7", "x") < place("blocks 4 to 6", "x"), "a new line");
    // Nothing reaches beyond the picture.
    let size: f64 = document.root_element().attribute("width").unwrap().parse().unwrap();
    for node in document.descendants().filter(|node| node.has_tag_name((SVG, "rect"))) {
        let number = |key| node.attribute(key).map_or(0.0, |value| value.parse::<f64>().unwrap());
        assert!(number("x") + number("width") <= size, "{node:?}");
    }
}

#[test]
fn figure_2_frames_what_changed_and_nothing_else() {
    let original = network("original", &["7×7, 8"], &["1×1, 4, s=2", "3×3, 4"], &["1×1, 8, s=2"]);
    let b = network("B", &["7×7, 8"], &["1×1, 4", "3×3, 4, s=2"], &["1×1, 8, s=2"]);
    let c = network(
        "C",
        &["3×3, 4", "3×3, 8", "max pool"],
        &["1×1, 4", "3×3, 4, s=2"],
        &["1×1, 8, s=2"],
    );
    let svg = figure_2(&[original, b, c]);
    let texts = texts(&svg);
    let count = |wanted: &str| texts.iter().filter(|text| *text == wanted).count();
    assert_eq!((count("downsampling block"), count("input stem")), (1, 1));
    assert_eq!(svg.matches("box changed").count(), 2 + 3);
}
