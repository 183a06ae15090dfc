//! The versions that a project configures, as literals in its `config/*.exs`.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{AssetBuild, AssetTool, Version};
use crate::term::Spanned;
use crate::term::elixir::keywords_of_calls;

/// The function that configures an application.
const CONFIG: &str = "config";
/// The key of a tool's version.
const VERSION: &str = "version";
/// The key of Tailwind's build, if it is not the one for the machine.
const TARGET: &str = "target";

/// Where a configuration names a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    /// The file and the line: `config/config.exs:3`.
    pub place: String,
    /// Whether only profiles have this version.
    pub is_of_profiles: bool,
}

/// What a configuration says about asset tools.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssetConfig {
    /// The versions.
    pub versions: BTreeSet<(AssetTool, Version)>,
    /// The builds of Tailwind that all machines use.
    pub builds: BTreeSet<AssetBuild>,
    /// The tools of which something cannot be read, each with a description that begins with the file.
    pub unread: BTreeSet<(AssetTool, String)>,
    /// Where each version is configured. Those of the settings are not.
    pub literals: BTreeMap<(AssetTool, Version), Literal>,
    /// The tools whose versions the settings name, because the configuration has none or one that cannot be read.
    pub set: BTreeSet<AssetTool>,
}

/// Returns whether a configuration mentions a tool, which most do not.
pub fn mentions_tool(text: &[u8]) -> bool {
    let mentions = |name: &[u8]| text.windows(name.len()).any(|window| window == name);
    AssetTool::ALL.into_iter().any(|tool| mentions(tool.as_str().as_bytes()))
}

impl AssetConfig {
    /// Adds what a file says: `config :esbuild, version: "0.25.0"`. Of Tailwind, profiles can have versions of their own.
    pub fn add(&mut self, file: &str, text: &[u8]) {
        let Ok(text) = std::str::from_utf8(text) else { return };
        for tool in AssetTool::ALL {
            for keyword in keywords_of_calls(text, CONFIG, tool.as_str(), &[VERSION, TARGET]) {
                let line = keyword.span.line_column(text).0;
                let literal = keyword.value.as_ref().and_then(string);
                let known = match (&keyword.keys[..], tool) {
                    ([VERSION], _) | ([_, VERSION], AssetTool::Tailwind) => {
                        let place = format!("{file}:{line}");
                        self.add_version(tool, literal, Literal { place, is_of_profiles: keyword.keys.len() > 1 })
                    }
                    ([TARGET], AssetTool::Tailwind) => self.add_build(literal),
                    _ => true,
                };
                if !known {
                    let key = keyword.keys.last().copied().unwrap_or_default();
                    self.unread.insert((tool, format!("{file}:{line}: the {key} of {tool} is not a literal {key}")));
                }
            }
        }
    }

    /// Adds the versions of the settings. One stands for a version that cannot be read, or that is not configured.
    pub fn add_settings(&mut self, versions: &BTreeSet<(AssetTool, Version)>) {
        let is_unread = |tool| self.unread.iter().any(|(unread, _)| *unread == tool);
        let is_literal = |tool| self.literals.keys().any(|(literal, _)| *literal == tool);
        let tools: BTreeSet<AssetTool> = versions.iter().map(|(tool, _)| *tool).collect();
        let stands = |tool: &AssetTool| is_unread(*tool) || !is_literal(*tool);
        self.set = tools.iter().copied().filter(stands).collect();
        self.unread.retain(|(tool, _)| !tools.contains(tool));
        self.versions.extend(versions.iter().cloned());
    }

    /// Returns the versions that the packages look for at run time. The packages do not know the settings, so a version that
    /// is configured as a literal comes before one of the settings.
    pub fn used(&self) -> impl Iterator<Item = &(AssetTool, Version)> {
        self.versions.iter().filter(|version| self.set.contains(&version.0) || self.literals.contains_key(*version))
    }

    fn add_version(&mut self, tool: AssetTool, text: Option<&str>, found: Literal) -> bool {
        let Some(version) = text.and_then(|text| text.parse::<Version>().ok()) else { return false };
        self.versions.insert((tool, version.clone()));
        let known = self.literals.entry((tool, version)).or_insert_with(|| found.clone());
        known.is_of_profiles &= found.is_of_profiles;
        true
    }

    fn add_build(&mut self, text: Option<&str>) -> bool {
        text.and_then(|text| text.parse().ok()).map(|build| self.builds.insert(build)).is_some()
    }
}

/// Returns the text of an Elixir string.
fn string<'t>(value: &'t Spanned<'_>) -> Option<&'t str> {
    value.term.as_bytes().and_then(|bytes| std::str::from_utf8(bytes).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> AssetConfig {
        let mut config = AssetConfig::default();
        if mentions_tool(text.as_bytes()) {
            config.add("config/config.exs", text.as_bytes());
        }
        config
    }

    #[test]
    fn the_configuration_of_a_generated_project_is_read() {
        let config = read(
            "import Config\n\nconfig :esbuild,\n  version: \"0.25.4\",\n  a: [\n    args: ~w(js/app.js --bundle),\n    \
             cd: Path.expand(\"../assets\", __DIR__),\n    env: %{\"NODE_PATH\" => [Path.expand(\"../deps\", __DIR__)]}\n  ]\n\n\
             # Configure tailwind (the version is required)\nconfig :tailwind,\n  version: \"4.1.12\",\n  legacy: [version: \"3.4.17\"],\n  \
             a: [args: ~w(--input=assets/css/app.css), cd: Path.expand(\"..\", __DIR__)]\n\nconfig :dart_sass, :version, \"1.77.8\"\n\
             config :logger, :default_formatter, format: \"x\"\nimport_config \"#{config_env()}.exs\"\n",
        );
        let versions: Vec<String> = config.versions.iter().map(|(tool, version)| format!("{tool} {version}")).collect();
        assert_eq!(versions, ["esbuild 0.25.4", "tailwind 3.4.17", "tailwind 4.1.12", "dart_sass 1.77.8"]);
        assert!(config.builds.is_empty() && config.unread.is_empty(), "{config:?}");
    }

    #[test]
    fn expressions_are_named_and_not_guessed() {
        let config = read(
            "config :esbuild, version: System.get_env(\"V\", \"0.25.0\")\nconfig :tailwind,\n  version: \"4\",\n  target: t()\n\
             config :tailwind, target: \"linux-x64-musl\"\n",
        );
        assert!(config.versions.is_empty());
        assert_eq!(config.builds.iter().map(ToString::to_string).collect::<Vec<_>>(), ["linux-x64-musl"]);
        let unread: Vec<&str> = config.unread.iter().map(|(_, what)| what.as_str()).collect();
        assert_eq!(
            unread,
            [
                "config/config.exs:1: the version of esbuild is not a literal version",
                "config/config.exs:3: the version of tailwind is not a literal version",
                "config/config.exs:4: the target of tailwind is not a literal target",
            ]
        );
        for text in [
            "config :esbuild, version: \"../x\"",
            "config :esbuild, version: ~s(0.1.0\n)",
            "config :esbuild, version: :x",
        ] {
            assert_eq!((read(text).versions.len(), read(text).unread.len()), (0, 1), "{text}");
        }
        for text in [
            "config :esbuild, default: [version: \"0.1.0\"]",
            "config :other, version: \"0.1.0\" # esbuild",
            "esbuild\u{0}",
        ] {
            assert_eq!(read(text), AssetConfig::default(), "{text}");
        }
    }
}
