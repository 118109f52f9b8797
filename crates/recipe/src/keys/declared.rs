//! A key as its table declares it, and how it is read and written there.

use super::form::{Form, Shape, Written};
use super::recipe::TaskKind;
use crate::reader::Reader;

/// What a table says of one of its keys, beside its name and its meaning.
pub(crate) struct Declared<T: Field> {
    example: &'static str,
    rules: T::Rules,
    absent: Option<T>,
    needed: bool,
    shorts: &'static [Short],
    tasks: &'static [TaskKind],
    makes: Option<TaskKind>,
}

/// A shorter way to write a table or a value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Short {
    pub(crate) given: Given,
    /// TOML of what it stands for; `$` is what was given.
    pub(crate) means: &'static str,
}

/// What a short form looks like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Given {
    Word(&'static str),
    Number,
    /// A length of training, such as `5 epochs`.
    Length,
}

impl Given {
    /// The word, if it is one.
    pub(crate) fn word(self) -> Option<&'static str> {
        if let Given::Word(word) = self { Some(word) } else { None }
    }
}

/// A key for the flat list of all keys.
pub(crate) struct Node {
    pub(crate) name: &'static str,
    pub(crate) meaning: &'static [&'static str],
    pub(crate) example: &'static str,
    pub(crate) optional: bool,
    /// What an absent key means, as TOML.
    pub(crate) absent: Option<Written>,
    pub(crate) shorts: &'static [Short],
    pub(crate) tasks: &'static [TaskKind],
    pub(crate) makes: Option<TaskKind>,
    pub(crate) shape: Shape,
}

impl Node {
    /// One of the keys of which a choice holds exactly one.
    pub(crate) fn of_choice(
        name: &'static str,
        meaning: &'static [&'static str],
        example: &'static str,
        shape: Shape,
    ) -> Node {
        let (absent, makes) = (None, None);
        Node {
            name,
            meaning,
            example,
            optional: true,
            absent,
            shorts: &[],
            tasks: &[],
            makes,
            shape,
        }
    }
}

/// Declares a key. `example` is TOML of a value that it takes; a table needs none, its example is made of its keys'.
pub(crate) fn key<T: Field>(example: &'static str) -> Declared<T> {
    Declared {
        example,
        rules: T::Rules::default(),
        absent: None,
        needed: false,
        shorts: &[],
        tasks: &[],
        makes: None,
    }
}

impl<T: Field> Declared<T> {
    /// Says which values of the type are valid.
    pub(crate) fn rules(self, rules: T::Rules) -> Self {
        Self { rules, ..self }
    }

    /// Lets a recipe leave the key out, and says what that means. A saved recipe states it.
    pub(crate) fn absent(self, means: T) -> Self {
        Self { absent: Some(means), ..self }
    }

    /// Gives shorter ways to write it.
    pub(crate) fn short(self, shorts: &'static [Short]) -> Self {
        Self { shorts, ..self }
    }

    /// Refuses the key in recipes of other tasks than these.
    pub(crate) fn only(self, tasks: &'static [TaskKind]) -> Self {
        Self { tasks, ..self }
    }

    /// Asks for the key in the tasks that it belongs to, though its type is an `Option`.
    pub(crate) fn needed(self) -> Self {
        Self { needed: true, ..self }
    }

    /// Makes a recipe that has this table one of a task.
    #[allow(dead_code, reason = "the tables of other tasks than classification say it")]
    pub(crate) fn makes(self, task: TaskKind) -> Self {
        Self { makes: Some(task), ..self }
    }

    fn is_of(&self, task: TaskKind) -> bool {
        self.tasks.is_empty() || self.tasks.contains(&task)
    }
}

/// What may stand in a table: a form, which has to be there, or an `Option` of one.
pub(crate) trait Field: Sized {
    type Rules: Copy + Default;

    /// The value at `path`; `None` where it is wrong, or missing though it has to be there.
    fn read(reader: &mut Reader<'_>, path: &str, declared: Declared<Self>) -> Option<Self>;

    /// The value, if there is one.
    fn write(&self) -> Option<Written>;

    fn node(name: &'static str, meaning: &'static [&'static str], declared: Declared<Self>)
    -> Node;
}

impl<T: Form> Field for T {
    type Rules = T::Rules;

    fn read(reader: &mut Reader<'_>, path: &str, declared: Declared<Self>) -> Option<Self> {
        if reader.has(path) && declared.is_of(reader.task) {
            T::read(reader, path, declared.rules)
        } else {
            declared.absent
        }
    }

    fn write(&self) -> Option<Written> {
        // An empty table says the same as none.
        Some(Form::write(self)).filter(|written| !written.is_empty_table())
    }

    fn node(
        name: &'static str,
        meaning: &'static [&'static str],
        declared: Declared<Self>,
    ) -> Node {
        let Declared { example, rules, absent, shorts, tasks, makes, .. } = declared;
        Node {
            name,
            meaning,
            example,
            optional: absent.is_some(),
            absent: absent.as_ref().and_then(Field::write),
            shorts,
            tasks,
            makes,
            shape: T::shape(rules),
        }
    }
}

impl<T: Form> Field for Option<T> {
    type Rules = T::Rules;

    fn read(reader: &mut Reader<'_>, path: &str, declared: Declared<Self>) -> Option<Self> {
        if reader.has(path) && declared.is_of(reader.task) {
            T::read(reader, path, declared.rules).map(Some)
        } else {
            Some(declared.absent.flatten())
        }
    }

    fn write(&self) -> Option<Written> {
        self.as_ref().map(Form::write)
    }

    fn node(
        name: &'static str,
        meaning: &'static [&'static str],
        declared: Declared<Self>,
    ) -> Node {
        let Declared { example, rules, needed, shorts, tasks, makes, absent } = declared;
        let absent = absent.as_ref().and_then(Field::write);
        let shape = T::shape(rules);
        Node { name, meaning, example, optional: !needed, absent, shorts, tasks, makes, shape }
    }
}
