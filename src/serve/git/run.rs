//! One run of git: from the request to what it writes.

use std::io;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout};

use super::answers::{Answers, MAX_ANSWER, Question};
use super::process::Process;
use super::spool::{End, STEP, Writer};

/// A run that has been started.
pub(super) struct Run {
    pub(super) process: Process,
    /// Where the request goes, unless the process reads it from a file.
    pub(super) request: Option<(ChildStdin, Bytes)>,
    /// What stands before what git writes.
    pub(super) begin: &'static [u8],
    /// The folder for what does not stay in memory.
    pub(super) folder: PathBuf,
    /// Where a whole answer is kept for those who ask the same later.
    pub(super) keep: Option<(Answers, Question)>,
    /// What must not go away before git has ended.
    pub(super) held: Box<dyn Send + Sync>,
}

impl Run {
    /// Moves what git writes to `to`, until it ends or nobody wants it any longer; then it is killed.
    pub(super) async fn finish(self, to: Writer) {
        let Self { mut process, request, begin, folder, keep, held } = self;
        let mut kept = Kept { bytes: keep.is_some().then(Vec::new) };
        let ended = tokio::select! {
            ended = work(&mut process, request, begin, &folder, &to, &mut kept) => ended,
            () = to.is_left() => return,
        };
        drop(held);
        if let (Ok(None), Some((answers, question)), Some(bytes)) = (&ended, keep, kept.bytes) {
            answers.keep(question, bytes.into());
        }
        to.end(match ended {
            Ok(complaint) => End::Complete(complaint),
            Err(error) => End::Broken(format!("what git writes cannot be passed on: {error}")),
        });
    }
}

/// What is written, as long as it is not too large to be kept.
struct Kept {
    bytes: Option<Vec<u8>>,
}

impl Kept {
    fn add(&mut self, more: &[u8]) {
        self.bytes.take_if(|bytes| bytes.len() + more.len() > MAX_ANSWER);
        if let Some(bytes) = &mut self.bytes {
            bytes.extend_from_slice(more);
        }
    }
}

/// Returns what git complained of.
async fn work(
    process: &mut Process,
    request: Option<(ChildStdin, Bytes)>,
    begin: &'static [u8],
    folder: &Path,
    to: &Writer,
    kept: &mut Kept,
) -> io::Result<Option<String>> {
    let write = async {
        if let Some((mut stdin, bytes)) = request {
            // A process that has heard enough says why on its output.
            let _ = stdin.write_all(&bytes).await;
        }
    };
    let ((), read) = tokio::join!(write, pass_on(&mut process.stdout, begin, folder, to, kept));
    read?;
    Ok(process.end().await)
}

async fn pass_on(
    stdout: &mut ChildStdout,
    begin: &'static [u8],
    folder: &Path,
    to: &Writer,
    kept: &mut Kept,
) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    let mut begin = Some(begin);
    loop {
        buffer.reserve(STEP);
        // A step at most, so that it fits into the memory that is meant for it.
        if (&mut *stdout).take(STEP as u64).read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        // Only git's first bytes tell that there is an answer at all.
        if let Some(begin) = begin.take().filter(|begin| !begin.is_empty()) {
            kept.add(begin);
            to.add(Bytes::from_static(begin), folder).await?;
        }
        let bytes = buffer.split().freeze();
        kept.add(&bytes);
        to.add(bytes, folder).await?;
    }
}
