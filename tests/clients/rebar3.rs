//! rebar3 with registry verification. The sample's registry is signed with its own key, which rebar3 receives.

use std::fs;

use crate::support::sample::Sample;
use crate::support::stage::{Ran, Serving, Stage};
use crate::{led, mirrored, nobody_was_asked, offline, runs, told};

const CONFIG: &str = "{erl_opts, []}.\n{deps, [{cowboy, \"2.9.0\"}]}.\n";
pub const PACKAGES: [(&str, &str); 3] = [("cowboy", "2.9.0"), ("cowlib", "2.11.0"), ("ranch", "1.8.0")];

/// A stage with a rebar3 project in `app`, whose rebar.lock pins three of the real packages. `None`, with a message, if
/// anything is missing.
pub fn prepare(with_key: bool) -> Option<Stage> {
    let sample = Sample::new()?;
    if !runs(&sample.stage, "rebar3", &["version"], &[]) {
        eprintln!("skipped: there is no rebar3");
        return None;
    }
    let public_key = fs::read_to_string(sample.data.join(".hex_repo/public_key")).unwrap();
    let mix_lock = fs::read_to_string(sample.data.join("mix.lock")).unwrap();
    let stage = mirrored(sample);
    let app = stage.sandbox.path().join("app");
    fs::create_dir_all(app.join("src")).unwrap();
    fs::write(app.join("rebar.config"), CONFIG).unwrap();
    fs::write(app.join("src/app.app.src"), "{application, app, [{vsn, \"1\"}, {applications, [kernel, stdlib]}]}.\n")
        .unwrap();
    fs::write(app.join("rebar.lock"), rebar_lock(&mix_lock)).unwrap();
    stage.sandbox.git("app", &["init", "--quiet"]);
    // The small project adopts the mirror of the whole project.
    stage.sandbox.git("app", &["fetch", "--quiet", "../project", "hexmirror:hexmirror"]);
    if with_key {
        let folder = stage.sandbox.home().join(".config/rebar3");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("rebar.config"), trusting(&public_key)).unwrap();
    }
    Some(stage)
}

/// Returns the settings with which rebar3 uses a key for hexpm.
pub fn trusting(public_key: &str) -> String {
    let key = public_key.trim_end().replace('\n', "\\n");
    format!("{{hex, [{{repos, [#{{name => <<\"hexpm\">>, repo_public_key => <<\"{key}\">>}}]}}]}}.\n")
}

/// Writes rebar.lock as rebar3 would, with the checksums in the real mix.lock.
pub fn rebar_lock(mix_lock: &str) -> String {
    let sums = |name: &str| {
        let line = mix_lock.lines().find(|line| line.starts_with(&format!("  \"{name}\":"))).expect("an entry");
        let mut quoted =
            line.split('"').filter(|text| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let inner = quoted.next().expect("an inner checksum").to_uppercase();
        (inner, quoted.next().expect("an outer checksum").to_uppercase())
    };
    let entry = |(name, version): &(&str, &str)| {
        let level = usize::from(*name != "cowboy");
        format!("{{<<\"{name}\">>,{{pkg,<<\"{name}\">>,<<\"{version}\">>}},{level}}}")
    };
    let hash = |name: &str, sum: String| format!(" {{<<\"{name}\">>, <<\"{sum}\">>}}");
    let join = |lines: Vec<String>| lines.join(",\n");
    let entries = join(PACKAGES.iter().map(entry).collect());
    let inner = join(PACKAGES.iter().map(|(name, _)| hash(name, sums(name).0)).collect());
    let outer = join(PACKAGES.iter().map(|(name, _)| hash(name, sums(name).1)).collect());
    format!("{{\"1.2.0\",\n[{entries}]}}.\n[\n{{pkg_hash,[\n{inner}]}},\n{{pkg_hash_ext,[\n{outer}]}}\n].\n")
}

#[track_caller]
pub fn installed(stage: &Stage, ran: Ran) {
    let ran = ran.ok();
    for (name, version) in PACKAGES {
        let file = stage.sandbox.path().join(format!("app/_build/default/lib/{name}/src/{name}.app.src"));
        let file = if file.exists() { file } else { file.with_file_name("../ebin").join(format!("{name}.app")) };
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}\n{ran:?}", file.display()));
        assert!(text.contains(version), "{name}: {text}");
    }
    nobody_was_asked(stage);
}

#[test]
fn installs_through_run_from_an_empty_cache() {
    let Some(stage) = prepare(true) else { return };
    let lock = fs::read(stage.sandbox.path().join("app/rebar.lock")).unwrap();
    let ran = Ran::of(&mut offline(&stage, "app", &["status"]));
    ran.ok();
    let ran = Ran::of(&mut offline(&stage, "app", &["run", "--", "rebar3", "get-deps"]));
    assert!(!told(&ran).contains("Failed to"), "{ran:?}");
    installed(&stage, ran);
    assert_eq!(fs::read(stage.sandbox.path().join("app/rebar.lock")).unwrap(), lock);
    assert!(stage.sandbox.home().join(".cache/rebar3/hex/hexpm/packages/cowboy-2.9.0.tar").exists());
}

#[test]
fn installs_through_serve_from_an_empty_cache() {
    let Some(stage) = prepare(true) else { return };
    let serving = Serving::start(&mut offline(&stage, "app", &["serve", "--listen=127.0.0.1:0"]));
    let mut command = stage.sandbox.command("rebar3", &stage.sandbox.path().join("app"));
    installed(&stage, Ran::of(command.arg("get-deps").env("HEX_CDN", &serving.url)));
    serving.stop("TERM").ok();
}

#[test]
fn installs_over_https_with_an_authority_that_its_configuration_names() {
    let Some(stage) = prepare(true) else { return };
    let serving = Serving::start(&mut offline(&stage, "app", &["serve", "--tls", "--listen=127.0.0.1:0"]));
    let get_deps = || {
        let mut command = stage.sandbox.command("rebar3", &stage.sandbox.path().join("app"));
        Ran::of(led(&stage, &serving, &mut command).arg("get-deps"))
    };
    // Without it, rebar3 only trusts its built-in certificates, regardless of the environment.
    assert_ne!(get_deps().code, Some(0));
    let config = stage.sandbox.home().join(".config/rebar3/rebar.config");
    let authority = stage.sandbox.path().join("app/.git/hexmirror/tls/ca.pem");
    let text = fs::read_to_string(&config).unwrap() + &format!("{{ssl_cacerts_path, \"{}\"}}.\n", authority.display());
    fs::write(&config, text).unwrap();
    installed(&stage, get_deps());
    serving.stop("TERM").ok();
}

#[test]
fn refuses_packages_that_no_key_it_trusts_has_signed() {
    let Some(stage) = prepare(false) else { return };
    // With the line that every command prints, it accepts them.
    let config = stage.sandbox.home().join(".config/rebar3/rebar.config");
    let mut printed = Vec::new();
    for arguments in [&["status"][..], &["run", "--", "true"], &["env"], &["doctor"]] {
        let ran = Ran::of(&mut offline(&stage, "app", arguments));
        let text = format!("{}{}", ran.stdout, ran.stderr);
        let at = text.find("{hex, [").unwrap_or_else(|| panic!("{arguments:?}: {ran:?}"));
        assert!(text.contains(&config.display().to_string()), "{ran:?}");
        printed.push(text[at..].lines().next().unwrap().to_owned());
    }
    printed.dedup();
    assert_eq!(printed.len(), 1, "{printed:?}");
    let ran = Ran::of(&mut offline(&stage, "app", &["run", "--", "rebar3", "get-deps"]));
    assert!(ran.code.is_some_and(|code| code != 0), "{ran:?}");
    assert!(!stage.sandbox.path().join("app/_build/default/lib/cowboy/src").exists());
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(&config, printed.concat() + "\n").unwrap();
    let ran = Ran::of(&mut offline(&stage, "app", &["run", "--", "rebar3", "get-deps"]));
    assert!(!ran.stderr.contains("{hex, ["), "{ran:?}");
    installed(&stage, ran);
}
