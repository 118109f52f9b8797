//! The one assertion every kernel opens with: a slice is as long as its dims say.

#[track_caller]
pub(crate) fn length(operation: &str, name: &str, found: usize, expected: usize) {
    assert!(
        found == expected,
        "{operation}: `{name}` has {found} elements where the dims say {expected}"
    );
}
