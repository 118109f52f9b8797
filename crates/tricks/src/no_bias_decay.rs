//! §3.1 No bias decay
//!
//! Formula: the gradient of parameter w becomes `∇w + λ w` for weights, and stays `∇w` for biases, γ and β.
//!
//! What it does: "it only applies the weight decay to the weights in convolution and fully-connected layers. Other
//! parameters, including the biases and γ and β in BN layers, are left unregularized."
//!
//! Why: "The weight decay is often applied to all learnable parameters including both weights and bias. [...] it's
//! recommended to only apply the regularization to weights to avoid overfitting."
//!
//! Seam: update, by role. Recipe key: `update.decay_on` (`"weights"` is the trick, `"everything"` is §2.1).
//!
//! Table 4.

use crate::Role;

/// Whether weight decay acts on a parameter of this role.
pub fn decays(role: Role) -> bool {
    role == Role::Weight
}

#[cfg(test)]
mod tests {
    use super::decays;
    use crate::Role;

    #[test]
    fn weights_decay_and_nothing_else_does() {
        let cases = [
            (Role::Weight, true),
            (Role::Bias, false),
            (Role::Beta, false),
            (Role::Gamma { last_in_block: false }, false),
            (Role::Gamma { last_in_block: true }, false),
        ];
        for (role, expected) in cases {
            assert_eq!(decays(role), expected, "{role:?}");
        }
    }
}
