//! What the server counts for Prometheus.

use git_hexmirror::serve::Options;

use super::server::{Client, Memory, entry, get, serve, tarball};

/// Returns the value of a metric.
fn value(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is not in {text}")).parse().unwrap()
}

#[test]
fn requests_are_counted_by_kind_and_status() {
    let memory = Memory::new("a1");
    memory.put_bytes(entry("plug"), "k", vec![1; 100]);
    memory.put_bytes(tarball("plug", "1.0.0"), "t", vec![2; 1000]);
    let server = serve(memory.clone(), Options::default());
    for path in
        ["/packages/plug", "/tarballs/plug-1.0.0.tar", "/tarballs/plug-1.0.0.tar", "/tarballs/plug-2.0.0.tar", "/x"]
    {
        get(server.local_addr(), path);
    }
    let answer = get(server.local_addr(), "/metrics");
    assert_eq!(answer.field("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = answer.text();
    let requests = |kind: &str, class: &str| {
        value(text, &format!("hexmirror_requests_total{{kind=\"{kind}\",status=\"{class}\"}}"))
    };
    assert_eq!((requests("registry", "2xx"), requests("tarball", "2xx"), requests("tarball", "4xx")), (1.0, 2.0, 1.0));
    assert_eq!((requests("other", "4xx"), requests("git", "2xx")), (1.0, 0.0));
    assert!(value(text, "hexmirror_response_bytes_total{kind=\"tarball\"}") >= 2000.0);
    assert_eq!((value(text, "hexmirror_lacking_total"), value(text, "hexmirror_mirror_readable")), (1.0, 1.0));
    memory.set_tip(None);
    assert_eq!(get(server.local_addr(), "/health").status, 503);
    let text = get(server.local_addr(), "/metrics");
    assert_eq!((text.status, value(text.text(), "hexmirror_mirror_readable")), (200, 0.0));
}

#[test]
fn no_client_adds_a_series() {
    let server = serve(Memory::new("a1"), Options::default());
    let names =
        |text: &str| -> Vec<String> { text.lines().map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect() };
    let before = names(get(server.local_addr(), "/metrics").text());
    for path in ["/tarballs/%22%7d%0ax%201", "/git/a/b/info/refs", "/packages/%0a", "/?x=%22", "/%00"] {
        get(server.local_addr(), path);
        Client::connect(server.local_addr()).ask("BREW", path, &[]);
    }
    assert_eq!(names(get(server.local_addr(), "/metrics").text()), before);
}

#[test]
fn the_same_hosts_may_read_them_as_health() {
    let server = serve(Memory::new("a1"), Options::default());
    for path in ["/metrics", "/health", "/env", "/gitconfig"] {
        let mut client = Client::connect(server.local_addr());
        client.send(&format!("GET {path} HTTP/1.1\r\nhost: attacker.example\r\n\r\n"));
        assert_eq!(client.read(true).unwrap().status, 421, "{path}");
        assert_eq!(Client::connect(server.local_addr()).ask("POST", path, &[]).status, 405, "{path}");
        assert_eq!(get(server.local_addr(), path).status, 200, "{path}");
    }
}
