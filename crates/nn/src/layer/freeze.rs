//! Freezing batch norms: they then work with their running statistics in training too.

use super::Layer;

impl Layer {
    /// Freezes every batch norm in here: its statistics, γ and β stay as they are.
    pub fn freeze_norms(&mut self) {
        match self {
            Layer::ConvBn(layer) => layer.frozen_norm = true,
            Layer::Norm(layer) => layer.frozen = true,
            Layer::Residual(block) => {
                block.path_a.iter_mut().chain(&mut block.path_b).for_each(Layer::freeze_norms);
                block.last.frozen_norm = true;
            }
            Layer::Branches(branches) => {
                branches.iter_mut().flatten().for_each(Layer::freeze_norms);
            }
            Layer::MaxPool(_)
            | Layer::AvgPool(_)
            | Layer::Conv(_)
            | Layer::Ceiling(_)
            | Layer::Stretch(_)
            | Layer::Dropout(_) => {}
        }
    }
}
