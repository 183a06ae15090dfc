//! Which certificates the fetcher trusts.

use std::io::Write;
use std::net::TcpListener;
use std::{fs, thread};

use crate::support::fetching::{Scene, keyed, once, quick, told};
use crate::support::secure::SecureServer;
use git_hexmirror::fetch::{Endpoint, Entry, FetchError, Settings, Upstream};
use git_hexmirror::model::RepositoryName;

async fn entry(fetcher: &Upstream) -> Result<Entry, FetchError> {
    fetcher.registry_entry(&RepositoryName::hexpm(), &"plug".parse().unwrap(), None).await
}

fn fetcher(scene: &Scene, settings: Settings, server: &SecureServer) -> Upstream {
    scene.fetcher_at(settings, [("hexpm", keyed(&server.url(), "key"))])
}

const ANSWER: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n\n\0";

#[tokio::test]
async fn only_a_trusted_certificate_is_accepted_and_the_error_says_what_to_do() {
    let scene = Scene::new();
    let server = SecureServer::start(scene.folder.path(), ANSWER.into());
    let error = entry(&fetcher(&scene, quick(), &server)).await.unwrap_err();
    assert!(matches!(error, FetchError::Tls { .. }) && error.is_network(), "{error:?}");
    let told = told(&error);
    assert!(told.contains(&server.url()) && told.contains("HEX_CACERTS_PATH"), "{told}");
    assert_eq!(scene.events.retries(), 0);
    let trusting = Settings { ca_certificates: Some(server.certificate.clone()), ..once() };
    assert!(matches!(entry(&fetcher(&scene, trusting, &server)).await.unwrap(), Entry::Found { .. }));
    assert_eq!(server.stop(), 1);
}

#[tokio::test]
async fn https_never_becomes_http() {
    let scene = Scene::new();
    scene.server.put("packages/plug", b"\n\0");
    let target = format!("{}/packages/plug", scene.server.url());
    let answer = format!("HTTP/1.1 302 Found\r\nconnection: close\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n");
    let server = SecureServer::start(scene.folder.path(), answer);
    let settings = Settings { ca_certificates: Some(server.certificate.clone()), ..quick() };
    let error = entry(&fetcher(&scene, settings, &server)).await.unwrap_err();
    assert!(matches!(error, FetchError::Redirect { .. }), "{error:?}");
    assert!(told(&error).ends_with(&format!("it leads from https to {target}")), "{error}");
    assert_eq!((server.stop(), scene.server.count("*")), (1, 0));
}

#[tokio::test]
async fn a_server_without_tls_is_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        stream
    });
    let scene = Scene::new();
    let error =
        entry(&scene.fetcher_at(once(), [("hexpm", Endpoint::public(url.parse().unwrap()))])).await.unwrap_err();
    assert!(matches!(error, FetchError::Tls { .. }), "{error:?}");
    server.join().unwrap();
}

#[test]
fn unusable_certificate_authorities_are_reported_immediately() {
    let scene = Scene::new();
    let path = scene.folder.path().join("ca.pem");
    for content in [None, Some("no certificate"), Some("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")] {
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        let settings = Settings { ca_certificates: Some(path.clone()), ..once() };
        let error = Upstream::new(settings, Default::default(), scene.events.clone()).err().unwrap();
        assert!(matches!(error, FetchError::CaCertificates { .. }), "{error:?}");
        assert!(told(&error).starts_with(&format!("cannot load certificate authorities from {}: ", path.display())));
    }
}
