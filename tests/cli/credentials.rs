//! Where keys, tokens and passwords are sent, and where they must never be sent.

use std::fs;

use crate::support::registry::Registry;
use crate::support::stage::{Ran, Stage};
use crate::support::upstream::Fault;

const SECRET: &str = "top-secret";

/// Returns the distinct `authorization` headers that a stage's upstream received.
fn headers(stage: &Stage) -> Vec<Option<String>> {
    let requests = stage.upstream.requests("*");
    let mut headers: Vec<_> =
        requests.iter().map(|request| request.header("authorization").map(str::to_owned)).collect();
    headers.sort();
    headers.dedup();
    headers
}

/// Runs an update that knows the upstream only from these variables.
fn update(stage: &Stage, variables: &[(&str, &str)]) -> Ran {
    let mut command = stage.bare_command_in(&stage.project, &["update"]);
    command.env("HEXMIRROR_PUBLIC_KEY", stage.sandbox.path().join("hexpm.pem")).envs(variables.iter().copied());
    Ran::of(&mut command)
}

/// Writes a configuration as `mix hex.organization auth` and `mix hex.repo add` do, and returns its folder.
fn hex_home(stage: &Stage, repositories: &str, more: &str) -> String {
    let home = stage.sandbox.path().join("hex");
    fs::create_dir_all(&home).unwrap();
    fs::write(home.join("hex.config"), format!("{{'$repos',#{{{repositories}}}}}.\n{more}")).unwrap();
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
    let home = hex_home(&stage, "<<\"hexpm:acme\">> => #{auth_key => <<\"top-secret\">>}", "");
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
fn after_a_key_has_expired_what_the_mirror_has_still_works() {
    let mut registry = Registry::sample();
    registry.publish("hexpm:acme/secret 0.2.0", &[], &[("a.ex".into(), "a".into())]);
    let stage = Stage::with(registry, &["hexpm:acme/secret 0.1.0"]);
    let home = hex_home(&stage, "<<\"hexpm:acme\">> => #{auth_key => <<\"old\">>}", "");
    let update = |options: &[&str]| stage.run_with(&[&["update"], options].concat(), &[("HEX_HOME", &home)]);
    update(&[]).ok();
    stage.upstream.require_key("/repos/acme/", "new");
    update(&[]).ok().says("nothing to do");
    stage.run(&["run", "--", "true"]).ok();
    stage.lock(&["alpha 1.0.0", "hexpm:acme/secret 0.2.0"]);
    let tip = stage.tip();
    let refused = update(&[]).exits(3).says("refused access").says("may have expired");
    refused.says("what the mirror has works without either").says("--keep-going");
    assert_eq!(stage.tip(), tip);
    update(&["--keep-going"]).exits(3);
    let listed = stage.run(&["list"]).ok();
    listed.prints("alpha 1.0.0").prints("hexpm:acme/secret 0.1.0");
}

#[test]
fn the_key_of_hexpm_is_for_it_and_its_organisations_as_hex_has_it() {
    let mut registry = Registry::sample();
    registry.publish("other/thing 1.0.0", &[], &[("a.ex".into(), "a".into())]);
    let stage = Stage::with(registry.clone(), &["alpha 1.0.0", "hexpm:acme/secret 0.1.0", "other/thing 1.0.0"]);
    // A self-hosted repository at another address, without a folder of its name.
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
fn a_key_is_not_sent_to_an_address_from_the_tracked_file() {
    let stage = Stage::new();
    stage.lock(&["hexpm:acme/secret 0.1.0"]);
    stage.write(".hexmirror.toml", &format!("[repositories.hexpm]\nurl = \"{}\"\n", stage.upstream.url()));
    // Not even if the settings are allowed.
    stage.run(&["trust", "--yes"]).ok();
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
fn no_key_is_sent_to_an_untrusted_mirror() {
    let repositories = r#"<<"hexpm">> => #{auth_key => <<"top-secret">>}"#;
    let login = r#"{'$oauth_token',#{access_token => <<"top-secret">>,expires_at => 99999999999}}."#;
    let key = r#"{repos_key,<<"top-secret">>}."#;
    for mirror in ["HEX_MIRROR", "HEX_MIRROR_URL", "hex.config"] {
        let stage = Stage::new();
        stage.lock(&["alpha 1.0.0", "hexpm:acme/secret 0.1.0"]);
        let url = stage.upstream.url();
        let in_file = format!("{{mirror_url,<<\"{url}\">>}}.");
        let [variable, more] = if mirror == "hex.config" { ["_", &in_file] } else { [mirror, ""] };
        let homes = [("", key), (repositories, ""), ("", login)].map(|(repositories, of_user)| {
            let folder = hex_home(&stage, repositories, &format!("{of_user}\n{more}\n"));
            let own = format!("{folder} {}", of_user.len());
            fs::rename(folder, &own).unwrap();
            own
        });
        for home in &homes {
            let variables = [(variable, url.as_str()), ("HEX_HOME", home)];
            stage.upstream.fail("*", 1, Fault::Status(403, None));
            update(&stage, &variables).exits(3).says("HEX_TRUSTED_MIRROR_URL");
        }
        hex_home(&stage, "", more);
        let home = stage.sandbox.path().join("hex");
        let variables = [(variable, url.as_str()), ("HEX_HOME", home.to_str().unwrap()), ("HEX_REPOS_KEY", SECRET)];
        update(&stage, &variables).ok();
        assert!(stage.upstream.count("/repos/acme/packages/secret") > 0);
        assert_eq!(headers(&stage), [None], "{mirror}");
    }
}

#[test]
fn a_trusted_mirror_gets_the_key() {
    for mirror in ["HEX_TRUSTED_MIRROR", "HEX_TRUSTED_MIRROR_URL"] {
        let stage = Stage::new();
        stage.lock(&["alpha 1.0.0", "hexpm:acme/secret 0.1.0"]);
        // The trusted mirror takes precedence, as in Hex.
        let others = [("HEX_MIRROR", "http://127.0.0.1:1"), ("HEX_REPOS_KEY", SECRET)];
        update(&stage, &[&[(mirror, stage.upstream.url().as_str())][..], &others].concat()).ok();
        assert_eq!(headers(&stage), [Some(SECRET.to_owned())]);
    }
}

#[test]
fn a_configured_address_gets_the_key_regardless_of_hexs_mirror() {
    let stage = Stage::new();
    stage.git(&["config", "hexmirror.hexpm.url", &stage.upstream.url()]);
    update(&stage, &[("HEX_MIRROR", "http://127.0.0.1:1"), ("HEX_REPOS_KEY", SECRET)]).ok();
    assert_eq!(headers(&stage), [Some(SECRET.to_owned())]);
}

#[test]
fn the_token_of_a_login_is_sent_until_it_expires() {
    let stage = Stage::new();
    stage.lock(&["hexpm:acme/secret 0.1.0"]);
    stage.upstream.require_key("/repos/acme/", "Bearer top-secret");
    let login = |until: u64| {
        let token = format!("#{{access_token => <<\"top-secret\">>,expires_at => {until},refresh_token => <<\"r\">>}}");
        hex_home(&stage, "", &format!("{{'$oauth_token',{token}}}.\n"))
    };
    let ran = stage.run_with(&["update"], &[("HEX_HOME", &login(1_700_000_000))]);
    let ran = ran.exits(3).says("the Hex client's login has expired").says("mix hex.user whoami");
    assert!(!ran.stderr.contains(SECRET), "{ran:?}");
    assert_eq!(headers(&stage), [None]);
    stage.run_with(&["update"], &[("HEX_HOME", &login(99_999_999_999))]).ok();
    assert_eq!(headers(&stage).last(), Some(&Some("Bearer top-secret".to_owned())));
}

#[test]
fn netrc_applies_only_to_the_hosts_that_it_names() {
    let stage = Stage::new();
    let netrc = stage.sandbox.path().join("other-netrc");
    fs::write(&netrc, "machine 127.0.0.1 login me password top-secret\n").unwrap();
    let netrc = [("NETRC", netrc.to_str().unwrap())];
    let elsewhere = Stage::new();
    let to = format!("{}/tarballs/alpha-1.0.0.tar", elsewhere.upstream.url());
    stage.upstream.fail("/tarballs/alpha-1.0.0.tar", 1, Fault::Redirect(302, to));
    stage.run_with(&["update"], &netrc).ok();
    let basic = Some("Basic bWU6dG9wLXNlY3JldA==".to_owned());
    assert_eq!(headers(&stage), std::slice::from_ref(&basic));
    assert_eq!(headers(&elsewhere), [None]);
    // A key takes precedence over it, as does an address that contains credentials.
    let stage = Stage::new();
    stage.run_with(&["update"], &[&netrc[..], &[("HEX_REPOS_KEY", "key")]].concat()).ok();
    assert_eq!(headers(&stage), [Some("key".to_owned())]);
    // The file in the home directory, whose `default` entry is ignored.
    let stage = Stage::new();
    fs::write(stage.sandbox.home().join(".netrc"), "machine h login a password b\ndefault login a password b\n")
        .unwrap();
    stage.run(&["update"]).ok();
    assert_eq!(headers(&stage), [None]);
    fs::write(stage.sandbox.home().join(".netrc"), "machine 127.0.0.1\nlogin me\npassword top-secret\n").unwrap();
    stage.run(&["update", "--refresh"]).ok();
    assert_eq!(headers(&stage), [None, basic]);
}

#[test]
fn a_password_in_a_setting_is_not_shown() {
    let stage = Stage::new();
    let address = "https://me:top-secret@hex.example/x?key=top-secret";
    stage.git(&["config", "hexmirror.hexpm.url", address]);
    stage.write(".hexmirror.toml", &format!("[repositories.other]\nurl = \"{address}\"\n"));
    for command in
        [&["status", "--settings"][..], &["status", "--settings", "--json"], &["trust"], &["trust", "--json"]]
    {
        let mut command = stage.bare_command_in(&stage.project, command);
        let ran = Ran::of(command.env("HEXMIRROR_URL", address)).ok();
        assert!(!ran.stdout.contains(SECRET) && !ran.stderr.contains(SECRET), "{ran:?}");
    }
}

/// Addresses whose password some programs do not take for one, or that git prints without their scheme.
const ODD: [&str; 7] = [
    "git://u:top-secret@127.0.0.1:1/x",
    "https:///u:top-secret@127.0.0.1:1/x",
    "https://u:s/top-secret@127.0.0.1:1/x",
    "https://u:s?top-secret@127.0.0.1:1/x",
    "https://u:a top-secret@127.0.0.1:1/x",
    "u:top-secret@127.0.0.1:1",
    "nonsense://u:top-secret@127.0.0.1:1/x",
];

#[test]
fn a_password_in_an_odd_address_is_not_shown() {
    let stage = Stage::mirrored();
    let is_silent = |ran: &Ran| assert!(!ran.stdout.contains(SECRET) && !ran.stderr.contains(SECRET), "{ran:?}");
    for address in ODD {
        stage.git(&["config", "remote.origin.url", address]);
        for arguments in [&["push"][..], &["pull"], &["status"], &["push", address], &["pull", address]] {
            is_silent(&stage.run(arguments));
        }
        for arguments in [&["status", "--settings"][..], &["status", "--settings", "--json"], &["update"]] {
            is_silent(&stage.run_with(arguments, &[("HEXMIRROR_URL", address), ("HEX_MIRROR", address)]));
        }
        let revision = "7497b99d2e3cb85ae0435c4d7514b1dff09f82e3";
        for end in ["", " b"] {
            stage.write("mix.lock", &format!("%{{\n\"lib\": {{:git, \"{address}\", \"{revision}\", []}}{end}\n}}\n"));
            let commands = [
                &["lock", "mix.lock"][..],
                &["lock", "--json", "mix.lock"],
                &["update"],
                &["status", "--json"],
                &["diff"],
                &["env", "--format=gitconfig"],
            ];
            commands.into_iter().for_each(|arguments| is_silent(&stage.run(arguments)));
        }
    }
}
