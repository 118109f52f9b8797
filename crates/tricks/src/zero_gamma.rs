//! §3.1 Zero γ
//!
//! Formula: a residual block outputs `x + block(x)`, and its last layer is `γ x̂ + β`; γ = 0 at the start makes the
//! block return x.
//!
//! What it does: "we initialize γ = 0 for all BN layers that sit at the end of a residual block".
//!
//! Why: "all residual blocks just return their inputs, mimics network that has less number of layers and is easier
//! to train at the initial stage".
//!
//! Seam: initialisation, by role. Recipe key: `network.last_gamma` (0 is the trick, 1 is §2.1).
//!
//! Table 4.

use crate::Role;

/// The constant a parameter of this role starts at; `None` for weights, which start random.
///
/// §2.1: "All biases are initialized to 0. For batch normalization layers, γ vectors are initialized to 1 and β
/// vectors to 0."
pub fn initial(role: Role, last_gamma: f32) -> Option<f32> {
    match role {
        Role::Weight => None,
        Role::Bias | Role::Beta => Some(0.0),
        Role::Gamma { last_in_block: true } => Some(last_gamma),
        Role::Gamma { last_in_block: false } => Some(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::initial;
    use crate::Role;

    #[test]
    fn only_the_last_gamma_of_a_block_follows_the_recipe() {
        let cases = [
            (Role::Weight, None, None),
            (Role::Bias, Some(0.0), Some(0.0)),
            (Role::Beta, Some(0.0), Some(0.0)),
            (Role::Gamma { last_in_block: false }, Some(1.0), Some(1.0)),
            (Role::Gamma { last_in_block: true }, Some(1.0), Some(0.0)),
        ];
        for (role, baseline, zero_gamma) in cases {
            assert_eq!(initial(role, 1.0), baseline, "{role:?} without the trick");
            assert_eq!(initial(role, 0.0), zero_gamma, "{role:?} with the trick");
        }
    }
}
