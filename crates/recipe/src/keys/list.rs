//! Lists: ranges of two numbers, lists of a fixed length, lists of any length, and points of a run.

use super::form::{Form, Shape, Written, number, whole};
use super::rules::{Rule, says};
use crate::mistake::Complaint;
use crate::reader::{self, Reader, out_of_range};
use crate::tree::Value;
use crate::types::Span;

/// Two numbers, from the lower to the higher.
impl Form for [f64; 2] {
    type Rules = &'static [Rule<[f64; 2]>];

    fn read(reader: &mut Reader<'_>, path: &str, rules: Self::Rules) -> Option<Self> {
        reader.read(path, |value| {
            let [low, high] = reader::list(value, "numbers", reader::number)?;
            if low > high {
                let message = format!("[{low}, {high}] falls");
                return Err(Complaint::new(message, "write the lower bound first"));
            }
            match rules.iter().find(|rule| !(rule.holds)([low, high])) {
                Some(rule) => Err(out_of_range(path, &format!("[{low}, {high}]"), &(rule.says)())),
                None => Ok([low, high]),
            }
        })
    }

    fn write(&self) -> Written {
        Written::List(self.iter().copied().map(Written::Number).collect())
    }

    fn shape(rules: Self::Rules) -> Shape {
        Shape::Value(says("a list of 2 numbers, the lower first", rules))
    }
}

/// What a list of plain items may hold.
trait Item: Copy + 'static {
    const MANY: &'static str;

    fn read(path: &str, value: &Value, rules: &[Rule<Self>]) -> Result<Self, Complaint>;

    fn write(self) -> Written;
}

impl Item for f64 {
    const MANY: &'static str = "numbers";

    fn read(path: &str, value: &Value, rules: &[Rule<Self>]) -> Result<Self, Complaint> {
        number(path, value, rules)
    }

    fn write(self) -> Written {
        Written::Number(self)
    }
}

impl Item for usize {
    const MANY: &'static str = "whole numbers";

    fn read(path: &str, value: &Value, rules: &[Rule<Self>]) -> Result<Self, Complaint> {
        whole(path, value, rules)
    }

    fn write(self) -> Written {
        Written::Whole(self as u64)
    }
}

/// Lists of a fixed length.
macro_rules! list_form {
    ($($Item:ty, $count:literal;)*) => { $(
        impl Form for [$Item; $count] {
            type Rules = &'static [Rule<$Item>];

            fn read(reader: &mut Reader<'_>, path: &str, rules: Self::Rules) -> Option<Self> {
                let item = |value: &Value| <$Item as Item>::read(path, value, rules);
                reader.read(path, |value| reader::list(value, <$Item>::MANY, item))
            }

            fn write(&self) -> Written {
                Written::List(self.iter().map(|item| Item::write(*item)).collect())
            }

            fn shape(rules: Self::Rules) -> Shape {
                Shape::Value(says(&format!("a list of {} {}", $count, <$Item>::MANY), rules))
            }
        }
    )* };
}

list_form!(f64, 3; f64, 4; usize, 2; usize, 4;);

/// A list of any length. Every wrong item is reported.
impl<T: Item> Form for Vec<T> {
    type Rules = &'static [Rule<T>];

    fn read(reader: &mut Reader<'_>, path: &str, rules: Self::Rules) -> Option<Self> {
        items(reader, path, T::MANY, |value| T::read(path, value, rules))
    }

    fn write(&self) -> Written {
        Written::List(self.iter().map(|item| item.write()).collect())
    }

    fn shape(rules: Self::Rules) -> Shape {
        Shape::Value(says(&format!("a list of {}", T::MANY), rules))
    }
}

fn items<T>(
    reader: &mut Reader<'_>,
    path: &str,
    many: &str,
    read: impl Fn(&Value) -> Result<T, Complaint>,
) -> Option<Vec<T>> {
    let nodes = reader.read(path, |value| match value {
        Value::List(items) => Ok(items.clone()),
        other => Err(Complaint::expected(&format!("a list of {many}"), &other.describe())),
    })?;
    let mut found = Vec::new();
    for node in &nodes {
        match read(&node.value) {
            Ok(item) => found.push(item),
            Err(complaint) => reader.complain(path, &node.place, complaint),
        }
    }
    (found.len() == nodes.len()).then_some(found)
}

/// Points of a run, each a length from its start or a share of its length.
impl Form for Vec<Span> {
    type Rules = ();

    fn read(reader: &mut Reader<'_>, path: &str, (): ()) -> Option<Self> {
        let run = reader.run();
        items(reader, path, "lengths", |value| reader::point(value, run))
    }

    fn write(&self) -> Written {
        Written::List(self.iter().map(Form::write).collect())
    }

    fn shape((): ()) -> Shape {
        Shape::Value("a list of lengths in epochs, steps or % of train.duration".to_owned())
    }
}
