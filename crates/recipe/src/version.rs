//! Recipes of version 1: what changed since, said at the line of each key that has to change.

use crate::mistake::{Complaint, Mistake};
use crate::parse::VERSION;
use crate::reader::mistake;
use crate::tree::{Place, Table, Value};

/// Why a recipe of version 1 is refused, and how it becomes one of version 2; empty for a recipe of another version.
pub(crate) fn outdated(file: &str, root: &Table) -> Vec<Mistake> {
    let version = root.find("version");
    let Some(version) = version.filter(|node| matches!(node.value, Value::Whole(1))) else {
        return Vec::new();
    };
    let mut mistakes = Vec::new();
    let mut complain = |key: &str, place: &Place, message: &str, mend: String| {
        mistakes.push(mistake(file, key, place, Complaint::new(message, mend)));
    };
    let message = "this program no longer reads recipes of version 1, nor resumes runs of them";
    let mend = format!("write version = {VERSION} and mend the lines below");
    complain("version", &version.place, message, mend);

    if let Some(parts) = root.find("train.accumulate") {
        let message = "'accumulate' has become 'parts'";
        let mend = match parts.value {
            Value::Whole(count) if usize::try_from(count).is_ok_and(tricks::parts::is_allowed) => {
                format!("write parts = {count}")
            }
            _ => "write parts, a power of two that divides the batch".to_owned(),
        };
        complain("train.accumulate", &parts.place, message, mend);
    } else if let Some(train) = root.get("train").filter(|_| root.find("train.parts").is_none()) {
        complain("train", &train.place, "the key 'parts' is new", "add parts = 1".to_owned());
    }
    if let Some(momentum) = root.find("update.momentum") {
        let message = "the momentum belongs to the optimizer, which has a key of its own";
        let momentum_text = momentum.value.describe();
        let mend = format!("write optimizer = {{ nag = {{ momentum = {momentum_text} }} }}");
        complain("update.momentum", &momentum.place, message, mend);
    }
    if let Some(clip) = root.find("update.clip")
        && !matches!(clip.value, Value::Table(_))
    {
        let message = "'clip' says what it bounds";
        let mend = format!("write clip = {{ norm = {} }}", clip.value.describe());
        complain("update.clip", &clip.place, message, mend);
    }
    mistakes
}
