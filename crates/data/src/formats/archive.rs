//! A dataset as a tar: an index made once from its headers, by seeking from one to the next. Images are later read
//! where they lie. GNU and pax long names are understood; a hard link is the file it names.

use std::collections::HashMap;
use std::io::{Read, Seek};

use tar::{Archive, EntryType};

use super::layout::{Entry, LeftOut, Tree, is_image, is_visible};
use crate::DataError;

/// Reads the index of a tar of `length` bytes; `name` is for messages.
pub(crate) fn read(tar: impl Read + Seek, length: u64, name: &str) -> Result<Tree, DataError> {
    let broken = |reason: String| DataError::Tar { name: name.to_owned(), reason };
    let failed = |error: std::io::Error| broken(error.to_string());
    let mut archive = Archive::new(tar);
    let mut tree = Tree::default();
    // A file that is stored twice counts once, by its last copy, as when unpacked.
    let mut files: HashMap<String, (u64, u64)> = HashMap::new();
    for found in archive.entries_with_seek().map_err(failed)? {
        let found = found.map_err(failed)?;
        let bytes = found.path_bytes();
        if str::from_utf8(&bytes).is_err() {
            let name = format!("{name}:{}", String::from_utf8_lossy(&bytes));
            let reason = "its name is not UTF-8; rename it".to_owned();
            tree.left_out.push(LeftOut { name, reason });
            continue;
        }
        let Some(path) = visible_path(&bytes) else { continue };
        match found.header().entry_type() {
            EntryType::Directory => tree.add_folder(&path),
            EntryType::Regular | EntryType::Continuous => {
                let (start, size) = (found.raw_file_position(), found.size());
                if start.checked_add(size).is_none_or(|end| end > length) {
                    return Err(broken(format!("it ends inside {path}")));
                }
                files.insert(path, (start, size));
            }
            EntryType::Link => {
                let target = found.link_name_bytes().unwrap_or_default();
                let target = visible_path(&target).unwrap_or_default();
                let Some(&place) = files.get(&target) else {
                    return Err(broken(format!(
                        "{path} is a link to {target}, which is not in it"
                    )));
                };
                files.insert(path, place);
            }
            EntryType::Symlink if is_image(&path) => {
                return Err(broken(format!("{path} is a symbolic link; `tar -h` stores the file")));
            }
            EntryType::GNUSparse if is_image(&path) => {
                return Err(broken(format!("{path} is stored as a sparse file")));
            }
            _ => {}
        }
    }
    for (path, (offset, length)) in files {
        tree.add_file(Entry { path, file: 0, offset, length });
    }
    Ok(tree)
}

/// The path without `.`; nothing where a part of it is hidden or it is not UTF-8.
fn visible_path(bytes: &[u8]) -> Option<String> {
    let path = str::from_utf8(bytes).ok()?;
    let parts: Vec<&str> =
        path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let visible = !parts.is_empty() && parts.iter().all(|part| is_visible(part));
    visible.then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn index(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, DataError> {
        let tree = read(Cursor::new(bytes), bytes.len() as u64, "set.tar")?;
        let layout = tree.layout(|path| format!("set.tar:{path}"))?;
        Ok(layout
            .train
            .into_iter()
            .map(|item| {
                let from = item.entry.offset as usize;
                let bytes = bytes[from..from + item.entry.length as usize].to_vec();
                (item.entry.path, bytes)
            })
            .collect())
    }

    fn builder(files: &[(&str, &str)]) -> tar::Builder<Vec<u8>> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, path, content.as_bytes()).unwrap();
        }
        builder
    }

    #[test]
    fn files_are_found_where_they_lie() {
        let long = format!("a/{}.png", "x".repeat(200));
        let mut tar = builder(&[
            ("./b/1.jpg", "one"),
            (&long, "long"),
            ("a/._1.jpg", "hidden"),
            ("__MACOSX/a/1.jpg", "hidden"),
            ("b/1.jpg", "newer"),
        ]);
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(EntryType::Link);
        header.set_size(0);
        tar.append_link(&mut header, "b/2.jpg", "b/1.jpg").unwrap();
        let found = index(&tar.into_inner().unwrap()).unwrap();
        let found: Vec<(&str, &[u8])> =
            found.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
        let expected: [(&str, &[u8]); 3] =
            [(long.as_str(), b"long"), ("b/1.jpg", b"newer"), ("b/2.jpg", b"newer")];
        assert_eq!(found, expected);
    }

    #[test]
    fn pax_names_are_understood() {
        let mut tar = tar::Builder::new(Vec::new());
        let path = format!("klasse-ä/{}.png", "y".repeat(150));
        tar.append_pax_extensions([("path", path.as_bytes())]).unwrap();
        let mut header = tar::Header::new_ustar();
        header.set_size(2);
        header.set_path("short.png").unwrap();
        header.set_cksum();
        tar.append(&header, &b"ok"[..]).unwrap();
        assert_eq!(index(&tar.into_inner().unwrap()).unwrap(), [(path, b"ok".to_vec())]);
    }

    #[test]
    fn a_bad_tar_is_an_error_that_names_it() {
        let whole = builder(&[("a/1.jpg", &"x".repeat(2000))]).into_inner().unwrap();
        let cut = index(&whole[..1500]).unwrap_err().to_string();
        assert!(
            cut.starts_with("set.tar: not a usable tar archive: it ends inside a/1.jpg"),
            "{cut}"
        );
        let noise = index(&[7; 2000]).unwrap_err().to_string();
        assert!(noise.starts_with("set.tar: not a usable tar archive"), "{noise}");
        let empty = index(&[0; 1024]).unwrap_err().to_string();
        assert!(
            empty.starts_with("set.tar:: no images here") || empty.contains("no images"),
            "{empty}"
        );
    }
}
