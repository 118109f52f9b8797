//! What the fuzzers share.

/// EXECUTIONS and SEED, a million and 0 where they are left out.
pub(crate) fn executions_and_seed(arguments: &mut impl Iterator<Item = String>) -> (u64, u64) {
    let mut number = |default: u64| {
        arguments
            .next()
            .map_or(default, |text| text.parse().expect("EXECUTIONS and SEED are numbers"))
    };
    (number(1_000_000), number(0))
}
