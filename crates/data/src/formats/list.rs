//! List files: a line `PATH LABEL` for each image, or a csv (or tsv) whose header names the columns.
//!
//! Paths are taken from the list's own folder, or from `images`, `train` and `val` in it. A label is a number or a name. A
//! csv needs a column of paths and one of labels by one of the names below; a column `split` tells the parts. Lists are found
//! by their name: `train.txt` and `val.txt`, or `labels.csv`, `metadata.csv` and the like. A list given as the path
//! itself is the whole dataset.

use std::collections::HashMap;
use std::path::Path;

use super::blob::Blob;
use super::classes::{Gathering, Side, Sides, Word, names_beside, sides, word};
use super::layout::{Entry, Tree, base_name};
use super::source::Root;
use super::{Found, folder};
use crate::DataError;

const EXTENSIONS: [&str; 3] = ["txt", "csv", "tsv"];
/// Lists of both parts, by their name without extension.
const NAMES: [&str; 5] = ["metadata", "labels", "list", "annotations", "images"];
const PATHS: [&str; 8] =
    ["path", "file_name", "filename", "file", "image", "image_path", "filepath", "img"];
const LABELS: [&str; 6] = ["label", "class", "class_name", "category", "target", "labels"];
const SPLIT: &str = "split";
/// Where images are looked for, from the list's folder.
const BASES: [&str; 5] = ["", "images", "train", "val", ".."];

/// A line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// From 1.
    pub(crate) number: usize,
    pub(crate) path: String,
    pub(crate) class: String,
    /// What its column `split` says.
    split: Option<String>,
}

/// A list that was read.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) name: String,
    pub(crate) lines: Vec<Line>,
}

/// Whether a file is a list by its extension.
pub(crate) fn is_list(path: &str) -> bool {
    let extension = base_name(path).rsplit_once('.').map_or("", |(_, extension)| extension);
    EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// Whether a list is one of images by its name.
fn is_named(path: &str) -> bool {
    let name = base_name(path);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    word(stem).is_some() || NAMES.iter().any(|known| stem.eq_ignore_ascii_case(known))
}

/// A list that is the whole dataset.
pub(crate) fn open_file(path: &Path) -> Result<Found, DataError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let folder = parent.unwrap_or(Path::new(".")).to_owned();
    let list = List::read(&Blob::open(path)?)?;
    let names = names_beside(&Root::Folder(folder.clone()), &folder::read_flat(&folder)?)?;
    let root = Root::Folder(folder);
    let files = Lookup::new(&root, None);
    let base = files.base(&list, &BASES.map(str::to_owned))?;
    let mut gathering = Gathering::default();
    add(&mut gathering, Side::Train, &list, &base, &files)?;
    let layout = gathering.finish(names, &path.display().to_string())?;
    Ok(Found { layout, source: root.source() })
}

/// What a folder or an archive without a list is given back with: why a file that looks like one is none.
type NoList = (Root, Option<DataError>);

/// The lists among the files of a folder or an archive. A list that cannot be used is left alone where no other one can,
/// and so is one of a test part, which often has no labels.
pub(crate) fn open(root: Root, tree: &Tree) -> Result<Result<Found, NoList>, DataError> {
    let others = tree.others();
    let named = others.into_iter().filter(|entry| is_list(&entry.path) && is_named(&entry.path));
    let (mut lists, mut failure) = (Vec::new(), None);
    let files = Lookup::new(&root, Some(tree));
    for entry in named {
        let folder = entry.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let bases = BASES.map(|base| join(folder, base));
        let list = List::read(&root.blob(entry)?);
        match list.and_then(|list| Ok((files.base(&list, &bases)?, list))) {
            Ok((base, list)) => lists.push((entry.path.as_str(), base, list)),
            Err(_) if word(&entry.path) == Some(Word::Test) => {}
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    if lists.is_empty() {
        drop(files);
        return Ok(Err((root, failure)));
    }
    if let Some(error) = failure {
        return Err(error);
    }
    let Sides { train, validation } = sides(lists, |(path, ..)| path, &root.name(""))?;
    let mut gathering = Gathering::default();
    for (side, lists) in [(Side::Train, train), (Side::Validation, validation)] {
        if let [(first, ..), (second, ..), ..] = lists.as_slice() {
            return Err(DataError::Malformed {
                name: root.name(""),
                what: "dataset by lists",
                reason: format!("both {first} and {second} list images of one part"),
                mend: "remove one, or give the list itself as the path",
            });
        }
        for (_, base, list) in &lists {
            add(&mut gathering, side, list, base, &files)?;
        }
    }
    let layout = gathering.finish(names_beside(&root, tree)?, &root.name(""))?;
    drop(files);
    Ok(Ok(Found { layout, source: root.source() }))
}

/// Adds the images of a list.
pub(crate) fn add(
    gathering: &mut Gathering,
    side: Side,
    list: &List,
    base: &str,
    files: &Lookup,
) -> Result<(), DataError> {
    for line in &list.lines {
        let said = || format!("{}:{}", list.name, line.number);
        let side = match line.split.as_deref().map(|split| (split, word(split))) {
            None | Some((_, Some(Word::Train))) => side,
            Some((_, Some(Word::Validation))) => Side::Validation,
            // As with folders, a test part counts where there is none for validation.
            Some((_, Some(Word::Test))) if list.has_validation() => continue,
            Some((_, Some(Word::Test))) => Side::Validation,
            Some((split, None)) => {
                let reason = format!("its split {split} is none of train, val and test");
                return Err(malformed(said(), reason));
            }
        };
        let path = join(base, &line.path);
        let Some(entry) = files.entry(&path) else {
            return Err(malformed(said(), format!("there is no file {path}")));
        };
        gathering.add(side, &line.class, entry, said);
    }
    Ok(())
}

fn malformed(name: String, reason: String) -> DataError {
    let mend = "correct the line; lines are PATH LABEL, or a csv with the columns path and label";
    DataError::Malformed { name, what: "list of images", reason, mend }
}

/// A path from a folder, without `.` parts.
pub(crate) fn join(base: &str, path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    match (base, path) {
        ("", path) => path.to_owned(),
        (base, "") => base.to_owned(),
        (base, path) if path.starts_with('/') => format!("{base}{path}"),
        (base, path) => format!("{base}/{path}"),
    }
}

/// Finds files by their path.
pub(crate) struct Lookup<'a> {
    root: &'a Root,
    /// Of an archive, where only its index knows what is there.
    files: HashMap<&'a str, &'a Entry>,
}

impl<'a> Lookup<'a> {
    pub(crate) fn new(root: &'a Root, tree: Option<&'a Tree>) -> Lookup<'a> {
        let mut files = HashMap::new();
        if let (Root::Archive(_), Some(tree)) = (root, tree) {
            for (images, others) in tree.files() {
                files.extend(images.iter().chain(others).map(|e| (e.path.as_str(), e)));
            }
        }
        Lookup { root, files }
    }

    fn entry(&self, path: &str) -> Option<Entry> {
        match self.root {
            // That it is there shows when it is read, or before a run, when its size is asked for.
            Root::Folder(_) => Some(Entry { path: path.to_owned(), ..Entry::default() }),
            Root::Archive(_) => self.files.get(path).map(|entry| (*entry).clone()),
        }
    }

    fn is_file(&self, path: &str) -> bool {
        match self.root {
            Root::Folder(root) => root.join(path).is_file(),
            Root::Archive(_) => self.files.contains_key(path),
        }
    }

    /// The first of the folders in which the first image of a list is.
    pub(crate) fn base(&self, list: &List, bases: &[String]) -> Result<String, DataError> {
        let Some(line) = list.lines.first() else {
            return Err(malformed(list.name.clone(), "it is empty".to_owned()));
        };
        let found = bases.iter().find(|base| self.is_file(&join(base, &line.path)));
        found.cloned().ok_or_else(|| {
            let tried: Vec<String> =
                bases.iter().map(|base| self.root.name(&join(base, &line.path))).collect();
            let name = format!("{}:{}", list.name, line.number);
            malformed(name, format!("there is no file {}", tried.join(", nor ")))
        })
    }
}

impl List {
    pub(crate) fn read(file: &Blob) -> Result<List, DataError> {
        let text = file.text()?;
        let lines = parse(&text, &file.name)
            .map_err(|(line, reason)| malformed(format!("{}:{line}", file.name), reason))?;
        Ok(List { name: file.name.clone(), lines })
    }

    fn has_validation(&self) -> bool {
        let split = |line: &Line| line.split.as_deref().and_then(word);
        self.lines.iter().any(|line| split(line) == Some(Word::Validation))
    }
}

/// The lines of a list, or the number of a bad one and what is wrong with it.
fn parse(text: &str, name: &str) -> Result<Vec<Line>, (usize, String)> {
    let mut lines = text
        .trim_start_matches('\u{FEFF}')
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.trim().is_empty());
    let extension = name.rsplit_once('.').map_or("", |(_, end)| end).to_ascii_lowercase();
    let separator = match extension.as_str() {
        "csv" => ',',
        "tsv" => '\t',
        _ => return lines.map(|(number, line)| plain(number, line)).collect(),
    };
    let Some((number, header)) = lines.next() else { return Ok(Vec::new()) };
    let header = fields(header, separator).map_err(|reason| (number, reason))?;
    let column = |names: &[&str]| {
        names.iter().find_map(|name| {
            header.iter().position(|column| column.trim().eq_ignore_ascii_case(name))
        })
    };
    let lacking = |what: &str, names: &[&str]| {
        (number, format!("its header has no column of {what}: {}", names.join(", ")))
    };
    let path = column(&PATHS).ok_or_else(|| lacking("paths", &PATHS))?;
    let label = column(&LABELS).ok_or_else(|| lacking("labels", &LABELS))?;
    let split = column(&[SPLIT]);
    lines
        .map(|(number, line)| {
            let fields = fields(line, separator).map_err(|reason| (number, reason))?;
            let field = |place: usize| fields.get(place).map(|field| field.trim().to_owned());
            let filled = |place| field(place).filter(|field| !field.is_empty());
            match (filled(path), filled(label)) {
                (Some(path), Some(class)) => {
                    Ok(Line { number, path, class, split: split.and_then(field) })
                }
                (None, _) => Err((number, "it has no path".to_owned())),
                (_, None) => Err((number, "it has no label".to_owned())),
            }
        })
        .collect()
}

/// A line `PATH LABEL`; the path may hold spaces.
fn plain(number: usize, line: &str) -> Result<Line, (usize, String)> {
    let line = line.trim();
    match line.rsplit_once([' ', '\t', ',']) {
        Some((path, class)) if !path.trim().is_empty() => Ok(Line {
            number,
            path: path.trim().trim_end_matches(',').to_owned(),
            class: class.to_owned(),
            split: None,
        }),
        _ => Err((number, format!("{line} is no path with a label behind it"))),
    }
}

/// The fields of a line of a csv; quotes may enclose one, and `""` inside them is a quote.
fn fields(line: &str, separator: char) -> Result<Vec<String>, String> {
    let mut fields = vec![String::new()];
    let mut is_quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        let field = fields.last_mut().expect("at least one");
        match character {
            '"' if is_quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' if is_quoted || field.is_empty() => is_quoted = !is_quoted,
            character if character == separator && !is_quoted => fields.push(String::new()),
            character => field.push(character),
        }
    }
    if is_quoted { Err("a quote is not closed".to_owned()) } else { Ok(fields) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, name: &str) -> Result<Vec<(String, String)>, (usize, String)> {
        let lines = parse(text, name)?;
        Ok(lines.into_iter().map(|line| (line.path, line.class)).collect())
    }

    #[test]
    fn lines_and_tables_are_read() {
        let pair = |path: &str, class: &str| (path.to_owned(), class.to_owned());
        for (text, name, expected) in [
            (
                "a/1.jpg 0\n\na b/2.jpg\t13\r\n",
                "x.txt",
                vec![pair("a/1.jpg", "0"), pair("a b/2.jpg", "13")],
            ),
            ("a.jpg, cat\n", "x.txt", vec![pair("a.jpg", "cat")]),
            ("\u{FEFF}Label,size,Path\n3,1,a.jpg\n", "x.csv", vec![pair("a.jpg", "3")]),
            (
                "file_name,class\n\"a, b.jpg\",\"the \"\"x\"\"\"\n",
                "x.csv",
                vec![pair("a, b.jpg", "the \"x\"")],
            ),
            ("filename\tlabel\na b\tc d\n", "x.tsv", vec![pair("a b", "c d")]),
        ] {
            assert_eq!(read(text, name).unwrap(), expected);
        }
    }

    #[test]
    fn mistakes_name_their_line() {
        for (text, name, line, reason) in [
            ("a.jpg 0\nb.jpg\n", "x.txt", 2, "b.jpg is no path with a label behind it"),
            ("a,b\n", "x.csv", 1, "no column of paths"),
            ("path,b\n", "x.csv", 1, "no column of labels"),
            ("path,label\na.jpg,1\n\nb.jpg,\n", "x.csv", 4, "it has no label"),
            ("path,label\n,1\n", "x.csv", 2, "it has no path"),
            ("path,label\n\"a,1\n", "x.csv", 2, "not closed"),
        ] {
            let (found, message) = read(text, name).unwrap_err();
            assert!(found == line && message.contains(reason), "{found}: {message}");
        }
    }
}
