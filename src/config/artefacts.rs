//! The setting `artefacts`: whether precompiled files of packages are mirrored, and where they are published.

use std::collections::BTreeMap;

use crate::model::{FileAddress, PackageName, redacted_address};

/// Where precompiled files are fetched from, by package, if not where the package says. A URL can contain `@{version}`
/// and `@{artefact_filename}`; without the latter, the name of the file is added.
pub type ArtefactUrls = BTreeMap<PackageName, String>;

/// Parses `auto`, `off`, or `PACKAGE=URL`. `None` for `off`.
pub(super) fn artefacts(values: &[String]) -> Result<Option<ArtefactUrls>, String> {
    match values {
        [word] if word == "auto" => return Ok(Some(ArtefactUrls::new())),
        [word] if word == "off" => return Ok(None),
        _ => {}
    }
    let read = |value: &String| {
        let (package, url) = value.split_once('=').ok_or_else(|| format!("{value:?} has no `=`"))?;
        let filled = url.replace("@{version}", "1.0.0").replace("@{artefact_filename}", "file");
        let checked: Result<FileAddress, _> = filled.parse();
        checked.map_err(|error| format!("{}: {error}", redacted_address(url)))?;
        Ok((package.parse().map_err(|error| format!("{error}"))?, url.to_owned()))
    };
    let read = values.iter().map(read).collect::<Result<_, String>>().map(Some);
    read.map_err(|error| format!("{error}; expected auto, off, or PACKAGE=URL"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_words_or_addresses() {
        let read = |values: &[&str]| artefacts(&values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>());
        assert_eq!(read(&["auto"]).unwrap(), Some(ArtefactUrls::new()));
        assert_eq!(read(&["off"]).unwrap(), None);
        let urls = read(&["x=https://h/@{version}/@{artefact_filename}", "y=http://h/y"]).unwrap().unwrap();
        assert_eq!(urls[&"y".parse().unwrap()], "http://h/y");
        for value in ["on", "x", "../x=https://h/x", "x=ftp://h/x", "x=https://u:secret@h/x", "x=https://h/x?t=1"] {
            let error = read(&[value]).unwrap_err();
            assert!(error.contains("expected auto, off") && !error.contains("secret"), "{error}");
        }
    }
}
