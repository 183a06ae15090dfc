//! A request over a raw socket, so that no client library hides defects of the response.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

/// Reads what is there, or waits for it as long as the socket allows. The end of a process that another test started interrupts
/// the wait of a socket with a time limit, also where signals restart other calls (signal(7)).
pub fn read_some(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// A response.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// Names are in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Requests a path from `authority` (host and port).
pub fn get(authority: &str, path: &str) -> Answer {
    get_with(authority, path, "")
}

/// As above, with additional headers, each ending in a line break.
pub fn get_with(authority: &str, path: &str, headers: &str) -> Answer {
    get_as(authority, authority, path, headers)
}

/// As above, with another host's name.
pub fn get_as(authority: &str, host: &str, path: &str, headers: &str) -> Answer {
    let mut stream = TcpStream::connect(authority).expect("the server listens");
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).expect("the server listens");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("the server answers");
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("the end of the head");
    let head = String::from_utf8(bytes[..end].to_vec()).expect("a head is text");
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    let answer = Answer { status: status.expect("a status"), headers, body: bytes[end + 4..].to_vec() };
    assert!(answer.header("transfer-encoding").is_none(), "{answer:?}");
    answer
}
