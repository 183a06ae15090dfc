//! `serve --tls` and `--tls-cert`: which names the authority can certify, and where its key is stored.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

use crate::support::stage::{Ran, Serving, Stage};

const OTHER: &str = "repo.hex.pm";

fn output(stage: &Stage, program: &str, arguments: &[&str], variables: &[(&str, &Path)]) -> Output {
    let mut command = stage.sandbox.command(program, &stage.project);
    command
        .args(arguments)
        .envs(variables.iter().copied())
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// Issues a certificate for a name with the key of the project's authority, as someone who stole the key could.
fn forged(stage: &Stage, name: &str) -> (PathBuf, PathBuf) {
    let tls = stage.project.join(".git/hexmirror/tls");
    let file = |kind: &str| stage.sandbox.path().join(format!("{name}.{kind}"));
    let (key, request, certificate, extensions) = (file("key"), file("csr"), file("pem"), file("ext"));
    fs::write(&extensions, format!("subjectAltName=DNS:{name},IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")).unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let openssl = |arguments: &[&str]| {
        let made = output(stage, "openssl", arguments, &[]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    let subject = format!("/CN={name}");
    openssl(&[
        "req",
        "-new",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        &subject,
        "-keyout",
        &text(&key),
        "-out",
        &text(&request),
    ]);
    let (ca, ca_key) = (text(&tls.join("intermediate.pem")), text(&tls.join("ca-key.pem")));
    let (request, extensions, made) = (text(&request), text(&extensions), text(&certificate));
    openssl(&["x509", "-req", "-in", &request, "-CA", &ca, "-CAkey", &ca_key, "-extfile", &extensions, "-out", &made]);
    let chain = [&certificate, &tls.join("intermediate.pem")].map(|path| fs::read_to_string(path).unwrap()).concat();
    fs::write(&certificate, chain).unwrap();
    (certificate, key)
}

/// A server with a given certificate, whose address may have any name.
struct Own(Child, u16);

impl Own {
    fn start(stage: &Stage, (certificate, key): &(PathBuf, PathBuf), name: &str) -> Self {
        let mut command = stage.command(&["serve", "--listen=127.0.0.1:0", "--hostname", name]);
        command.arg("--tls-cert").arg(certificate).arg("--tls-key").arg(key);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim_end().strip_prefix(&format!("https://{name}:")).unwrap_or_else(|| panic!("{line:?}"));
        let port = port.parse().unwrap();
        Self(child, port)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns whether Erlang's client, which mix and rebar3 have, takes a server for this name; `None` if there is no Erlang.
fn erlang_connects(stage: &Stage, port: u16, name: &str, ca: &Path) -> Option<bool> {
    let program = format!(
        "ssl:start(), R = ssl:connect(\"127.0.0.1\", {port}, [{{verify, verify_peer}}, {{cacertfile, {ca:?}}}, \
         {{server_name_indication, {name:?}}}, {{log_level, none}}], 20000), io:format(\"~p\", [element(1, R)]), halt()."
    );
    let mut command = stage.sandbox.command("erl", &stage.project);
    let output = command.args(["-noshell", "-eval", &program]).output().ok().filter(|output| output.status.success());
    let printed = String::from_utf8_lossy(&output?.stdout).into_owned();
    assert!(matches!(printed.as_str(), "ok" | "error"), "{printed}");
    Some(printed == "ok")
}

/// Starts a server with its own authority, and stops it as soon as it answers.
fn start_once(stage: &Stage, names: &[&str]) -> Ran {
    let arguments = [&["serve", "--tls", "--listen=127.0.0.1:0"], names].concat();
    let serving = Serving::start(&mut stage.command(&arguments));
    let port = serving.url.rsplit_once(':').unwrap().1.parse().unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    // The client does not use TLS: the server reports it and closes the connection.
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    serving.stop("TERM").ok()
}

#[test]
fn the_authority_certifies_only_the_servers_names_even_if_its_key_is_stolen() {
    let stage = Stage::mirrored();
    start_once(&stage, &[]);
    let ca = stage.project.join(".git/hexmirror/tls/ca.pem");
    if stage.sandbox.command("openssl", &stage.project).arg("version").output().is_err() {
        return eprintln!("skipped: there is no openssl");
    }
    // The stage redirects git away from the network.
    let nowhere = ("GIT_CONFIG_GLOBAL", Path::new("/dev/null"));
    for (name, is_trusted) in [("localhost", true), (OTHER, false), ("github.com", false)] {
        let own = forged(&stage, name);
        let checked = output(
            &stage,
            "openssl",
            &[
                "verify",
                "-CAfile",
                ca.to_str().unwrap(),
                "-untrusted",
                own.0.to_str().unwrap(),
                own.0.to_str().unwrap(),
            ],
            &[],
        );
        assert_eq!(checked.status.success(), is_trusted, "{name}: {}", String::from_utf8_lossy(&checked.stderr));
        let server = Own::start(&stage, &own, name);
        let (port, here) = (server.1, format!("{name}:{}:127.0.0.1", server.1));
        let url = format!("https://{name}:{port}/health");
        let asked =
            output(&stage, "curl", &["--silent", "--show-error", "--resolve", &here, &url], &[("SSL_CERT_FILE", &ca)]);
        assert_eq!(asked.stdout.starts_with(b"ok "), is_trusted, "{name}: {}", String::from_utf8_lossy(&asked.stderr));
        let resolve = format!("http.curloptResolve={here}");
        let url = format!("https://{name}:{port}/git/example.org/none");
        let asked = output(&stage, "git", &["-c", &resolve, "ls-remote", &url], &[("GIT_SSL_CAINFO", &ca), nowhere]);
        let text = String::from_utf8_lossy(&asked.stderr).into_owned();
        assert_eq!(text.contains("not in the mirror"), is_trusted, "{name}: {text}");
        assert_eq!(text.contains("certificate"), !is_trusted, "{name}: {text}");
        if let Some(connected) = erlang_connects(&stage, port, name, &ca) {
            assert_eq!(connected, is_trusted, "{name}, by Erlang");
        }
    }
}

#[test]
fn the_authority_lasts_a_year_at_most_and_its_key_stays_where_it_was_made() {
    let stage = Stage::mirrored();
    let serve = |names: &[&str]| start_once(&stage, names);
    assert!(!serve(&[]).stderr.contains("new authority"));
    let tls = stage.project.join(".git/hexmirror/tls");
    let (ca, key) = (tls.join("ca.pem"), tls.join("ca-key.pem"));
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(stage.git(&["status", "--porcelain"]).lines().filter(|line| line.contains("pem")).count(), 0);
    assert!(stage.paths().iter().all(|path| !path.contains(".pem")), "nothing of it is on the branch");
    let ends_within = |days: u32| {
        let seconds = (days * 24 * 60 * 60).to_string();
        let arguments = ["x509", "-in", ca.to_str().unwrap(), "-noout", "-checkend", &seconds];
        !output(&stage, "openssl", &arguments, &[]).status.success()
    };
    if stage.sandbox.command("openssl", &stage.project).arg("version").output().is_ok() {
        assert!(ends_within(366) && !ends_within(360));
    }
    let before = fs::read(&ca).unwrap();
    assert!(!serve(&[]).stderr.contains("new authority") && fs::read(&ca).unwrap() == before);
    serve(&["--hostname=hex.example.org"]).says("new authority");
    assert!(fs::read(&ca).unwrap() != before);
}

#[test]
fn a_given_certificate_requires_its_key() {
    let stage = Stage::mirrored();
    stage.run(&["serve", "--tls-cert=x.pem"]).exits(2).says("--tls-key");
    stage.run(&["serve", "--tls-key=x.pem"]).exits(2).says("--tls-cert");
    stage.run(&["serve", "--tls", "--tls-cert=x.pem", "--tls-key=x.pem"]).exits(2).says("cannot be used with");
    stage.run(&["serve", "--tls-cert=absent.pem", "--tls-key=x.pem"]).exits(2).says("cannot read").says("absent.pem");
    stage.write("x.pem", "nonsense");
    stage.run(&["serve", "--tls-cert=x.pem", "--tls-key=x.pem"]).exits(2).says("x.pem for HTTPS");
}
