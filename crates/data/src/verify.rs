//! Whether the files of a packed copy are as they were written: each is read whole, and its hash taken.

use std::path::{Path, PathBuf};

use crate::formats::blob::Blob;
use crate::formats::pack::{
    INDEX, Index, SHARD_HEADER, Shard, ShardHeader, is_pack, read_index, shard_name,
};

/// Bytes that are hashed at once.
const CHUNK: u64 = 1 << 20;

/// A file of a packed copy, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackFile {
    pub path: PathBuf,
    pub problem: Option<String>,
}

/// Reads every file of a packed copy; None where the folder is none.
pub fn verify_pack(folder: &Path) -> Option<Vec<PackFile>> {
    if !is_pack(folder) {
        return None;
    }
    let index_path = folder.join(INDEX);
    if !index_path.exists() {
        let problem =
            "it is not there: the pack is not finished; give the command that began it again";
        return Some(vec![PackFile { path: index_path, problem: Some(problem.to_owned()) }]);
    }
    let index = match read_index(folder) {
        Ok(index) => index,
        Err(error) => {
            return Some(vec![PackFile { path: index_path, problem: Some(error.to_string()) }]);
        }
    };
    let mut files = vec![PackFile { path: index_path, problem: None }];
    for (number, shard) in (0..).zip(&index.shards) {
        let path = folder.join(shard_name(number));
        let problem = check_shard(&path, &index, number, *shard).err();
        files.push(PackFile { path, problem });
    }
    Some(files)
}

fn check_shard(path: &Path, index: &Index, number: u32, expected: Shard) -> Result<(), String> {
    const MEND: &str = "delete the folder and write it again with `trickbag data pack`";
    let blob = Blob::open(path).map_err(|error| error.to_string())?;
    let header = ShardHeader::read(&blob).map_err(|error| error.to_string())?;
    if header.id != index.id || header.number != number || header.hash != expected.hash {
        return Err(format!("it is of another pack than the index; {MEND}"));
    }
    let mut hasher = blake3::Hasher::new();
    let mut at = SHARD_HEADER as u64;
    while at < blob.length() {
        let length = CHUNK.min(blob.length() - at);
        let bytes = blob.take(at, length);
        hasher.update(&bytes.map_err(|error| format!("cannot be read: {error}; {MEND}"))?);
        at += length;
    }
    match *hasher.finalize().as_bytes() == header.hash {
        true => Ok(()),
        false => Err(format!("its bytes have changed since it was written; {MEND}")),
    }
}
