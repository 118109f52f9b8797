//! The ways to declare keys: a table, a choice of one key, a list of words; and the rules that values keep.

/// Declares a table: a struct whose fields are its keys. What comment a field has is its meaning, and the struct's is the
/// table's. `= key("0.1")` gives an example of the value and, by what follows, which values are valid and more.
macro_rules! table {
    (
        $(#[doc = $about:literal])*
        $(#[derive($($derive:ident),*)])?
        pub struct $Name:ident {
            $(
                $(#[doc = $doc:literal])*
                $(#[cfg($cfg:meta)])?
                $field:ident: $Type:ty = $declared:expr,
            )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq $(, $($derive),*)?)]
        pub struct $Name {
            $(
                $(#[doc = $doc])*
                $(#[cfg($cfg)])?
                pub $field: $Type,
            )*
        }

        impl $crate::keys::Form for $Name {
            type Rules = ();

            fn read(reader: &mut $crate::reader::Reader<'_>, path: &str, (): ()) -> Option<Self> {
                // All keys are read before the first `?`, so that one mistake never hides another.
                $(
                    $(#[cfg($cfg)])?
                    let $field = <$Type as $crate::keys::Field>::read(
                        reader,
                        &$crate::schema::join(path, stringify!($field)),
                        $declared,
                    );
                )*
                Some(Self { $( $(#[cfg($cfg)])? $field: $field?, )* })
            }

            fn write(&self) -> $crate::keys::Written {
                let mut entries = Vec::new();
                $(
                    $(#[cfg($cfg)])?
                    entries.extend(
                        <$Type as $crate::keys::Field>::write(&self.$field)
                            .map(|written| (stringify!($field), written)),
                    );
                )*
                $crate::keys::Written::Table(entries)
            }

            fn shape((): ()) -> $crate::keys::Shape {
                let keys = vec![$(
                    $(#[cfg($cfg)])?
                    <$Type as $crate::keys::Field>::node(stringify!($field), &[$($doc),*], $declared),
                )*];
                $crate::keys::Shape::Table { about: &[$($about),*], keys }
            }
        }

        serialized!($Name);
    };
}

/// Declares a table that holds exactly one of its keys: an enum whose variants are the keys, each with a table of its own
/// in braces, or with a value in parentheses.
macro_rules! choice {
    (
        $(#[doc = $about:literal])*
        $(#[derive($($derive:ident),*)])?
        pub enum $Name:ident {
            $(
                $(#[doc = $doc:literal])*
                $Variant:ident as $name:literal {
                    $( $(#[doc = $field_doc:literal])* $field:ident: $Type:ty = $declared:expr, )*
                }
            )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq $(, $($derive),*)?)]
        pub enum $Name {
            $(
                $(#[doc = $doc])*
                $Variant { $( $(#[doc = $field_doc])* $field: $Type, )* },
            )*
        }

        impl $crate::keys::Form for $Name {
            type Rules = ();

            fn read(reader: &mut $crate::reader::Reader<'_>, path: &str, (): ()) -> Option<Self> {
                // All that are given are read, and a rule between keys says that there is only one.
                let mut found = Vec::new();
                $({
                    let path = $crate::schema::join(path, $name);
                    if reader.has(&path) {
                        $(
                            let $field = <$Type as $crate::keys::Field>::read(
                                reader,
                                &$crate::schema::join(&path, stringify!($field)),
                                $declared,
                            );
                        )*
                        found.push((|| Some(Self::$Variant { $( $field: $field?, )* }))());
                    }
                })*
                found.into_iter().next().flatten()
            }

            fn write(&self) -> $crate::keys::Written {
                match self {
                    $(
                        Self::$Variant { $($field),* } => {
                            let entries = vec![$(
                                <$Type as $crate::keys::Field>::write($field)
                                    .map(|written| (stringify!($field), written)),
                            )*];
                            let entries = entries.into_iter().flatten().collect();
                            let table = $crate::keys::Written::Table(entries);
                            $crate::keys::Written::Table(vec![($name, table)])
                        }
                    )*
                }
            }

            fn shape((): ()) -> $crate::keys::Shape {
                let keys = vec![$({
                    let keys = vec![$(
                        <$Type as $crate::keys::Field>::node(
                            stringify!($field),
                            &[$($field_doc),*],
                            $declared,
                        ),
                    )*];
                    let shape = $crate::keys::Shape::Table { about: &[], keys };
                    $crate::keys::Node::of_choice($name, &[$($doc),*], "", shape)
                },)*];
                $crate::keys::Shape::Choice { about: &[$($about),*], keys }
            }
        }

        serialized!($Name);
    };
    (
        $(#[doc = $about:literal])*
        $(#[derive($($derive:ident),*)])?
        pub enum $Name:ident {
            $(
                $(#[doc = $doc:literal])*
                $Variant:ident($Type:ty) as $name:literal = $example:literal, $rules:expr;
            )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq $(, $($derive),*)?)]
        pub enum $Name {
            $( $(#[doc = $doc])* $Variant($Type), )*
        }

        impl $crate::keys::Form for $Name {
            type Rules = ();

            fn read(reader: &mut $crate::reader::Reader<'_>, path: &str, (): ()) -> Option<Self> {
                let mut found = Vec::new();
                $({
                    let path = $crate::schema::join(path, $name);
                    if reader.has(&path) {
                        let value = <$Type as $crate::keys::Form>::read(reader, &path, $rules);
                        found.push(value.map(Self::$Variant));
                    }
                })*
                found.into_iter().next().flatten()
            }

            fn write(&self) -> $crate::keys::Written {
                match self {
                    $(
                        Self::$Variant(value) => {
                            let value = $crate::keys::Form::write(value);
                            $crate::keys::Written::Table(vec![($name, value)])
                        }
                    )*
                }
            }

            fn shape((): ()) -> $crate::keys::Shape {
                let keys = vec![$({
                    let shape = <$Type as $crate::keys::Form>::shape($rules);
                    $crate::keys::Node::of_choice($name, &[$($doc),*], $example, shape)
                },)*];
                $crate::keys::Shape::Choice { about: &[$($about),*], keys }
            }
        }

        serialized!($Name);
    };
}

/// Declares a closed list of words: an enum whose variants have a word each.
macro_rules! words {
    (
        $(#[doc = $about:literal])*
        pub enum $Name:ident {
            $( $(#[doc = $doc:literal])* $Variant:ident = $word:literal, )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Name {
            $( $(#[doc = $doc])* $Variant, )*
        }

        impl $crate::keys::Words for $Name {
            const WORDS: &'static [$crate::keys::Word<Self>] = &[$(
                $crate::keys::Word { word: $word, value: Self::$Variant, meaning: &[$($doc),*] },
            )*];
        }

        serialized!($Name);
    };
}

/// Serializes a type of keys as recipes write it.
macro_rules! serialized {
    ($Name:ident) => {
        impl serde::Serialize for $Name {
            fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
                serde::Serialize::serialize(&$crate::keys::Form::write(self), out)
            }
        }
    };
}

/// Declares which values are valid: `POSITIVE: f64 = "more than 0" => |x| x > 0.0;`. What the words say stands in messages
/// and in the reference.
macro_rules! rules {
    ($($(#[doc = $doc:literal])* $name:ident: $T:ty = $($says:expr => $holds:expr),+;)*) => { $(
        $(#[doc = $doc])*
        #[rustfmt::skip]
        pub(super) const $name: &[$crate::keys::Rule<$T>] = &[$($crate::keys::Rule { says: || $says.to_string(), holds: $holds }),+];
    )* };
}
