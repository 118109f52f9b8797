//! Anchors, targets and proposals against the authors' own code (`refs/detection_authors.py`, which describes the scenes).

use recipe::{BorderAnchors, Kept, Proposals};
use serde::Deserialize;

use super::paper;
use super::step::uniform;
use crate::anchors::{first_cell, grid};
use crate::assignment::{AnchorMark, assigned};
use crate::coding::encoded;
use crate::proposals::proposals;

const SIZE: [f32; 2] = [427.0, 320.0];
const CELLS: [usize; 2] = [20, 27];

#[derive(Deserialize)]
struct Authors {
    cell: Vec<[f32; 4]>,
    last: [f32; 4],
    scenes: Vec<AuthorsScene>,
}

#[derive(Deserialize)]
struct AuthorsScene {
    objects: Vec<[f32; 4]>,
    positive: Vec<usize>,
    codes: Vec<[f32; 4]>,
    negatives: usize,
    negative_sum: usize,
    proposals: Vec<[f32; 4]>,
}

fn authors() -> Authors {
    serde_json::from_str(include_str!("../../testdata/authors.json")).unwrap()
}

fn anchors() -> Vec<[f32; 4]> {
    grid(&first_cell(&paper().anchors), CELLS, 16)
}

#[test]
fn anchors_are_the_authors_to_the_bit() {
    let authors = authors();
    assert_eq!(first_cell(&paper().anchors), authors.cell);
    assert_eq!(anchors().last(), Some(&authors.last));
}

#[test]
fn targets_are_the_authors() {
    let (anchors, rules) = (anchors(), paper().proposals);
    for (number, scene) in authors().scenes.iter().enumerate() {
        let marks = assigned(&anchors, &scene.objects, SIZE, BorderAnchors::Ignored, &rules);
        let of = |wanted: fn(&AnchorMark) -> bool| -> Vec<usize> {
            (0..marks.len()).filter(|&place| wanted(&marks[place])).collect()
        };
        let positive = of(|mark| matches!(mark, AnchorMark::Positive(_)));
        assert_eq!(positive, scene.positive, "scene {number}");
        let negative = of(|mark| *mark == AnchorMark::Negative);
        let found = (negative.len(), negative.iter().sum::<usize>());
        assert_eq!(found, (scene.negatives, scene.negative_sum), "scene {number}");
        for (&place, expected) in positive.iter().zip(&scene.codes) {
            let AnchorMark::Positive(object) = marks[place] else { unreachable!() };
            let code = encoded(scene.objects[object as usize], anchors[place], [1.0; 4]);
            for (found, expected) in code.iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 1e-6,
                    "scene {number}: {code:?}, not {expected:?}"
                );
            }
        }
    }
}

#[test]
fn proposals_are_the_authors() {
    let anchors = anchors();
    let rules = Proposals { least_side: 16.0, ..paper().proposals };
    for (number, scene) in authors().scenes.iter().enumerate() {
        let t = 100 * number as u64;
        let score = |place| (0.5 + uniform(t + 90, place)) as f32;
        let scores: Vec<f32> = (0..anchors.len() as u64).map(score).collect();
        let code = |place: u64| [0, 1, 2, 3].map(|k| (0.6 * uniform(t + 91, 4 * place + k)) as f32);
        let codes: Vec<[f32; 4]> = (0..anchors.len() as u64).map(code).collect();
        let kept = Kept { before: 500, after: 60 };
        let found = proposals(&anchors, &scores, &codes, SIZE, &rules, kept);
        assert_eq!(found.len(), scene.proposals.len(), "scene {number}");
        for (found, expected) in found.iter().zip(&scene.proposals) {
            let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-3, "scene {number}: {found:?}, not {expected:?}");
        }
    }
}
