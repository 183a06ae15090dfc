//! Where settings come from, and their order of precedence.

use std::fs;

use crate::support::registry::{Registry, key, other_key};
use crate::support::stage::{PINNED, Ran, Stage};

#[test]
fn the_branch_is_named_by_flag_then_environment_then_git_then_the_tracked_file() {
    let stage = Stage::new();
    let made = |name: &str| stage.tip_of(&format!("refs/heads/{name}")).is_some();
    stage.write(".hexmirror.toml", "branch = \"hexmirror-of-file\"\n");
    stage.run(&["init"]).ok().says("hexmirror-of-file");
    assert!(made("hexmirror-of-file"));
    stage.git(&["config", "hexmirror.branch", "of-git"]);
    stage.run(&["init"]).ok();
    assert!(made("of-git"));
    stage.run_with(&["init"], &[("HEXMIRROR_BRANCH", "of-environment")]).ok();
    assert!(made("of-environment"));
    stage.run_with(&["init", "--branch", "of-flag"], &[("HEXMIRROR_BRANCH", "of-environment")]).ok();
    assert!(made("of-flag") && !made("hexmirror"));
}

#[test]
fn a_full_ref_need_not_be_a_branch() {
    let stage = Stage::new();
    stage.run(&["update", "--branch=refs/hexmirror/main"]).ok();
    assert!(stage.tip_of("refs/hexmirror/main").is_some());
    assert_eq!(stage.git(&["branch", "--list"]), "* main");
    stage.run(&["status", "--branch=refs/hexmirror/main"]).ok().prints("refs/hexmirror/main");
    stage.run(&["status"]).exits(1);
    for name in ["-x", "a..b", "refs/heads/", "", "a b"] {
        stage.run(&["init", &format!("--branch={name}")]).exits(2).says("is not a valid name");
    }
}

#[test]
fn the_address_and_key_of_a_repository_are_configurable() {
    let stage = Stage::new();
    let bare = |arguments: &[&str]| Ran::of(&mut stage.bare_command_in(&stage.project, arguments));
    let file = format!("[repositories.hexpm]\nurl = \"{}\"\npublic_key = \"keys/hexpm.pem\"\n", stage.upstream.url());
    stage.write(".hexmirror.toml", &file);
    bare(&["trust", "--yes"]).exits(2).says("keys/hexpm.pem");
    stage.write("keys/hexpm.pem", &key().public_key().to_pem());
    bare(&["trust", "--yes"]).ok();
    bare(&["update"]).ok();
    // git's settings take precedence and may contain the key itself.
    stage.git(&["config", "hexmirror.hexpm.publicKey", &other_key().public_key().to_pem()]);
    bare(&["update", "--refresh"]).exits(4).says("the signer of the Hex repository hexpm changed");
    stage.git(&["config", "hexmirror.hexpm.signer", &other_key().public_key().fingerprint().to_string()]);
    let ran = bare(&["update"]).exits(4).says("it is not signed with the repository's key");
    // An invalid key causes a single line of output, whatever it is for.
    assert_eq!(ran.stderr.matches("it is not signed with").count(), 1, "{ran:?}");
    assert!(ran.stderr.contains("refused the registry entries of alpha, beta, delta and 1 more"), "{ran:?}");
    stage.git(&["config", "--unset", "hexmirror.hexpm.signer"]);
    stage.run(&["update", "--refresh"]).ok();
    stage.git(&["config", "--unset", "hexmirror.hexpm.publicKey"]);
    stage.git(&["config", "hexmirror.hexpm.url", "http://127.0.0.1:1"]);
    bare(&["update", "--refresh"]).exits(3).says("127.0.0.1:1");
}

#[test]
fn hexs_own_mirror_setting_is_used() {
    let stage = Stage::new();
    let mut command = stage.bare_command_in(&stage.project, &["update"]);
    command.env("HEX_MIRROR", stage.upstream.url()).env("HEXMIRROR_PUBLIC_KEY", stage.sandbox.path().join("hexpm.pem"));
    Ran::of(&mut command).ok();
}

#[test]
fn invalid_settings_are_named() {
    let stage = Stage::new();
    stage.run_with(&["update"], &[("HEXMIRROR_JOBS", "many")]).exits(2).says("HEXMIRROR_JOBS");
    stage.run_with(&["update"], &[("HEXMIRROR_TIMEOUT", "soon")]).exits(2).says("HEXMIRROR_TIMEOUT");
    stage.run_with(&["update"], &[("HEXMIRROR_TIMEOUT", "0")]).exits(2).says("the setting timeout");
    stage.run_with(&["update"], &[("HEXMIRROR_URL", "ftp://example.com")]).exits(2).says("URL");
    stage.git(&["config", "hexmirror.timeout", "never"]);
    stage.run(&["update"]).exits(2).says("hexmirror.timeout");
    stage.git(&["config", "--unset", "hexmirror.timeout"]);
    stage.write(".hexmirror.toml", "brunch = \"x\"\n");
    stage.run(&["status"]).exits(2).says(".hexmirror.toml").says("brunch");
    assert_eq!(stage.tip(), None);
}

#[test]
fn locks_are_named_by_globs() {
    let stage = Stage::without_lock(Registry::sample());
    stage.write("apps/one/mix.lock", &stage.registry.mix_lock(&PINNED[..1]));
    stage.write("apps/two/mix.lock", &stage.registry.mix_lock(&PINNED[2..]));
    stage.write("deps/three/mix.lock", "%{ not ours");
    stage.run(&["status"]).exits(2).says("found no mix.lock, rebar.lock, manifest.toml or hexmirror.lock");
    stage.run(&["update", "--lock", "**/mix.lock"]).ok();
    stage.run(&["status", "--lock", "apps/*/mix.lock"]).ok().prints("2 releases");
    stage.run_with(&["status"], &[("HEXMIRROR_LOCKS", "apps/one/mix.lock")]).ok().prints("1 release");
    stage.run(&["status", "--lock", "nowhere/*.lock"]).exits(2).says("nowhere/*.lock");
}

#[test]
fn every_configured_lock_must_exist() {
    let stage = Stage::mirrored();
    stage.write("apps/one/mix.lock", &stage.registry.mix_lock(&PINNED[..1]));
    for command in ["status", "diff", "update", "verify", "lock"] {
        let named = ["--lock", "mix.lock", "--lock", "nothing/mix.lock"];
        stage.run(&[&[command], &named[..]].concat()).exits(2).says("found no nothing/mix.lock in");
        let matched = ["--lock", "apps/*/mix.lock", "--lock", "nowhere/*.lock", "--lock", "no.lock"];
        stage.run(&[&[command], &matched[..]].concat()).exits(2).says("found no nowhere/*.lock and no no.lock in");
    }
    stage.run(&["status", "--lock", "apps/*/mix.lock", "--lock", "mix.lock"]).ok().prints("3 releases");
    // A bare repository behaves the same.
    stage.git(&["add", "mix.lock"]);
    stage.git(&["commit", "--quiet", "--message=Lock"]);
    stage.sandbox.git("", &["clone", "--quiet", "--bare", "project", "bare.git"]);
    stage.run_in("bare.git", &["status", "--lock", "mix.lock", "--lock", "x/*.lock"]).exits(2).says("no x/*.lock");
    stage.run_in("bare.git", &["status", "--lock", "*.lock"]).ok();
}

#[test]
fn a_leading_dot_in_a_locks_name_means_the_root() {
    let stage = Stage::without_lock(Registry::sample());
    stage.write("apps/one/mix.lock", &stage.registry.mix_lock(&["beta 0.3.0"]));
    stage.write("prod.lck", &stage.registry.mix_lock(&["alpha 1.0.0"]));
    stage.git(&["add", "--all"]);
    stage.git(&["commit", "--quiet", "--message=Locks"]);
    let locks = |ran: Ran| ran.json()["locks"].clone();
    let both = serde_json::json!(["apps/one/mix.lock", "prod.lck"]);
    let flags = ["status", "--json", "--lock=./apps/*/mix.lock", "--lock=.//./prod.lck"];
    assert_eq!(locks(stage.run(&flags).exits(1)), both);
    let variable = [("HEXMIRROR_LOCKS", "./apps/*/mix.lock ./prod.lck")];
    assert_eq!(locks(stage.run_with(&["status", "--json"], &variable).exits(1)), both);
    stage.write(".hexmirror.toml", "locks = ['./apps/*/mix.lock', './prod.lck']");
    assert_eq!(locks(stage.run(&["status", "--json"]).exits(1)), both);
    stage.git(&["config", "hexmirror.locks", "./prod.lck"]);
    stage.run(&["update"]).ok();
    let document = stage.run(&["diff", "HEAD", "--json"]).ok().json();
    assert_eq!(document["from"]["locks"], document["to"]["locks"]);
    // Commits other than the checked-out one are searched by pattern.
    let dropped = stage.run(&["prune", "--keep-days=0", "--json"]).ok().json();
    assert_eq!(dropped["releases"], serde_json::json!([]));
    stage.run(&["status"]).ok();
}

#[test]
fn all_values_of_a_multi_valued_setting_count() {
    let stage = Stage::mirrored();
    stage.write("b/mix.lock", &stage.registry.mix_lock(&["alpha 1.1.0"]));
    stage.git(&["config", "--add", "hexmirror.locks", "b/mix.lock"]);
    stage.git(&["config", "--add", "hexmirror.locks", "mix.lock"]);
    let ran = stage.run(&["status", "--json"]).exits(1);
    assert_eq!(ran.json()["locks"], serde_json::json!(["b/mix.lock", "mix.lock"]));
}

#[test]
fn tarballs_in_the_local_hex_cache_are_used_without_network() {
    let stage = Stage::new();
    for release in PINNED {
        let folder = stage.sandbox.path().join("hex/packages/hexpm");
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{}.tar", release.replace(' ', "-")));
        fs::write(file, &stage.registry.get(release).tarball).unwrap();
    }
    // One of the cached tarballs is damaged and is therefore downloaded.
    let damaged = stage.sandbox.path().join("hex/packages/hexpm/beta-0.3.0.tar");
    fs::write(&damaged, b"not a tarball").unwrap();
    let home = stage.sandbox.path().join("hex");
    stage.run_with(&["update"], &[("HEX_HOME", home.to_str().unwrap())]).ok();
    let tarballs: Vec<_> =
        stage.upstream.requests("*").into_iter().filter(|r| r.path().contains("/tarballs/")).collect();
    assert_eq!(tarballs.len(), 1, "{tarballs:?}");
    assert_eq!(tarballs[0].path(), "/tarballs/beta-0.3.0.tar");
    assert_eq!(fs::read(damaged).unwrap(), b"not a tarball", "the client's cache is not ours to mend");
    stage.run(&["verify"]).ok();
}

#[test]
fn a_proxy_of_the_environment_is_used() {
    let stage = Stage::new();
    let proxy = stage.upstream.url();
    let variables = [("http_proxy", proxy.as_str()), ("HEXMIRROR_URL", "http://hex.example")];
    stage.run_with(&["update"], &variables).ok();
    assert!(stage.upstream.requests("*").iter().all(|request| request.target.starts_with("http://hex.example/")));
}

#[test]
fn a_glob_is_bounded() {
    let stage = Stage::new();
    let nested = format!("{}{}", "{".repeat(50_000), "}".repeat(50_000));
    for glob in [nested, "x".repeat(5_000), "{a,b}/".repeat(17) + "mix.lock"] {
        let ran = stage.run(&["status", "--lock", &glob]).exits(2).says("the setting locks").says("the glob \"");
        assert!(ran.stderr.len() < 400, "{ran:?}");
    }
    stage.write(".hexmirror.toml", "locks = [\"{mix,rebar}.lock\"]\n");
    stage.run(&["status"]).exits(1);
}

/// The maximum length of a line of an error, in characters.
const MAX_LINE: usize = 500;

/// Checks that all lines of an error are short.
#[track_caller]
fn short(ran: Ran) -> Ran {
    assert!(ran.stderr.lines().count() < 12, "{} lines", ran.stderr.lines().count());
    for line in ran.stderr.lines() {
        assert!(line.chars().count() < MAX_LINE, "{}", line.chars().take(MAX_LINE).collect::<String>());
    }
    ran
}

#[test]
fn a_list_of_the_tracked_file_has_at_most_1000_values() {
    let stage = Stage::mirrored();
    let list = |value: &str, number: usize| {
        let values: Vec<String> =
            (0..number).map(|id| format!("\"{}\"", value.replace('#', &id.to_string()))).collect();
        format!("[{}]", values.join(","))
    };
    for (setting, value) in [("locks", "x#"), ("opaque", "x#"), ("submodules", "x#"), ("prune.keep_tags", "*a*b*%x#*c")]
    {
        let set = |number: usize| stage.write(".hexmirror.toml", &format!("{setting} = {}\n", list(value, number)));
        set(1001);
        let ran = stage.run(&["status"]).exits(2);
        short(ran).says(&format!("error: .hexmirror.toml: {setting} has more than 1000 values\n"));
        set(1000);
        let ran = short(stage.run(&["status"]).exits(if setting == "locks" { 2 } else { 0 }));
        if setting == "locks" {
            ran.says("no x0 and no x1 and no x2 and 997 more in ");
        }
    }
    // Together, globs may still be too large.
    stage.write(".hexmirror.toml", &format!("[prune]\nkeep_tags = {}\n", list(&"*ä?".repeat(100), 1000)));
    short(stage.run(&["prune", "--dry-run"]).exits(2)).says("the globs are too large or too many");
}

#[test]
fn an_error_names_the_tracked_file_and_quotes_little_of_it() {
    let stage = Stage::mirrored();
    let long = "x".repeat(500_000);
    for (toml, problem) in [
        (format!("{long} = 1"), ".hexmirror.toml:1:1\n"),
        (format!("jobs = \"{long}\""), ".hexmirror.toml:1:8\n"),
        (
            format!("branch = \"hexmirror{long}\""),
            "error: .hexmirror.toml: branch has a value of more than 1024 bytes\n",
        ),
        ("branch = \"hexmirror..\"".into(), "error: .hexmirror.toml: \"hexmirror..\" is not a valid name"),
        (format!("branch = \"hexmirror..{}\"", &long[..900]), "error: .hexmirror.toml: \"hexmirror..xxx"),
        (format!("locks = [\"{long}\"]"), "error: .hexmirror.toml: locks has a value of more than 1024 bytes\n"),
        (format!("locks = [\"{}[\"]", &long[..1000]), "error: locks of .hexmirror.toml: "),
        (format!("locks = [\"{}\"]", &long[..1000]), "xxx…xxx"),
        ("jobs = 0".into(), "error: .hexmirror.toml: the setting jobs: must be between 1 and 256\n"),
        ("opaque = [\"a b\"]".into(), "error: .hexmirror.toml: the setting opaque: "),
        (format!("[repositories.{long}]"), "error: .hexmirror.toml: the setting repositories: "),
        (format!("[repositories.a]\nurl = \"{long}\""), "error: .hexmirror.toml: repositories.a.url has a value of"),
        (format!("[repositories.a]\npublic_key = \"{long}\""), "error: .hexmirror.toml: repositories.a.public_key has"),
    ] {
        stage.write(".hexmirror.toml", &toml);
        let ran = stage.run(&["status"]);
        assert!(ran.code == Some(2) || ran.code == Some(5), "{ran:?}");
        short(ran).says(problem);
    }
    fs::remove_file(stage.project.join(".hexmirror.toml")).unwrap();
    short(stage.run_with(&["status"], &[("HEXMIRROR_JOBS", &long[..100_000])]).exits(2)).says("HEXMIRROR_JOBS: \"xxx");
}

#[test]
fn an_error_in_the_tracked_file_is_shown_in_lines_of_which_each_is_escaped() {
    let stage = Stage::mirrored();
    stage.write(".hexmirror.toml", "jobs = 2\n\"a\\nerror: b\" = \"\u{202e}\" # c\n");
    let ran = stage.run(&["status"]).exits(2);
    assert!(ran.stderr.starts_with("error: unknown field `a\\nerror: b`, expected one of "), "{ran:?}");
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(lines[1..4], [" --> .hexmirror.toml:2:1", "  |", "2 | \"a\\nerror: b\" = \"\\u{202e}\" # c"]);
    assert!(lines[4].starts_with("  | ^"), "{ran:?}");
    stage.write(".hexmirror.toml", "branch = \"\u{1b}[31m\"\n");
    stage.run(&["status"]).exits(2).says("\n1 | branch = \"\\u{1b}[31m\"\n  |");
}
