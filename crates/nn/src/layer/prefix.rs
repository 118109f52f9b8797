//! Names of layers inside a larger module: each gets the name of the part before it.

use super::Layer;

impl Layer {
    /// Puts `prefix` before the name of every layer with parameters in here.
    pub fn prefix_names(&mut self, prefix: &str) {
        let put = |name: &mut String| name.insert_str(0, prefix);
        match self {
            Layer::ConvBn(layer) => [&mut layer.conv, &mut layer.bn].into_iter().for_each(put),
            Layer::Conv(layer) => put(&mut layer.name),
            Layer::Norm(layer) => put(&mut layer.name),
            Layer::Residual(block) => {
                put(&mut block.name);
                [&mut block.last.conv, &mut block.last.bn].into_iter().for_each(put);
                block.squeeze_excitation.iter_mut().for_each(|part| put(&mut part.name));
                let paths = block.path_a.iter_mut().chain(&mut block.path_b);
                paths.for_each(|layer| layer.prefix_names(prefix));
            }
            Layer::Branches(branches) => {
                branches.iter_mut().flatten().for_each(|layer| layer.prefix_names(prefix));
            }
            Layer::MaxPool(_)
            | Layer::AvgPool(_)
            | Layer::Ceiling(_)
            | Layer::Stretch(_)
            | Layer::Dropout(_) => {}
        }
    }
}
