//! A Hex repository on a loopback port, which serves a folder as hex.pm serves its files, counts requests, and fails on
//! demand.
//!
//! The folder contains `packages/NAME`, `tarballs/NAME-VERSION.tar`, `names`, `versions`, `public_key` and, for
//! organisations, the same files under `repos/ORG/`. They are read at each request. The server supports HTTP/1.1 with
//! keep-alive, strong ETags, `If-None-Match`, `Range` and `If-Range`. It also answers proxy requests, `GET
//! http://host/path`. It stops on drop.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::Hasher;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// For [`TestUpstream::fail`]: every request.
pub const ALWAYS: usize = usize::MAX;

/// How long a test waits at most for something that should happen immediately.
const PATIENCE: Duration = Duration::from_secs(60);

/// A fault of a response.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The connection is closed without a response.
    Hangup,
    /// Another status, with a `Retry-After` header if given.
    Status(u16, Option<String>),
    /// Nothing is sent until [`TestUpstream::release`].
    Stall,
    /// The head and this many bytes of the body are sent, the rest after [`TestUpstream::release`].
    StallAfter(usize),
    /// The connection is closed after this many bytes of the body.
    Truncate(usize),
    /// The connection is closed after this many bytes of a body without a length.
    Unframed(usize),
    /// Only this many bytes of a range are sent, and the response announces no more.
    ShortRange(usize),
    /// The body is endless and has no length.
    Endless,
    /// The head announces this many bytes.
    ClaimLength(u64),
    /// The byte at this position of the file is changed.
    Flip(usize),
    /// A redirect with this status.
    Redirect(u16, String),
    /// The whole file is sent although a range was requested.
    IgnoreRange,
    /// A range that begins at 0 is sent and announced, regardless of the requested range.
    WrongRange,
}

/// A received request.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, `HEAD`, …
    pub method: String,
    /// The target as sent: a path, or a complete address if the server is used as a proxy.
    pub target: String,
    /// Names are in lower case.
    pub headers: Vec<(String, String)>,
}

impl Request {
    /// Returns the first header with this (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns the path of the target.
    pub fn path(&self) -> &str {
        let path = match self.target.split_once("://") {
            Some((_, rest)) => rest.find('/').map_or("/", |start| &rest[start..]),
            None => &self.target,
        };
        path.split('?').next().unwrap_or_default()
    }
}

/// The server.
pub struct TestUpstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

struct Shared {
    folder: PathBuf,
    round_trip: Duration,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    requests: Vec<Request>,
    faults: Vec<(String, usize, Fault)>,
    /// The percentage of requests that fail, and a seed.
    random: Option<(u64, u64)>,
    keys: Vec<(String, String)>,
    headers: Vec<(&'static str, String)>,
    connections: Vec<TcpStream>,
    in_flight: usize,
    peak: usize,
    released: bool,
    stopped: bool,
}

impl TestUpstream {
    /// Serves `folder` on a free loopback port.
    pub fn serve(folder: impl Into<PathBuf>) -> Self {
        Self::over_link(folder, Duration::ZERO)
    }

    /// Serves `folder` with a simulated round-trip time: each response is delayed by it, and the first one of a
    /// connection by twice as much, for the connection's own round trip.
    pub fn over_link(folder: impl Into<PathBuf>, round_trip: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (state, changed) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { folder: folder.into(), round_trip, state, changed });
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Self { address, shared, acceptor: Some(acceptor) }
    }

    /// Returns the base address, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the host and the port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Writes a file in the folder, such as `tarballs/plug-1.0.0.tar`.
    pub fn put(&self, path: &str, bytes: &[u8]) {
        let file = self.shared.folder.join(path);
        fs::create_dir_all(file.parent().expect("a file of the folder")).expect("a writable folder");
        fs::write(file, bytes).expect("a writable folder");
    }

    /// Makes the next `times` requests for `path` (such as `/packages/plug`; `*` for all) fail. Faults apply in the
    /// order in which they were added.
    pub fn fail(&self, path: &str, times: usize, fault: Fault) {
        self.shared.lock().faults.push((path.to_owned(), times, fault));
    }

    /// Adds a header to every response, or replaces the one of the same name.
    pub fn set_header(&self, name: &'static str, value: &str) {
        self.shared.lock().headers.push((name, value.to_owned()));
    }

    /// Answers 401 below `prefix` (such as `/repos/acme/`) unless the `authorization` header is `key`.
    pub fn require_key(&self, prefix: &str, key: &str) {
        self.shared.lock().keys.push((prefix.to_owned(), key.to_owned()));
    }

    /// Makes this percentage of requests fail in various ways, determined by a seed.
    pub fn fail_at_random(&self, percent: u64, seed: u64) {
        self.shared.lock().random = Some((percent, seed));
    }

    /// Stops all faults.
    pub fn heal(&self) {
        let mut state = self.shared.lock();
        state.random = None;
        state.faults.clear();
    }

    /// Releases all stalled responses, and does not stall any further ones.
    pub fn release(&self) {
        self.shared.lock().released = true;
        self.shared.changed.notify_all();
    }

    /// Waits until this many requests for `path` (`*` for all) have arrived.
    ///
    /// # Panics
    /// Panics on a timeout.
    pub fn wait_for(&self, path: &str, count: usize) {
        let pending =
            |state: &mut State| state.requests.iter().filter(|request| matches(path, request)).count() < count;
        let (state, timeout) = self.shared.changed.wait_timeout_while(self.shared.lock(), PATIENCE, pending).unwrap();
        assert!(!timeout.timed_out(), "waited for {count} requests for {path}, got {:?}", state.requests);
    }

    /// Returns the requests for `path` (`*` for all) so far, in order.
    pub fn requests(&self, path: &str) -> Vec<Request> {
        self.shared.lock().requests.iter().filter(|request| matches(path, request)).cloned().collect()
    }

    /// Returns the number of requests for `path` (`*` for all).
    pub fn count(&self, path: &str) -> usize {
        self.requests(path).len()
    }

    /// Returns the number of connections.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections.len()
    }

    /// Returns the maximum number of concurrent requests.
    pub fn peak(&self) -> usize {
        self.shared.lock().peak
    }
}

impl Drop for TestUpstream {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.stopped = true;
            for connection in &state.connections {
                let _ = connection.shutdown(Shutdown::Both);
            }
        }
        self.shared.changed.notify_all();
        // Wakes the acceptor thread.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it holds the state")
    }

    /// Records a request and returns its fault, if any.
    fn arrived(&self, request: &Request) -> Option<Fault> {
        let mut state = self.lock();
        state.requests.push(request.clone());
        state.in_flight += 1;
        state.peak = state.peak.max(state.in_flight);
        self.changed.notify_all();
        let refused = state.keys.iter().any(|(prefix, key)| {
            request.path().starts_with(prefix.as_str()) && request.header("authorization") != Some(key.as_str())
        });
        if refused {
            return Some(Fault::Status(401, None));
        }
        if let Some(fault) = state.at_random(request) {
            return Some(fault);
        }
        let (_, times, fault) =
            state.faults.iter_mut().find(|(path, times, _)| *times > 0 && matches(path, request))?;
        *times -= usize::from(*times != ALWAYS);
        Some(fault.clone())
    }

    fn wait_for_release(&self) {
        let state = self.lock();
        let pending = |state: &mut State| !state.released && !state.stopped;
        drop(self.changed.wait_while(state, pending).unwrap());
    }
}

impl State {
    /// Decides whether and how a request fails, based on the seed, the path and the number of previous requests for
    /// that path, so that the order of concurrent requests does not matter.
    fn at_random(&self, request: &Request) -> Option<Fault> {
        let (percent, seed) = self.random?;
        let nth = self.requests.iter().filter(|other| other.target == request.target).count();
        let mut hasher = DefaultHasher::new();
        hasher.write(format!("{seed} {} {nth}", request.target).as_bytes());
        let drawn = hasher.finish();
        let faults = [
            Fault::Status(500, None),
            Fault::Status(503, Some("0".to_owned())),
            Fault::Hangup,
            Fault::Truncate(0),
            Fault::Truncate(70),
        ];
        (drawn % 100 < percent).then(|| faults[(drawn / 100) as usize % faults.len()].clone())
    }
}

/// Counts a request as active until just before the client can see its response.
struct InFlight<'a>(&'a Shared);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.lock().in_flight -= 1;
        self.0.changed.notify_all();
    }
}

fn matches(path: &str, request: &Request) -> bool {
    path == "*" || path == request.path()
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads = Vec::new();
    while let Ok((stream, _)) = listener.accept() {
        let mut state = shared.lock();
        if state.stopped {
            break;
        }
        let _ = stream.set_nodelay(true);
        state.connections.push(stream.try_clone().expect("a socket can be cloned"));
        drop(state);
        let shared = Arc::clone(shared);
        threads.push(thread::spawn(move || {
            // A client may disconnect at any time.
            let _ = converse(&stream, &shared);
            let _ = stream.shutdown(Shutdown::Both);
        }));
    }
    for thread in threads {
        let _ = thread.join();
    }
}

/// Answers a connection's requests until either side closes it.
fn converse(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut first = true;
    while let Some(request) = read_request(&mut reader)? {
        let fault = shared.arrived(&request);
        // This is the simulated network, not a wait for anything.
        thread::sleep(shared.round_trip * if first { 2 } else { 1 });
        first = false;
        if !answer(stream, InFlight(shared), &request, fault)? {
            break;
        }
    }
    Ok(())
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let Some(first) = lines.first() else { return Ok(None) };
    let mut words = first.split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers = lines[1..].iter().filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    Ok(Some(Request { method, target, headers }))
}

struct Response {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Response {
    fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }
}

/// Sends a response. Returns whether to keep the connection open.
fn answer(mut stream: &TcpStream, in_flight: InFlight, request: &Request, fault: Option<Fault>) -> io::Result<bool> {
    let shared = in_flight.0;
    let mut response = respond(&shared.folder, request, &fault);
    for (name, value) in &shared.lock().headers {
        response.headers.retain(|(header, _)| header != name);
        response.headers.push((name, value.clone()));
    }
    let mut length = Some(response.body.len() as u64);
    // The number of bytes of the body to send before the fault.
    let mut cut = response.body.len();
    match &fault {
        Some(Fault::Hangup) => return Ok(false),
        Some(Fault::Stall) => shared.wait_for_release(),
        Some(Fault::StallAfter(bytes) | Fault::Truncate(bytes)) => cut = cut.min(*bytes),
        Some(Fault::Unframed(bytes)) => (cut, length) = (cut.min(*bytes), None),
        Some(Fault::ClaimLength(claimed)) => length = Some(*claimed),
        Some(Fault::Endless) => length = None,
        _ => {}
    }
    let mut head = format!("HTTP/1.1 {} Test\r\n", response.status);
    if let Some(length) = length.filter(|_| response.status != 304) {
        head += &format!("content-length: {length}\r\n");
    }
    for (name, value) in &response.headers {
        head += &format!("{name}: {value}\r\n");
    }
    let mut message = (head + "\r\n").into_bytes();
    if request.method != "HEAD" {
        message.extend_from_slice(&response.body[..cut]);
    }
    if let Some(Fault::StallAfter(_)) = fault {
        stream.write_all(&message)?;
        shared.wait_for_release();
        message = response.body.split_off(cut);
    }
    drop(in_flight);
    stream.write_all(&message)?;
    match fault {
        Some(Fault::Endless) => loop {
            stream.write_all(&[b'x'; 16 * 1024])?;
        },
        Some(Fault::Truncate(_) | Fault::ClaimLength(_) | Fault::Unframed(_)) => Ok(false),
        _ => Ok(true),
    }
}

fn respond(folder: &Path, request: &Request, fault: &Option<Fault>) -> Response {
    match fault {
        Some(Fault::Status(status, retry_after)) => {
            let mut response = Response::empty(*status);
            response.headers.extend(retry_after.iter().map(|value| ("retry-after", value.clone())));
            return response;
        }
        Some(Fault::Redirect(status, to)) => {
            return Response { headers: vec![("location", to.clone())], ..Response::empty(*status) };
        }
        _ => {}
    }
    let path = request.path().trim_start_matches('/');
    let Some(mut body) = (!path.contains("..")).then(|| fs::read(folder.join(path)).ok()).flatten() else {
        return Response::empty(404);
    };
    let etag = format!("\"{:016x}\"", digest(&body));
    if request.header("if-none-match") == Some(etag.as_str()) {
        return Response { headers: vec![("etag", etag)], ..Response::empty(304) };
    }
    if let Some(Fault::Flip(at)) = fault {
        body[*at] ^= 1;
    }
    let headers = vec![("etag", etag), ("accept-ranges", "bytes".to_owned())];
    match range(request, &headers[0].1) {
        Some(from) if !matches!(fault, Some(Fault::IgnoreRange)) => partial(headers, &body, from, fault),
        _ => Response { status: 200, headers, body },
    }
}

/// Returns the start of a range that must be honoured.
fn range(request: &Request, etag: &str) -> Option<usize> {
    let from = request.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()?;
    request.header("if-range").is_none_or(|validator| validator == etag).then_some(from)
}

fn partial(mut headers: Vec<(&'static str, String)>, body: &[u8], from: usize, fault: &Option<Fault>) -> Response {
    let total = body.len();
    if from >= total {
        headers.push(("content-range", format!("bytes */{total}")));
        return Response { status: 416, headers, body: Vec::new() };
    }
    let wrong = matches!(fault, Some(Fault::WrongRange));
    let end = if let Some(Fault::ShortRange(bytes)) = fault { total.min(from + bytes) } else { total };
    let (said, sent) = if wrong { (0, &body[..total - from]) } else { (from, &body[from..end]) };
    headers.push(("content-range", format!("bytes {said}-{}/{total}", said + sent.len() - 1)));
    Response { status: 206, headers, body: sent.to_vec() }
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}
