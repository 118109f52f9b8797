//! Lists of images with their classes, `PATH CLASS` on each line, made of those that some datasets come with.

/// Food-101's `apple_pie/1005649` is the image `images/apple_pie/1005649.jpg` of the class `apple_pie`.
pub(crate) fn of_food(list: &str) -> Result<String, String> {
    made(list, |line| {
        let (class, _) = line.split_once('/')?;
        Some(format!("images/{line}.jpg {class}"))
    })
}

/// Oxford-IIIT Pet's `Abyssinian_100 1 1 1` is the image `images/Abyssinian_100.jpg` of the class `Abyssinian`.
pub(crate) fn of_pets(list: &str) -> Result<String, String> {
    made(list, |line| {
        let image = line.split_whitespace().next()?;
        let (class, number) = image.rsplit_once('_')?;
        number.parse::<u32>().is_ok().then(|| format!("images/{image}.jpg {class}"))
    })
}

fn made(list: &str, of: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let lines = list.lines().map(str::trim).zip(1..);
    let lines = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    let made: Result<Vec<String>, String> = lines
        .map(|(line, number)| of(line).ok_or_else(|| format!("line {number} is {line:?}")))
        .collect();
    Ok(made?.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_their_own_become_paths_and_classes() {
        assert_eq!(
            of_food("apple_pie/1\n\nchurros/22\n").unwrap(),
            "images/apple_pie/1.jpg apple_pie\nimages/churros/22.jpg churros\n"
        );
        assert_eq!(
            of_pets("# Image CLASS-ID SPECIES\nBritish_Shorthair_3 1 1 2\n").unwrap(),
            "images/British_Shorthair_3.jpg British_Shorthair\n"
        );
        assert_eq!(of_food("apple_pie/1\napples").unwrap_err(), "line 2 is \"apples\"");
        assert!(of_pets("Abyssinian 1 1 1").is_err());
    }
}
