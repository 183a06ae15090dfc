//! What the servers of git dependencies learn about the user: only what is configured for their address.

use std::fs;

use crate::support::forge::Scene;
use crate::support::secure::SecureServer;
use crate::support::upstream::TestUpstream;

const TOKEN: &str = "X-Token: s3cret";

/// A project whose lock pins a repository on a web server that records every request.
struct Strange {
    scene: Scene,
    server: TestUpstream,
}

impl Strange {
    fn new() -> Self {
        let scene = Scene::new();
        let pinned = scene.forge.commit("a/one", "main", &[("f", "1")]);
        scene.forge.run("a/one", &["repack", "-adq"]);
        scene.forge.run("a/one", &["update-server-info"]);
        let server = TestUpstream::serve(scene.sandbox().path().join("forge"));
        scene.lock(&[("one", &format!("{}/a/one.git", server.url()), &pinned, "")]);
        Self { scene, server }
    }

    /// Runs an update in a clone of the project's folder, and returns the distinct values of a header that the server
    /// received.
    #[track_caller]
    fn heard(&self, header: &str, variables: &[(&str, &str)]) -> Vec<Option<String>> {
        let before = self.server.count("*");
        let stage = &self.scene.stage;
        let _ = fs::remove_dir_all(stage.project.join(".git/hexmirror"));
        stage.git(&["update-ref", "-d", "refs/heads/hexmirror"]);
        stage.run_with(&["update"], variables).ok();
        let requests = self.server.requests("*").split_off(before);
        assert!(!requests.is_empty());
        let mut heard: Vec<_> = requests.iter().map(|request| request.header(header).map(str::to_owned)).collect();
        heard.sort();
        heard.dedup();
        heard
    }

    fn write(&self, path: &str, text: &str) -> String {
        let path = self.scene.sandbox().path().join(path);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

#[test]
fn an_unscoped_header_is_not_sent_to_third_parties() {
    let strange = Strange::new();
    let stage = &strange.scene.stage;
    let nobody: [Option<String>; 1] = [None];
    for (name, value) in [
        ("GIT_CONFIG_PARAMETERS", format!("'http.extraheader'='{TOKEN}'")),
        ("GIT_CONFIG_PARAMETERS", format!("'http.extraheader={TOKEN}'")),
    ] {
        assert_eq!(strange.heard("x-token", &[(name, &value)]), nobody);
    }
    let counted = [("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "http.extraHeader"), ("GIT_CONFIG_VALUE_0", TOKEN)];
    assert_eq!(strange.heard("x-token", &counted), nobody);
    // CI's remote is another server, to which its token belongs.
    stage.git(&["remote", "add", "origin", "http://127.0.0.1:1/team/project.git"]);
    stage.git(&["config", "http.extraHeader", TOKEN]);
    assert_eq!(strange.heard("x-token", &[]), nobody);
    stage.git(&["config", "--unset", "http.extraHeader"]);
    let included = strange.write("included", &format!("[http]\n\textraHeader = {TOKEN}\n"));
    for condition in ["include.path".to_owned(), format!("includeIf.gitdir:{}/.path", stage.project.display())] {
        stage.git(&["config", &condition, &included]);
        assert_eq!(strange.heard("x-token", &[]), nobody, "{condition}");
        stage.git(&["config", "--unset", &condition]);
    }
    strange.scene.sandbox().git("", &["config", "--global", "http.extraHeader", TOKEN]);
    assert_eq!(strange.heard("x-token", &[]), nobody);
}

#[test]
fn a_header_is_sent_to_the_address_that_it_is_configured_for() {
    let strange = Strange::new();
    let stage = &strange.scene.stage;
    let sent = [Some("s3cret".to_owned())];
    let key = format!("http.{}/.extraheader", strange.server.url());
    stage.git(&["config", &key, TOKEN]);
    assert_eq!(strange.heard("x-token", &[]), sent);
    stage.git(&["config", "--unset", &key]);
    let included =
        strange.write("included", &format!("[http \"{}/\"]\n\textraHeader = {TOKEN}\n", strange.server.url()));
    let condition = format!("includeIf.gitdir:{}/.path", stage.project.display());
    stage.git(&["config", &condition, &included]);
    assert_eq!(strange.heard("x-token", &[]), sent);
    stage.git(&["config", "--unset", &condition]);
    // The remote's own server may receive it.
    stage.git(&["config", "http.extraHeader", TOKEN]);
    stage.git(&["remote", "add", "origin", &format!("{}/team/project.git", strange.server.url())]);
    assert_eq!(strange.heard("x-token", &[]), sent);
}

#[test]
fn cookies_are_not_sent_to_third_parties() {
    let strange = Strange::new();
    let cookies = strange.write("cookies", "127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\ts3cret\n");
    strange.scene.stage.git(&["config", "http.cookieFile", &cookies]);
    assert_eq!(strange.heard("cookie", &[]), [None]);
    strange.scene.stage.git(&["config", &format!("http.{}/.cookieFile", strange.server.url()), &cookies]);
    assert_eq!(strange.heard("cookie", &[]), [Some("session=s3cret".to_owned())]);
}

/// A project whose lock pins a repository on a TLS server that does not have it and whose certificate is not trusted.
fn secure() -> (Scene, SecureServer) {
    let scene = Scene::new();
    let not_found = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let server = SecureServer::start(scene.sandbox().path(), not_found.to_owned());
    // Bypasses the sandbox's own rule for https.
    scene.sandbox().git("", &["config", "--global", &format!("url.{}/.insteadOf", server.url()), &server.url()]);
    scene.lock(&[("one", &format!("{}/a/one.git", server.url()), &"1".repeat(40), "")]);
    (scene, server)
}

#[test]
fn a_client_certificate_is_not_presented_to_third_parties() {
    let (scene, server) = secure();
    scene.stage.git(&["config", "http.sslCAInfo", server.certificate.to_str().unwrap()]);
    let missing = "/no/such/file.pem";
    // curl refuses to continue if it cannot read the file.
    for (key, variable) in [("http.sslCert", "GIT_SSL_CERT"), ("http.sslKey", "GIT_SSL_KEY")] {
        scene.stage.run_with(&["update"], &[(variable, missing)]).exits(3).says("not found");
        scene.stage.git(&["config", key, missing]);
        scene.stage.run(&["update"]).exits(3).says("not found");
    }
    scene.stage.git(&["config", &format!("http.{}/.sslCert", server.url()), missing]);
    let ran = scene.stage.run(&["update"]);
    assert!(!ran.stderr.contains("not found"), "{ran:?}");
    assert_eq!(server.stop(), 4);
}

#[test]
fn third_parties_are_verified_even_if_verification_is_off() {
    let (scene, server) = secure();
    let run = |variables: &[(&str, &str)]| scene.stage.run_with(&["update"], variables).exits(3);
    scene.stage.git(&["config", "http.sslVerify", "false"]);
    run(&[]).says("certificate");
    run(&[("GIT_SSL_NO_VERIFY", "1")]).says("certificate");
    // A certificate authority applies to all servers, as does what is configured for the address.
    scene.stage.git(&["config", "http.sslCAInfo", server.certificate.to_str().unwrap()]);
    run(&[]).says("not found");
    scene.stage.git(&["config", "--unset", "http.sslCAInfo"]);
    scene.stage.git(&["config", &format!("http.{}/.sslVerify", server.url()), "false"]);
    run(&[]).says("not found");
    assert_eq!(server.stop(), 2);
}
