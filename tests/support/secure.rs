//! A TLS server with a certificate that is only trusted if configured.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A server with a self-signed certificate, which gives the same response to every request.
pub struct SecureServer {
    port: u16,
    /// The certificate, as a PEM file.
    pub certificate: PathBuf,
    thread: Option<JoinHandle<usize>>,
}

impl SecureServer {
    /// Starts the server and writes its certificate to `folder`.
    pub fn start(folder: &Path, answer: String) -> Self {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = folder.join("ca.pem");
        fs::write(&certificate, own.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![own.cert.der().clone()], key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = thread::spawn(move || serve(&listener, &Arc::new(config), &answer));
        Self { port, certificate, thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// Stops the server and returns the number of requests that it read.
    pub fn stop(mut self) -> usize {
        TcpStream::connect(("127.0.0.1", self.port)).unwrap().write_all(b"stop").unwrap();
        self.thread.take().unwrap().join().unwrap()
    }
}

fn serve(listener: &TcpListener, config: &Arc<ServerConfig>, answer: &str) -> usize {
    let mut requests = 0;
    loop {
        let (stream, _) = listener.accept().unwrap();
        let mut first = [0; 4];
        if stream.peek(&mut first).is_ok() && first == *b"stop" {
            return requests;
        }
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), stream);
        let mut lines = BufReader::new(&mut stream).lines();
        if lines.by_ref().map_while(Result::ok).any(|line| line.is_empty()) {
            requests += 1;
            let _ = stream.write_all(answer.as_bytes());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    }
}
