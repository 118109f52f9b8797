//! The final score at several scales against the authors' evaluator, over torchvision's FCN with one block a stage
//! (`refs/torch_scales.py`, which describes all formulas). Scores may be off by eight times the error of PyTorch's own f32.

use data::RgbImage;
use safetensors::SafeTensors;
use zoo::{Options, Shape};

use super::pytorch::{model_of, uniform};
use crate::network::Segmenter;
use crate::scoring::Scorer;

const CLASSES: usize = 5;
const STEP: usize = 97;

#[test]
fn scores_at_several_scales_are_the_authors() {
    let shape = Shape { blocks: [1; 4], channels: [64, 128, 256, 512], stem_channels: 64 };
    let options = Options { dilations: [1, 1, 2, 4], shape: Some(shape), ..Options::plain(1) };
    let network = zoo::network("resnet50", &options).expect("a known name");
    let model = model_of(Segmenter::new(network, CLASSES, false).expect("a ResNet"));
    let edits = ["segment.crop=48", "segment.base=52", "segment.evaluation=multi-scale"];
    let edits = edits.map(str::to_owned);
    let text = recipe::builtin("segment-small").expect("a built-in recipe");
    let recipe = recipe::parse_with_edits(text, "segment-small", &edits, &zoo::names())
        .unwrap_or_else(|errors| panic!("{errors}"));
    let scorer = Scorer::new(&model, &recipe);

    let bytes = include_bytes!("../../testdata/scales.safetensors");
    let file = SafeTensors::deserialize(bytes).expect("a safetensors file");
    let read = |name: &str| -> Vec<f64> {
        let view = file.tensor(name).unwrap_or_else(|_| panic!("{name} is in the file"));
        let (values, _) = view.data().as_chunks::<8>();
        values.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
    };
    for (number, [height, width]) in [[40, 60], [61, 50], [30, 30]].into_iter().enumerate() {
        let level = |c: usize, at: usize| {
            let u = uniform(1_000_008 + number as u64, (c * height * width + at) as u64);
            (80.0 + 160.0 * (u + 0.5)).floor() as u8
        };
        let pixels = (0..height * width).flat_map(|at| [0, 1, 2].map(|c| level(c, at))).collect();
        let image = RgbImage { width, height, pixels };
        let scores = scorer.multi_scale(&scorer.normalized(&image));
        let name = format!("{height}x{width}");
        let (exact, facts) = (read(&name), read(&format!("{name}.facts")));
        let found: Vec<f32> = scores.values.iter().copied().step_by(STEP).collect();
        assert_eq!(found.len(), exact.len());
        let differences = found.iter().zip(&exact).map(|(&a, b)| (f64::from(a) - b).abs());
        let ours = differences.fold(0.0, f64::max);
        println!("{name}: {:.1e} of the greatest, ratio {:.2}", ours / facts[1], ours / facts[0]);
        assert!(ours <= 8.0 * facts[0], "{name}: {ours:e}, PyTorch's f32 {:e}", facts[0]);
    }
}
