//! A parameter knows its role; no trick looks at a parameter's name or shape.

/// What a learnable parameter is, fixed when the network is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The weights of a convolution or of a linear layer.
    Weight,
    /// The bias of a convolution or of a linear layer.
    Bias,
    /// The scale of a batch norm.
    Gamma {
        /// Whether this batch norm sits at the end of a residual block, just before the sum (§3.1).
        last_in_block: bool,
    },
    /// The shift of a batch norm.
    Beta,
}
