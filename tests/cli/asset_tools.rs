//! esbuild, Tailwind and Dart Sass: which versions are mirrored for which machines, what is accepted, and where they are installed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::http::get;
use crate::support::npm::{NpmKey, tarball};
use crate::support::stage::{Ran, Serving, Stage};
use crate::support::upstream::{ALWAYS, Fault};

pub const CONFIG: &str = "import Config

config :esbuild,
  version: \"0.25.0\",
  demo: [args: ~w(js/app.js --bundle), cd: Path.expand(\"../assets\", __DIR__)]

config :tailwind,
  version: \"4.1.0\",
  legacy: [version: \"3.4.3\"]

config :dart_sass, version: \"1.77.8\"
";
pub const LINUX: &str = "x86_64-pc-linux-gnu 2.16";
pub const MACOS: &str = "aarch64-apple-darwin23.4.0 2.17";

pub fn program(name: &str) -> Vec<u8> {
    format!("\x7fELF {name}").into_bytes()
}

/// A project that configures the tools, and what upstream has of them.
pub struct Assets {
    pub stage: Stage,
    key: NpmKey,
}

impl Assets {
    pub fn offered() -> Self {
        let (stage, key) = (Stage::mirrored(), NpmKey::generate());
        stage.write("config/config.exs", CONFIG);
        let url = stage.upstream.url();
        let npm = stage.sandbox.path().join("npm.pem");
        fs::write(&npm, key.to_pem()).unwrap();
        for (name, value) in [
            ("internalHosts", "127.0.0.1".to_owned()),
            ("npmKeys", npm.display().to_string()),
            (
                "assetTools",
                format!(
                    "esbuild={url}/npm tailwind={url}/tailwind/v$version/x-$target dart_sass={url}/sass/$version/s-$target"
                ),
            ),
        ] {
            stage.git(&["config", &format!("hexmirror.{name}"), &value]);
        }
        let assets = Self { stage, key };
        for (build, tailwind) in [("linux-x64", "linux-x64"), ("darwin-arm64", "macos-arm64")] {
            assets.publish_esbuild(build, "0.25.0", &program(&format!("esbuild {build}")));
            for version in ["4.1.0", "3.4.3"] {
                let content = program(&format!("tailwind {version} {tailwind}"));
                assets.stage.upstream.put(&format!("tailwind/v{version}/x-{tailwind}"), &content);
            }
            let sass = tarball(&[
                ("dart-sass/sass", b"#!/bin/sh"),
                ("dart-sass/src/dart", &program("dart")),
                ("dart-sass/src/sass.snapshot", b"snapshot"),
                ("../../../etc/hostile", b"hostile"),
            ]);
            assets.stage.upstream.put(&format!("sass/1.77.8/s-{tailwind}.tar.gz"), &sass);
        }
        assets
    }

    pub fn publish_esbuild(&self, build: &str, version: &str, program: &[u8]) {
        let content = tarball(&[("package/package.json", b"{}"), ("package/bin/esbuild", program)]);
        self.key.publish(&self.stage.upstream, &format!("@esbuild/{build}"), version, &content, &content);
    }

    /// Such a project after an update on Linux.
    pub fn mirrored() -> Self {
        let assets = Self::offered();
        assets.on(LINUX, &["update"]).ok();
        assets
    }

    /// Runs a command on a machine whose Erlang says what is given.
    pub fn on(&self, says: &str, arguments: &[&str]) -> Ran {
        self.with(says, arguments, &[])
    }

    pub fn with(&self, says: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
        let folder = self.stage.sandbox.path().join(says.replace(' ', "-"));
        fs::create_dir_all(&folder).unwrap();
        let erl = folder.join("erl");
        fs::write(&erl, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
        fs::set_permissions(&erl, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
        self.stage.run_with(arguments, &[&[("PATH", path.as_str())], variables].concat())
    }

    pub fn entries(&self) -> Vec<String> {
        let text = fs::read_to_string(self.stage.project.join("hexmirror.lock")).unwrap_or_default();
        let lines = text.lines().filter(|line| line.starts_with("asset-tool "));
        lines.map(|line| line.split(' ').skip(1).take(3).collect::<Vec<_>>().join(" ")).collect()
    }

    pub fn lock(&self) -> String {
        fs::read_to_string(self.stage.project.join("hexmirror.lock")).unwrap_or_default()
    }

    pub fn built(&self, name: &str) -> PathBuf {
        self.stage.project.join("_build").join(name)
    }
}

#[test]
fn the_configured_versions_are_pinned_for_the_machines_that_ran_update() {
    let assets = Assets::offered();
    let stage = &assets.stage;
    let update = assets.on(LINUX, &["update", "--json"]).ok().json();
    assert_eq!(update["pinned_in"], json!("hexmirror.lock"));
    assert_eq!(update["files"].as_array().unwrap().len(), 4);
    let of_linux = [
        "dart_sass 1.77.8 linux-x64",
        "esbuild 0.25.0 linux-x64",
        "tailwind 3.4.3 linux-x64",
        "tailwind 4.1.0 linux-x64",
    ];
    assert_eq!(assets.entries(), of_linux);
    let lock = assets.lock();
    let line = |begin: &str| lock.lines().find(|line| line.starts_with(begin)).unwrap().to_owned();
    let esbuild = line("asset-tool esbuild");
    assert!(esbuild.contains("/npm/@esbuild/linux-x64/-/linux-x64-0.25.0.tgz "), "{esbuild}");
    assert!(esbuild.contains(" npm ME"), "{esbuild}");
    assert!(line("asset-tool tailwind 4.1.0").contains(" first-use 20"), "{lock}");
    assert!(lock.ends_with("target x86_64-linux-gnu nif 2.16\n"), "{lock}");
    stage.run(&["status"]).ok();
    stage.run(&["list", "linux-x64-0.25.0.tgz"]).ok().prints("signed by npm's key");
    stage.run(&["list", "x-linux-x64"]).ok().prints("trusted on first use, 20");
    stage.run(&["verify"]).ok().says("4 files (3 trusted on first use)");
    stage.run(&["lock"]).ok().prints("esbuild 0.25.0 linux-x64");

    // Nothing is asked again, also on another day, and another machine adds its own.
    let asked = stage.upstream.count("*");
    assets.on(LINUX, &["update"]).ok();
    assert_eq!(stage.upstream.count("*"), asked);
    assets.on(MACOS, &["update"]).ok();
    assert_eq!(assets.entries().len(), 8);
    assert!(assets.entries().contains(&"esbuild 0.25.0 darwin-arm64".to_owned()));
    stage.run(&["status"]).ok();

    // Another version replaces the pins, and status says so first.
    assets.publish_esbuild("linux-x64", "0.25.1", &program("new"));
    assets.publish_esbuild("darwin-arm64", "0.25.1", &program("new"));
    stage.write("config/config.exs", &CONFIG.replace("0.25.0", "0.25.1").replace("config :dart_sass", "config :other"));
    stage.run(&["status"]).exits(1).prints("missing esbuild 0.25.1 darwin-arm64").prints("esbuild 0.25.1 linux-x64");
    let status = stage.run(&["status", "--json"]).exits(1).json();
    assert_eq!(status["unpinned_asset_tools"], json!(["esbuild 0.25.1 darwin-arm64", "esbuild 0.25.1 linux-x64"]));
    assets.on(LINUX, &["update", "--locked"]).exits(1).says("hexmirror.lock would change");
    assets.on(LINUX, &["update"]).ok();
    stage.run(&["status"]).ok();
    assert_eq!(
        assets.entries(),
        [
            "esbuild 0.25.1 darwin-arm64",
            "esbuild 0.25.1 linux-x64",
            "tailwind 3.4.3 linux-x64",
            "tailwind 3.4.3 macos-arm64",
            "tailwind 4.1.0 linux-x64",
            "tailwind 4.1.0 macos-arm64",
        ]
    );
    stage.run(&["prune", "--keep-days", "0"]).ok();
    assert_eq!(stage.run(&["list", "linux-x64-0.25.0.tgz", "--json"]).exits(1).json(), json!([]));
    stage.run(&["list", "linux-x64-0.25.1.tgz"]).ok();
}

#[test]
fn pinned_files_are_held_to_their_checksums_and_signatures() {
    let assets = Assets::mirrored();
    let (stage, lock) = (&assets.stage, assets.lock());
    let tailwind = "tailwind/v4.1.0/x-linux-x64";
    stage.git(&["update-ref", "-d", "refs/heads/hexmirror"]);
    stage.upstream.put(tailwind, &program("other"));
    assets.on(LINUX, &["update"]).exits(4).says("wrong checksum");
    stage.upstream.put(tailwind, &program("tailwind 4.1.0 linux-x64"));
    assets.on(LINUX, &["update"]).ok();
    assert_eq!(assets.lock(), lock);
    // A lock that claims a signature that npm did not make.
    let (signature, rest) = lock.split_once(" npm ").unwrap().1.split_once('\n').unwrap();
    let _ = rest;
    for claimed in ["MEUCIQDx", &signature.replacen('M', "N", 1)] {
        stage.write("hexmirror.lock", &lock.replace(signature, claimed));
        stage.run(&["status"]).ok();
        let verify =
            stage.run(&["verify"]).exits(4).prints("refused: file downloads/").prints("npm's keys did not sign it");
        let hint = "hint: do not use this package; if npm has a new key";
        assert!(!verify.says(hint).stderr.contains("--repair"));
        // A repair refuses the same, and changes nothing.
        let tip = stage.tip();
        let repair = stage.run(&["update", "--repair"]).exits(4).prints("npm's keys did not sign it").says(hint);
        assert!(repair.says("a repair of hexmirror").stdout.contains("refused: file downloads/"));
        let repair = stage.run(&["update", "--repair", "--json"]).exits(4).json();
        assert_eq!(repair["repair"]["damages"].as_array().unwrap().len(), 1);
        assert_eq!(stage.tip(), tip);
        assets.on(LINUX, &["tools", "install"]).exits(4).says("refused @esbuild/linux-x64@0.25.0 of npm");
        stage.git(&["branch", "--quiet", "--move", "--force", "hexmirror", "other"]);
        assets.on(LINUX, &["update"]).exits(4).says("npm's keys did not sign it");
        stage.git(&["branch", "--quiet", "--move", "--force", "other", "hexmirror"]);
    }
    // What the hint says helps: without its line, the file is pinned again.
    let line = lock.lines().find(|line| line.contains(" npm ")).unwrap();
    stage.write("hexmirror.lock", &lock.replace(&format!("{line}\n"), ""));
    assets.on(LINUX, &["update"]).ok();
    stage.run(&["verify"]).ok();
    stage.run(&["update", "--repair"]).ok().says("needs no repair");
    // Without the test's key, nothing vouches for it.
    let keys = stage.git(&["config", "hexmirror.npmKeys"]);
    stage.git(&["config", "--unset", "hexmirror.npmKeys"]);
    stage.run(&["verify"]).exits(4).prints("npm's keys did not sign it").says("the setting npm_keys");
    stage.run(&["update", "--repair"]).exits(4).prints("npm's keys did not sign it").says("the setting npm_keys");
    stage.git(&["config", "hexmirror.npmKeys", &keys]);
    stage.run(&["update", "--repair"]).ok();
}

#[test]
fn what_is_no_such_file_is_refused_and_nothing_is_stored() {
    let assets = Assets::offered();
    let (stage, tip) = (&assets.stage, assets.stage.tip());
    let refused = |code: i32, says: &str| {
        assets.on(LINUX, &["update"]).exits(code).says(says);
        assert_eq!((assets.lock().as_str(), stage.tip()), ("", tip.clone()), "{says}");
    };
    let good = tarball(&[("package/bin/esbuild", &program("good"))]);
    let other = tarball(&[("package/bin/esbuild", &program("hostile"))]);
    let publish = |tarball: &[u8], signed: &[u8]| {
        assets.key.publish(&stage.upstream, "@esbuild/linux-x64", "0.25.0", tarball, signed);
    };
    publish(&other, &good);
    refused(4, "its SHA-512 is not the one that npm signed");
    NpmKey::generate().publish(&stage.upstream, "@esbuild/linux-x64", "0.25.0", &good, &good);
    refused(4, "npm's keys did not sign it");
    stage.upstream.put("npm/@esbuild/linux-x64/0.25.0", b"{}");
    refused(4, "not the manifest of a package");
    let hostile = tarball(&[("../../package/bin/esbuild", &program("hostile"))]);
    publish(&hostile, &hostile);
    refused(4, "exactly one file package/bin/esbuild");
    assets.publish_esbuild("linux-x64", "0.25.0", &program("good"));

    let sass = "sass/1.77.8/s-linux-x64.tar.gz";
    let content = fs::read(stage.sandbox.path().join("upstream").join(sass)).ok();
    stage.upstream.put(sass, b"<!DOCTYPE html><title>Sign in</title>");
    refused(3, "web page");
    stage.upstream.put(sass, b"{\"error\": 1}");
    refused(4, "cannot use dart_sass 1.77.8 linux-x64");
    let tailwind = "tailwind/v4.1.0/x-linux-x64";
    stage.upstream.put(tailwind, b"{\"error\": 1}");
    refused(4, "is not a program");
    stage.upstream.put(
        sass,
        &content.unwrap_or_else(|| {
            tarball(&[("dart-sass/src/dart", &program("dart")), ("dart-sass/src/sass.snapshot", b"s")])
        }),
    );
    stage.upstream.set_header("content-type", "text/html; charset=utf-8");
    stage.upstream.put(tailwind, b"<!DOCTYPE html><title>Sign in</title>");
    refused(3, "web page");
    stage.upstream.set_header("content-type", "application/octet-stream");
    stage.upstream.fail(&format!("/{tailwind}"), ALWAYS, Fault::ClaimLength(1 << 30));
    refused(3, "larger than");
    stage.upstream.heal();
    stage.upstream.put(tailwind, &program("tailwind"));
    let elsewhere = format!("http://localhost:{}/{tailwind}", stage.upstream.address().port());
    stage.upstream.fail(&format!("/{tailwind}"), 1, Fault::Redirect(302, elsewhere));
    refused(2, "it is not https");
    assets.on(LINUX, &["update"]).ok();
}

#[test]
fn addresses_follow_the_rules_for_other_files() {
    let assets = Assets::offered();
    let stage = &assets.stage;
    stage.git(&["config", "--unset", "hexmirror.internalHosts"]);
    let before = stage.upstream.count("*");
    assets.on(LINUX, &["update"]).exits(2).says("it is not https").says("internal_hosts");
    assert_eq!(stage.upstream.count("*"), before);
    for (value, says) in [
        ("esbuild=file:///etc", "only https:// and http://"),
        ("tailwind=https://u:secret@h/$version/$target", "user name or a password"),
        ("dart_sass=https://h/x", "must contain $version and $target"),
    ] {
        let ran = assets.with(LINUX, &["update"], &[("HEXMIRROR_ASSET_TOOLS", value)]).exits(2).says(says);
        assert!(!format!("{ran:?}").contains("secret"));
    }
    // What a branch says about keys of npm is an error, and about the tools it counts.
    stage.write(".hexmirror.toml", "npm_keys = \"npm.pem\"\n");
    stage.run(&["status"]).exits(2).says("npm_keys");
    stage.git(&["config", "--unset", "hexmirror.assetTools"]);
    stage.write(".hexmirror.toml", "asset_tools = [\"off\"]\n");
    assets.on(LINUX, &["update"]).ok();
    assert_eq!(assets.lock(), "");
    stage.run(&["tools", "install"]).exits(2).says("no hexmirror.lock pins tools");
}

#[test]
fn an_expression_is_named_and_not_guessed() {
    let assets = Assets::mirrored();
    let (stage, lock) = (&assets.stage, assets.lock());
    let computed = CONFIG.replace("version: \"0.25.0\"", "version: System.get_env(\"ESBUILD\", \"0.25.0\")");
    stage.write("config/config.exs", &computed.replace("4.1.0", "4.1"));
    stage.run(&["status"]).ok();
    stage.git(&["update-ref", "-d", "refs/heads/hexmirror"]);
    let update = assets.on(LINUX, &["update"]).ok();
    update.says("config/config.exs:4: the version of esbuild is not a literal version, so it is not mirrored; name it in the setting")
        .says("config/config.exs:8: the version of tailwind is not a literal version");
    // What was pinned stays.
    assert_eq!(assets.lock(), lock);
    let setting = stage.git(&["config", "hexmirror.assetTools"]);
    stage.git(&["config", "hexmirror.assetTools", &format!("{setting} esbuild@0.25.0 tailwind@4.1.0")]);
    let update = assets.on(LINUX, &["update"]).ok();
    assert!(!format!("{update:?}").contains("not a literal"));
    assert_eq!(assets.lock(), lock);
}

#[test]
fn a_build_that_does_not_exist_is_recorded_and_asked_for_again_by_refresh() {
    let assets = Assets::offered();
    let stage = &assets.stage;
    stage.write("config/config.exs", "config :tailwind, version: \"4.1.0\"\n");
    let freebsd = "x86_64-unknown-freebsd13.2 2.16";
    let says = "tailwind 4.1.0 freebsd-x64 does not exist";
    assets.on(freebsd, &["update"]).ok().says(says);
    assert!(assets.lock().contains("asset-tool tailwind 4.1.0 freebsd-x64 none\n"), "{}", assets.lock());
    stage.run(&["status"]).ok();
    let asked = stage.upstream.count("*");
    assets.on(freebsd, &["update"]).ok();
    assert_eq!(stage.upstream.count("*"), asked);
    let install = assets.on(freebsd, &["tools", "install"]).exits(1);
    install.says("not installed: tailwind 4.1.0 freebsd-x64: its publisher has no such build").says("update --refresh");
    stage.upstream.put("tailwind/v4.1.0/x-freebsd-x64", &program("late"));
    assets.on(freebsd, &["update", "--refresh"]).ok();
    assert!(!assets.lock().contains(" none"), "{}", assets.lock());
    assets.on(freebsd, &["tools", "install"]).ok();
    assert_eq!(fs::read(assets.built("tailwind-freebsd-x64-4.1.0")).unwrap(), program("late"));
}

#[test]
fn a_removed_machine_takes_its_builds_along() {
    let assets = Assets::mirrored();
    let stage = &assets.stage;
    let before = assets.lock();
    assets.on(MACOS, &["update"]).ok();
    assert_eq!(assets.entries().len(), 8);
    let commit = |message: &str| {
        stage.git(&["add", "-A"]);
        stage.git(&["commit", "--quiet", "-m", message]);
    };
    commit("Both machines");
    let removed = stage.run(&["targets", "remove", "aarch64-darwin", "--nif", "2.17"]).ok();
    removed.says("from hexmirror.lock").says("`git hexmirror prune` removes its files");
    assert_eq!(assets.lock(), before);
    stage.run(&["status"]).ok();
    commit("One machine");
    stage.run(&["prune", "--keep-days", "0"]).ok();
    let files = stage.run(&["list", "--json"]).ok().stdout;
    assert!(!files.contains("darwin-arm64") && files.contains("linux-x64"), "{files}");
}

#[test]
fn tools_are_installed_where_the_packages_look_for_them() {
    let assets = Assets::mirrored();
    let stage = &assets.stage;
    let asked = stage.upstream.count("*");
    let install: Value = assets.on(LINUX, &["tools", "install", "--json"]).ok().json();
    assert_eq!((install["written"].as_array().unwrap().len(), &install["not_installed"]), (6, &json!([])));
    for (name, content, mode) in [
        ("esbuild-linux-x64", program("esbuild linux-x64"), 0o755),
        ("tailwind-linux-x64-4.1.0", program("tailwind 4.1.0 linux-x64"), 0o755),
        ("tailwind-linux-x64-3.4.3", program("tailwind 3.4.3 linux-x64"), 0o755),
        ("dart-linux-x64", program("dart"), 0o755),
        ("sass.snapshot-linux-x64", b"snapshot".to_vec(), 0o644),
    ] {
        assert_eq!(fs::read(assets.built(name)).unwrap(), content, "{name}");
        assert_eq!(assets.built(name).metadata().unwrap().permissions().mode() & 0o777, mode, "{name}");
    }
    assets.on(LINUX, &["tools", "install"]).ok().says("up to date");
    // What a link points to is not written to.
    let precious = stage.sandbox.path().join("precious");
    fs::write(&precious, "precious").unwrap();
    fs::remove_file(assets.built("esbuild-linux-x64")).unwrap();
    symlink(&precious, assets.built("esbuild-linux-x64")).unwrap();
    assets.on(LINUX, &["tools", "install"]).ok();
    assert_eq!(fs::read(&precious).unwrap(), b"precious");
    assert!(!assets.built("esbuild-linux-x64").is_symlink());
    // mix's variables for the folder of builds.
    for (variables, folder) in
        [(&[("MIX_BUILD_ROOT", "out")][..], "project/out"), (&[("MIX_BUILD_PATH", "other/dev")], "project/other")]
    {
        assets.with(LINUX, &["tools", "install"], variables).ok();
        assert!(stage.sandbox.path().join(folder).join("esbuild-linux-x64").exists(), "{folder}");
    }
    let to = stage.sandbox.path().join("to");
    assets.on(LINUX, &["tools", "install", "--to", to.to_str().unwrap()]).ok();
    assert!(to.join("_build/esbuild-linux-x64").exists());
    assert!(to.join(format!("downloads/{}/tailwind/v4.1.0/x-linux-x64", stage.upstream.address())).exists());
    // Another machine is not served what does not run on it.
    let install = assets.on(MACOS, &["tools", "install"]).exits(1);
    install.says("not installed: esbuild 0.25.0 darwin-arm64: no hexmirror.lock pins it");
    assert_eq!(stage.upstream.count("*"), asked);

    let serving = Serving::start(&mut stage.command(&["serve", "--listen", "127.0.0.1:0"]));
    let path = format!("/downloads/{}/tailwind/v4.1.0/x-linux-x64", stage.upstream.address());
    assert_eq!(get(serving.authority(), &path).body, program("tailwind 4.1.0 linux-x64"));
}

#[test]
fn the_applications_of_an_umbrella_and_commits_count() {
    let assets = Assets::offered();
    let stage = &assets.stage;
    fs::remove_file(stage.project.join("config/config.exs")).unwrap();
    stage.write("apps/web/config/config.exs", "config :esbuild, version: \"0.25.0\"\n");
    stage.write("apps/web/config/dev.exs", "config :logger, level: :debug\n");
    stage.write("config/config.exs", "config :tailwind, :version, \"4.1.0\"\n");
    assets.on(LINUX, &["update"]).ok();
    assert_eq!(assets.entries(), ["esbuild 0.25.0 linux-x64", "tailwind 4.1.0 linux-x64"]);
    assets.on(LINUX, &["tools", "install"]).ok();
    assert!(assets.built("esbuild-linux-x64").exists());
    stage.git(&["add", "."]);
    stage.git(&["commit", "--quiet", "--message", "Configure assets"]);
    stage.run(&["status"]).ok();
    // What a link outside of the worktree has does not count, nor does a file that is too large.
    let outside = stage.sandbox.path().join("outside.exs");
    fs::write(&outside, "config :esbuild, version: \"9.9.9\"\n").unwrap();
    symlink(&outside, stage.project.join("config/linked.exs")).unwrap();
    stage.write("config/large.exs", &format!("config :esbuild, version: \"9.9.9\"\n{}", " ".repeat(2 << 20)));
    stage.run(&["status"]).ok();
    // Another branch is judged by its own configuration.
    stage.git(&["checkout", "--quiet", "-b", "next"]);
    stage.write("config/config.exs", "config :tailwind, version: \"3.4.3\"\n");
    stage.git(&["commit", "--quiet", "--all", "--message", "Use an older Tailwind"]);
    stage.run(&["status"]).exits(1).prints("tailwind 3.4.3 linux-x64");
    stage.git(&["checkout", "--quiet", "-"]);
    stage.run(&["status"]).ok();
    stage.run(&["diff", "HEAD..next"]).ok();
}
