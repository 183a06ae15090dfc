//! Where settings come from, and which of them counts.

use std::fs;

use crate::support::registry::{Registry, key, other_key};
use crate::support::stage::{PINNED, Ran, Stage};
use crate::support::upstream::Fault;

#[test]
fn the_branch_is_named_by_flag_then_environment_then_git_then_the_tracked_file() {
    let stage = Stage::new();
    let made = |name: &str| stage.tip_of(&format!("refs/heads/{name}")).is_some();
    stage.write(".hexmirror.toml", "branch = \"of-file\"\n");
    stage.run(&["init"]).ok().says("of-file");
    assert!(made("of-file"));
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
fn the_address_and_the_key_of_a_repository() {
    let stage = Stage::new();
    let bare = |arguments: &[&str]| Ran::of(&mut stage.bare_command_in(&stage.project, arguments));
    let file = format!("[repositories.hexpm]\nurl = \"{}\"\npublic_key = \"keys/hexpm.pem\"\n", stage.upstream.url());
    stage.write(".hexmirror.toml", &file);
    bare(&["update"]).exits(2).says("keys/hexpm.pem");
    stage.write("keys/hexpm.pem", &key().public_key().to_pem());
    bare(&["update"]).ok();
    // git's settings count more, and a key may stand there as it is.
    stage.git(&["config", "hexmirror.hexpm.publicKey", &other_key().public_key().to_pem()]);
    let ran = bare(&["update", "--refresh"]).exits(4).says("its signature is not that of the repository's key");
    // One wrong key is one line, whatever it is the key of.
    assert_eq!(ran.stderr.matches("its signature").count(), 1, "{ran:?}");
    assert!(ran.stderr.contains("the registry entries of alpha, beta, delta and 1 more are refused"), "{ran:?}");
    stage.run(&["update", "--refresh"]).ok();
    stage.git(&["config", "--unset", "hexmirror.hexpm.publicKey"]);
    stage.git(&["config", "hexmirror.hexpm.url", "http://127.0.0.1:1"]);
    bare(&["update", "--refresh"]).exits(3).says("127.0.0.1:1");
}

#[test]
fn hexs_own_mirror_setting_counts() {
    let stage = Stage::new();
    let mut command = stage.bare_command_in(&stage.project, &["update"]);
    command.env("HEX_MIRROR", stage.upstream.url()).env("HEXMIRROR_PUBLIC_KEY", stage.sandbox.path().join("hexpm.pem"));
    Ran::of(&mut command).ok();
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let stage = Stage::new();
    stage.run_with(&["update"], &[("HEXMIRROR_JOBS", "many")]).exits(2).says("HEXMIRROR_JOBS");
    stage.run_with(&["update"], &[("HEXMIRROR_TIMEOUT", "soon")]).exits(2).says("HEXMIRROR_TIMEOUT");
    stage.run_with(&["update"], &[("HEXMIRROR_TIMEOUT", "0")]).exits(2).says("the timeout");
    stage.run_with(&["update"], &[("HEXMIRROR_URL", "ftp://example.com")]).exits(2).says("address");
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
    stage.run(&["status"]).exits(2).says("there is no mix.lock or rebar.lock");
    stage.run(&["update", "--lock", "**/mix.lock"]).ok();
    stage.run(&["status", "--lock", "apps/*/mix.lock"]).ok().prints("2 releases");
    stage.run_with(&["status"], &[("HEXMIRROR_LOCKS", "apps/one/mix.lock")]).ok().prints("1 release");
    stage.run(&["status", "--lock", "nowhere/*.lock"]).exits(2).says("nowhere/*.lock");
}

#[test]
fn every_lock_that_is_named_has_to_be_there() {
    let stage = Stage::mirrored();
    stage.write("apps/one/mix.lock", &stage.registry.mix_lock(&PINNED[..1]));
    for command in ["status", "diff", "update", "verify", "lock"] {
        let named = ["--lock", "mix.lock", "--lock", "nothing/mix.lock"];
        stage.run(&[&[command], &named[..]].concat()).exits(2).says("there is no nothing/mix.lock in");
        let matched = ["--lock", "apps/*/mix.lock", "--lock", "nowhere/*.lock", "--lock", "no.lock"];
        stage.run(&[&[command], &matched[..]].concat()).exits(2).says("there is no nowhere/*.lock, no no.lock in");
    }
    stage.run(&["status", "--lock", "apps/*/mix.lock", "--lock", "mix.lock"]).ok().prints("3 releases");
    // In a bare repository it is the same.
    stage.git(&["add", "mix.lock"]);
    stage.git(&["commit", "--quiet", "--message=Lock"]);
    stage.sandbox.git("", &["clone", "--quiet", "--bare", "project", "bare.git"]);
    stage.run_in("bare.git", &["status", "--lock", "mix.lock", "--lock", "x/*.lock"]).exits(2).says("no x/*.lock");
    stage.run_in("bare.git", &["status", "--lock", "*.lock"]).ok();
}

#[test]
fn a_dot_in_front_of_a_lock_means_the_root() {
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
    // Other commits than the one that is checked out are searched by pattern.
    let dropped = stage.run(&["prune", "--keep-days=0", "--json"]).ok().json();
    assert_eq!(dropped["releases"], serde_json::json!([]));
    stage.run(&["status"]).ok();
}

#[test]
fn all_values_of_a_setting_with_several_count() {
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
    // One of them is damaged: that one is fetched.
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

/// Writes a configuration as `mix hex.organization auth` and `mix hex.repo add` do, and returns its folder.
fn hex_home(stage: &Stage, repositories: &str) -> String {
    let home = stage.sandbox.path().join("hex");
    fs::create_dir_all(&home).unwrap();
    fs::write(home.join("hex.config"), format!("{{'$repos',#{{{repositories}}}}}.\n")).unwrap();
    home.to_str().unwrap().to_owned()
}

#[test]
fn an_organisations_key_is_sent_to_its_repository_only() {
    let stage = Stage::new();
    stage.lock(&["alpha 1.0.0", "hexpm:acme/secret 0.1.0"]);
    stage.upstream.require_key("/repos/acme/", "top-secret");
    let ran = stage.run(&["update"]).exits(3).says("refused access").says("mix hex.organization auth");
    assert!(!ran.stderr.contains("top-secret"));
    assert_eq!(stage.tip(), None);
    let home = hex_home(&stage, "<<\"hexpm:acme\">> => #{auth_key => <<\"top-secret\">>}");
    stage.run_with(&["update"], &[("HEX_HOME", &home)]).ok();
    let asked = stage.upstream.requests("*");
    assert!(asked.iter().any(|request| request.header("authorization") == Some("top-secret")));
    for request in asked.iter().filter(|request| !request.path().starts_with("/repos/acme/")) {
        assert_eq!(request.header("authorization"), None, "{request:?}");
    }
    stage.run(&["verify"]).ok();
    let everything = stage.git(&["log", "-p", "hexmirror"]);
    assert!(!everything.contains("top-secret"));
}

#[test]
fn the_key_of_hexpm_is_for_it_and_its_organisations_as_hex_has_it() {
    let mut registry = Registry::sample();
    registry.publish("other/thing 1.0.0", &[], &[("a.ex".into(), "a".into())]);
    let stage = Stage::with(registry.clone(), &["alpha 1.0.0", "hexpm:acme/secret 0.1.0", "other/thing 1.0.0"]);
    // A self-hosted repository, elsewhere; its files are not below a folder of its name.
    let other = Stage::without_lock(registry);
    let published = other.registry.get("other/thing 1.0.0");
    other.upstream.put("tarballs/thing-1.0.0.tar", &published.tarball);
    let key = other.sandbox.path().join("hexpm.pem");
    stage.git(&["config", "hexmirror.other.url", &other.upstream.url()]);
    stage.git(&["config", "hexmirror.other.publicKey", key.to_str().unwrap()]);
    stage.run_with(&["update"], &[("HEX_REPOS_KEY", "top-secret")]).ok();
    assert!(stage.upstream.requests("*").iter().all(|request| request.header("authorization") == Some("top-secret")));
    let asked = other.upstream.requests("*");
    assert!(asked.len() == 2 && asked.iter().all(|request| request.header("authorization").is_none()), "{asked:?}");
    stage.run(&["verify"]).ok();
}

#[test]
fn a_key_goes_nowhere_that_only_the_tracked_file_names() {
    let stage = Stage::new();
    stage.lock(&["hexpm:acme/secret 0.1.0"]);
    stage.write(".hexmirror.toml", &format!("[repositories.hexpm]\nurl = \"{}\"\n", stage.upstream.url()));
    let mut command = stage.bare_command_in(&stage.project, &["update"]);
    command.env("HEX_REPOS_KEY", "top-secret").env("HEXMIRROR_PUBLIC_KEY", stage.sandbox.path().join("hexpm.pem"));
    Ran::of(&mut command).ok();
    assert!(stage.upstream.count("/repos/acme/packages/secret") > 0);
    assert!(stage.upstream.requests("*").iter().all(|request| request.header("authorization").is_none()));
}

#[test]
fn a_key_does_not_follow_a_redirect() {
    let stage = Stage::new();
    let elsewhere = Stage::new();
    stage.lock(&["hexpm:acme/secret 0.1.0"]);
    let to = format!("{}/repos/acme/tarballs/secret-0.1.0.tar", elsewhere.upstream.url());
    stage.upstream.fail("/repos/acme/tarballs/secret-0.1.0.tar", 1, Fault::Redirect(302, to));
    stage.run_with(&["update"], &[("HEX_REPOS_KEY", "top-secret")]).ok();
    let asked = elsewhere.upstream.requests("*");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("authorization"), None);
}

#[test]
fn a_proxy_of_the_environment_is_used() {
    let stage = Stage::new();
    let proxy = stage.upstream.url();
    let variables = [("http_proxy", proxy.as_str()), ("HEXMIRROR_URL", "http://hex.example")];
    stage.run_with(&["update"], &variables).ok();
    assert!(stage.upstream.requests("*").iter().all(|request| request.target.starts_with("http://hex.example/")));
}
