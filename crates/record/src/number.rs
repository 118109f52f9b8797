//! Numbers in JSON: `null` stands for one that is not finite.

use serde::de::{Error, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serializer};
use serde_json::{Map, Value};

/// Reads a number; `null` gives NaN.
pub(crate) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// A number of a key that may be missing: None without the key, NaN for `null`.
pub(crate) fn read_optional<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<f64>, D::Error> {
    read(deserializer).map(Some)
}

/// A number that must stand under this key of an object.
pub(crate) fn of<E: Error>(object: &Map<String, Value>, key: &str) -> Result<f64, E> {
    match object.get(key) {
        Some(Value::Null) => Ok(f64::NAN),
        Some(Value::Number(number)) => {
            number.as_f64().ok_or_else(|| E::custom(format!("{key} is out of range")))
        }
        Some(_) => Err(E::custom(format!("{key} is not a number"))),
        None => Err(E::custom(format!("{key} is missing"))),
    }
}

/// A count that must stand under this key of an object.
pub(crate) fn count<E: Error>(object: &Map<String, Value>, key: &str) -> Result<u64, E> {
    let value = object.get(key).and_then(Value::as_u64);
    value.ok_or_else(|| E::custom(format!("{key} is not a count")))
}

/// Named numbers as an object, in their order.
pub(crate) mod named {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        numbers: &[(String, f64)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(numbers.len()))?;
        for (name, number) in numbers {
            map.serialize_entry(name, number)?;
        }
        map.end()
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(String, f64)>, D::Error> {
        struct Numbers;
        impl<'de> Visitor<'de> for Numbers {
            type Value = Vec<(String, f64)>;

            fn expecting(&self, text: &mut std::fmt::Formatter) -> std::fmt::Result {
                text.write_str("an object of numbers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut numbers = Vec::new();
                while let Some((name, number)) = map.next_entry::<String, Option<f64>>()? {
                    numbers.push((name, number.unwrap_or(f64::NAN)));
                }
                Ok(numbers)
            }
        }
        deserializer.deserialize_map(Numbers)
    }
}
