//! Names of models on a hub: `timm/NAME` or `hf:OWNER/NAME`, each with `@REVISION` where it is not `main`.

use std::fmt;

use crate::error::FetchError;

/// A model on a hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubName {
    pub owner: String,
    pub name: String,
    pub revision: String,
}

const MAIN: &str = "main";

impl HubName {
    /// The name in a text; None where the text does not begin as one and is a path.
    pub fn parse(text: &str) -> Option<Result<HubName, FetchError>> {
        let rest =
            text.strip_prefix("hf:").or_else(|| text.starts_with("timm/").then_some(text))?;
        Some(HubName::after_prefix(text, rest))
    }

    fn after_prefix(text: &str, rest: &str) -> Result<HubName, FetchError> {
        let wrong = |reason| FetchError::Name { name: text.to_owned(), reason };
        let (path, revision) = rest.split_once('@').unwrap_or((rest, MAIN));
        let (owner, name) = path.split_once('/').ok_or(wrong("it has no owner"))?;
        let is_plain = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        };
        if !is_plain(owner) || !is_plain(name) {
            return Err(wrong("owner and name hold letters, digits, '.', '_' and '-' alone"));
        }
        if !revision.split('/').all(is_plain) {
            return Err(wrong("its revision is none"));
        }
        Ok(HubName {
            owner: owner.to_owned(),
            name: name.to_owned(),
            revision: revision.to_owned(),
        })
    }

    /// Owner and name, as in an address.
    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// The folder of the model in a hub's cache.
    pub(crate) fn folder(&self) -> String {
        format!("models--{}--{}", self.owner, self.name)
    }
}

impl fmt::Display for HubName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HubName { owner, name, revision } = self;
        let prefix = if owner == "timm" { "" } else { "hf:" };
        let revision = if revision == MAIN { String::new() } else { format!("@{revision}") };
        write!(f, "{prefix}{owner}/{name}{revision}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_paths() {
        for (text, owner, name, revision) in [
            ("timm/resnet50d.ra2_in1k", "timm", "resnet50d.ra2_in1k", "main"),
            ("timm/resnet50d.ra2_in1k@v1.0", "timm", "resnet50d.ra2_in1k", "v1.0"),
            ("hf:me/my-net@refs/pr/1", "me", "my-net", "refs/pr/1"),
        ] {
            let found = HubName::parse(text).unwrap().unwrap();
            assert_eq!((&*found.owner, &*found.name, &*found.revision), (owner, name, revision));
            assert_eq!(found.to_string(), text);
        }
        for path in ["resnet50d.pth", "runs/timm/x", "./timm/x", "models/a"] {
            assert!(HubName::parse(path).is_none(), "{path}");
        }
        for wrong in
            ["timm/", "hf:me", "hf:me/..", "timm/a/b", "timm/a@../../b", "hf:m e/a", "timm/a@"]
        {
            let error = HubName::parse(wrong).unwrap().unwrap_err();
            assert!(error.is_usage() && error.to_string().contains("write timm/NAME"), "{wrong}");
        }
    }
}
