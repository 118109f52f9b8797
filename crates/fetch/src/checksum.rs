//! Checksums that publishers give for their files.

use std::fmt::Write;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use md5::Md5;
use sha2::{Digest, Sha256};

/// A published checksum, in lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Checksum {
    Md5(String),
    Sha256(String),
}

impl Checksum {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Checksum::Md5(_) => "MD5",
            Checksum::Sha256(_) => "SHA-256",
        }
    }

    pub(crate) fn expected(&self) -> &str {
        let (Checksum::Md5(digits) | Checksum::Sha256(digits)) = self;
        digits
    }

    /// The checksum of the same kind that a file has.
    pub(crate) fn of(&self, file: &Path) -> io::Result<String> {
        match self {
            Checksum::Md5(_) => digest::<Md5>(file),
            Checksum::Sha256(_) => digest::<Sha256>(file),
        }
    }
}

fn digest<D: Digest>(file: &Path) -> io::Result<String> {
    let (mut file, mut digest) = (File::open(file)?, D::new());
    let mut block = vec![0; 1 << 20];
    loop {
        match file.read(&mut block)? {
            0 => break,
            count => digest.update(&block[..count]),
        }
    }
    let mut digits = String::new();
    digest.finalize().iter().for_each(|byte| write!(digits, "{byte:02x}").expect("text grows"));
    Ok(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_standards() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("abc");
        std::fs::write(&file, "abc").unwrap();
        let md5 = Checksum::Md5("900150983cd24fb0d6963f7d28e17f72".to_owned());
        let sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let sha256 = Checksum::Sha256(sha.to_owned());
        for checksum in [md5, sha256] {
            assert_eq!(checksum.of(&file).unwrap(), checksum.expected(), "{}", checksum.kind());
        }
    }
}
