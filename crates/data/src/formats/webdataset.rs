//! WebDataset: tars whose files belong together by their path up to the first dot, its key. A sample is an image and its
//! label: `KEY.jpg` with `KEY.cls`, or a `.json` with the key `label`, or a `.txt`.
//!
//! Shards are given as a folder of them, or as a pattern such as `photos-{000..012}.tar`. An index is made once from the
//! tars' headers, so images are read in any order and an epoch is shuffled as a whole. A gzipped shard is unpacked into
//! memory, all shards together up to 4 GiB.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::blob::Blob;
use super::classes::{Gathering, Side, Sides, names_beside, sides};
use super::layout::{Entry, Tree, base_name};
use super::source::{OPEN, Parts, Root};
use super::{Found, archive, folder};
use crate::DataError;

/// Paths that a pattern may stand for.
const PATHS: usize = 1 << 20;
/// No label is longer.
const LABEL_LENGTH: u64 = 1 << 16;
/// Extensions of labels, the first that is there counts.
const LABELS: [&str; 4] = ["cls", "cls.txt", "json", "txt"];
/// How many of these hold a class and nothing else.
const CLS: usize = 2;

/// Whether a file is a shard by its name.
pub(crate) fn is_shard(path: &str) -> bool {
    [".tar", ".tar.gz", ".tgz"].iter().any(|end| path.to_ascii_lowercase().ends_with(end))
}

/// Whether the files of a tar are samples: its first image has a label beside it. In folders of classes that label has to be
/// a `.cls`, since captions and annotations may lie there.
pub(crate) fn is_samples(tree: &Tree) -> bool {
    let mut folders = tree.files().filter(|(images, _)| !images.is_empty());
    let Some((images, others)) = folders.next() else { return false };
    let is_one_folder = folders.next().is_none();
    let first = images.iter().map(|image| split(&image.path).0).min();
    others.iter().any(|other| {
        let (key, extension) = split(&other.path);
        let rank = LABELS.iter().position(|known| extension.eq_ignore_ascii_case(known));
        Some(key) == first && rank.is_some_and(|rank| is_one_folder || rank < CLS)
    })
}

/// The shards that a pattern stands for.
pub(crate) fn open_pattern(pattern: &Path) -> Result<Found, DataError> {
    let name = pattern.display().to_string();
    let malformed = |reason: String| DataError::Malformed {
        name: name.clone(),
        what: "pattern of shards",
        reason,
        mend: "write it as in photos-{000..012}.tar or photos-{train,val}.tar",
    };
    let paths = expand(&name).map_err(malformed)?;
    let parent = paths.first().and_then(|path| Path::new(path).parent()).unwrap_or(Path::new(""));
    let root = Root::Folder(if parent.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        parent.to_owned()
    });
    let Root::Folder(folder) = &root else { unreachable!("made above") };
    let names = names_beside(&root, &folder::read_flat(folder)?)?;
    let keep = paths.len() <= OPEN;
    let open = |(side, path): (Side, String)| {
        let blob = Blob::open(Path::new(&path))?;
        Ok((side, if keep { blob } else { blob.closed(Path::new(&path)) }))
    };
    let Sides { train, validation } = sides(paths, |path| path, &name)?;
    let shards = Sides { train, validation }.all().map(open).collect::<Result<Vec<_>, DataError>>();
    gather(shards?, names, &name)
}

/// The shards among the files of a folder or an archive.
pub(crate) fn open(root: &Root, tree: &Tree) -> Result<Found, DataError> {
    let name = root.name("");
    let shards: Vec<Entry> =
        tree.others().into_iter().filter(|entry| is_shard(&entry.path)).cloned().collect();
    let keep = shards.len() <= OPEN;
    let open = |(side, entry): (Side, Entry)| {
        Ok((side, if keep { root.blob(&entry)? } else { root.closed(&entry)? }))
    };
    let shards = sides(shards, |entry| &entry.path, &name)?.all().map(open);
    let shards = shards.collect::<Result<Vec<_>, DataError>>()?;
    gather(shards, names_beside(root, tree)?, &name)
}

/// One tar that holds samples.
pub(crate) fn open_tar(tar: Blob, tree: &Tree) -> Result<Found, DataError> {
    let root = Root::Archive(tar.clone());
    let names = names_beside(&root, tree)?;
    let mut gathering = Gathering::default();
    add(&mut gathering, Side::Train, 0, &tar, tree)?;
    let layout = gathering.finish(names, &tar.name)?;
    Ok(Found { layout, source: Arc::new(Parts(vec![tar])) })
}

fn gather(
    shards: Vec<(Side, Blob)>,
    names: Option<Vec<String>>,
    name: &str,
) -> Result<Found, DataError> {
    let mut gathering = Gathering::default();
    let mut unpacked = 0;
    let mut blobs = Vec::new();
    for (file, (side, shard)) in shards.into_iter().enumerate() {
        let shard = shard.unpack(&mut unpacked)?;
        let opened = shard.opened()?;
        let tree = archive::read(opened.reader(), opened.length(), &opened.name)?;
        add(&mut gathering, side, file as u32, &opened, &tree)?;
        blobs.push(shard);
    }
    Ok(Found { layout: gathering.finish(names, name)?, source: Arc::new(Parts(blobs)) })
}

#[derive(Default)]
struct Sample<'a> {
    images: Vec<&'a Entry>,
    /// By their place in [`LABELS`].
    label: Option<(usize, &'a Entry)>,
}

/// Adds the samples of a shard.
fn add(
    gathering: &mut Gathering,
    side: Side,
    file: u32,
    shard: &Blob,
    tree: &Tree,
) -> Result<(), DataError> {
    for (images, others) in tree.files() {
        let mut samples: BTreeMap<&str, Sample> = BTreeMap::new();
        for image in images {
            samples.entry(split(&image.path).0).or_default().images.push(image);
        }
        for other in others {
            let (key, extension) = split(&other.path);
            let extension = extension.to_ascii_lowercase();
            let Some(rank) = LABELS.iter().position(|known| *known == extension) else { continue };
            let sample = samples.entry(key).or_default();
            if sample.label.is_none_or(|(other, _)| rank < other) {
                sample.label = Some((rank, other));
            }
        }
        for (key, sample) in samples {
            let Some((entry, class)) = resolve(shard, key, &sample)? else { continue };
            let said = || format!("{}:{}", shard.name, entry.path);
            gathering.add(side, &class, Entry { file, ..entry.clone() }, said);
        }
    }
    Ok(())
}

/// The image and the class of a sample; nothing where it is not one.
fn resolve<'a>(
    shard: &Blob,
    key: &str,
    sample: &Sample<'a>,
) -> Result<Option<(&'a Entry, String)>, DataError> {
    let malformed = |name: &str, reason: String, mend| DataError::Malformed {
        name: format!("{}:{name}", shard.name),
        what: "WebDataset sample",
        reason,
        mend,
    };
    // Beside `1.jpg` there may be `1.mask.png`.
    let is_plain = |image: &&&Entry| !split(&image.path).1.contains('.');
    let plain: Vec<&&Entry> = sample.images.iter().filter(is_plain).collect();
    let image = match (sample.images.as_slice(), plain.as_slice()) {
        ([], _) => {
            return match sample.label {
                // Any text may lie in a tar, but a class belongs to an image.
                Some((rank, label)) if rank < CLS => Err(malformed(
                    &label.path,
                    "it has no image".to_owned(),
                    "add the image under the same key, or remove the label",
                )),
                _ => Ok(None),
            };
        }
        ([only], _) => *only,
        (_, [only]) => **only,
        _ => {
            let mut names: Vec<&str> =
                sample.images.iter().map(|image| base_name(&image.path)).collect();
            names.sort_unstable();
            return Err(malformed(
                key,
                format!("it has several images: {}", names.join(", ")),
                "leave one image in each sample",
            ));
        }
    };
    let Some((rank, label)) = sample.label else {
        return Err(malformed(
            &image.path,
            "it has no label".to_owned(),
            "add its class as a .cls, .json or .txt of the same key",
        ));
    };
    let unreadable = |reason: String| {
        malformed(&label.path, reason, "give a class, or JSON such as {\"label\": 3}")
    };
    if label.length > LABEL_LENGTH {
        return Err(unreadable(format!("{} bytes are too long for a label", label.length)));
    }
    let mut buffer = Vec::new();
    let bytes = shard.read(label.offset, label.length, &mut buffer);
    let bytes = bytes.map_err(|error| DataError::Read {
        name: format!("{}:{}", shard.name, label.path),
        error,
    })?;
    let class = class(bytes, LABELS[rank] == "json").map_err(unreadable)?;
    Ok(Some((image, class)))
}

/// The class that a label's file tells.
fn class(bytes: &[u8], is_json: bool) -> Result<String, String> {
    let text = str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?.trim();
    if !is_json {
        return match text {
            "" => Err("it is empty".to_owned()),
            text if text.contains('\n') => Err("it has more than one line".to_owned()),
            text => Ok(text.to_owned()),
        };
    }
    let json: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let found = ["label", "cls", "class"].iter().find_map(|key| json.get(key));
    match found {
        Some(serde_json::Value::String(name)) => Ok(name.clone()),
        Some(serde_json::Value::Number(number)) if !number.is_f64() => Ok(number.to_string()),
        Some(other) => Err(format!("its label is {other}, not a class")),
        None => Err("it has no key label".to_owned()),
    }
}

/// A path's key and extension: folders and all, up to the first dot of the file's name.
fn split(path: &str) -> (&str, &str) {
    let name = base_name(path);
    let start = path.len() - name.len();
    match name.find('.') {
        Some(dot) => (&path[..start + dot], &path[start + dot + 1..]),
        None => (path, ""),
    }
}

/// The paths that a pattern stands for: `{a,b}` each of these, `{08..11}` each number, as wide as the first.
fn expand(pattern: &str) -> Result<Vec<String>, String> {
    let mut paths = vec![String::new()];
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        let (inside, after) = after.split_once('}').ok_or("a { has no }")?;
        let choices = match inside.split_once("..") {
            Some((first, last)) => range(first, last)?,
            None if inside.is_empty() => return Err("{} holds nothing".to_owned()),
            None => inside.split(',').map(str::to_owned).collect(),
        };
        if paths.len().saturating_mul(choices.len()) > PATHS {
            return Err(format!("it stands for more than {PATHS} files"));
        }
        paths = paths
            .iter()
            .flat_map(|path| choices.iter().map(move |choice| format!("{path}{before}{choice}")))
            .collect();
        rest = after;
    }
    paths.iter_mut().for_each(|path| path.push_str(rest));
    Ok(paths)
}

fn range(first: &str, last: &str) -> Result<Vec<String>, String> {
    let number = |text: &str| {
        text.parse::<u64>().map_err(|_| format!("{{{first}..{last}}} does not count numbers"))
    };
    let (from, to) = (number(first)?, number(last)?);
    if from > to || to - from >= PATHS as u64 {
        return Err(format!("{{{first}..{last}}} counts down or too far"));
    }
    let width = first.len();
    Ok((from..=to).map(|number| format!("{number:0width$}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_expand_as_in_a_shell() {
        let cases: [(&str, &[&str]); 4] = [
            ("a-{08..10}.tar", &["a-08.tar", "a-09.tar", "a-10.tar"]),
            ("a-{9..10}.tar", &["a-9.tar", "a-10.tar"]),
            ("{train,val}-{0..1}", &["train-0", "train-1", "val-0", "val-1"]),
            ("plain", &["plain"]),
        ];
        for (pattern, expected) in cases {
            assert_eq!(expand(pattern).unwrap(), expected);
        }
        for pattern in ["a{", "{}", "{a..b}", "{5..1}", "{0..99999999999}", "{0..9999}{0..9999}"] {
            expand(pattern).unwrap_err();
        }
    }

    #[test]
    fn labels_are_text_or_json() {
        for (bytes, is_json, expected) in [
            ("7\n", false, "7"),
            (" tabby cat ", false, "tabby cat"),
            (r#"{"label": 12, "x": 1}"#, true, "12"),
            (r#"{"class": "cat"}"#, true, "cat"),
        ] {
            assert_eq!(class(bytes.as_bytes(), is_json).unwrap(), expected);
        }
        for (bytes, is_json) in [
            (&b""[..], false),
            (b"\xFF", false),
            (b"a\nb", false),
            (b"{", true),
            (b"{}", true),
            (b"{\"label\": 1.5}", true),
            (b"{\"label\": [1]}", true),
        ] {
            class(bytes, is_json).unwrap_err();
        }
    }

    #[test]
    fn keys_end_at_the_first_dot() {
        assert_eq!(split("a.b/1.seg.png"), ("a.b/1", "seg.png"));
        assert_eq!(split("1"), ("1", ""));
    }
}
