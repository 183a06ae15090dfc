//! Where tools are published.

use std::fmt;

use super::build::has_legacy_names;
use crate::model::{AssetTool, AssetToolId, DownloadError, FileAddress};

/// What stands for the version in an address.
const VERSION: &str = "$version";
/// What stands for the build in an address, with the extension that the file has.
const TARGET: &str = "$target";

/// Where a tool is published. For esbuild, this is a registry of npm; for the others an address with `$version` and `$target`, as
/// `mix tailwind.install` takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetSource {
    tool: AssetTool,
    template: String,
}

/// A version of a package of npm. Displayed as `@esbuild/linux-x64@0.25.0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NpmPackage {
    /// The name, which may have a scope.
    pub name: String,
    /// The version.
    pub version: String,
}

impl AssetSource {
    /// Returns the publisher's own place.
    pub fn published(tool: AssetTool) -> Self {
        let template = match tool {
            AssetTool::Esbuild => "https://registry.npmjs.org",
            AssetTool::Tailwind => {
                "https://github.com/tailwindlabs/tailwindcss/releases/download/v$version/tailwindcss-$target"
            }
            AssetTool::DartSass => {
                "https://github.com/sass/dart-sass/releases/download/$version/dart-sass-$version-$target"
            }
        };
        Self { tool, template: template.to_owned() }
    }

    /// Returns another place of a tool.
    ///
    /// # Errors
    /// Fails if addresses there could not be mirrored.
    pub fn at(tool: AssetTool, template: &str) -> Result<Self, DownloadError> {
        let source = Self { tool, template: template.trim_end_matches('/').to_owned() };
        let id = format!("{tool} 1.0.0 linux-x64").parse().map_err(|_| DownloadError::Path)?;
        source.address(&id)?;
        Ok(source)
    }

    /// Returns the address of a build.
    ///
    /// # Errors
    /// Fails if the address cannot be mirrored.
    pub fn address(&self, id: &AssetToolId) -> Result<FileAddress, DownloadError> {
        let text = match (NpmPackage::of(id), self.tool) {
            (Some(package), _) => {
                let (NpmPackage { name, version }, base) = (&package, &self.template);
                let file = name.rsplit('/').next().unwrap_or(name);
                format!("{base}/{name}/-/{file}-{version}.tgz")
            }
            (None, AssetTool::DartSass) if id.build.to_string().starts_with("windows") => self.filled(id, ".zip"),
            (None, AssetTool::DartSass) => self.filled(id, ".tar.gz"),
            (None, _) => self.filled(id, ""),
        };
        text.parse()
    }

    /// Returns the address of the manifest of a build that is a package of npm.
    ///
    /// # Errors
    /// Fails if the address cannot be mirrored.
    pub fn manifest(&self, package: &NpmPackage) -> Result<FileAddress, DownloadError> {
        format!("{}/{}/{}", self.template, package.name, package.version).parse()
    }

    fn filled(&self, id: &AssetToolId, extension: &str) -> String {
        let target = format!("{}{extension}", id.build);
        self.template.replace(VERSION, &id.version.to_string()).replace(TARGET, &target)
    }
}

impl NpmPackage {
    /// Returns the package that a build is. `None` if it is not one of npm.
    pub fn of(id: &AssetToolId) -> Option<Self> {
        let AssetToolId { tool: AssetTool::Esbuild, version, build } = id else { return None };
        let name = if has_legacy_names(version) { format!("esbuild-{build}") } else { format!("@esbuild/{build}") };
        Some(Self { name, version: version.to_string() })
    }
}

impl fmt::Display for NpmPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_that_the_packages_ask() {
        for (id, address) in [
            ("esbuild 0.25.0 linux-x64", "https://registry.npmjs.org/@esbuild/linux-x64/-/linux-x64-0.25.0.tgz"),
            ("esbuild 0.14.41 linux-64", "https://registry.npmjs.org/esbuild-linux-64/-/esbuild-linux-64-0.14.41.tgz"),
            (
                "tailwind 4.1.0 linux-x64-musl",
                "https://github.com/tailwindlabs/tailwindcss/releases/download/v4.1.0/tailwindcss-linux-x64-musl",
            ),
            (
                "dart_sass 1.77.8 macos-arm64",
                "https://github.com/sass/dart-sass/releases/download/1.77.8/dart-sass-1.77.8-macos-arm64.tar.gz",
            ),
            (
                "dart_sass 1.77.8 windows-x64",
                "https://github.com/sass/dart-sass/releases/download/1.77.8/dart-sass-1.77.8-windows-x64.zip",
            ),
        ] {
            let id: AssetToolId = id.parse().unwrap();
            assert_eq!(AssetSource::published(id.tool).address(&id).unwrap().as_str(), address);
        }
        let id: AssetToolId = "esbuild 0.25.0 linux-x64".parse().unwrap();
        let package = NpmPackage::of(&id).unwrap();
        let manifest = AssetSource::published(id.tool).manifest(&package).unwrap();
        assert_eq!(manifest.as_str(), "https://registry.npmjs.org/@esbuild/linux-x64/0.25.0");
        assert_eq!(package.to_string(), "@esbuild/linux-x64@0.25.0");
    }

    #[test]
    fn hostile_places_are_refused() {
        for template in
            ["file:///etc", "https://u:secret@h", "https://h/../x", "https://h/x?v=$version", "ftp://h/$target"]
        {
            for tool in AssetTool::ALL {
                assert!(AssetSource::at(tool, template).is_err(), "{tool} {template}");
            }
        }
        assert!(AssetSource::at(AssetTool::Tailwind, "https://h/v$version/t-$target").is_ok());
    }
}
