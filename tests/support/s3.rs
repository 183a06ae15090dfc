//! Buckets of a real S3 server, moto, behind a proxy that records requests and answers some of them itself.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

/// A request to the service.
#[derive(Debug, Clone)]
pub struct S3Request {
    pub method: String,
    /// The path with the bucket, as sent.
    pub path: String,
    pub body: Vec<u8>,
    head: String,
}

impl S3Request {
    /// Returns whether this writes an object whose decoded key contains a text.
    pub fn writes(&self, key: &str) -> bool {
        self.method == "PUT" && self.path.contains(key)
    }
}

/// Decides about a request: returns the answer to it, or `None` for the server to answer.
pub type Hook = Box<dyn Fn(&S3Request) -> Option<String> + Send + Sync>;

/// A bucket of its own.
pub struct Bucket {
    server: String,
    pub name: String,
    /// The address of the proxy.
    pub endpoint: String,
    pub requests: Arc<Mutex<Vec<S3Request>>>,
}

/// Returns the address of the server, which all tests of this process share; `None`, with a message, if it is not
/// installed. It ends with this process.
fn server() -> Option<&'static str> {
    static SERVER: OnceLock<Option<(String, Child)>> = OnceLock::new();
    let server = SERVER.get_or_init(|| {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/moto/bin/moto_server");
        let program = if own.exists() { own } else { "moto_server".into() };
        // Its standard input is closed when this process ends, however it does.
        let script = "command -v \"$1\" >/dev/null || exit 69\n\"$1\" -H 127.0.0.1 -p 0 </dev/null 2>&1 &\ncat >/dev/null; kill $!";
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).arg(program).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.stderr(Stdio::null()).spawn().ok()?;
        let lines = BufReader::new(shell.stdout.take()?).lines();
        let mut lines = lines.map_while(Result::ok);
        let address = lines.find_map(|line| Some(line.split_once("Running on http://")?.1.trim().to_owned()));
        // The server would stop at a full pipe.
        thread::spawn(move || lines.for_each(drop));
        Some((address?, shell))
    });
    if server.is_none() {
        eprintln!("skipped: there is no moto_server (pip install 'moto[server]')");
    }
    server.as_ref().map(|(address, _)| address.as_str())
}

impl Bucket {
    /// Creates a bucket whose objects everybody may read.
    pub fn new() -> Option<Self> {
        Self::behind(Box::new(|_| None))
    }

    /// As above, behind a hook.
    pub fn behind(hook: Hook) -> Option<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let server = server()?.to_owned();
        let name = format!("acme-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let requests = Arc::default();
        let endpoint = proxy(server.clone(), hook, Arc::clone(&requests));
        let bucket = Self { server, name, endpoint, requests };
        assert!(bucket.send("PUT", "", b"").starts_with(b"HTTP/1.1 200"));
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::{}/*"}}]}}"#,
            bucket.name
        );
        let answer = bucket.send("PUT", "?policy", policy.as_bytes());
        assert!(answer.starts_with(b"HTTP/1.1 20"), "{}", String::from_utf8_lossy(&answer));
        Some(bucket)
    }

    /// Returns the variables for the program.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        [
            ("AWS_ENDPOINT_URL", self.endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "very-secret"),
            ("AWS_REGION", "us-east-1"),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .into()
    }

    /// Returns the address below which clients find a prefix.
    pub fn url(&self, prefix: &str) -> String {
        format!("http://{}/{}/{prefix}", self.server, self.name)
    }

    /// Writes an object past the proxy.
    pub fn put(&self, key: &str, body: &[u8]) {
        assert!(self.send("PUT", &format!("/{key}"), body).starts_with(b"HTTP/1.1 200"));
    }

    /// Deletes an object past the proxy.
    pub fn delete(&self, key: &str) {
        assert!(self.send("DELETE", &format!("/{key}"), b"").starts_with(b"HTTP/1.1 204"));
    }

    /// Requests an object by a path as a client sends it, without credentials.
    pub fn get(&self, path: &str) -> super::http::Answer {
        super::http::get(&self.server, &format!("/{}/{path}", self.name))
    }

    /// Returns all keys with their contents.
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        let listing = self.send("GET", "?list-type=2", b"");
        let listing = String::from_utf8_lossy(&listing).into_owned();
        assert!(listing.contains("<IsTruncated>false"), "{listing}");
        let keys = listing.split("<Key>").skip(1).map(|rest| rest.split("</Key>").next().unwrap().to_owned());
        keys.map(|key| {
            let body = self.get(&key.replace('+', "%2B").replace(' ', "%20")).body;
            (key, body)
        })
        .collect()
    }

    /// Returns the requests since the last call.
    pub fn take_requests(&self) -> Vec<S3Request> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }

    fn send(&self, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
        let (server, name, length) = (&self.server, &self.name, body.len());
        let head = format!(
            "{method} /{name}{path} HTTP/1.1\r\nhost: {server}\r\nauthorization: AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        );
        exchange(server, &[head.as_bytes(), body].concat())
    }
}

fn exchange(server: &str, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server).expect("the server listens");
    stream.write_all(request).expect("the server listens");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the server answers");
    answer
}

/// Starts a proxy that answers one request per connection. It runs until this process ends.
fn proxy(server: String, hook: Hook, requests: Arc<Mutex<Vec<S3Request>>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let hook = Arc::new(hook);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (server, hook, requests) = (server.clone(), Arc::clone(&hook), Arc::clone(&requests));
            thread::spawn(move || forward(&server, &**hook, &requests, stream));
        }
    });
    endpoint
}

fn forward(
    server: &str,
    hook: &(dyn Fn(&S3Request) -> Option<String> + Send + Sync),
    requests: &Mutex<Vec<S3Request>>,
    mut stream: TcpStream,
) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        (reader.read_line(&mut head).ok()? > 0).then_some(())?;
    }
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let mut words = head.split(' ').map(str::to_owned);
    let request = S3Request { method: words.next()?, path: words.next()?, body, head: head.clone() };
    requests.lock().unwrap().push(request.clone());
    let answer = match hook(&request) {
        Some(answer) => answer.into_bytes(),
        None => {
            let head = request.head.replacen("\r\n", "\r\nconnection: close\r\n", 1);
            exchange(server, &[head.as_bytes(), &request.body].concat())
        }
    };
    stream.write_all(&answer).ok()?;
    stream.shutdown(Shutdown::Both).ok()
}

/// Returns the service's answer for a refusal.
pub fn refusal(status: &str, code: &str, message: &str) -> String {
    let body = format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>");
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/xml\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}
