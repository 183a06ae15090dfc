//! The setting `asset_tools`: which versions of esbuild, Tailwind and Dart Sass are mirrored besides those that a project
//! configures, and where they are published.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{AssetTool, FileAddress, Version, redacted_address};

/// What the setting says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssetToolSettings {
    /// The versions to mirror besides those that the project configures.
    pub versions: BTreeSet<(AssetTool, Version)>,
    /// Where tools are published, if not where their publishers do: a registry of npm for esbuild; for the others an address with
    /// `$version` and `$target`.
    pub urls: BTreeMap<AssetTool, String>,
}

/// Parses `auto`, `off`, or any number of `TOOL@VERSION` and `TOOL=URL`. `None` for `off`.
pub(super) fn asset_tools(values: &[String]) -> Result<Option<AssetToolSettings>, String> {
    match values {
        [word] if word == "auto" => return Ok(Some(AssetToolSettings::default())),
        [word] if word == "off" => return Ok(None),
        _ => {}
    }
    let mut settings = AssetToolSettings::default();
    for value in values {
        let expected = |error: String| format!("{error}; expected auto, off, TOOL@VERSION or TOOL=URL");
        if let Some((tool, url)) = value.split_once('=') {
            let filled = url.replace("$version", "1.0.0").replace("$target", "linux-x64");
            // The address of a registry alone has no path.
            let checked: Result<FileAddress, _> = format!("{}/x", filled.trim_end_matches('/')).parse();
            checked.map_err(|error| expected(format!("{}: {error}", redacted_address(url))))?;
            let tool: AssetTool = tool.parse().map_err(|error| expected(format!("{error}")))?;
            if tool != AssetTool::Esbuild && !(url.contains("$version") && url.contains("$target")) {
                let problem = format!("the address of {tool} must contain $version and $target");
                return Err(expected(problem));
            }
            settings.urls.insert(tool, url.to_owned());
        } else {
            let (tool, version) = value.split_once('@').unwrap_or((value, ""));
            let tool = tool.parse().map_err(|error| expected(format!("{error}")))?;
            let version = version.parse().map_err(|error| expected(format!("{error}")))?;
            settings.versions.insert((tool, version));
        }
    }
    Ok(Some(settings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_words_versions_or_addresses() {
        let read = |values: &[&str]| asset_tools(&values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>());
        assert_eq!(read(&["auto"]).unwrap(), Some(AssetToolSettings::default()));
        assert_eq!(read(&["off"]).unwrap(), None);
        let values = ["esbuild@0.25.0", "tailwind=https://h/v$version/$target", "esbuild=http://h:1/npm/"];
        let settings = read(&values).unwrap().unwrap();
        assert_eq!(settings.versions, [(AssetTool::Esbuild, "0.25.0".parse().unwrap())].into());
        assert_eq!(settings.urls[&AssetTool::Esbuild], "http://h:1/npm/");
        assert_eq!(settings.urls.len(), 2);
        for value in [
            "on",
            "esbuild",
            "esbuild@latest",
            "sass@1.0.0",
            "esbuild=ftp://h",
            "esbuild=https://u:secret@h",
            "tailwind=https://h/x",
            "esbuild=https://h/?t=1",
            "",
        ] {
            let error = read(&[value]).unwrap_err();
            assert!(error.contains("expected auto, off") && !error.contains("secret"), "{error}");
        }
    }
}
