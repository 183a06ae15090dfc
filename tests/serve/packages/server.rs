//! A server with contents in memory, and a handwritten client for HTTP/1.1.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::support::http::read_some;
use bytes::Bytes;
use git_hexmirror::model::{ReleaseId, RepositoryName};
use git_hexmirror::serve::{Contents, ContentsError, Found, Handle, Options, Resource, Server, Tip};

/// How long a test waits for an expected event.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The bytes or error of a resource.
#[derive(Clone)]
pub enum Stored {
    Bytes(Bytes),
    Damaged,
    Panics,
}

#[derive(Default)]
struct State {
    tip: Option<String>,
    items: HashMap<Resource, (String, Stored)>,
    loads: Vec<String>,
    closed: bool,
    /// What the next reads of the tip return before it stops moving.
    tips: VecDeque<String>,
    /// The tips at which nothing can be read.
    gone: Vec<String>,
    refreshed: usize,
}

/// Contents whose loads can be blocked.
#[derive(Default)]
pub struct Memory {
    state: Mutex<State>,
    changed: Condvar,
}

impl Memory {
    pub fn new(tip: &str) -> Arc<Self> {
        let memory = Self::default();
        memory.set_tip(Some(tip));
        Arc::new(memory)
    }

    pub fn set_tip(&self, tip: Option<&str>) {
        self.state.lock().unwrap().tip = tip.map(str::to_owned);
    }

    /// Moves the branch during requests: the next reads of the tip return these first.
    pub fn pass(&self, tips: &[&str]) {
        self.state.lock().unwrap().tips = tips.iter().map(|tip| (*tip).to_owned()).collect();
    }

    /// Makes everything at a tip unreadable.
    pub fn lose(&self, tip: &str) {
        self.state.lock().unwrap().gone.push(tip.to_owned());
    }

    /// Returns how often the contents were refreshed.
    pub fn refreshed(&self) -> usize {
        self.state.lock().unwrap().refreshed
    }

    pub fn put(&self, resource: Resource, key: &str, stored: Stored) {
        self.state.lock().unwrap().items.insert(resource, (key.to_owned(), stored));
    }

    pub fn put_bytes(&self, resource: Resource, key: &str, bytes: impl Into<Bytes>) {
        self.put(resource, key, Stored::Bytes(bytes.into()));
    }

    /// Returns the loaded keys, in order.
    pub fn loads(&self) -> Vec<String> {
        self.state.lock().unwrap().loads.clone()
    }

    /// Blocks loads until [`Memory::open`].
    pub fn close(&self) {
        self.state.lock().unwrap().closed = true;
    }

    pub fn open(&self) {
        self.state.lock().unwrap().closed = false;
        self.changed.notify_all();
    }

    /// Waits until this many loads have started.
    pub fn wait_for_loads(&self, count: usize) {
        let state = self.state.lock().unwrap();
        let (state, _) = self.changed.wait_timeout_while(state, PATIENCE, |state| state.loads.len() < count).unwrap();
        assert_eq!(state.loads.len(), count);
    }
}

impl Contents for Memory {
    fn tip(&self) -> Result<Tip, ContentsError> {
        let mut state = self.state.lock().unwrap();
        let tip = state.tips.pop_front().or_else(|| state.tip.clone());
        tip.map(Tip).ok_or_else(|| ContentsError::Unavailable { source: "there is no branch hexmirror".into() })
    }

    fn refresh(&self) {
        self.state.lock().unwrap().refreshed += 1;
    }

    fn find(&self, tip: &Tip, resource: &Resource) -> Result<Option<Found>, ContentsError> {
        let state = self.state.lock().unwrap();
        if state.gone.contains(&tip.0) {
            return Err(ContentsError::Unavailable { source: "the commit is gone".into() });
        }
        Ok(state.items.get(resource).map(|(key, _)| Found { key: key.clone() }))
    }

    fn load(&self, tip: &Tip, resource: &Resource, found: &Found) -> Result<Bytes, ContentsError> {
        let mut state = self.state.lock().unwrap();
        state.loads.push(found.key.clone());
        self.changed.notify_all();
        let state = self.changed.wait_while(state, |state| state.closed).unwrap();
        if state.gone.contains(&tip.0) {
            return Err(ContentsError::Damaged { item: resource.to_string(), source: "a blob is gone".into() });
        }
        let stored = state.items[resource].1.clone();
        drop(state);
        match stored {
            Stored::Bytes(bytes) => Ok(bytes),
            Stored::Damaged => {
                Err(ContentsError::Damaged { item: resource.to_string(), source: "blob 1234\nis torn".into() })
            }
            Stored::Panics => panic!("on purpose"),
        }
    }
}

pub fn serve(contents: Arc<Memory>, options: Options) -> Handle {
    Server::bind("127.0.0.1:0", contents, options).unwrap().start().unwrap()
}

pub fn entry(package: &str) -> Resource {
    Resource::RegistryEntry(RepositoryName::hexpm(), package.parse().unwrap())
}

pub fn tarball(package: &str, version: &str) -> Resource {
    tarball_of("hexpm", package, version)
}

pub fn tarball_of(repository: &str, package: &str, version: &str) -> Resource {
    Resource::Tarball(ReleaseId {
        repository: repository.parse().unwrap(),
        package: package.parse().unwrap(),
        version: version.parse().unwrap(),
    })
}

/// A response, read up to its announced length.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// A connection to the server.
pub struct Client(pub TcpStream);

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    pub fn send(&mut self, head: &str) {
        self.0.write_all(head.as_bytes()).unwrap();
    }

    /// Sends a request with additional header lines and reads the response.
    pub fn ask(&mut self, method: &str, path: &str, lines: &[&str]) -> Answer {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        self.send(&format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{lines}\r\n"));
        self.read(method != "HEAD").unwrap()
    }

    /// Reads one response.
    pub fn read(&mut self, with_body: bool) -> io::Result<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let field = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        let fields: Vec<_> = lines.map(|line| field(line).unwrap()).collect();
        let mut answer = Answer { status, fields, body: Vec::new() };
        if with_body && status != 304 {
            let length = answer.field("content-length").expect("no length announced").parse().unwrap();
            answer.body.resize(length, 0);
            self.0.read_exact(&mut answer.body)?;
        }
        Ok(answer)
    }

    /// Returns whether the server closed the connection, with nothing left to read.
    pub fn is_closed(&mut self) -> bool {
        match read_some(&mut self.0, &mut [0; 64]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }
}

/// Sends a request on a separate connection.
pub fn get(address: SocketAddr, path: &str) -> Answer {
    Client::connect(address).ask("GET", path, &[])
}
