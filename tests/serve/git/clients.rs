//! How clients reach the server: by `insteadOf`, over HTTPS, and under the names of the mirrored hosts.

use std::fs;
use std::process::Stdio;

use git_hexmirror::ops::{self, Clients};
use git_hexmirror::serve::environment::git_configuration;

use super::mirror::{Mirror, NSQ, NSQ_REVISION, RUMMAGE, RUMMAGE_REVISION, stderr, succeed, url};

/// The forms in which a lock may name a repository on github.com.
fn forms(path: &str) -> Vec<String> {
    let plain = [
        format!("https://github.com/{path}"),
        format!("http://github.com/{path}"),
        format!("git://github.com/{path}"),
        format!("ssh://git@github.com/{path}"),
        format!("ssh://github.com/{path}"),
        format!("git@github.com:{path}"),
        format!("git@github.com:/{path}"),
    ];
    plain.into_iter().flat_map(|url| [format!("{url}.git"), url]).collect()
}

#[test]
fn every_form_of_an_address_is_redirected() {
    let Some(mirror) = Mirror::of_sample() else { return };
    let server = mirror.serve();
    for (number, address) in forms("wistia/elixir_nsq").into_iter().enumerate() {
        let listed = succeed(mirror.led(&server, None, "").args(["ls-remote", &address, "HEAD"]));
        assert!(listed.ends_with("\tHEAD"), "{address}: {listed}");
        if number < 2 {
            let name = &format!("clone-{number}");
            succeed(mirror.led(&server, None, "").args(["clone", "--quiet", &address, name]));
            let origin = mirror.sandbox.git(name, &["config", "remote.origin.url"]);
            assert_eq!(origin, address, "what mix compares with the lock");
            mirror.sandbox.git(name, &["checkout", "--quiet", NSQ_REVISION]);
            mirror.sandbox.git(name, &["fsck", "--strict"]);
        }
    }
    let output = mirror.led(&server, None, "").args(["ls-remote", "https://github.com/wistia/else"]).output().unwrap();
    assert!(stderr(&output).contains("127.0.0.1"), "what is not mirrored goes its own way: {}", stderr(&output));
}

#[test]
fn a_locks_own_form_is_redirected_without_printing_its_password() {
    let (mirror, revisions) = Mirror::of_made();
    let server = mirror.serve();
    let odd = "ssh://me@Example.org:2222/team/lib.git";
    let secret = "https://token:secret@example.org/team/lib.git";
    mirror.lock(&[(odd, &revisions[9], ""), (secret, &revisions[9], "")]);
    succeed(mirror.led(&server, None, "").args(["ls-remote", odd]));
    let shown = ops::access(&mirror.project(), "http://h", None, Clients::Here).unwrap();
    assert!(!git_configuration(&shown).contains("secret"));
    let kept = ops::access(&mirror.project(), "http://h", None, Clients::Child).unwrap();
    assert!(git_configuration(&kept).contains("insteadOf = \"https://token:secret@example.org/team/lib\"\n"));
}

#[test]
fn a_configuration_file_redirects_git_as_well() {
    let (mirror, revisions) = Mirror::of_made();
    mirror.pin();
    let (server, authority) = mirror.serve_securely(&[]);
    let access = ops::access(&mirror.project(), &server.base_url(), Some(&authority), Clients::Here).unwrap();
    fs::write(mirror.sandbox.path().join("mirror.gitconfig"), git_configuration(&access)).unwrap();
    let include = format!("include.path={}", mirror.sandbox.path().join("mirror.gitconfig").display());
    let git = &mirror.sandbox;
    let mut command = git.command("git", "".as_ref());
    command.args(["-c", &include, "clone", "--quiet", "git@example.org:team/lib", "clone"]);
    // A proxy that would refuse the request: git contacts the mirror directly.
    succeed(command.env("https_proxy", "http://127.0.0.1:1"));
    assert_eq!(git.git("clone", &["rev-parse", "HEAD"]), revisions[9]);
}

#[test]
fn both_sample_repositories_over_https_by_address_and_by_their_own_names() {
    let Some(mirror) = Mirror::of_sample() else { return };
    let (server, authority) = mirror.serve_securely(&["github.com"]);
    let git = &mirror.sandbox;
    let port = server.local_addr().port();
    for (address, revision) in [(NSQ, NSQ_REVISION), (RUMMAGE, RUMMAGE_REVISION)] {
        let direct = &format!("direct-{revision}");
        let secure = |arguments: &[&str]| {
            let mut command = git.command("git", "".as_ref());
            succeed(command.args(arguments).env("GIT_SSL_CAINFO", &authority))
        };
        secure(&["clone", "--quiet", &url(&server, address), direct]);
        git.git(direct, &["checkout", "--quiet", revision]);
        git.git(direct, &["fsck", "--strict"]);

        let led = &format!("led-{revision}");
        let path = address.strip_prefix("github.com/").unwrap();
        let own = format!("https://github.com/{path}.git");
        succeed(mirror.led(&server, Some(&authority), "").args(["clone", "--quiet", "--depth=1", &own, led]));

        // The effect of an entry in /etc/hosts: the name resolves to the server, and git needs no other configuration.
        let alias = &format!("alias-{revision}");
        let resolve = format!("http.curloptResolve=github.com:{port}:127.0.0.1");
        for suffix in ["", ".git"] {
            let aliased = format!("https://github.com:{port}/{path}{suffix}");
            secure(&["-c", &resolve, "clone", "--quiet", &aliased, &format!("{alias}{suffix}")]);
        }
        git.git(alias, &["checkout", "--quiet", revision]);
    }
    // Without the CA certificate, or under a name that the server's certificate does not have, verification fails.
    let output = git.try_git("", &["ls-remote", &url(&server, NSQ)]);
    assert!(stderr(&output).contains("certificate"), "{}", stderr(&output));
    let resolve = format!("http.curloptResolve=gitlab.com:{port}:127.0.0.1");
    let mut command = git.command("git", "".as_ref());
    command.args(["-c", &resolve, "ls-remote", &format!("https://gitlab.com:{port}/wistia/elixir_nsq")]);
    let output = command.env("GIT_SSL_CAINFO", &authority).output().unwrap();
    assert!(stderr(&output).contains("certificate"), "{}", stderr(&output));
}

#[test]
fn https_serves_hex_too_and_the_authority_stays_the_same_for_the_same_names() {
    let (mirror, _) = Mirror::of_made();
    let (server, authority) = mirror.serve_securely(&["hex.example.org"]);
    let before = fs::read(&authority).unwrap();
    let (other, _) = mirror.serve_securely(&["hex.example.org"]);
    assert!(fs::read(&authority).unwrap() == before);
    for server in [&server, &other] {
        let mut command = mirror.sandbox.command("curl", "".as_ref());
        command.arg("--cacert").arg(&authority).args(["--silent", "--fail", &format!("{}/health", server.base_url())]);
        match command.stderr(Stdio::piped()).output() {
            Ok(output) => assert!(output.stdout.starts_with(b"ok "), "{}", stderr(&output)),
            Err(_) => return eprintln!("skipped: there is no curl"),
        }
    }
}
