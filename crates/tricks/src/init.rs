//! §2.1 Initialization
//!
//! Formula: a weight is "uniformly drawn from [−a, a], where a = √(6/(d_in + d_out)). Here d_in and d_out are the input and
//! output channel sizes, respectively."
//!
//! What it does: "The weights of both convolutional and fully-connected layers are initialized with the Xavier algorithm."
//!
//! Why: it belongs to the baseline: activations and gradients then begin with about the same variance in every layer.
//!
//! Seam: initialisation. Recipe key: `network.init`. What biases, γ and β begin as is in
//! [`zero_gamma`](crate::zero_gamma).

/// How the first weights of convolutions and linear layers are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Init {
    /// Uniform in ±√(6/(d_in + d_out)).
    ///
    /// Deviation: the text takes d_in and d_out for channel counts, which makes a k×k weight k times too large; here they
    /// count the kernel's area and the groups too, as Xavier's own derivation does.
    Xavier,
    /// The paper's text to the letter: d_in and d_out are channel counts.
    XavierChannels,
    /// The authors' code: normal, with variance 2/(1 + 0.25²)/((d_in + d_out)/2) and the kernel's area counted.
    MsraPrelu,
}
