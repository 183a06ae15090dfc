//! Attacks by someone who may write the mirror branch and nothing else: clients are only redirected for what the locks
//! pin, regardless of the branch's contents.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output};

use git_hexmirror::serve::Handle;

use super::mirror::{Mirror, PATIENCE, ask, ask_as, stderr, succeed};

const LIB: &str = "example.org/team/lib";
const TOOL: &str = "example.org/evil/tool";
const APP: &str = "github.com/acme/app";

/// The output of every way to print the variables.
const FORMATS: [&str; 5] = ["shell", "dotenv", "docker", "github", "gitconfig"];

/// A mirror of the pinned `lib`, of `tool`, which no lock pins, and of the project's own repository, with their
/// contents.
fn attacked() -> (Mirror, String, String) {
    let (mut mirror, revisions) = Mirror::of_made();
    mirror.lock(&[(&format!("https://{LIB}.git"), &revisions[9], "")]);
    mirror.sandbox.git("project", &["remote", "add", "origin", &format!("https://{APP}.git")]);
    let evil = mirror.make("evil", 1).remove(0);
    for address in [TOOL, APP] {
        mirror.store(address, &mirror.sandbox.path().join("evil/.git"));
    }
    mirror.commit();
    (mirror, revisions[9].clone(), evil)
}

/// Runs git under `run`. Requests that are not redirected to the server fail: they go to a proxy that does not exist,
/// or to an ssh program that reports them.
fn run(mirror: &Mirror, arguments: &[&str]) -> Output {
    let mut command = mirror.program(&["run", "--", "git"]);
    command.args(arguments).env("https_proxy", "http://127.0.0.1:1").env("http_proxy", "http://127.0.0.1:1");
    command.env("GIT_SSH_COMMAND", "echo asked by ssh >&2; false").output().unwrap()
}

/// Asserts that git contacts the original server, as without a mirror.
#[track_caller]
fn went_its_own_way(output: &Output) {
    let text = stderr(output);
    let own_way =
        text.contains("127.0.0.1 port 1") || text.contains("asked by ssh") || text.contains("unable to look up");
    assert!(!output.status.success() && own_way, "{text}");
}

fn advertised(server: &Handle, path: &str) -> String {
    ask(server.local_addr(), &format!("GET {path}/info/refs?service=git-upload-pack HTTP/1.1"), b"").0
}

#[test]
fn repositories_named_only_by_the_mirror_branch_are_not_redirected() {
    let (mirror, pinned, _) = attacked();
    for address in [TOOL, APP] {
        let path = address.split_once('/').unwrap().1;
        let host = address.split_once('/').unwrap().0;
        for url in [
            format!("https://{address}"),
            format!("https://{address}.git"),
            format!("git@{host}:{path}"),
            format!("ssh://git@{host}/{path}.git"),
        ] {
            went_its_own_way(&run(&mirror, &["clone", &url, "stolen"]));
        }
    }
    went_its_own_way(&run(&mirror, &["fetch", "origin"]));
    let clone = run(&mirror, &["clone", "--quiet", &format!("https://{LIB}.git"), "clone"]);
    assert!(clone.status.success(), "{}", stderr(&clone));
    assert_eq!(mirror.sandbox.git("project/clone", &["rev-parse", "HEAD"]), pinned);
    for format in FORMATS {
        let printed = succeed(&mut mirror.program(&["env", "--format", format]));
        assert!(printed.contains(LIB) && !printed.contains("evil") && !printed.contains("acme"), "{format}: {printed}");
    }
    let server = mirror.serve();
    assert!(advertised(&server, &format!("/git/{LIB}.git")).starts_with("http/1.1 200 "));
    for address in [TOOL, APP] {
        for request in ["info/refs", "info/refs?service=git-upload-pack", "HEAD", "objects/info/packs"] {
            let (head, body) = ask(server.local_addr(), &format!("GET /git/{address}.git/{request} HTTP/1.1"), b"");
            let text = String::from_utf8(body).unwrap();
            assert!(head.starts_with("http/1.1 404 ") && text.contains("no lock pins"), "{request}: {head}{text}");
        }
    }
}

#[test]
fn the_projects_own_remote_is_never_redirected_in_any_form() {
    let (mirror, _, evil) = attacked();
    mirror.lock(&[(&format!("https://{APP}.git"), &evil, ""), ("ssh://me@GitHub.com:22/acme/app", &evil, "")]);
    let config = |arguments: &[&str]| mirror.sandbox.git("project", &[&["config"], arguments].concat());
    for (key, url) in [
        ("remote.origin.url", "https://GitHub.com/Acme/App/"),
        ("remote.origin.pushurl", "ssh://git@github.com:22/acme/app.git"),
        ("remote.origin.url", "git@github.com:acme/app"),
        ("remote.other.url", "https://user@github.com//%61cme/app.git/"),
        ("remote.origin.pushurl", "gh:acme/app"),
        ("branch.main.remote", "https://github.com/acme/app"),
        ("remote.origin.url", "forge:app"),
    ] {
        for old in ["origin", "other"] {
            let _ = mirror.sandbox.try_git("project", &["config", "--remove-section", &format!("remote.{old}")]);
        }
        let _ = mirror.sandbox.try_git("project", &["config", "--unset", "branch.main.remote"]);
        config(&["url.https://github.com/.insteadOf", "gh:"]);
        config(&["--replace-all", "url.ssh://git@inner/.insteadOf", "forge:", "forge:"]);
        config(&["--replace-all", "url.ssh://git@inner/.insteadOf", "https://github.com/acme/", "acme/$"]);
        config(&[key, url]);
        let printed = succeed(&mut mirror.program(&["env", "--format=gitconfig"]));
        assert!(!printed.contains("acme/app"), "{key} {url}: {printed}");
        went_its_own_way(&run(&mirror, &["ls-remote", "https://github.com/acme/app.git"]));
    }
}

#[test]
fn a_remote_with_a_pinned_repositorys_prefix_is_not_redirected() {
    let (mirror, _) = Mirror::of_made();
    mirror.pin();
    for url in ["git@example.org:team/lib-web.git", "ssh://git@example.org/team/lib/inner"] {
        let _ = mirror.sandbox.try_git("project", &["remote", "remove", "origin"]);
        mirror.sandbox.git("project", &["remote", "add", "origin", url]);
        for remote in ["origin", url] {
            let output = run(&mirror, &["ls-remote", remote]);
            assert!(stderr(&output).contains("asked by ssh"), "{url}: {}", stderr(&output));
        }
    }
}

#[test]
fn a_remote_is_asked_itself_in_spellings_that_only_some_programs_understand() {
    let (mirror, revisions) = Mirror::of_made();
    mirror.lock(&[(&format!("https://{LIB}.git"), &revisions[9], "")]);
    let git_dir = mirror.sandbox.path().join("project/.git");
    let leads = || succeed(&mut mirror.program(&["env", "--format=gitconfig"])).contains("insteadOf");
    assert!(leads());
    for url in [
        "[example.org]:team/lib",
        "[example.org:22]:team/lib",
        "user@[example.org:22]:team/lib.git",
        "https://example.org/./team/lib",
        "https://example.org/team/x/../lib",
        "https://example%2eorg/team/lib",
        "example.org..:team/lib",
        "https://example.org../team/lib",
        " https://example.org/team/lib",
        // Nobody knows which repository this is.
        "https://example.org/%zz",
    ] {
        mirror.sandbox.git("project", &["config", "remote.x.url", url]);
        assert!(!leads(), "{url:?}");
    }
    mirror.sandbox.git("project", &["config", "--unset", "remote.x.url"]);
    assert!(leads());
    for (file, text) in
        [("remotes/x", format!("URL: https://{LIB}.git\n")), ("branches/x", format!("https://{LIB}#m\n"))]
    {
        let path = git_dir.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        assert!(!leads(), "{file}");
        fs::remove_file(path).unwrap();
    }
    // Remotes whose text begins with that of the pinned repository.
    for rest in ["%2Dweb", "//web", "/./web", "/web/../x", ".git/../other", "-web?x=1"] {
        let url = format!("https://{LIB}{rest}");
        mirror.sandbox.git("project", &["config", "remote.x.url", &url]);
        for arguments in [&["remote", "get-url", "x"][..], &["remote", "get-url", "--push", "x"]] {
            let output = run(&mirror, arguments);
            assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), url, "{arguments:?}");
        }
        went_its_own_way(&run(&mirror, &["ls-remote", "x"]));
    }
}

#[test]
fn a_rule_of_the_users_is_theirs_whatever_its_base() {
    let (mirror, revisions) = Mirror::of_made();
    mirror.lock(&[(&format!("https://{LIB}.git"), &revisions[9], "")]);
    let config = |key: &str, value: &str| mirror.sandbox.git("project", &["config", key, value]);
    config("url.ssh://git@inner.test/git/.insteadOf", "https://example.org/team/");
    config("remote.web.url", "https://example.org/team/lib-web");
    for arguments in [["ls-remote", "web"], ["fetch", "web"], ["push", "web"], ["push", "https://example.org/team/lib"]]
    {
        let arguments: Vec<&str> = match arguments {
            ["push", to] => vec!["push", to, "hexmirror"],
            other => other.to_vec(),
        };
        let output = run(&mirror, &arguments);
        assert!(stderr(&output).contains("asked by ssh"), "{arguments:?}: {}", stderr(&output));
    }
    // The same repository as the pinned one, by the user's rule.
    config("remote.web.url", "ssh://git@inner.test/git/lib.git");
    let printed = succeed(&mut mirror.program(&["env", "--format=gitconfig"]));
    assert!(!printed.contains("insteadOf"), "{printed}");
    // Inside of another `run`, only its server's rules are not the user's.
    mirror.sandbox.git("project", &["config", "--unset", "remote.web.url"]);
    let mut command = mirror.program(&["run", "--", env!("CARGO_BIN_EXE_git-hexmirror"), "env", "--format=gitconfig"]);
    let inner = succeed(&mut command);
    let led = |text: &str| text.lines().filter(|line| line.contains("insteadOf")).count();
    let outer = succeed(&mut mirror.program(&["env", "--format=gitconfig"]));
    assert!(led(&outer) > 0);
    assert_eq!(led(&inner), led(&outer), "{inner}");
}

#[test]
fn only_the_ancestry_of_a_pinned_revision_is_visible() {
    let (mut mirror, revisions) = Mirror::of_made();
    let (url, pinned) = (format!("https://{LIB}.git"), &revisions[9]);
    mirror.lock(&[(&url, pinned, "")]);
    // Every ref points to another commit, and there are additional refs.
    let other = mirror.make("other", 1).remove(0);
    mirror
        .sandbox
        .git("other", &["fetch", "--quiet", "../lib", "refs/heads/*:refs/heads/*", "--update-head-ok", "--force"]);
    for name in ["heads/main".to_owned(), "heads/evil".into(), format!("heads/hexmirror/{pinned}"), "tags/v99".into()] {
        mirror.sandbox.git("other", &["update-ref", &format!("refs/{name}"), &other]);
    }
    mirror.store(LIB, &mirror.sandbox.path().join("other/.git"));
    mirror.commit();
    let expected = format!("{pinned}\tHEAD\n{pinned}\trefs/heads/hexmirror/{pinned}");
    let server = mirror.serve();
    for version in ["0", "1", "2"] {
        let protocol = format!("protocol.version={version}");
        let listed = succeed(mirror.led(&server, None, "").args(["-c", &protocol, "ls-remote", &url]));
        assert_eq!(listed, expected, "version {version}");
        let output = run(&mirror, &["-c", &protocol, "clone", "--quiet", &url, &format!("clone-{version}")]);
        assert!(output.status.success(), "{}", stderr(&output));
        let clone = format!("project/clone-{version}");
        assert_eq!(&mirror.sandbox.git(&clone, &["rev-parse", "HEAD"]), pinned);
        let refs = mirror.sandbox.git(&clone, &["for-each-ref", "--format=%(objectname)"]);
        assert!(refs.lines().all(|id| id == pinned), "{refs}");
    }
    // The dumb protocol too.
    let file = |name: &str| {
        let (head, body) = ask(server.local_addr(), &format!("GET /git/{LIB}.git/{name} HTTP/1.1"), b"");
        assert!(head.starts_with("http/1.1 200 "), "{name}: {head}");
        String::from_utf8_lossy(&body).into_owned()
    };
    assert_eq!(file("HEAD"), format!("ref: refs/heads/hexmirror/{pinned}\n"));
    assert_eq!(file("info/refs"), format!("{pinned}\trefs/heads/hexmirror/{pinned}\n"));
    let packs = file("objects/info/packs");
    let pack = packs.lines().next().and_then(|line| line.strip_prefix("P ")).expect("a pack");
    assert!(file(&format!("objects/pack/{pack}")).starts_with("PACK"));
}

#[test]
fn a_submodule_named_only_by_the_manifest_is_not_redirected() {
    let (mut mirror, pinned, evil) = attacked();
    mirror.record_submodule((LIB, &pinned), (TOOL, &evil));
    mirror.commit();
    went_its_own_way(&run(&mirror, &["clone", &format!("https://{TOOL}"), "stolen"]));
    let printed = succeed(&mut mirror.program(&["env", "--format=gitconfig"]));
    assert!(printed.contains(LIB) && !printed.contains("evil"), "{printed}");
    assert!(advertised(&mirror.serve(), &format!("/git/{TOOL}.git")).starts_with("http/1.1 404 "));
}

/// Sends a request with these header lines, and returns the status of the answer.
fn status_of(server: &Handle, target: &str, lines: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.local_addr()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&[format!("GET {target} HTTP/1.1\r\n").as_bytes(), lines].concat()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn under_a_pinned_hosts_name_only_its_repositories_are_served() {
    let (mirror, ..) = attacked();
    let server = mirror.serve();
    let status = |host: &str, path: &str| {
        let (head, _) = ask_as(server.local_addr(), host, &format!("GET {path} HTTP/1.1"), b"");
        head.split(' ').nth(1).unwrap().to_owned()
    };
    let refs = "info/refs?service=git-upload-pack";
    let elsewhere =
        ["/", "/health", "/packages/plug", "/tarballs/plug-1.0.0.tar", "/repos/acme/packages/secret", "/names"];
    let git = format!("/git/{LIB}.git/{refs}");
    for host in ["example.org", "Example.ORG:4040"] {
        for path in elsewhere.into_iter().chain([git.as_str(), "/installs/hex-1.x.csv", "/git/"]) {
            assert_eq!(status(host, path), if path == git { "404" } else { "421" }, "{host} {path}");
        }
        assert_eq!(status(host, &format!("/team/lib/{refs}")), "200");
        assert_eq!(status(host, &format!("/evil/tool/{refs}")), "404");
    }
    // A host that only the branch names is not served.
    for path in elsewhere.into_iter().chain([git.as_str(), "/acme/app/info/refs", "/evil/tool/info/refs"]) {
        assert_eq!(status("github.com", path), "421", "{path}");
        assert_eq!(status("attacker.example", path), "421", "{path}");
    }
    // A Host that programs read differently names nobody.
    let hosts: [&[u8]; 11] = [
        b"evil\xff.example",
        "\u{e9}vil.localhost".as_bytes(),
        b"evil.example/.localhost",
        b"evil.example#.localhost",
        b"evil.example@localhost",
        b"[[::1]]",
        b"[localhost]",
        b"localhost:evil",
        b"localhost\r\nHost: evil.example",
        b"evil.example\r\nHost: localhost",
        b"",
    ];
    for host in hosts {
        for path in ["/health", git.as_str(), "/team/lib/info/refs"] {
            let lines = [b"Host: ", host, b"\r\nConnection: close\r\n\r\n"].concat();
            assert_eq!(status_of(&server, path, &lines), "400", "{} {path}", String::from_utf8_lossy(host));
        }
    }
    let close = b"Connection: close\r\n\r\n";
    assert_eq!(status_of(&server, "/health", close), "400", "no Host");
    // The target's host counts, as a proxy is asked.
    let both = b"Host: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(status_of(&server, "http://evil.example/health", both), "421");
    // This machine's own names are not hosts of repositories either.
    for host in ["localhost", "127.0.0.1", "[::1]:4040", "host.docker.internal"] {
        assert_eq!([status(host, "/health"), status(host, &git)], ["200", "200"], "{host}");
        assert_eq!(status(host, &format!("/team/lib/{refs}")), "404", "{host}");
    }
}

#[test]
fn a_server_follows_changes_of_the_locks() {
    let (mirror, pinned, evil) = attacked();
    let server = mirror.serve();
    let listed = |address: &str| advertised(&server, &format!("/git/{address}.git"))[9..12].to_owned();
    assert_eq!([listed(LIB), listed(TOOL)], ["200", "404"]);
    mirror.lock(&[(&format!("https://{TOOL}"), &evil, "")]);
    assert_eq!([listed(LIB), listed(TOOL)], ["404", "200"]);
    // While a lock is being written, the last readable version counts.
    fs::write(mirror.sandbox.path().join("project/mix.lock"), "%{\n<<<<<<< HEAD\n").unwrap();
    assert_eq!([listed(LIB), listed(TOOL)], ["404", "200"]);
    // A server that starts with an invalid lock reports it, and still serves Hex packages.
    let other = mirror.serve();
    let (head, body) = ask(other.local_addr(), &format!("GET /git/{TOOL}.git/HEAD HTTP/1.1"), b"");
    let text = String::from_utf8(body).unwrap();
    assert!(head.starts_with("http/1.1 503 ") && text.contains("the locks that pin git repositories"), "{head}{text}");
    assert!(ask(other.local_addr(), "GET /health HTTP/1.1", b"").0.starts_with("http/1.1 200 "));
    let output = mirror.program(&["env"]).output().unwrap();
    assert!(output.status.code() == Some(2) && stderr(&output).contains("mix.lock"), "{}", stderr(&output));
    mirror.lock(&[(&format!("https://{LIB}.git"), &pinned, "")]);
    assert_eq!([listed(LIB), listed(TOOL)], ["200", "404"]);
}

#[test]
fn without_a_lock_only_direct_requests_see_the_branch() {
    let (mirror, ..) = attacked();
    fs::remove_file(mirror.sandbox.path().join("project/mix.lock")).unwrap();
    let printed = mirror.program(&["env", "--format=gitconfig"]).output().unwrap();
    let text = String::from_utf8(printed.stdout.clone()).unwrap();
    assert!(!text.contains("insteadOf"), "{text}");
    assert!(stderr(&printed).contains("no lock"), "{}", stderr(&printed));
    went_its_own_way(&run(&mirror, &["ls-remote", &format!("https://{LIB}.git")]));
    let server = mirror.serve();
    let refs = "info/refs?service=git-upload-pack";
    for (address, status) in [(LIB, "200"), (TOOL, "200"), (APP, "404")] {
        assert_eq!(&advertised(&server, &format!("/git/{address}.git"))[9..12], status, "{address}");
    }
    let (head, _) = ask_as(server.local_addr(), "example.org", &format!("GET /team/lib/{refs} HTTP/1.1"), b"");
    assert!(head.starts_with("http/1.1 421 "), "{head}");
}

#[test]
fn a_lock_on_the_mirror_branch_is_ignored() {
    let (mirror, _, evil) = attacked();
    let lock = format!("%{{\n  \"tool\": {{:git, \"https://{TOOL}\", \"{evil}\", []}},\n}}\n");
    mirror.commit_with(&[("mix.lock", &lock)]);
    let git = &mirror.sandbox;
    let clones: [(&str, &[&str]); 2] = [("bare", &["--bare"]), ("worktree", &[])];
    for (name, kind) in clones {
        let arguments =
            [&["clone", "--quiet", "--single-branch", "--branch=hexmirror"], kind, &["project", name]].concat();
        git.git("", &arguments);
        let mut program = Command::new(env!("CARGO_BIN_EXE_git-hexmirror"));
        let environment = mirror.sandbox.command("true", name.as_ref());
        program.env_clear().envs(environment.get_envs().filter_map(|(name, value)| Some((name, value?))));
        program.current_dir(git.path().join(name)).args(["env", "--format=gitconfig"]);
        let printed = succeed(&mut program);
        assert!(!printed.contains("insteadOf"), "{name}: {printed}");
    }
}
