//! Runs git once: passes it the request and distributes its output.

use std::io;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout};

use super::answer_cache::{AnswerCache, AnswerKey, MAX_ANSWER};
use super::process::Process;
use super::spool::{End, STEP, Writer};

/// A running git process.
pub(super) struct Run {
    pub(super) process: Process,
    /// The request and where to write it, unless the process reads it from a file.
    pub(super) request: Option<(ChildStdin, Bytes)>,
    /// The bytes that precede git's output.
    pub(super) begin: &'static [u8],
    /// The folder for output that does not fit in memory.
    pub(super) folder: PathBuf,
    /// The cache for the complete answer, and its key.
    pub(super) keep: Option<(AnswerCache, AnswerKey)>,
    /// Kept alive until git has ended.
    pub(super) held: Box<dyn Send + Sync>,
}

impl Run {
    /// Copies git's output to `to` until git ends or no client is left, in which case git is killed.
    pub(super) async fn finish(self, to: Writer) {
        let Self { mut process, request, begin, folder, keep, held } = self;
        let mut output = CacheableOutput { bytes: keep.is_some().then(Vec::new) };
        let ended = tokio::select! {
            ended = work(&mut process, request, begin, &folder, &to, &mut output) => ended,
            () = to.is_left() => return,
        };
        drop(held);
        if let (Ok(None), Some((answers, key)), Some(bytes)) = (&ended, keep, output.bytes) {
            answers.keep(key, bytes.into());
        }
        to.end(match ended {
            Ok(error) => End::Complete(error),
            Err(error) => End::Broken(format!("what git writes cannot be passed on: {error}")),
        });
    }
}

/// The output so far, unless it exceeds the maximum size for caching.
struct CacheableOutput {
    bytes: Option<Vec<u8>>,
}

impl CacheableOutput {
    fn add(&mut self, more: &[u8]) {
        self.bytes.take_if(|bytes| bytes.len() + more.len() > MAX_ANSWER);
        if let Some(bytes) = &mut self.bytes {
            bytes.extend_from_slice(more);
        }
    }
}

/// Runs to the end and returns git's error message, if any.
async fn work(
    process: &mut Process,
    request: Option<(ChildStdin, Bytes)>,
    begin: &'static [u8],
    folder: &Path,
    to: &Writer,
    output: &mut CacheableOutput,
) -> io::Result<Option<String>> {
    let write = async {
        if let Some((mut stdin, bytes)) = request {
            // If git stops reading early, it explains why in its output.
            let _ = stdin.write_all(&bytes).await;
        }
    };
    let ((), read) = tokio::join!(write, pass_on(&mut process.stdout, begin, folder, to, output));
    read?;
    Ok(process.end().await)
}

async fn pass_on(
    stdout: &mut ChildStdout,
    begin: &'static [u8],
    folder: &Path,
    to: &Writer,
    output: &mut CacheableOutput,
) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    let mut begin = Some(begin);
    loop {
        buffer.reserve(STEP);
        // Read at most one step, which is what a spool keeps in memory.
        if (&mut *stdout).take(STEP as u64).read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        // Only the first bytes of git's output show that there is an answer at all.
        if let Some(begin) = begin.take().filter(|begin| !begin.is_empty()) {
            output.add(begin);
            to.add(Bytes::from_static(begin), folder).await?;
        }
        let bytes = buffer.split().freeze();
        output.add(&bytes);
        to.add(bytes, folder).await?;
    }
}
