//! The server as a proxy: it answers for itself in every form, and refuses and records everything else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::server::{Client, Memory, serve, tarball};
use git_hexmirror::serve::{Handle, Options, RequestLog, Unanswered};

const PLUG: &str = "/tarballs/plug-1.0.0.tar";

type Left = Arc<Mutex<BTreeMap<(String, u16), usize>>>;

fn proxy() -> (Handle, Left) {
    let memory = Memory::new("t");
    memory.put_bytes(tarball("plug", "1.0.0"), "k", "0123456789");
    let left = Left::default();
    let noted = left.clone();
    let log = move |request: &RequestLog| {
        if let Some(Unanswered::Elsewhere { host, port }) = &request.unanswered {
            *noted.lock().unwrap().entry((host.clone(), *port)).or_default() += 1;
        }
    };
    let options = Options { is_proxy: true, log: Some(Arc::new(log)), ..Options::default() };
    (serve(memory, options), left)
}

#[test]
fn requests_for_the_server_are_answered_through_the_proxy() {
    let (server, left) = proxy();
    for target in [PLUG.to_owned(), format!("{}{PLUG}", server.base_url())] {
        let answer = Client::connect(server.local_addr()).ask("GET", &target, &[]);
        assert_eq!((answer.status, answer.text()), (200, "0123456789"), "{target}");
    }
    let mut client = Client::connect(server.local_addr());
    let own = server.local_addr();
    client.send(&format!("CONNECT {own} HTTP/1.1\r\nhost: {own}\r\n\r\n"));
    assert_eq!(client.read(false).unwrap().status, 200);
    for _ in 0..2 {
        let answer = client.ask("GET", PLUG, &[]);
        assert_eq!((answer.status, answer.text()), (200, "0123456789"), "within the tunnel");
    }
    assert!(left.lock().unwrap().is_empty());
    server.stop().unwrap();
}

#[test]
fn requests_for_other_hosts_are_refused_and_recorded() {
    let (server, left) = proxy();
    for (method, target) in [
        ("CONNECT", "repo.hex.pm:443"),
        ("CONNECT", "repo.hex.pm:443"),
        ("GET", "http://repo.hex.pm/packages/plug"),
        ("GET", "http://localhost:1/"),
        ("POST", "http://10.0.0.1:8080/"),
    ] {
        let answer = Client::connect(server.local_addr()).ask(method, target, &[]);
        assert_eq!(answer.status, 403, "{method} {target}");
        assert!(answer.text().contains("is not in the mirror"), "{}", answer.text());
    }
    let expected = [("10.0.0.1", 8080, 1), ("localhost", 1, 1), ("repo.hex.pm", 80, 1), ("repo.hex.pm", 443, 2)];
    let expected = expected.map(|(host, port, count)| ((host.to_owned(), port), count));
    assert_eq!(*left.lock().unwrap(), BTreeMap::from(expected));
}

#[test]
fn a_server_that_is_not_a_proxy_opens_no_tunnel() {
    let server = serve(Memory::new("t"), Options::default());
    let own = server.local_addr().to_string();
    for target in [own.as_str(), "repo.hex.pm:443"] {
        let answer = Client::connect(server.local_addr()).ask("CONNECT", target, &[]);
        assert!(answer.status >= 400, "{target}: {}", answer.status);
    }
}
