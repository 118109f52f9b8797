//! Reads that fail are tried again for a short while: network disks and cables have moments.

use std::io::{self, ErrorKind};
use std::thread;
use std::time::Duration;

/// Before each further try; with them a read that fails for good is named after little more than a second.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(10), Duration::from_millis(100), Duration::from_secs(1)];

/// Reads, and again after a pause where that fails for a reason that may pass.
pub(crate) fn retry<T>(read: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    retry_after(&PAUSES, read)
}

fn retry_after<T>(pauses: &[Duration], mut read: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut pauses = pauses.iter();
    let mut tries = 1;
    loop {
        let error = match read() {
            Ok(read) => return Ok(read),
            Err(error) if is_final(&error) => return Err(error),
            Err(error) => error,
        };
        let Some(&pause) = pauses.next() else {
            return Err(io::Error::new(error.kind(), format!("{error}, in each of {tries} tries")));
        };
        thread::sleep(pause);
        tries += 1;
    }
}

/// Whether another try would say the same.
fn is_final(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound
            | ErrorKind::PermissionDenied
            | ErrorKind::UnexpectedEof
            | ErrorKind::InvalidInput
            | ErrorKind::IsADirectory
            | ErrorKind::NotADirectory
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads that fail `failures` times; what comes of it, and how often it was tried.
    fn tried(failures: usize, kind: ErrorKind) -> (io::Result<usize>, usize) {
        let mut tries = 0;
        let outcome = retry_after(&[Duration::ZERO; 3], || {
            tries += 1;
            if tries <= failures { Err(kind.into()) } else { Ok(tries) }
        });
        (outcome, tries)
    }

    #[test]
    fn what_may_pass_is_tried_again_and_then_named() {
        for failures in 0..=3 {
            assert_eq!(tried(failures, ErrorKind::Other).0.unwrap(), failures + 1);
        }
        let (outcome, tries) = tried(9, ErrorKind::TimedOut);
        let error = outcome.unwrap_err();
        assert_eq!((tries, error.kind()), (4, ErrorKind::TimedOut));
        assert!(error.to_string().ends_with(", in each of 4 tries"), "{error}");
    }

    #[test]
    fn what_stays_is_not() {
        for kind in [ErrorKind::NotFound, ErrorKind::UnexpectedEof, ErrorKind::PermissionDenied] {
            assert_eq!(tried(9, kind).1, 1);
        }
    }
}
