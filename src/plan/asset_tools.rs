//! The builds of asset tools that a project needs.

use std::collections::BTreeSet;

use super::{AssetPin, Wanted};
use crate::hex::asset_tools::{AssetConfig, build_for};
use crate::model::{AssetTool, AssetToolId, Target, Version};

/// Returns the builds that some machines need of what a project configures.
pub fn asset_tools_for(config: &AssetConfig, targets: &BTreeSet<Target>, wanted: &Wanted) -> BTreeSet<AssetToolId> {
    let mut needed = BTreeSet::new();
    for (tool, version) in &config.versions {
        let own = config.builds.iter().filter(|_| *tool == AssetTool::Tailwind && !targets.is_empty()).cloned();
        let mut builds: BTreeSet<_> = own.collect();
        if builds.is_empty() {
            let clients = clients(*tool, wanted);
            let clients: Vec<Option<&Version>> =
                if clients.is_empty() { vec![None] } else { clients.into_iter().map(Some).collect() };
            let of_target = |target: &Target| {
                let build = |client: &Option<&Version>| build_for(*tool, version, &target.platform, *client);
                clients.iter().filter_map(build).collect::<Vec<_>>()
            };
            builds.extend(targets.iter().flat_map(of_target));
        }
        let id = |build| AssetToolId { tool: *tool, version: version.clone(), build };
        needed.extend(builds.into_iter().map(id));
    }
    needed
}

/// Returns the pinned builds that only a removed machine needed, whatever versions are configured: no machine that is left uses
/// them, and the configuration does not name them. `all_read` tells whether all of it was read.
pub fn builds_of_removed(
    removed: &Target,
    config: &AssetConfig,
    all_read: bool,
    wanted: &Wanted,
) -> BTreeSet<AssetToolId> {
    let is_used_on = |target: &Target, id: &AssetToolId| {
        let clients = clients(id.tool, wanted).into_iter().map(Some).chain([None]);
        let mut builds = clients.filter_map(|client| build_for(id.tool, &id.version, &target.platform, client));
        builds.any(|build| build == id.build)
    };
    let may_be_named = |id: &AssetToolId| {
        let is_read = all_read && config.unread.iter().all(|(tool, _)| *tool != id.tool);
        id.tool == AssetTool::Tailwind && (!is_read || config.builds.contains(&id.build))
    };
    let is_left = |id: &AssetToolId| wanted.targets.iter().any(|target| target != removed && is_used_on(target, id));
    let pinned = wanted.asset_tools.keys();
    pinned.filter(|id| is_used_on(removed, id) && !is_left(id) && !may_be_named(id)).cloned().collect()
}

/// Returns the pinned versions of the package that installs a tool. They decide for some builds and names of files.
pub fn clients(tool: AssetTool, wanted: &Wanted) -> BTreeSet<&Version> {
    let of_package = wanted.releases.keys().filter(|id| id.package.as_str() == tool.as_str());
    of_package.map(|id| &id.version).collect()
}

impl Wanted {
    /// Requires the builds that the machines of the locks need.
    pub fn require_asset_tools(&mut self, config: &AssetConfig) {
        let needed = asset_tools_for(config, &self.targets, self);
        self.unpinned_asset_tools = needed.into_iter().filter(|id| !self.asset_tools.contains_key(id)).collect();
    }

    /// Adds pins that a hexmirror.lock is about to have.
    #[must_use]
    pub fn with_asset_tools(mut self, pins: impl IntoIterator<Item = AssetPin>) -> Self {
        for pin in pins {
            self.unpinned_asset_tools.remove(&pin.id);
            self.files.extend(pin.file.as_ref().map(|file| (file.pin.id.clone(), file.pin.clone())));
            self.asset_tools.insert(pin.id.clone(), pin);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Lock;
    use crate::plan::Comparison;

    fn wanted(lines: &str) -> Wanted {
        let mut wanted = Wanted::default();
        wanted.add(&Lock::parse("hexmirror.lock", lines).unwrap()).unwrap();
        wanted
    }

    fn config(text: &str) -> AssetConfig {
        let mut config = AssetConfig::default();
        config.add("config/config.exs", text.as_bytes());
        config
    }

    const TARGETS: &str = "target aarch64-darwin nif 2.17\ntarget x86_64-linux-musl nif 2.16\n";

    fn needed(config: &AssetConfig, wanted: &Wanted) -> Vec<String> {
        asset_tools_for(config, &wanted.targets, wanted).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn builds_are_those_of_the_machines_that_locks_name() {
        let all = "config :esbuild, version: \"0.25.0\"\nconfig :tailwind, version: \"4.1.0\"\nconfig :dart_sass, version: \"1.77.8\"";
        assert_eq!(
            needed(&config(all), &wanted(TARGETS)),
            [
                "esbuild 0.25.0 darwin-arm64",
                "esbuild 0.25.0 linux-x64",
                "tailwind 4.1.0 linux-x64-musl",
                "tailwind 4.1.0 macos-arm64",
                "dart_sass 1.77.8 linux-x64-musl",
                "dart_sass 1.77.8 macos-arm64",
            ]
        );
        assert_eq!(needed(&config(all), &Wanted::default()), [""; 0]);
        let own = config("config :tailwind, version: \"4.1.0\", target: \"linux-x64\"");
        assert_eq!(needed(&own, &wanted(TARGETS)), ["tailwind 4.1.0 linux-x64"]);
        // An older package does not know musl.
        let plugin = format!("plugin hexpm dart_sass 0.7.0 {} for x\n", "a".repeat(64));
        let sass = config("config :dart_sass, version: \"1.77.8\"");
        let of_both = ["dart_sass 1.77.8 linux-x64", "dart_sass 1.77.8 macos-arm64"];
        assert_eq!(needed(&sass, &wanted(&(plugin + TARGETS))), of_both);
    }

    #[test]
    fn builds_of_a_removed_machine_are_those_that_no_other_one_uses() {
        let pins = [
            "esbuild 0.25.0 linux-x64",
            "esbuild 0.25.0 darwin-arm64",
            "tailwind 4.1.0 linux-x64-musl",
            "tailwind 3.4.3 linux-x64",
            "dart_sass 1.77.8 linux-x64-musl",
            "dart_sass 1.77.8 linux-x64",
        ];
        let lock: String = pins.map(|pin| format!("asset-tool {pin} none\n")).concat();
        let [removed, gnu] =
            ["x86_64-linux-musl nif 2.16", "x86_64-linux-gnu nif 2.16"].map(|text| text.parse::<Target>().unwrap());
        let of = |config: &AssetConfig, all_read: bool, left: &str| {
            let wanted = wanted(&format!("{lock}{TARGETS}{left}"));
            let builds = builds_of_removed(&removed, config, all_read, &wanted);
            builds.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let [esbuild, tailwind, old_tailwind, sass] = [pins[0], pins[2], pins[3], pins[4]];
        let none = AssetConfig::default();
        assert_eq!(of(&none, true, ""), [esbuild, old_tailwind, tailwind, sass]);
        assert_eq!(of(&none, true, &format!("target {gnu}\n")), [tailwind, sass]);
        // The same machine with another Erlang.
        assert_eq!(of(&none, true, "target x86_64-linux-musl nif 2.17\n"), [""; 0]);
        assert_eq!(of(&none, false, ""), [esbuild, sass]);
        let own = config("config :tailwind, version: \"4.1.0\", target: \"linux-x64-musl\"");
        assert_eq!(of(&own, true, ""), [esbuild, old_tailwind, sass]);
    }

    #[test]
    fn lines_are_read_back() {
        let sum = "a".repeat(64);
        for line in [
            format!("asset-tool esbuild 0.25.0 linux-x64 https://h/x.tgz {sum} 7 npm MEUCIQ+/AA=="),
            format!("asset-tool tailwind 4.1.0 linux-x64 https://h/x {sum} 7 first-use 2026-11-28"),
            format!("asset-tool tailwind 4.1.0 linux-x64 https://h/x {sum} 7"),
            "asset-tool tailwind 4.1.0 freebsd-x64 none".to_owned(),
        ] {
            let wanted = wanted(&format!("{line}\n"));
            assert_eq!(
                wanted.asset_tools.values().map(AssetPin::line).collect::<Vec<_>>(),
                std::slice::from_ref(&line)
            );
            assert_eq!(wanted.files.len(), usize::from(!line.ends_with("none")));
        }
    }

    #[test]
    fn a_build_or_a_path_with_two_contents_is_refused() {
        let of = |host: &str, sum: &str| {
            format!("asset-tool tailwind 4.1.0 linux-x64 https://{host}/x {} 7\n", sum.repeat(64))
        };
        let download = |sum: &str| format!("download https://h/x {} 7\n", sum.repeat(64));
        let around = format!("download https://h/a {0} 7\ndownload https://h/z {0} 7\n", "b".repeat(64));
        for (first, second) in [
            (of("h", "a"), of("g", "a")),
            (of("h", "a"), of("h", "c")),
            (download("a"), download("c")),
            (download("c"), download("a")),
        ] {
            let mut wanted = wanted(&(around.clone() + &first));
            let mut add = |text: &str| wanted.add(&Lock::parse("hexmirror.lock", text).unwrap());
            add(&first).unwrap();
            let error = add(&second).unwrap_err();
            assert!(error.message.contains("locked twice"), "{second}: {}", error.message);
        }
    }

    #[test]
    fn a_mirror_is_fresh_if_every_build_is_pinned_and_stored() {
        let sass = config("config :dart_sass, version: \"1.77.8\"");
        let mut lacking = wanted(TARGETS);
        lacking.require_asset_tools(&sass);
        let comparison = Comparison::new(&lacking, &Default::default());
        assert!(!comparison.is_fresh());
        let says = "dart_sass 1.77.8 linux-x64-musl (no hexmirror.lock pins it yet)";
        assert_eq!(comparison.lacking()[0], says);
        let sum = "a".repeat(64);
        let line = format!("asset-tool dart_sass 1.77.8 macos-arm64 https://h/x {sum} 7\n");
        let pinned = wanted(&(TARGETS.to_owned() + "asset-tool dart_sass 1.77.8 linux-x64-musl none\n" + &line));
        let mut pinned = pinned;
        pinned.require_asset_tools(&sass);
        assert_eq!(Comparison::new(&pinned, &Default::default()).lacking(), ["https://h/x"]);
        let stored = format!("file downloads/h/x {sum} 7 lock https://h/x\n").parse().unwrap();
        assert!(Comparison::new(&pinned, &stored).is_fresh());
    }

    #[test]
    fn hostile_entries_are_marked_in_the_lock() {
        let sum = "a".repeat(64);
        for (line, marked) in [
            (format!("asset-tool sass 1.0.0 linux-x64 https://h/x {sum} 7"), "sass 1.0.0 linux-x64"),
            (format!("asset-tool esbuild 1.x linux-x64 https://h/x {sum} 7"), "esbuild 1.x linux-x64"),
            (format!("asset-tool esbuild 1.0.0 ../x https://h/x {sum} 7"), "esbuild 1.0.0 ../x"),
            (format!("asset-tool esbuild 1.0.0 linux-x64 file:///etc/passwd {sum} 7"), "file:///etc/passwd"),
            (format!("asset-tool esbuild 1.0.0 linux-x64 https://h/x {sum} 7 npm a,b"), "a,b"),
            (format!("asset-tool esbuild 1.0.0 linux-x64 https://h/x {sum} 7 first-use today"), "today"),
            ("asset-tool esbuild 1.0.0 linux-x64 https://h/x 12 7".to_owned(), "12"),
        ] {
            let lock = Lock::parse("hexmirror.lock", line.clone()).unwrap();
            let error = Wanted::default().add(&lock).expect_err(&line);
            assert_eq!(&line[error.span.range()], marked, "{line}");
        }
        for line in [
            "asset-tool",
            "asset-tool esbuild 1.0.0 linux-x64",
            "asset-tool esbuild 1.0.0 linux-x64 none x",
            "asset-tool esbuild 1.0.0 linux-x64  https://h/x 1 7",
        ] {
            assert!(Lock::parse("hexmirror.lock", line).is_err(), "{line}");
        }
    }
}
