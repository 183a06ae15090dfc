//! The check of a clone's setup.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use crate::support::stage::{Ran, Stage};

/// A project with hooks whose mirror is fresh and pushed, so that nothing needs doing.
fn healthy() -> Stage {
    let stage = Stage::new();
    stage.git(&["add", "mix.lock"]);
    stage.git(&["commit", "--quiet", "--message", "Begin"]);
    stage.sandbox.git("", &["init", "--quiet", "--bare", "remote.git"]);
    let remote = stage.sandbox.path().join("remote.git");
    stage.git(&["remote", "add", "origin", remote.to_str().unwrap()]);
    stage.run(&["init"]).ok();
    stage.run(&["update"]).ok();
    stage.run(&["push"]).ok();
    stage
}

/// Returns what needs doing: topics with what to do.
#[track_caller]
fn to_do(ran: &Ran) -> Vec<(String, String)> {
    let document: Value = ran.json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let findings = document["findings"].as_array().unwrap().iter();
    let found: Vec<_> = findings
        .filter(|finding| finding["state"] == "todo")
        .map(|finding| (text(&finding["topic"]), text(&finding["do"])))
        .collect();
    assert_eq!((document["ok"].as_bool().unwrap(), ran.code), (found.is_empty(), Some(i32::from(!found.is_empty()))));
    found
}

#[track_caller]
fn only(stage: &Stage, topic: &str, action: &str) {
    let found = to_do(&stage.run(&["doctor", "--json"]));
    assert!(matches!(&found[..], [(of, what)] if of == topic && what.contains(action)), "{found:?}");
}

#[test]
fn nothing_needs_doing_in_a_healthy_clone() {
    let stage = healthy();
    let ran = stage.run(&["doctor"]).ok().says("nothing needs doing");
    let git = stage.git(&["version"]).replace("git version ", "git ");
    for text in [
        git.trim(),
        "the mirror has everything for mix.lock",
        "the local hexmirror is at ",
        "(read)",
        "origin's hexmirror, as last fetched, is at ",
        "origin: ",
        "pre-push, post-checkout, post-merge, post-rewrite call git hexmirror",
        "repositories.hexpm.url=",
        "(HEXMIRROR_URL)",
        "hexpm: http://127.0.0.1:",
        "nothing leads clients to a mirror",
        "the mirror has 3 releases (",
        "caches and settings in ",
    ] {
        assert!(ran.stdout.contains(text), "{text:?}: {ran:#?}");
    }
    assert_eq!(to_do(&stage.run(&["doctor", "--json"])), []);
}

#[test]
fn only_the_default_remote_has_to_be_up_to_date_and_only_clones_of_people_need_hooks() {
    let stage = healthy();
    stage.git(&["remote", "add", "fork", "../origin.git"]);
    let empty = stage.git(&["rev-list", "--max-parents=0", "hexmirror"]);
    stage.git(&["update-ref", "refs/remotes/fork/hexmirror", empty.trim()]);
    stage.run(&["doctor"]).ok().prints("fork's hexmirror, as last fetched, is at").prints("it lacks local commits");
    stage.run(&["hooks", "uninstall"]).ok();
    only(&stage, "hooks", "git hexmirror hooks install");
    stage.run_with(&["doctor"], &[("CI", "true")]).ok().prints("not needed in continuous integration");
}

#[test]
fn each_problem_is_found_with_the_command_that_fixes_it() {
    let stage = healthy();
    stage.run(&["hooks", "uninstall"]).ok();
    only(&stage, "hooks", "git hexmirror hooks install");
    stage.run(&["hooks", "install"]).ok();

    stage.lock(&["alpha 1.1.0", "beta 0.3.0"]);
    only(&stage, "locks", "git hexmirror update");
    stage.run(&["update"]).ok();
    only(&stage, "mirror", "git hexmirror push origin");
    stage.run(&["push"]).ok();

    stage.run(&["compact"]).ok();
    only(&stage, "mirror", "git hexmirror push --force-with-lease origin");
    stage.run(&["push", "--force-with-lease"]).ok();
    assert_eq!(to_do(&stage.run(&["doctor", "--json"])), []);
    stage.lock(&["alpha 1.1.0", "beta 0.3.0", "gamma 1.0.0"]);
    stage.run(&["update"]).ok();
    stage.run(&["push"]).ok();

    stage.git(&["update-ref", "refs/heads/hexmirror", "hexmirror~1"]);
    only(&stage, "mirror", "git hexmirror pull origin");
    stage.run(&["pull"]).ok();

    let settings = "[hooks]\npost_checkout = 'update'\n[repositories.hexpm]\nurl = 'https://u:secret@example.com'\n";
    stage.write(".hexmirror.toml", settings);
    let ran = stage.run(&["doctor"]).exits(1);
    assert!(ran.stdout.contains("run `git hexmirror trust`") && !ran.stdout.contains("secret"), "{ran:?}");
    fs::remove_file(stage.project.join(".hexmirror.toml")).unwrap();
    assert_eq!(to_do(&stage.run(&["doctor", "--json"])), []);

    fs::write(stage.project.join("mix.lock"), "%{").unwrap();
    let found = to_do(&stage.run(&["doctor", "--json"]));
    assert_eq!(found.iter().map(|(topic, _)| topic.as_str()).collect::<Vec<_>>(), ["locks"]);
    fs::remove_file(stage.project.join("mix.lock")).unwrap();
    only(&stage, "locks", "mix deps.get");
}

#[test]
fn a_project_without_a_mirror_is_told_how_to_begin() {
    let stage = Stage::new();
    let found = to_do(&stage.run(&["doctor", "--json"]));
    assert!(found.iter().any(|(topic, what)| topic == "mirror" && what.contains("git hexmirror init")), "{found:?}");
    stage.run_in("home", &["doctor"]).exits(5).says("git init");
}

#[test]
fn variables_of_a_server_that_has_ended_are_found() {
    let stage = healthy();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let run = |variables: &[(&str, &str)]| stage.run_with(&["doctor", "--json"], variables);
    assert_eq!(to_do(&run(&[("HEXMIRROR_SERVER", &url)])), []);
    drop(listener);
    for (variables, action) in
        [(&[("HEXMIRROR_SERVER", url.as_str())][..], "env --unset"), (&[("HEX_CDN", url.as_str())], "unset HEX_CDN")]
    {
        let found = to_do(&run(variables));
        assert!(matches!(&found[..], [(of, what)] if of == "environment" && what.contains(action)), "{found:?}");
    }
    stage.git(&["config", &format!("url.{url}/git/h/x.insteadOf"), "https://h/x"]);
    only(&stage, "environment", "remove the setting");
}

#[test]
fn installed_clients_are_named_with_their_versions() {
    let stage = healthy();
    let home = stage.sandbox.path().join("mix");
    let app = home.join("archives/hex-2.5.1/hex-2.5.1/ebin");
    fs::create_dir_all(&app).unwrap();
    fs::write(app.join("hex.app"), "{application,hex,[{vsn,\"2.5.1\"}]}.").unwrap();
    fs::create_dir_all(home.join("elixir/1-18")).unwrap();
    fs::write(home.join("elixir/1-18/rebar3"), "#!/usr/bin/env escript\n%% Rebar3 3.24.0\nPK\u{3}").unwrap();
    let ran = stage.run_with(&["doctor"], &[("MIX_HOME", home.to_str().unwrap())]).ok();
    assert!(ran.stdout.contains("Hex 2.5.1 (") && ran.stdout.contains("rebar3 3.24.0 ("), "{ran:?}");
}

#[test]
fn a_damaged_mirror_does_not_hide_the_other_findings() {
    let stage = healthy();
    stage.git(&["update-ref", "refs/heads/hexmirror", "HEAD"]);
    stage.git(&["update-ref", "-d", "refs/remotes/origin/hexmirror"]);
    let ran = stage.run(&["doctor", "--json"]).exits(1);
    let document: Value = ran.json();
    let topics: Vec<&Value> =
        document["findings"].as_array().unwrap().iter().map(|finding| &finding["topic"]).collect();
    // The checks of the mirror and of the disk fail for the same reason as that of the locks.
    for topic in ["git", "locks", "hooks", "upstream", "environment"] {
        assert!(topics.contains(&&json!(topic)), "{topic}: {topics:?}");
    }
}

#[test]
fn a_folder_that_is_configured_as_a_repository_and_is_absent_is_found() {
    let stage = healthy();
    let doctor = |url: &str| stage.run_with(&["doctor", "--json"], &[("HEXMIRROR_URL", url)]);
    let found = to_do(&doctor("../nowhere"));
    assert!(
        matches!(&found[..], [(of, what)] if of == "upstream" && what.contains("hexmirror.hexpm.url")),
        "{found:?}"
    );
    assert_eq!(to_do(&doctor("../upstream")), []);
}

#[test]
fn what_makes_several_checks_fail_is_found_once() {
    let stage = healthy();
    let home = stage.sandbox.path().join("hex");
    fs::create_dir(&home).unwrap();
    fs::write(home.join("hex.config"), "{").unwrap();
    let document: Value =
        stage.run_with(&["doctor", "--json"], &[("HEX_HOME", home.to_str().unwrap())]).exits(1).json();
    let findings = document["findings"].as_array().unwrap().iter();
    let about = findings.filter(|finding| finding["text"].as_str().unwrap().contains("hex.config"));
    assert_eq!(about.count(), 1, "{document}");
}

#[test]
fn a_setting_that_does_not_exist_is_found_with_the_one_that_was_meant() {
    let stage = healthy();
    stage.git(&["config", "hexmirror.prePsh", "off"]);
    only(&stage, "settings", "rename it to hexmirror.prePush");
    let warning =
        "warning: no setting is called hexmirror.prePsh, so it has no effect; did you mean hexmirror.prePush?\n";
    for command in ["status", "update", "list", "push"] {
        let ran = stage.run(&[command]).ok().says(warning);
        assert_eq!(ran.stderr.matches("warning").count(), 1, "{ran:?}");
    }
    stage.git(&["config", "--unset", "hexmirror.prePsh"]);
    assert!(!stage.run(&["status"]).ok().stderr.contains("warning"));
}

#[test]
fn a_misspelt_variable_is_named_and_one_of_a_script_is_not() {
    let stage = Stage::mirrored();
    let variables = [("HEXMIRROR_PREPUSH", "off"), ("HEXMIRROR_SOURCE", "x"), ("HEXMIRROR_JOBS", "2")];
    let ran = stage.run_with(&["status"], &variables).ok();
    assert_eq!(ran.stderr.matches("no setting is called").count(), 1, "{ran:?}");
    ran.says("no setting is called HEXMIRROR_PREPUSH, so it has no effect; did you mean HEXMIRROR_PRE_PUSH?");
    stage.run_with(&["doctor"], &variables).exits(1).prints("rename the variable to HEXMIRROR_PRE_PUSH");
}

#[test]
fn settings_that_lead_git_past_the_mirror_are_found() {
    let stage = healthy();
    let git = r#""lib": {:git, "https://example.org/team/lib.git", "1111111111111111111111111111111111111111", []},"#;
    let environment = || {
        let found = to_do(&stage.run(&["doctor", "--json"]));
        let found = found.into_iter().filter(|(topic, _)| topic == "environment");
        found.map(|(_, action)| action).collect::<Vec<_>>()
    };
    let (rule, rest) = ("url.ssh://git@example.org/team/lib.insteadOf", "url.git@example.org:.insteadOf");
    stage.git(&["config", "protocol.allow", "never"]);
    stage.git(&["config", rule, "https://example.org/team/lib.git"]);
    stage.git(&["config", rest, "https://example.org/"]);
    assert_eq!(environment(), [""; 0], "no lock pins anything from git");
    stage.write("mix.lock", &format!("%{{\n  {git}\n}}\n"));
    let found = environment();
    assert!(
        matches!(&found[..], [one, other] if one.contains("protocol.http.allow always") && other.contains("insteadof"))
    );
    stage
        .run(&["doctor"])
        .prints("git asks ssh://git@example.org/team/lib for example.org/team/lib, and not the mirror");
    stage.git(&["config", "protocol.http.allow", "always"]);
    stage.git(&["config", "--unset", rule]);
    assert_eq!(environment(), [""; 0], "a rule for a whole host does not matter");
}

#[test]
fn what_updates_leave_out_is_found() {
    let stage = healthy();
    let says = |text: &str, action: &str| {
        stage.run(&["status"]).ok();
        only(&stage, "locks", action);
        stage.run(&["doctor"]).exits(1).prints(text);
    };
    stage.write(".tool-versions", "elixir latest\nerlang 27.0\n");
    says(".tool-versions does not name exact versions of Elixir and OTP", "set `tools`");
    stage.git(&["config", "hexmirror.tools", "off"]);
    assert_eq!(to_do(&stage.run(&["doctor", "--json"])), []);

    stage.write("config/config.exs", "config :esbuild, version: System.get_env(\"V\")\n");
    says("esbuild", "name it in the setting `asset_tools`, such as esbuild@1.2.3");
    fs::rename(stage.project.join("config"), stage.sandbox.path().join("config")).unwrap();
    symlink("../config", stage.project.join("config")).unwrap();
    says("config is a link, so asset tools that only it configures are not mirrored", "make it a regular file");
    stage.git(&["config", "hexmirror.assetTools", "off"]);
    assert_eq!(to_do(&stage.run(&["doctor", "--json"])), []);

    stage.write("rebar.lock", "[].\n");
    stage.write("rebar.config.script", "CONFIG.\n");
    // rebar3 also lacks the test's key.
    let about_locks = || {
        let found = to_do(&stage.run(&["doctor", "--json"])).into_iter();
        found.filter_map(|(topic, action)| (topic == "locks").then_some(action)).collect::<Vec<_>>()
    };
    // A script is no problem as long as it adds no plugins.
    assert_eq!(about_locks(), [""; 0]);
    stage.run(&["doctor"]).exits(1).prints("rebar.config.script is not evaluated");
    fs::write(stage.sandbox.path().join("rebar.config"), "{plugins, [pc]}.\n").unwrap();
    symlink("../rebar.config", stage.project.join("rebar.config")).unwrap();
    assert!(matches!(&about_locks()[..], [action] if action.contains("setting `extra`")));
    let refused = "rebar.config is no regular file of an ordinary size in the worktree";
    stage.run(&["doctor"]).exits(1).prints(refused);
}
