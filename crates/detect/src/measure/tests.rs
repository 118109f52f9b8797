//! The measures against pycocotools and the authors' metric on made-up scenes (refs/detection_measures.py), and on small
//! ones whose result is known.

use data::BoundingBox;

use super::*;
use crate::answers::FoundBox;

const CLASSES: u64 = 3;

/// The generator of refs/detection_measures.py.
struct Draw(u64);

impl Draw {
    fn bits(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 40
    }

    fn below(&mut self, count: u64) -> u64 {
        self.bits() % count
    }

    fn side(&mut self) -> f64 {
        let power = 3 + self.below(6);
        (8 + self.below(1 << power)) as f64 / 4.0 * 2.0
    }

    fn corners(&mut self) -> [f64; 4] {
        let (x, y) = (self.below(1600) as f64 / 4.0, self.below(1200) as f64 / 4.0);
        let (width, height) = (self.side(), self.side());
        [x, y, x + width, y + height]
    }

    fn moved(&mut self, [x0, y0, x1, y1]: [f64; 4]) -> [f64; 4] {
        let mut shift = |side: f64| (self.below(64) as f64 - 32.0) / 128.0 * side;
        let quarter = |value: f64| (value * 4.0).floor() / 4.0;
        let (width, height) = (x1 - x0, y1 - y0);
        let (x, y) = (quarter(x0 + shift(width)), quarter(y0 + shift(height)));
        let width = quarter(width + shift(width)).max(1.0);
        let height = quarter(height + shift(height)).max(1.0);
        [x, y, x + width, y + height]
    }

    fn answer(&mut self, corners: [f64; 4], class: u64) -> FoundBox {
        let score = self.bits() as f32 / (1 << 24) as f32;
        FoundBox { corners: narrow(corners), class: class as u32, score }
    }

    fn scene(&mut self) -> Scene {
        let count = self.below(7);
        let object = |draw: &mut Draw| {
            let (corners, class) = (draw.corners(), draw.below(CLASSES));
            (corners, class, draw.below(8) == 0)
        };
        let objects: Vec<_> = (0..count).map(|_| object(self)).collect();
        let mut found = Vec::new();
        for &(corners, class, _) in &objects {
            for _ in 0..self.below(3) {
                let seen = if self.below(8) > 0 { class } else { self.below(CLASSES) };
                let corners = self.moved(corners);
                found.push(self.answer(corners, seen));
            }
        }
        for _ in 0..self.below(4) {
            let corners = self.corners();
            let class = self.below(CLASSES);
            found.push(self.answer(corners, class));
        }
        let objects = objects.into_iter().map(|(corners, class, crowd)| BoundingBox {
            crowd,
            ..BoundingBox::new(narrow(corners), class as u32)
        });
        Scene { objects: objects.collect(), found }
    }
}

fn narrow(corners: [f64; 4]) -> [f32; 4] {
    corners.map(|value| value as f32)
}

#[test]
fn two_hundred_scenes_are_measured_as_pycocotools_and_the_authors_do() {
    let rows: Vec<Vec<Option<f64>>> =
        serde_json::from_str(include_str!("tests/vectors.json")).unwrap();
    assert_eq!(rows.len(), 200);
    for row in rows {
        let mut draw = Draw(row[0].unwrap() as u64);
        let count = 1 + draw.below(4);
        let scenes: Vec<Scene> = (0..count).map(|_| draw.scene()).collect();
        let coco = coco_precision(&scenes, CLASSES as usize);
        let voc = voc_precision(&scenes, CLASSES as usize);
        let found = coco.0.iter().chain([&voc.eleven_points, &voc.area]);
        for (place, (found, expected)) in found.zip(&row[1..]).enumerate() {
            match expected {
                Some(expected) => assert!(
                    (found - expected).abs() < 1e-9,
                    "scenes {:?}, number {place}: {found}, not {expected}",
                    row[0]
                ),
                None => assert!(found.is_nan()),
            }
        }
    }
}

fn object(corners: [f32; 4]) -> BoundingBox {
    BoundingBox::new(corners, 0)
}

fn answer(corners: [f32; 4], score: f32) -> FoundBox {
    FoundBox { corners, class: 0, score }
}

const HERE: [f32; 4] = [10.0, 10.0, 60.0, 60.0];
const THERE: [f32; 4] = [100.0, 100.0, 160.0, 160.0];

#[test]
fn scenes_with_a_known_result_have_it() {
    let scene = |objects: Vec<BoundingBox>, found| Scene { objects, found };
    let crowd = BoundingBox { crowd: true, ..object(THERE) };
    let difficult = BoundingBox { difficult: true, ..object(THERE) };
    for (what, scenes, coco, eleven, area) in [
        ("a perfect box", vec![scene(vec![object(HERE)], vec![answer(HERE, 0.9)])], 1.0, 1.0, 1.0),
        (
            "one of two objects",
            vec![scene(vec![object(HERE), object(THERE)], vec![answer(HERE, 0.9)])],
            51.0 / 101.0,
            6.0 / 11.0,
            0.5,
        ),
        (
            "a surer false alarm in an image without objects",
            vec![
                scene(vec![object(HERE)], vec![answer(HERE, 0.5)]),
                scene(vec![], vec![answer(THERE, 0.9)]),
            ],
            0.5,
            0.5,
            0.5,
        ),
        (
            "boxes in a crowd",
            vec![scene(
                vec![object(HERE), crowd],
                vec![
                    answer(THERE, 0.95),
                    answer([100.0, 100.0, 110.0, 120.0], 0.94),
                    answer(HERE, 0.9),
                ],
            )],
            1.0,
            0.5,
            0.5,
        ),
        (
            "a difficult object",
            vec![scene(
                vec![object(HERE), difficult],
                vec![answer(THERE, 0.95), answer(THERE, 0.94), answer(HERE, 0.9)],
            )],
            // COCO ignores a hit once; VOC ignores every hit.
            0.5,
            1.0,
            1.0,
        ),
        (
            "a second hit",
            vec![scene(vec![object(HERE)], vec![answer(HERE, 0.9), answer(HERE, 0.8)])],
            1.0,
            1.0,
            1.0,
        ),
    ] {
        let close = |found: f64, expected: f64| (found - expected).abs() < 1e-9;
        let found = coco_precision(&scenes, 1).0[0];
        assert!(close(found, coco), "{what}: COCO {found}, not {coco}");
        let voc = voc_precision(&scenes, 1);
        assert!(close(voc.eleven_points, eleven), "{what}: 11 points {}", voc.eleven_points);
        assert!(close(voc.area, area), "{what}: area {}", voc.area);
    }
}

/// 3/10 is below 0.1 · 3 as numpy adds it up.
#[test]
fn a_recall_of_three_tenths_misses_the_third_point() {
    let far = |k: usize| [100.0 * k as f32, 0.0, 100.0 * k as f32 + 50.0, 50.0];
    let objects: Vec<BoundingBox> = (0..10).map(|k| object(far(k))).collect();
    let found = (0..3).map(|k| answer(far(k), 0.9)).collect();
    let voc = voc_precision(&[Scene { objects, found }], 1);
    assert!((voc.eleven_points - 3.0 / 11.0).abs() < 1e-12, "{}", voc.eleven_points);
    let class = voc.classes[0].as_ref().unwrap();
    assert_eq!((class.recall.as_slice(), class.objects), (&[0.1, 0.2, 0.3][..], 10));
}

#[test]
fn a_class_without_objects_counts_nowhere() {
    let found = vec![answer(HERE, 0.9), FoundBox { class: 1, ..answer(THERE, 0.99) }];
    let scenes = [Scene { objects: vec![object(HERE)], found }];
    assert!((coco_precision(&scenes, 2).0[0] - 1.0).abs() < 1e-12);
    let voc = voc_precision(&scenes, 2);
    assert_eq!((voc.area, voc.classes[1].is_none()), (1.0, true));
    let empty = voc_precision(&[Scene::default()], 2);
    assert!(empty.area.is_nan());
    assert_eq!(coco_precision(&[Scene::default()], 2).0, [-1.0; 12]);
}
