//! Which numbers a key takes.

use crate::limits::{LARGEST_LEVEL, LONGEST_EDGE, MOST_BLOCKS, MOST_CHANNELS};

/// One condition on a value.
pub(crate) struct Rule<T: 'static> {
    /// In words, such as `more than 0`.
    pub(crate) says: fn() -> String,
    pub(crate) holds: fn(T) -> bool,
}

/// A type with its conditions: `a number, more than 0`.
pub(super) fn says<T>(what: &str, rules: &[Rule<T>]) -> String {
    let says = rules.iter().map(|rule| (rule.says)());
    std::iter::once(what.to_owned()).chain(says).collect::<Vec<_>>().join(", ")
}

rules! {
    POSITIVE: f64 = "more than 0" => |x| x > 0.0;
    NOT_NEGATIVE: f64 = "at least 0" => |x| x >= 0.0;
    PROBABILITY: f64 = "from 0 to 1" => |x| (0.0..=1.0).contains(&x);
    /// A share that is neither nothing nor all.
    INNER_SHARE: f64 = "more than 0 and less than 1" => |x| x > 0.0 && x < 1.0;
    /// The share of a running sum or mean that one step keeps.
    BELOW_ONE: f64 = "at least 0 and less than 1" => |x| (0.0..1.0).contains(&x);
    MAGNITUDE: f64 = "from 0 to 10" => |x| (0.0..=10.0).contains(&x);
    /// The upper end depends on the number of classes.
    EPSILON: f64 = "at least 0 and at most (K - 1)/K for K classes" => |x| (0.0..1.0).contains(&x);
    MEAN: f64 = format!("at least -{LARGEST_LEVEL} and at most {LARGEST_LEVEL}") => |x| x.abs() <= LARGEST_LEVEL;
    DEVIATION: f64 = format!("more than 0 and at most {LARGEST_LEVEL}") => |x| x > 0.0 && x <= LARGEST_LEVEL;

    AREA: [f64; 2] = "more than 0 and at most 1" => |[low, high]| low > 0.0 && high <= 1.0;
    INNER_AREA: [f64; 2] = "more than 0 and less than 1" => |[low, high]| low > 0.0 && high < 1.0;
    ASPECT: [f64; 2] = "more than 0" => |[low, _]| low > 0.0;
    COEFFICIENT: [f64; 2] = "at least 0" => |[low, _]| low >= 0.0;

    SEED: u64 = format!("a whole number from 0 to {}", u64::MAX) => |_| true;
    COUNT: usize = "a whole number from 1 on" => |x| x >= 1;
    EDGE: usize = "a whole number from 1 on" => |x| x >= 1, format!("at most {LONGEST_EDGE} pixels") => |x| x <= LONGEST_EDGE;
    /// Networks of stride 8 then lay their last pixel on the crop's.
    CROP: usize = "a whole number from 1 on" => |x| x >= 1, format!("at most {LONGEST_EDGE} pixels") => |x| x <= LONGEST_EDGE,
        "a multiple of 8" => |x| x % 8 == 0;
    BLOCKS: usize = "a whole number from 1 on" => |x| x >= 1, format!("at most {MOST_BLOCKS}") => |x| x <= MOST_BLOCKS;
    CHANNELS: usize = "a whole number from 1 on" => |x| x >= 1, format!("at most {MOST_CHANNELS}") => |x| x <= MOST_CHANNELS;
    STEM_CHANNELS: usize = "a whole number from 1 on" => |x| x >= 1,
        format!("at most {MOST_CHANNELS}") => |x| x <= MOST_CHANNELS,
        "even: the stem of C and D halves it" => |x| x % 2 == 0;
    /// A power of two, so that the parts' gradients are summed as a binary tree.
    PARTS: usize = format!("a power of two from 1 to {}", tricks::parts::MOST) => tricks::parts::is_allowed;
}
