//! From what formats say of classes, numbers or names, to labels.
//!
//! - Class names beside the images (a schema, `classes.txt`): a number is a place in them, and their order stands.
//! - Otherwise numbers, when every class is one: in order of number, without gaps; the name of a class is its number.
//! - Otherwise names, in byte order.
//!
//! The images of a part are in order of label, then path, then place, so that every format of the same files gives
//! the same order.

use std::collections::HashMap;

use super::layout::{Entry, Item, Layout, Tree, base_name, count, listed};
use super::source::Root;
use crate::DataError;

/// Files of class names, one a line, in order of label.
const NAMES: [&str; 2] = ["classes.txt", "classnames.txt"];

/// A part of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Train,
    Validation,
}

/// Labelled images on their way to a [`Layout`].
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    /// What the format says of a class, to its place in `classes`.
    places: HashMap<String, u32>,
    /// What the format says, and where it said so first.
    classes: Vec<(String, String)>,
    train: Vec<Item>,
    validation: Option<Vec<Item>>,
}

impl Gathering {
    /// Adds an image. `said` is called for the place in a message, when a class appears for the first time.
    pub(crate) fn add(&mut self, side: Side, class: &str, entry: Entry, said: impl Fn() -> String) {
        let class = class.trim();
        let label = match self.places.get(class) {
            Some(&place) => place,
            None => {
                let place = self.classes.len() as u32;
                self.places.insert(class.to_owned(), place);
                self.classes.push((class.to_owned(), said()));
                place
            }
        };
        let part = match side {
            Side::Train => &mut self.train,
            Side::Validation => self.validation.get_or_insert_default(),
        };
        part.push(Item { label, entry });
    }

    /// The classes so far, in byte order.
    pub(crate) fn classes(&self) -> Vec<String> {
        let mut classes: Vec<String> =
            self.classes.iter().map(|(class, _)| class.clone()).collect();
        classes.sort_unstable();
        classes
    }

    /// Classes in their order. `names` are those that lie beside the images, `name` is the dataset's.
    pub(crate) fn finish(
        mut self,
        names: Option<Vec<String>>,
        name: &str,
    ) -> Result<Layout, DataError> {
        if self.train.is_empty() {
            return Err(DataError::Empty { name: name.to_owned() });
        }
        let (classes, labels) = match names {
            Some(names) => {
                let labels = self.named(&names)?;
                (names, labels)
            }
            None => {
                self.refuse_negative()?;
                self.refuse_untrained(name)?;
                self.ordered()
            }
        };
        for part in [Some(&mut self.train), self.validation.as_mut()].into_iter().flatten() {
            part.iter_mut().for_each(|item| item.label = labels[item.label as usize]);
            let key = |item: &Item| (item.label, item.entry.file, item.entry.offset);
            part.sort_by(|a, b| {
                let (x, y) = (&a.entry.path, &b.entry.path);
                a.label.cmp(&b.label).then_with(|| x.cmp(y)).then_with(|| key(a).cmp(&key(b)))
            });
        }
        let Gathering { train, validation, .. } = self;
        Ok(Layout { classes, train, validation, left_out: Vec::new() })
    }

    /// The label of each class by names from beside the images.
    fn named(&self, names: &[String]) -> Result<Vec<u32>, DataError> {
        let places: HashMap<&str, usize> =
            names.iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect();
        let label = |(class, said): &(String, String)| {
            let number = class.parse().ok().filter(|&number: &usize| number < names.len());
            // A class may be called "3"; then its name wins.
            let place = places.get(class.as_str()).copied().or(number);
            place.map(|place| place as u32).ok_or_else(|| DataError::Label {
                name: said.clone(),
                label: class.clone(),
                expected: format!(
                    "0 to {} or one of the {}",
                    names.len() - 1,
                    count(names.len(), "class name")
                ),
            })
        };
        self.classes.iter().map(label).collect()
    }

    /// Names and labels of classes that have nothing but what the format said.
    fn ordered(&mut self) -> (Vec<String>, Vec<u32>) {
        let mut order: Vec<usize> = (0..self.classes.len()).collect();
        let numbers: Option<Vec<u64>> =
            self.classes.iter().map(|(class, _)| class.parse().ok()).collect();
        order.sort_by_key(|&place| {
            let number = numbers.as_ref().map_or(0, |numbers| numbers[place]);
            (number, &self.classes[place].0)
        });
        let mut labels = vec![0; order.len()];
        for (label, &place) in order.iter().enumerate() {
            labels[place] = label as u32;
        }
        (order.iter().map(|&place| self.classes[place].0.clone()).collect(), labels)
    }

    /// Some sets give images without a class the number -1.
    fn refuse_negative(&self) -> Result<(), DataError> {
        let is_negative = |class: &str| class.parse().is_ok_and(|number: i64| number < 0);
        match self.classes.iter().find(|(class, _)| is_negative(class)) {
            Some((class, said)) => Err(DataError::Label {
                name: said.clone(),
                label: class.clone(),
                expected: "a class, which count from 0".to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// An image to validate of a class that no image trains is a mistake.
    fn refuse_untrained(&self, name: &str) -> Result<(), DataError> {
        let mut trained = vec![false; self.classes.len()];
        self.train.iter().for_each(|item| trained[item.label as usize] = true);
        let classes = self.classes.iter().zip(trained);
        let extra: Vec<&str> =
            classes.filter(|(_, trained)| !trained).map(|((class, _), _)| class.as_str()).collect();
        if extra.is_empty() {
            return Ok(());
        }
        Err(DataError::ClassMismatch {
            name: format!("{name} (validation part)"),
            missing: "none".to_owned(),
            extra: listed(&extra),
        })
    }
}

/// Class names from a file of them beside the images.
pub(crate) fn names_beside(root: &Root, tree: &Tree) -> Result<Option<Vec<String>>, DataError> {
    let others = tree.others();
    let found = others.iter().find(|entry| NAMES.contains(&base_name(&entry.path)));
    found.map(|entry| name_lines(&root.blob(entry)?.text()?, &root.name(&entry.path))).transpose()
}

/// The lines that are not empty, each another name.
pub(crate) fn name_lines(text: &str, name: &str) -> Result<Vec<String>, DataError> {
    let names: Vec<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    let mut sorted: Vec<&String> = names.iter().collect();
    sorted.sort_unstable();
    let twice = sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
    let reason = match twice {
        Some(twice) => format!("{twice} is in it twice"),
        None if names.is_empty() => "it is empty".to_owned(),
        None => return Ok(names),
    };
    let name = name.to_owned();
    let mend = "give each class one line, in order of label";
    Err(DataError::Malformed { name, what: "list of classes", reason, mend })
}

/// Files by the part that their names tell.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sides<T> {
    pub(crate) train: Vec<T>,
    pub(crate) validation: Vec<T>,
}

impl<T> Sides<T> {
    pub(crate) fn all(self) -> impl Iterator<Item = (Side, T)> {
        let train = self.train.into_iter().map(|file| (Side::Train, file));
        train.chain(self.validation.into_iter().map(|file| (Side::Validation, file)))
    }
}

/// Tells training files from validation files by the words of their paths: train (training); val (valid,
/// validation), or else test. Without a word, files are for training.
pub(crate) fn sides<T>(
    files: Vec<T>,
    path: impl Fn(&T) -> &str,
    name: &str,
) -> Result<Sides<T>, DataError> {
    let words: Vec<Option<Word>> = files.iter().map(|file| word(path(file))).collect();
    let has = |word| words.contains(&word);
    let train = if has(Some(Word::Train)) { Some(Word::Train) } else { None };
    if !has(train) {
        // All are val or test: what is given is what is trained on, as with folders.
        return Ok(Sides { train: files, validation: Vec::new() });
    }
    if train.is_some() && has(None) {
        let place = words.iter().position(Option::is_none).expect("one without a word");
        return Err(DataError::Malformed {
            name: name.to_owned(),
            what: "dataset",
            reason: format!("{} belongs to no part", path(&files[place])),
            mend: "put train, val or test in its name, or move it away",
        });
    }
    let validation = if has(Some(Word::Validation)) { Word::Validation } else { Word::Test };
    let mut sides = Sides { train: Vec::new(), validation: Vec::new() };
    for (file, word) in files.into_iter().zip(words) {
        if word == train {
            sides.train.push(file);
        } else if word == Some(validation) {
            sides.validation.push(file);
        }
    }
    Ok(sides)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Train,
    Validation,
    Test,
}

/// The word for a part in a path, the last one that it holds.
pub(crate) fn word(path: &str) -> Option<Word> {
    path.rsplit(|c: char| !c.is_ascii_alphabetic()).find_map(|word| {
        match word.to_ascii_lowercase().as_str() {
            "train" | "training" => Some(Word::Train),
            "val" | "valid" | "validation" => Some(Word::Validation),
            "test" | "testing" => Some(Word::Test),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(train: &[&str], validation: &[&str]) -> Gathering {
        let mut gathering = Gathering::default();
        for (side, classes) in [(Side::Train, train), (Side::Validation, validation)] {
            for (offset, class) in classes.iter().enumerate() {
                let entry = Entry { offset: offset as u64, ..Entry::default() };
                gathering.add(side, class, entry, || format!("line {}", offset + 1));
            }
        }
        gathering
    }

    #[test]
    fn numbers_count_and_names_sort() {
        let labels = |items: &[Item]| items.iter().map(|item| item.label).collect::<Vec<_>>();
        let numbers = gathered(&["10", "9", "1"], &["9"]).finish(None, "set").unwrap();
        assert_eq!(numbers.classes, ["1", "9", "10"]);
        assert_eq!(labels(&numbers.train), [0, 1, 2]);
        assert_eq!(labels(&numbers.validation.unwrap()), [1]);
        let names = gathered(&["b", "10", "9"], &[]).finish(None, "set").unwrap();
        assert_eq!(names.classes, ["10", "9", "b"]);
        assert_eq!(names.validation, None);
        let given = Some(["cat", "ant"].map(str::to_owned).to_vec());
        let given = gathered(&["1", "ant", "cat"], &[]).finish(given, "set").unwrap();
        assert_eq!(given.classes, ["cat", "ant"]);
        assert_eq!(labels(&given.train), [0, 1, 1]);
    }

    #[test]
    fn labels_outside_the_names_and_untrained_classes_are_refused() {
        let names = || Some(["cat", "ant"].map(str::to_owned).to_vec());
        for (label, line) in [("2", "line 2"), ("-1", "line 2"), ("cow", "line 2")] {
            let message = gathered(&["0", label], &[]).finish(names(), "set").unwrap_err();
            let message = message.to_string();
            assert!(message.starts_with(&format!("{line}: label {label} is not ")), "{message}");
        }
        let message = gathered(&["a"], &["a", "b"]).finish(None, "set").unwrap_err().to_string();
        assert!(message.starts_with("set (validation part): its classes differ"), "{message}");
        let message = gathered(&["0", "-1"], &[]).finish(None, "set").unwrap_err().to_string();
        assert!(message.starts_with("line 2: label -1 is not a class"), "{message}");
        assert!(matches!(gathered(&[], &["a"]).finish(None, "s"), Err(DataError::Empty { .. })));
        assert!(name_lines("a\nb\na\n", "classes.txt").unwrap_err().to_string().contains("twice"));
    }

    #[test]
    fn parts_are_told_by_words() {
        let divided = |paths: &[&str]| {
            let sides = sides(paths.iter().map(|path| (*path).to_owned()).collect(), |p| p, "set");
            sides.map(|Sides { train, validation }| (train.len(), validation.len()))
        };
        for (paths, expected) in [
            (vec!["a-train-0.tar", "a-train-1.tar", "a-val-0.tar", "a-test-0.tar"], (2, 1)),
            (vec!["train/0.tar", "test/0.tar"], (1, 1)),
            (vec!["0.tar", "1.tar"], (2, 0)),
            (vec!["0.tar", "validation.tar"], (1, 1)),
            (vec!["val-0.tar", "val-1.tar"], (2, 0)),
            // A word is whole, and the last one counts.
            (vec!["training-set/x_val.rec", "training-set/x.rec", "trainer/y_val.rec"], (1, 2)),
        ] {
            assert_eq!(divided(&paths).unwrap(), expected, "{paths:?}");
        }
        let message = divided(&["train.rec", "other.rec"]).unwrap_err().to_string();
        assert!(message.contains("other.rec belongs to no part"), "{message}");
    }
}
