//! Where a verb writes to: what is wrong with the place is told before the work, not after it.

use std::path::Path;

use crate::output::Usage;

/// Refuses a place where no file can be written. `option` is how the command line names it.
pub(crate) fn check_file(option: &str, file: &Path) -> Result<(), Usage> {
    let shown = file.display();
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent.filter(|parent| !parent.is_dir()) {
        let parent = parent.display();
        return Err(Usage(format!("{option} {shown}: there is no folder {parent}; make it first")));
    }
    if file.is_dir() || file.file_name().is_none() {
        return Err(Usage(format!("{option} {shown} is a folder; give a file's name")));
    }
    if file.exists() && !file.is_file() {
        return Err(Usage(format!("{option} {shown} is no regular file; give another name")));
    }
    Ok(())
}

/// Refuses a place where no folder can be made.
pub(crate) fn check_folder(option: &str, folder: &Path) -> Result<(), Usage> {
    let file = folder.ancestors().find(|above| above.exists() && !above.is_dir());
    match file {
        Some(file) => Err(Usage(format!(
            "{option} {}: {} is a file, not a folder; give another name, or remove it",
            folder.display(),
            file.display()
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_cannot_be_written_to_are_told_with_the_mend() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("file"), "words").unwrap();
        check_file("-o", &path("new")).unwrap();
        check_file("-o", &path("file")).unwrap();
        check_file("-o", Path::new("in-this-folder")).unwrap();
        check_folder("-o", &path("a/b/c")).unwrap();
        check_folder("-o", folder.path()).unwrap();
        for (refused, words) in [
            (check_file("-o", &path("none/new")), ["there is no folder", "make it first"]),
            (check_file("-o", folder.path()), ["is a folder", "give a file's name"]),
            (check_file("-o", Path::new("/dev/null")), ["no regular file", "give another name"]),
            (check_folder("-o", &path("file/a")), ["is a file", "or remove it"]),
            (check_folder("-o", &path("file")), ["is a file", "or remove it"]),
        ] {
            let text = refused.unwrap_err().to_string();
            words.iter().for_each(|word| assert!(text.contains(word), "no {word:?} in: {text}"));
        }
    }
}
