//! The server's limits on clients, and how it starts and stops.

use std::io::{ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::server::{Client, Memory, PATIENCE, get, serve, tarball};
use crate::support::http::read_some;
use git_hexmirror::serve::{Limits, Options, ServeError, Server};

const PLUG: &str = "/tarballs/plug-1.0.0.tar";
const SHORT: Duration = Duration::from_millis(200);

fn limited(limits: Limits) -> Options {
    Options { limits, ..Options::default() }
}

fn with_plug(bytes: usize) -> std::sync::Arc<Memory> {
    let memory = Memory::new("t");
    memory.put_bytes(tarball("plug", "1.0.0"), "k-plug", vec![7; bytes]);
    memory
}

#[test]
fn a_header_that_trickles_in_is_cut_off() {
    let server = serve(with_plug(1), limited(Limits { header_time: SHORT, ..Limits::default() }));
    let mut client = Client::connect(server.local_addr());
    client.send(&format!("GET {PLUG} HTTP/1.1\r\nx: "));
    client.0.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let begun = Instant::now();
    let closed = loop {
        match read_some(&mut client.0, &mut [0; 64]) {
            Ok(0) => break true,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break true,
            // The read timed out, which paces this loop: send the next byte of an endless header.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            other => panic!("{other:?}"),
        }
        if client.0.write_all(b"a").is_err() || begun.elapsed() > PATIENCE {
            break begun.elapsed() < PATIENCE;
        }
    };
    assert!(closed);
}

#[test]
fn an_idle_connection_is_closed() {
    let server = serve(with_plug(1), limited(Limits { header_time: SHORT, ..Limits::default() }));
    let mut silent = Client::connect(server.local_addr());
    let mut used = Client::connect(server.local_addr());
    assert_eq!(used.ask("GET", PLUG, &[]).status, 200);
    assert!(used.is_closed());
    assert!(silent.is_closed());
}

#[test]
fn a_slow_load_is_not_an_idle_client() {
    let memory = with_plug(1);
    memory.close();
    let limits = Limits { header_time: SHORT, write_time: SHORT, ..Limits::default() };
    let server = serve(memory.clone(), limited(limits));
    let mut client = Client::connect(server.local_addr());
    client.send(&format!("GET {PLUG} HTTP/1.1\r\nhost: localhost\r\n\r\n"));
    // An idle connection as a clock: the server would close the first connection at the same time if it were idle too.
    assert!(Client::connect(server.local_addr()).is_closed());
    assert!(Client::connect(server.local_addr()).is_closed());
    memory.open();
    assert_eq!(client.read(true).unwrap().status, 200);
}

#[test]
fn large_headers_are_refused() {
    let server = serve(with_plug(1), Options::default());
    let mut client = Client::connect(server.local_addr());
    client.send(&format!("GET {PLUG} HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(100_000)));
    assert_eq!(client.read(false).unwrap().status, 431);
    let mut client = Client::connect(server.local_addr());
    client.send(&format!("GET {PLUG} HTTP/1.1\r\n{}\r\n", "x: a\r\n".repeat(200)));
    assert_eq!(client.read(false).unwrap().status, 431);
    assert_eq!(get(server.local_addr(), PLUG).status, 200);
}

#[test]
fn a_client_that_reads_nothing_is_cut_off() {
    let limits = Limits { connections: 1, write_time: SHORT, ..Limits::default() };
    // More than fits in the buffers of both sockets.
    let server = serve(with_plug(64 << 20), limited(limits));
    let mut stuck = Client::connect(server.local_addr());
    stuck.send(&format!("GET {PLUG} HTTP/1.1\r\nhost: localhost\r\n\r\n"));
    // It occupies the only place, so the next client only gets a response after it was cut off.
    assert_eq!(get(server.local_addr(), "/health").status, 200);
}

#[test]
fn the_longest_idle_connection_makes_room() {
    let server = serve(with_plug(1), limited(Limits { connections: 2, header_time: PATIENCE, ..Limits::default() }));
    let mut silent = Client::connect(server.local_addr());
    let mut used = Client::connect(server.local_addr());
    assert_eq!(used.ask("GET", PLUG, &[]).status, 200);
    assert_eq!(get(server.local_addr(), PLUG).status, 200);
    assert!(silent.is_closed());
    assert_eq!(used.ask("GET", PLUG, &[]).status, 200, "it was used later");
    let mut others: Vec<Client> = (0..2).map(|_| Client::connect(server.local_addr())).collect();
    assert!(others.iter_mut().all(|other| other.ask("GET", PLUG, &[]).status == 200));
    assert!(used.is_closed());
}

#[test]
fn idle_connections_do_not_delay_new_ones() {
    let server = serve(with_plug(1), limited(Limits { header_time: PATIENCE, ..Limits::default() }));
    let mut half = Client::connect(server.local_addr());
    half.send("GET / HTTP/1.1\r\nx: ");
    let mut idle: Vec<Client> = (0..800).map(|_| Client::connect(server.local_addr())).collect();
    assert_eq!(get(server.local_addr(), PLUG).status, 200);
    assert!(half.is_closed() && idle[0].is_closed());
    assert_eq!(idle[799].ask("GET", PLUG, &[]).status, 200);
}

#[test]
fn connections_beyond_the_limit_wait_while_all_others_are_busy() {
    let memory = with_plug(1);
    memory.close();
    let server = serve(memory.clone(), limited(Limits { connections: 1, ..Limits::default() }));
    let mut first = Client::connect(server.local_addr());
    first.send(&format!("GET {PLUG} HTTP/1.1\r\nhost: localhost\r\n\r\n"));
    memory.wait_for_loads(1);
    let mut second = Client::connect(server.local_addr());
    second.send("GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n");
    second.0.set_read_timeout(Some(SHORT)).unwrap();
    assert_eq!(read_some(&mut second.0, &mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    memory.open();
    assert_eq!(first.read(true).unwrap().status, 200);
    second.0.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(second.read(true).unwrap().status, 200);
    assert!(first.is_closed());
}

#[test]
fn stopping_lets_running_requests_end_and_closes_idle_ones() {
    let memory = with_plug(300_000);
    memory.close();
    let limits = Limits { drain_time: PATIENCE, ..Limits::default() };
    let server = serve(memory.clone(), limited(limits));
    let address = server.local_addr();
    let mut idle = Client::connect(address);
    assert_eq!(idle.ask("GET", "/health", &[]).status, 200);
    let mut client = Client::connect(address);
    client.send(&format!("GET {PLUG} HTTP/1.1\r\nhost: localhost\r\n\r\n"));
    memory.wait_for_loads(1);
    let stopping = thread::spawn(move || server.stop());
    assert!(idle.is_closed());
    assert!(TcpStream::connect(address).is_err(), "still listening");
    memory.open();
    let answer = client.read(true).unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, 300_000));
    assert!(client.is_closed());
    stopping.join().unwrap().unwrap();
}

#[test]
fn stopping_does_not_wait_forever() {
    let memory = with_plug(1);
    memory.close();
    let server = serve(memory.clone(), limited(Limits { drain_time: SHORT, ..Limits::default() }));
    let mut client = Client::connect(server.local_addr());
    client.send(&format!("GET {PLUG} HTTP/1.1\r\nhost: localhost\r\n\r\n"));
    memory.wait_for_loads(1);
    let (done, stopped) = mpsc::channel();
    thread::spawn(move || done.send(server.stop().is_ok()));
    assert_eq!(stopped.recv_timeout(PATIENCE), Ok(true));
    assert!(client.is_closed());
    memory.open();
}

#[test]
fn dropping_the_handle_stops_the_server() {
    let server = serve(with_plug(1), Options::default());
    let address = server.local_addr();
    drop(server);
    TcpListener::bind(address).unwrap();
}

#[test]
fn an_unavailable_address_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = Server::bind(address, with_plug(1), Options::default()).err().unwrap();
    assert!(matches!(error, ServeError::InUse { address: named } if named == address));
    assert!(error.to_string().contains("in use"), "{error}");
    for text in ["127.0.0.1", "127.0.0.1:99999", "nonsense"] {
        let error = Server::bind(text, with_plug(1), Options::default()).err().unwrap();
        assert!(matches!(error, ServeError::Address { .. }), "{text}: {error}");
    }
}

#[test]
fn base_urls_can_be_connected_to() {
    let url = |address| {
        Server::bind(address, with_plug(1), Options::default())
            .map(|server| (server.base_urls().next().unwrap(), server.local_addrs().next().unwrap().port()))
    };
    let (base_url, port) = url("0.0.0.0:0").unwrap();
    assert_eq!(base_url, format!("http://127.0.0.1:{port}"));
    match url("[::]:0") {
        Ok((base_url, port)) => assert_eq!(base_url, format!("http://[::1]:{port}")),
        Err(error) => eprintln!("skipped: no IPv6 here ({error})"),
    }
}
