//! Every message of an error names what is wrong and says what to do about it.

use crate::tidy::productions;

/// The words a remedy begins with.
const REMEDIES: &str = "add allow ask check choose close convert copy correct delete divide end expected export free give \
                        go import keep leave look lower make mend move open pack put raise remove replace report resume \
                        run save see set shrink start take train try use wait write";

/// What stands in a message that lists what may be given, or takes its remedy from elsewhere.
const ELSEWHERE: [&str; 8] = [
    "there are {",
    "its rows are {",
    "its columns are {",
    "` lists ",
    "{mend",
    "{saved}",
    "say why",
    "read_failure(",
];

/// Variants whose message is a part of another one, which has the path and the remedy.
const PARTS: [&str; 8] =
    ["CutInHeader", "CutShort", "TooLong", "Header", "Checksum", "Peer", "World", "Panic"];

/// The text in `#[error(…)]`, on one line, with the line the attribute stands above.
fn messages(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("#[error(") {
        let (message, after) = after.split_once(")]\n").expect("an attribute ends");
        let lines = message.lines().map(|line| line.trim().trim_end_matches('\\'));
        let name = after.trim_start().split(|c: char| !c.is_alphanumeric()).next().unwrap_or("");
        found.push((lines.collect::<Vec<_>>().join(""), name.to_owned()));
        rest = after;
    }
    found
}

fn has_remedy(message: &str) -> bool {
    let message = message.replace("\\n", ". ");
    let clauses = message.split(['.', ';', ':', ',', '(', '?']);
    let mut clauses = clauses.flat_map(|clause| clause.split(" or "));
    let is_remedy = |clause: &str| {
        let word = clause.split_whitespace().next().unwrap_or("").trim_matches('"').to_lowercase();
        REMEDIES.split(' ').any(|remedy| remedy == word)
    };
    clauses.any(is_remedy) || ELSEWHERE.iter().any(|list| message.contains(list))
}

#[test]
fn every_error_says_what_to_do() {
    let mut seen = 0;
    for (place, text) in productions(|place| place.contains("/src/")) {
        for (message, name) in messages(&text) {
            seen += 1;
            // Another type's message, or one that a function makes, which has tests of its own.
            let is_passed_on = message == "transparent" || message.starts_with("\"{}\"");
            // A path is put before it by the error that holds this one.
            let is_part = place.starts_with("train/src/") && PARTS.contains(&name.as_str());
            let holds_problem = message.contains("{problem}");
            assert!(
                is_passed_on || holds_problem || is_part || has_remedy(&message),
                "crates/{place}: {name} does not say what to do: {message}"
            );
        }
    }
    assert!(seen > 90, "only {seen} messages were found");
}

#[test]
fn what_is_no_remedy_is_not_taken_for_one() {
    assert!(has_remedy("{name}: is damaged; copy it again"));
    assert!(!has_remedy("{name}: the checksum is of another file"));
    assert!(!has_remedy("{name}: there were {count} that could not be given back"));
}
