//! Settings that several tests share, and the tests of whole steps and runs.

mod authors;
mod runs;
mod step;

use recipe::Detection;

/// Table 8's settings.
pub(crate) fn paper() -> Detection {
    Detection::authors()
}
