//! Which settings of `.hexmirror.toml` take effect: harmless ones, and those that the user has allowed.

use std::fs;

use serde_json::{Value, json};

use crate::support::registry::{Registry, key, other_key};
use crate::support::stage::{Ran, Stage};

const INACTIVE: &str = "inactive until you allow them";
const WRONG: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Settings that point to the stage's own upstream, as a company would commit them.
fn settings(stage: &Stage) -> String {
    format!("[repositories.hexpm]\nurl = \"{}\"\npublic_key = \"hex.pem\"\n", stage.upstream.url())
}

/// A project that only knows its upstream from its tracked settings.
fn company() -> Stage {
    let stage = Stage::new();
    stage.write(".hexmirror.toml", &settings(&stage));
    stage.write("hex.pem", &key().public_key().to_pem());
    stage
}

/// Runs the program without any other settings. Its requests to hex.pm fail.
fn run(stage: &Stage, arguments: &[&str]) -> Ran {
    run_with(stage, arguments, &[])
}

fn run_with(stage: &Stage, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command = stage.bare_command_in(&stage.project, arguments);
    command.env("https_proxy", "http://127.0.0.1:1").env("__HEXMIRROR_TEST_RETRY_PAUSE_MS", "1");
    Ran::of(command.envs(variables.iter().copied()))
}

fn hash(stage: &Stage) -> String {
    run(stage, &["trust", "--json"]).ok().json()["hash"].as_str().expect("a hash").to_owned()
}

#[test]
fn trust_shows_what_it_would_allow_and_records_exactly_that() {
    let stage = company();
    let ran = run(&stage, &["trust"]).ok();
    let url = stage.upstream.url();
    assert!(ran.stdout.starts_with(&format!("repositories.hexpm.url = \"{url}\" (inactive)\n")), "{ran:?}");
    let ran = ran
        .prints("repositories.hexpm.public_key = \"hex.pem\" (inactive)")
        .prints(&key().public_key().fingerprint().to_string());
    ran.prints(&format!("hash: {}\n", hash(&stage))).says("git hexmirror trust --yes");
    // Showing the settings does not allow them.
    run(&stage, &["update"]).exits(3).says(INACTIVE);
    assert_eq!((stage.upstream.connections(), stage.tip()), (0, None));
    run(&stage, &["trust", "--yes"]).ok().says("allowed these settings");
    assert_eq!(stage.git(&["config", "--local", "--get-all", "hexmirror.trust"]), hash(&stage));
    assert_eq!(
        stage.sandbox.try_git(&stage.project, &["config", "--global", "hexmirror.trust"]).status.code(),
        Some(1)
    );
    let ran = run(&stage, &["update"]).ok();
    assert!(!ran.stderr.contains("inactive"), "{ran:?}");
    // Allowing them once suffices.
    run(&stage, &["trust", "--yes"]).ok().says("git's setting hexmirror.trust allows these settings");
    assert_eq!(stage.git(&["config", "--get-all", "hexmirror.trust"]).lines().count(), 1);
    run(&stage, &["trust", "--revoke"]).ok().says("removed 1 recorded hash").prints("(inactive)");
    // Clients would need the key.
    run(&stage, &["status"]).exits(4).says(INACTIVE);
    run(&stage, &["trust", "--revoke"]).ok().says("nothing to revoke");
    run(&stage, &["trust", "--revoke", "--yes"]).exits(2);
}

#[test]
fn a_change_of_what_was_allowed_makes_it_inactive_again_and_no_other_change_does() {
    let stage = company();
    run(&stage, &["trust", "--yes"]).ok();
    let inactive = || run(&stage, &["status"]).stderr.contains(INACTIVE);
    assert!(!inactive());
    let base = settings(&stage);
    stage.write(".hexmirror.toml", &format!("jobs = 2\n# A comment.\n{base}[prune]\nkeep_days = 90\n"));
    assert!(!inactive());
    for changed in [
        base.replace("127.0.0.1", "127.0.0.2"),
        base.replace("hex.pem", "./hex.pem"),
        format!("{base}[hooks]\npost_checkout = \"pull\"\n"),
        base.lines().take(2).collect::<Vec<_>>().join("\n"),
    ] {
        stage.write(".hexmirror.toml", &changed);
        assert!(inactive(), "{changed}");
        run(&stage, &["trust"]).ok().says("have changed since you allowed them");
    }
    stage.write(".hexmirror.toml", &base);
    assert!(!inactive());
    // The contents of the key file count, even if its name does not change.
    stage.write("hex.pem", &other_key().public_key().to_pem());
    assert!(inactive());
    run(&stage, &["update"]).exits(3);
    assert_eq!(stage.upstream.connections(), 0);
    // Settings that cannot be shown cannot be allowed.
    fs::remove_file(stage.project.join("hex.pem")).unwrap();
    run(&stage, &["trust"]).ok().prints("(hex.pem does not exist)");
    run(&stage, &["trust", "--yes"]).exits(2).says("hex.pem does not exist");
}

#[test]
fn ci_allows_by_a_variable() {
    let stage = company();
    let hash = hash(&stage);
    let update = |trust: &str| run_with(&stage, &["update"], &[("HEXMIRROR_TRUST", trust)]);
    update(WRONG).exits(3).says(INACTIVE);
    update("yes").exits(2).says("HEXMIRROR_TRUST").says("not a hash printed by `git hexmirror trust`");
    assert_eq!(stage.upstream.connections(), 0);
    run_with(&stage, &["trust"], &[("HEXMIRROR_TRUST", &hash)]).ok().says("HEXMIRROR_TRUST allows these settings");
    update(&format!("{WRONG} {}", hash.to_uppercase())).ok();
    // This records nothing.
    run(&stage, &["status"]).exits(4).says(INACTIVE);
    stage.git(&["config", "hexmirror.trust", "true"]);
    run(&stage, &["status"]).exits(2).says("hexmirror.trust");
}

#[test]
fn the_users_own_settings_override_allowed_ones() {
    let stage = company();
    run(&stage, &["trust", "--yes"]).ok();
    let before = hash(&stage);
    stage.git(&["config", "hexmirror.hexpm.url", "http://127.0.0.1:1"]);
    run(&stage, &["update"]).exits(3).says("127.0.0.1:1");
    // The permission is also valid for users without such settings, such as CI.
    assert_eq!(hash(&stage), before);
    run(&stage, &["trust"]).ok().prints("(overridden)").prints("(allowed)");
    stage.git(&["config", "--unset", "hexmirror.hexpm.url"]);
    for variable in ["HEX_MIRROR", "HEX_TRUSTED_MIRROR_URL", "HEXMIRROR_URL"] {
        run_with(&stage, &["update"], &[(variable, "http://127.0.0.1:1")]).exits(3).says("127.0.0.1:1");
    }
    assert_eq!(stage.upstream.connections(), 0);
    run(&stage, &["update"]).ok();
}

/// Writes the Hex client's configuration and returns its folder.
fn hex_home(stage: &Stage, repositories: &str) -> String {
    let home = stage.sandbox.path().join("hex");
    fs::create_dir_all(&home).unwrap();
    fs::write(home.join("hex.config"), format!("{{'$repos',#{{{repositories}}}}}.\n")).unwrap();
    home.to_str().unwrap().to_owned()
}

#[test]
fn a_repository_that_hex_knows_is_not_described_anew() {
    let mut registry = Registry::sample();
    registry.publish("other/thing 1.0.0", &[], &[("a.ex".into(), "a".into())]);
    let stage = Stage::with(registry, &["other/thing 1.0.0"]);
    let hostile = Stage::without_lock(Registry::sample());
    stage.write("evil.pem", &other_key().public_key().to_pem());
    let tracked = |url: &str, key: &str| {
        stage.write(".hexmirror.toml", &format!("[repositories.other]\nurl = \"{url}\"\npublic_key = \"{key}\"\n"));
    };
    tracked(&hostile.upstream.url(), "evil.pem");
    let url = stage.upstream.url();
    let pem = key().public_key().to_pem().replace('\n', "\\n");
    let known = format!("<<\"other\">> => #{{url => <<\"{url}\">>, public_key => <<\"{pem}\">>}}");
    let home = hex_home(&stage, &known);
    // Hex knows both the address and the key: they take precedence, and there is nothing to allow.
    let ran = run_with(&stage, &["update"], &[("HEX_HOME", &home)]).ok();
    assert!(!ran.stderr.contains("inactive"), "{ran:?}");
    // Hex knows a key of the user's for the repository, or one of its organisations.
    for known in ["<<\"other\">> => #{auth_key => <<\"k\">>}", "<<\"other:x\">> => #{url => <<\"https://x.example\">>}"]
    {
        let home = hex_home(&stage, known);
        let ran = run_with(&stage, &["update", "--refresh"], &[("HEX_HOME", &home)]).exits(2).says(INACTIVE);
        assert!(ran.stderr.contains("repositories.other.url, repositories.other.public_key"), "{ran:?}");
    }
    // If Hex's configuration cannot be read, Hex may know the repository.
    let home = hex_home(&stage, "<<\"broken");
    run_with(&stage, &["status"], &[("HEX_HOME", &home)]).exits(2).says(INACTIVE);
    assert_eq!(hostile.upstream.connections(), 0);
    // Nothing else configures the repository, so the file determines its address.
    stage.write("good.pem", &key().public_key().to_pem());
    tracked(&stage.upstream.url(), "good.pem");
    let ran = run_with(&stage, &["update", "--refresh"], &[]).ok();
    assert!(!ran.stderr.contains("inactive"), "{ran:?}");
}

#[test]
fn an_organisation_that_hex_knows_does_not_move_with_its_repository() {
    let stage = Stage::new();
    stage.lock(&["hexpm:acme/secret 0.1.0"]);
    let elsewhere = Stage::without_lock(Registry::sample());
    let file = settings(&stage).replace(&stage.upstream.url(), &elsewhere.upstream.url());
    stage.write(".hexmirror.toml", &file);
    stage.write("hex.pem", &key().public_key().to_pem());
    run(&stage, &["trust", "--yes"]).ok();
    let url = format!("{}/repos/acme", stage.upstream.url());
    let home = hex_home(&stage, &format!("<<\"hexpm:acme\">> => #{{url => <<\"{url}\">>}}"));
    run_with(&stage, &["update"], &[("HEX_HOME", &home)]).ok();
    let of_organisation = |stage: &Stage| {
        stage.upstream.requests("*").iter().filter(|request| request.path().starts_with("/repos/acme/")).count()
    };
    assert!(of_organisation(&stage) > 0);
    assert_eq!(of_organisation(&elsewhere), 0);
}

#[test]
fn prune_keeps_at_least_as_long_as_by_default() {
    let stage = Stage::mirrored();
    stage.git(&["add", "--all"]);
    stage.git(&["commit", "--quiet", "--message=Lock"]);
    let days = || stage.run(&["prune", "--dry-run", "--json"]).ok().json()["keep_days"].clone();
    stage.write(".hexmirror.toml", "[prune]\nkeep_days = 0\n");
    assert_eq!(days(), json!(30));
    stage.run(&["trust", "--yes"]).ok();
    assert_eq!(days(), json!(0));
    stage.write(".hexmirror.toml", "[prune]\nkeep_days = 90\n");
    assert_eq!(days(), json!(90));
}

#[test]
fn inactive_settings_are_named_once_and_escaped() {
    let stage = Stage::mirrored();
    stage.write(
        ".hexmirror.toml",
        "branch = \"x\\u001b[2J\\u202e\"\n[hooks]\npost_checkout = \"update\"\n[prune]\nkeep_days = 1\n\
         [repositories.'hexpm:acme']\nurl = \"https://user:secret@evil.example/\"\n",
    );
    let line = "warning: branch, hooks.post_checkout, prune.keep_days and 1 more in .hexmirror.toml are inactive";
    for command in ["status", "lock", "verify", "diff"] {
        let ran = stage.run(&[command]).ok();
        assert_eq!(ran.stderr.lines().filter(|said| said.starts_with(line)).count(), 1, "{ran:?}");
    }
    stage.run(&["status", "--quiet"]).ok().silent();
    for arguments in
        [&["trust"][..], &["trust", "--json"], &["status", "--settings"], &["status", "--settings", "--json"]]
    {
        let ran = stage.run(arguments).ok();
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!said.contains("secret") && !said.contains('\u{1b}') && !ran.stderr.contains('\u{202e}'), "{ran:?}");
        assert!(said.contains("https://***@evil.example/"), "{ran:?}");
    }
    stage.run(&["trust"]).ok().prints(r#"branch = "x\u{1b}[2J\u{202e}" (inactive)"#);
}

#[test]
fn trust_in_a_bare_repository_in_a_worktree_and_in_none() {
    let stage = company();
    stage.git(&["add", "--all"]);
    stage.git(&["commit", "--quiet", "--message=Settings"]);
    stage.sandbox.git("", &["clone", "--quiet", "--bare", "project", "bare.git"]);
    let bare = |arguments: &[&str]| Ran::of(&mut stage.bare_command_in("bare.git", arguments));
    // The settings and the key file are those of HEAD.
    assert_eq!(bare(&["trust", "--json"]).ok().json()["hash"], json!(hash(&stage)));
    bare(&["trust", "--yes"]).ok();
    bare(&["update"]).ok();
    stage.git(&["worktree", "add", "--quiet", "--detach", "../linked"]);
    let from_here = |arguments: &[&str]| run(&stage, &[&["-C", "../linked"], arguments].concat());
    from_here(&["trust", "--yes"]).ok();
    // All worktrees share git's configuration.
    let ran = run(&stage, &["update"]).ok();
    assert!(!ran.stderr.contains("inactive"), "{ran:?}");
    run(&stage, &["-C", "nowhere", "trust"]).exits(2).says("nowhere does not exist");
    run(&stage, &["-C", "..", "trust", "--yes"]).exits(5).says("git init");
    let none = Stage::new();
    none.run(&["trust"]).ok().prints("has no setting that needs your permission");
    none.run(&["trust", "--yes"]).ok();
    none.run(&["trust", "--revoke", "--json"]).ok();
    assert_eq!(none.sandbox.try_git(&none.project, &["config", "hexmirror.trust"]).status.code(), Some(1));
}

#[test]
fn settings_are_listed_with_their_origins() {
    let stage = Stage::mirrored();
    stage.git(&["config", "hexmirror.timeout", "20"]);
    stage.git(&["config", "hexmirror.jobs", "5"]);
    stage.git(&["config", "hexmirror.acme.url", "https://user:secret@acme.example"]);
    stage.write(
        ".hexmirror.toml",
        "branch = \"main\"\ntimeout = 10\nlocks = [\"mix.lock\"]\n[prune]\nkeep_tags = [\"v*\", \"w\"]\n",
    );
    let home = hex_home(&stage, "<<\"own\">> => #{url => <<\"https://own.example\">>}");
    let variables = [("HEX_HTTP_CONCURRENCY", "3"), ("HEX_HOME", &*home)];
    let document = stage.run_with(&["status", "--settings", "--json"], &variables).ok().json();
    let listed = |name: &str| -> Vec<Value> {
        let settings = document["settings"].as_array().unwrap().iter();
        let of_name = settings.filter(|setting| setting["name"] == name);
        of_name.map(|setting| json!([setting["value"], setting["origin"]["kind"], setting["state"]])).collect()
    };
    assert_eq!(listed("branch"), [json!(["main", "tracked", "inactive"]), json!(["hexmirror", "default", "active"])]);
    assert_eq!(listed("timeout"), [json!([20, "git", "active"]), json!([10, "tracked", "overridden"])]);
    assert_eq!(listed("jobs"), [json!([3, "environment", "active"]), json!([5, "git", "overridden"])]);
    assert_eq!(listed("locks"), [json!([["mix.lock"], "tracked", "active"])]);
    assert_eq!(listed("repositories.acme.url"), [json!(["https://***@acme.example", "git", "active"])]);
    assert_eq!(listed("repositories.own.url"), [json!(["https://own.example/", "hex", "active"])]);
    assert_eq!(listed("prune.keep_days"), [json!([30, "default", "active"])]);
    let ran = stage.run_with(&["status", "--settings", "--branch=hexmirror"], &variables).ok();
    let lines: Vec<String> =
        ran.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let config = stage.project.join(".git/config");
    for line in [
        "--branch branch=\"hexmirror\"",
        ".hexmirror.toml branch=\"main\" (overridden)",
        "HEX_HTTP_CONCURRENCY jobs=3",
        &format!("local file:{} timeout=20", config.display()),
        ".hexmirror.toml prune.keep_tags=[\"v*\", \"w\"]",
        "default hooks.post_checkout=\"notify\"",
        &format!("HEXMIRROR_URL repositories.hexpm.url={:?}", stage.upstream.url()),
        "hex.config repositories.own.url=\"https://own.example/\"",
    ] {
        assert!(lines.iter().any(|listed| listed == line), "{line}: {ran:?}");
    }
    // This requires neither a mirror nor a lock.
    let empty = Stage::without_lock(Registry::sample());
    empty.run(&["status", "--settings"]).ok().prints("default");
}
