//! The page of all keys is the one that the declarations give.

#[test]
fn the_page_of_all_keys_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/recipe.md");
    let page = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        page == recipe::reference(),
        "write docs/recipe.md anew: cargo run --release -- recipes --keys > docs/recipe.md"
    );
    for line in page.lines().filter(|line| line.trim_start().starts_with("- `")) {
        let (_, meaning) = line.rsplit_once(": ").unwrap();
        assert!(meaning.len() > 3 && line.ends_with('.'), "a key without a meaning: {line}");
    }
}
