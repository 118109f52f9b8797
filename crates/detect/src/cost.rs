//! What a detector costs: multiply-adds of convolutions and linear layers, part by part.

use nn::{Conv2d, Layer};

use crate::network::Detector;

/// A part of a detector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectorPart {
    pub name: String,
    /// Of an image or of all its regions together.
    pub output: Vec<usize>,
    pub multiply_adds: u64,
}

fn multiply_adds(d: &Conv2d) -> u64 {
    let taps = d.kernel[0] * d.kernel[1] * d.c_in / d.groups;
    (d.n * d.out_h() * d.out_w() * d.c_out * taps) as u64
}

impl Detector {
    /// The parts in evaluation, for an image of height × width and as many regions as come out of suppression.
    pub fn cost(&self, [height, width]: [usize; 2]) -> Vec<DetectorPart> {
        let mut parts = Vec::new();
        let mut at = [height, width, 3];
        let mut add = |name: &str, layers: &[Layer], n: usize, mut at: [usize; 3]| {
            let mut found = Vec::new();
            for layer in layers {
                at = layer.convolutions(n, at, &mut found);
            }
            let output = if n == 1 { at.to_vec() } else { [&[n], &at[..]].concat() };
            let multiply_adds = found.iter().map(multiply_adds).sum();
            parts.push(DetectorPart { name: name.to_owned(), output, multiply_adds });
            at
        };
        at = add("stem", &self.network.stem, 1, at);
        let (last, shared) = self.network.stages.split_last().expect("four stages");
        for stage in shared {
            at = add(&stage.name, &stage.layers, 1, at);
        }
        let [hidden, objectness, corrections] = self.heads();
        let inner = add("proposals, 3×3", std::slice::from_ref(hidden), 1, at);
        add("proposals, scores", std::slice::from_ref(objectness), 1, inner);
        add("proposals, boxes", std::slice::from_ref(corrections), 1, inner);
        let regions = self.settings.proposals.test.after;
        let size = self.settings.regions.size;
        let name = format!("{} of {regions} regions", last.name);
        add(&name, &last.layers, regions, [size, size, at[2]]);
        let outputs = (self.classes + 1) + 4 * self.classes;
        parts.push(DetectorPart {
            name: "classes and boxes".to_owned(),
            output: vec![regions, outputs],
            multiply_adds: (regions * last.channels * outputs) as u64,
        });
        parts
    }
}

#[cfg(test)]
mod tests {
    use crate::network::Detector;
    use crate::tests::paper;
    use nn::Module;
    use zoo::Options;

    /// Counted from shapes by another program, in G at 600×800.
    #[test]
    fn the_authors_detector_costs_what_it_should() {
        for (name, stem) in [("resnet50", 1.13), ("resnet50d", 3.42)] {
            let network = zoo::network(name, &Options::plain(1)).unwrap();
            let detector = Detector::new(network, paper(), 20, true).unwrap();
            let parts = detector.cost([600, 800]);
            let found: Vec<f64> =
                parts.iter().map(|part| part.multiply_adds as f64 / 1e9).collect();
            let expected = [stem, 6.39, 9.83, 14.18, 17.93, 0.03, 0.12, 242.8];
            for ((found, expected), part) in found.iter().zip(expected).zip(&parts) {
                assert!(
                    (found - expected).abs() < 0.02 * expected.max(0.3),
                    "{}: {found}",
                    part.name
                );
            }
            assert_eq!(parts[3].output, [38, 50, 1024]);
        }
    }

    /// The convolutions of stages 2 to 4 with their shortcuts, the proposals' and the predictors' tensors.
    #[test]
    fn the_authors_train_52_tensors() {
        let network = zoo::network("resnet50", &Options::plain(1)).unwrap();
        let network = network.frozen_up_to("stage1").unwrap();
        let detector = Detector::new(network, paper(), 20, true).unwrap();
        let trained = detector.parameters().into_iter().filter(|spec| spec.trainable).count();
        assert_eq!(trained, 52);
        assert!(detector.norms().iter().all(|norm| norm.frozen));
    }

    #[test]
    fn networks_without_four_residual_stages_are_refused() {
        for name in ["mobilenetv1_100", "vgg19", "inception_v3", "densenet121"] {
            let network = zoo::network(name, &Options::plain(1)).unwrap();
            let error = Detector::new(network, paper(), 20, true).unwrap_err().to_string();
            assert!(error.contains("resnet50d") && error.contains(name), "{error}");
        }
    }
}
