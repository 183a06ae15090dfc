//! Policies: where they are named, what is accepted from upstream, and that every command knows them.

use std::fs;

use git_hexmirror::hex::gzip::{gunzip, gzip};
use git_hexmirror::hex::registry::Signed;
use serde_json::json;

use crate::support::http::get;
use crate::support::registry::{key, other_key, policy};
use crate::support::stage::{Ran, Serving, Stage};
use crate::support::upstream::Fault;

const STRICT: &str = "hexpm:acme/strict";
const UPSTREAM: &str = "repos/acme/policies/strict";
const STORED: &str = "hex/hexpm:acme/registry/policies/strict";
const NAMED: [(&str, &str); 1] = [("HEX_POLICY", STRICT)];

fn mix_exs(hex: &str) -> String {
    format!(
        "defmodule A.MixProject do\n  use Mix.Project\n  def project, do: [app: :a, version: \"1.0.0\", {hex}]\nend\n"
    )
}

/// A project whose mirror has what its lock pins, and an upstream that also has a policy.
fn offered() -> Stage {
    let stage = Stage::mirrored();
    stage.upstream.put(UPSTREAM, &policy(STRICT, "one", key()));
    stage
}

/// A project whose mirror has the policy that its mix.exs names.
fn mirrored() -> Stage {
    let stage = offered();
    stage.write("mix.exs", &mix_exs("hex: [policy: [org: \"acme\", name: \"strict\"]]"));
    stage.run(&["update"]).ok();
    stage
}

fn stored(stage: &Stage) -> Vec<u8> {
    let mut command = stage.sandbox.command("git", &stage.project);
    command.args(["cat-file", "blob", &format!("hexmirror:{STORED}")]).output().unwrap().stdout
}

#[test]
fn a_policy_is_needed_wherever_hex_finds_it() {
    let stage = offered();
    let lacks = |ran: Ran| {
        ran.exits(1).prints("missing policy hexpm:acme/strict").says("run `git hexmirror update`");
    };
    stage.run(&["status"]).ok();
    lacks(stage.run_with(&["status"], &NAMED));
    stage.git(&["config", "hexmirror.policies", STRICT]);
    lacks(stage.run(&["status"]));
    stage.git(&["config", "--unset", "hexmirror.policies"]);
    stage.write(".hexmirror.toml", "policies = [\"hexpm:acme/strict\"]\n");
    lacks(stage.run(&["status"]));
    fs::remove_file(stage.project.join(".hexmirror.toml")).unwrap();
    let home = stage.sandbox.path().join("hex");
    fs::create_dir(&home).unwrap();
    fs::write(home.join("hex.config"), "{policy,<<\"hexpm:acme/strict\">>}.\n").unwrap();
    let home = ("HEX_HOME", home.to_str().unwrap());
    lacks(stage.run_with(&["status"], &[home]));
    // An empty variable turns policies off, as in Hex.
    stage.run_with(&["status"], &[home, ("HEX_POLICY", "")]).ok();
    for hex in ["hex: [policy: \"hexpm:acme/strict\"]", "hex: [policy: [org: \"acme\", name: \"strict\"]]"] {
        stage.write("mix.exs", &mix_exs(hex));
        lacks(stage.run(&["status"]));
        // What is computed is not evaluated.
        stage.write("mix.exs", &mix_exs(&hex.replace("policy: ", "policy: f() || ")));
        stage.run(&["status"]).ok();
    }
    stage.run_with(&["status"], &[("HEX_POLICY", "hexpm/strict")]).exits(2).says("HEX_POLICY").says("no policies");
    stage.git(&["config", "hexmirror.policies", "strict"]);
    stage.run(&["status"]).exits(2).says("the setting policies").says("expected REPOSITORY/NAME");
}

#[test]
fn without_a_policy_nothing_changes() {
    let stage = Stage::mirrored();
    stage.write("mix.exs", &mix_exs("deps: [{:b, \"1.0.0\", hex: :policy}]"));
    stage.run(&["update", "--refresh"]).ok();
    let asked = stage.upstream.requests("*");
    assert!(!asked.iter().any(|request| request.path().contains("policies")), "{asked:?}");
    assert_eq!(stage.paths().iter().filter(|path| path.contains("polic")).count(), 0);
    // Other clients do not know policies.
    fs::rename(stage.project.join("mix.lock"), stage.sandbox.path().join("mix.lock")).unwrap();
    stage.write("rebar.lock", &stage.registry.rebar_lock(&["alpha 1.0.0"]));
    stage.run_with(&["status"], &NAMED).ok();
}

#[test]
fn a_policy_is_stored_and_served_and_exported_as_signed() {
    let stage = offered();
    let dry = stage.run_with(&["update", "--dry-run"], &NAMED).exits(1);
    dry.prints("0 releases and 1 policy would be fetched").prints("missing policy hexpm:acme/strict");
    let update = stage.run_with(&["update", "--json"], &NAMED).ok().json();
    assert_eq!(update["policies"], json!([STRICT]));
    let signed = gunzip(&policy(STRICT, "one", key()), 1 << 20).unwrap();
    assert_eq!(stored(&stage), signed);
    assert_eq!(stage.git(&["log", "-1", "--format=%s", "hexmirror"]), "Fetch 1 policy: hexpm:acme/strict");
    stage.run_with(&["status"], &NAMED).ok();
    stage.run(&["verify"]).ok().says("1 policy");
    stage.run(&["list", "strict"]).ok().prints("hexpm:acme/strict");
    let listed = stage.run(&["list", "--json", STRICT]).ok().json();
    assert_eq!((&listed[0]["kind"], &listed[0]["name"]), (&json!("policy"), &json!("strict")));
    let serving = Serving::start(&mut stage.command(&["serve", "--listen", "127.0.0.1:0"]));
    let answer = get(serving.authority(), &format!("/{UPSTREAM}"));
    assert_eq!((answer.status, gunzip(&answer.body, 1 << 20).unwrap()), (200, signed.clone()));
    assert_eq!(get(serving.authority(), "/repos/acme/policies/other").status, 404);
    drop(serving);
    stage.run(&["export", "../www"]).ok();
    let exported = fs::read(stage.sandbox.path().join("www").join(UPSTREAM)).unwrap();
    assert_eq!(gunzip(&exported, 1 << 20).unwrap(), signed);
    // Nothing is fetched twice.
    let asked = stage.upstream.count("*");
    stage.run_with(&["update"], &NAMED).ok().says("nothing to do");
    assert_eq!(stage.upstream.count("*"), asked);
}

#[test]
fn a_policy_that_its_repository_did_not_sign_is_refused() {
    let stage = offered();
    let before = stage.tip();
    let unsigned = {
        let signed = Signed::decode(&gunzip(&policy(STRICT, "one", key()), 1 << 20).unwrap()).unwrap();
        let payload = signed.unverified_payload();
        gzip(&[&[0x0a, u8::try_from(payload.len()).unwrap()], payload].concat())
    };
    for (problem, forged) in [
        ("not signed with the repository's key", policy(STRICT, "one", other_key())),
        ("not signed with the repository's key", unsigned),
        ("it is the policy \"lax\", not \"strict\"", policy("hexpm:acme/lax", "one", key())),
        ("it is for the repository \"corp\", not \"acme\"", policy("hexpm:corp/strict", "one", key())),
        ("it is not a Signed message", gzip(b"\xff\xff")),
    ] {
        stage.upstream.put(UPSTREAM, &forged);
        for options in [&["update"][..], &["update", "--keep-going"]] {
            let ran = stage.run_with(options, &NAMED).exits(4);
            ran.says("refused the policy hexpm:acme/strict").says(problem);
            assert_eq!(stage.tip(), before, "{problem}");
        }
    }
    // The policy may be missing, or need another key.
    fs::remove_file(stage.sandbox.path().join("upstream").join(UPSTREAM)).unwrap();
    stage.run_with(&["update"], &NAMED).exits(3).says("/repos/acme/policies/strict");
    stage.upstream.put(UPSTREAM, &policy(STRICT, "one", key()));
    stage.upstream.fail(&format!("/{UPSTREAM}"), 1, Fault::Status(401, None));
    stage.run_with(&["update"], &NAMED).exits(3).says("/repos/acme/policies/strict");
    assert_eq!(stage.tip(), before);
    stage.run_with(&["update"], &NAMED).ok();
}

#[test]
fn a_new_policy_is_fetched_on_request() {
    let stage = mirrored();
    stage.upstream.put(UPSTREAM, &policy(STRICT, "two", key()));
    stage.run(&["update"]).ok().says("nothing to do");
    stage.run(&["update", "--refresh"]).ok().says("policy hexpm:acme/strict");
    assert_eq!(stored(&stage), gunzip(&policy(STRICT, "two", key()), 1 << 20).unwrap());
}

#[test]
fn prune_keeps_what_any_branch_names() {
    let stage = mirrored();
    let commit = |message: &str| {
        stage.git(&["add", "--all"]);
        stage.git(&["commit", "--quiet", "--message", message]);
    };
    commit("Policy");
    stage.git(&["switch", "--quiet", "--create", "other"]);
    stage.write("mix.exs", &mix_exs("deps: []"));
    commit("No policy");
    let prune = ["prune", "--keep-days", "0", "--json"];
    assert_eq!(stage.run(&prune).ok().json()["policies"], json!([]));
    stage.git(&["branch", "--quiet", "--force", "main", "other"]);
    stage.git(&["branch", "--quiet", "--force", "master", "other"]);
    assert_eq!(stage.run_with(&prune, &NAMED).ok().json()["policies"], json!([]));
    let dry = [&prune[..], &["--dry-run"]].concat();
    assert_eq!(stage.run(&dry).ok().json()["policies"], json!([STRICT]));
    stage.run(&prune[..3]).ok().says("- policy hexpm:acme/strict").says("1 policy");
    assert_eq!(stage.paths().iter().filter(|path| path.contains("polic")).count(), 0);
    stage.run(&["verify"]).ok();
    stage.run_with(&["status"], &NAMED).exits(1);
}

#[test]
fn a_repair_restores_it() {
    let stage = mirrored();
    let blob = stage.git(&["rev-parse", &format!("hexmirror:{STORED}")]);
    // The object is in a pack of this program, which is replaced by loose objects without it.
    let packs = stage.project.join(".git/objects/pack");
    let moved = stage.sandbox.path().join("packs");
    fs::rename(&packs, &moved).unwrap();
    fs::create_dir(&packs).unwrap();
    for entry in fs::read_dir(&moved).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "pack") {
            let pack = fs::File::open(path).unwrap();
            let mut command = stage.sandbox.command("git", &stage.project);
            assert!(command.args(["unpack-objects", "-q"]).stdin(pack).status().unwrap().success());
        }
    }
    fs::remove_file(stage.project.join(format!(".git/objects/{}/{}", &blob[..2], &blob[2..]))).unwrap();
    stage.run(&["verify"]).exits(1).prints(STORED);
    let tip = stage.tip();
    stage.run(&["update", "--repair"]).ok().says("restored policy hexpm:acme/strict");
    assert_eq!(stage.tip(), tip);
    stage.run(&["verify"]).ok();
}

#[cfg(unix)]
#[test]
fn a_mix_exs_is_neither_run_nor_followed() {
    let stage = Stage::mirrored();
    let (mix_exs_file, ran) = (stage.project.join("mix.exs"), stage.sandbox.path().join("ran"));
    let secret = stage.sandbox.path().join("secret.exs");
    fs::write(&secret, mix_exs("hex: [policy: \"hexpm:acme/strict\"]")).unwrap();
    for trap in ["code", "fifo", "link", "large"] {
        match trap {
            "code" => fs::write(&mix_exs_file, format!("File.write!({ran:?}, \"\")\n[hex: [policy: f()]]")).unwrap(),
            "fifo" => assert!(std::process::Command::new("mkfifo").arg(&mix_exs_file).status().unwrap().success()),
            "link" => std::os::unix::fs::symlink(&secret, &mix_exs_file).unwrap(),
            _ => fs::File::create(&mix_exs_file).unwrap().set_len(1 << 30).unwrap(),
        }
        stage.run(&["status"]).ok();
        assert!(!ran.exists(), "{trap}");
        fs::remove_file(&mix_exs_file).unwrap();
    }
}
