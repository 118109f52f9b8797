//! The paper's tricks (§3, §4.2, §5) and those that practitioners expect beside them: one file a trick, one seam a
//! trick, pure functions.
//!
//! A trick knows no loop, no device and no recipe. It takes plain numbers and gives plain numbers back; the seam it plugs
//! into is named at the top of its file and in [`TRICKS`]. Which recipes have it on is not written here: `recipe` looks.

pub mod cosine_decay;
pub mod cutmix;
pub mod distillation;
pub mod exponential_decay;
pub mod gradient_clipping;
pub mod init;
pub mod label_smoothing;
pub mod linear_scaling;
pub mod loss_scaling;
pub mod mixup;
pub mod no_bias_decay;
pub mod parts;
pub mod poly_decay;
pub mod precision;
pub mod role;
pub mod step_decay;
mod table;
pub mod warmup;
pub mod weight_average;
pub mod zero_gamma;

pub use init::Init;
pub use precision::Precision;
pub use role::Role;
pub use table::TRICKS;

/// A row of `trickbag tricks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trick {
    /// The paper's own words, or the field's.
    pub name: &'static str,
    /// The paper's section, without the `§`; `–` for a trick that is not in the paper.
    pub section: &'static str,
    pub summary: &'static str,
    /// The one place in the program where the trick acts.
    pub seam: &'static str,
    /// The key of a recipe that switches it.
    pub recipe_key: &'static str,
}

#[cfg(test)]
mod tests {
    use super::TRICKS;

    #[test]
    fn the_table_is_in_order_and_has_no_name_twice() {
        for pair in TRICKS.windows(2) {
            assert!(pair[0].section <= pair[1].section, "{} is out of order", pair[1].name);
        }
        for (index, trick) in TRICKS.iter().enumerate() {
            assert!(TRICKS[..index].iter().all(|other| other.name != trick.name), "{}", trick.name);
        }
    }
}
