//! Reads and writes all pipes of a process at the same time, because a process blocks on a pipe that nobody serves.

use std::io::{self, Read, Write};
use std::process::{ChildStderr, ChildStdin, ChildStdout};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};

/// The threads that serve the pipes of a process, and what they received.
pub(super) struct Pipes {
    /// `None` if there is nothing to write.
    pub writer: Option<JoinHandle<()>>,
    pub reader: JoinHandle<io::Result<Vec<u8>>>,
    /// The standard error, in chunks.
    pub arriving: Receiver<Vec<u8>>,
}

/// Starts the threads that serve the pipes of a process. Of its standard output, at most one byte more than `limit` is
/// read.
pub(super) fn serve_pipes(
    (stdin, bytes): (Option<ChildStdin>, Vec<u8>),
    stdout: ChildStdout,
    mut stderr: ChildStderr,
    limit: u64,
) -> io::Result<Pipes> {
    let start = || thread::Builder::new().name("git".into());
    let writer = match stdin.filter(|_| !bytes.is_empty()) {
        // A write error is ignored, because git may legitimately exit without reading its input.
        Some(mut stdin) => Some(start().spawn(move || drop(stdin.write_all(&bytes)))?),
        None => None,
    };
    let reader = start().spawn(move || {
        let mut output = Vec::new();
        stdout.take(limit + 1).read_to_end(&mut output).map(|_| output)
    })?;
    let (pieces, arriving) = mpsc::channel();
    // This thread ends at the latest with the last process that holds the other end of the pipe.
    start().spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stderr.read(&mut buffer) {
            if pieces.send(buffer[..count].to_owned()).is_err() {
                return;
            }
        }
    })?;
    Ok(Pipes { writer, reader, arriving })
}
