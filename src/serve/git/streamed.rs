//! A response that is sent while it is made: bounded memory, whatever its size.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, SizeHint};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, Take};

use super::super::server::{Log, RequestLog};
use super::answers::{Answers, MAX_ANSWER, Question};
use super::process::Process;
use super::request::{BodyError, Pump};

/// How much is read at a time: what a pipe holds.
const STEP: usize = 64 * 1024;

/// The body of a response.
pub(in super::super) struct Streamed {
    source: Source,
    buffer: BytesMut,
    done: bool,
    sent: u64,
    error: Option<String>,
    /// Where it is told once nothing more is sent, and what is known by then.
    log: Option<(Log, RequestLog)>,
    /// What was sent so far, for those who ask the same later.
    kept: Option<(Answers, Question, Vec<u8>)>,
    /// What must not go away before.
    _held: Box<dyn Send + Sync>,
}

enum Source {
    File(Take<File>),
    Process {
        process: Process,
        /// Moves the rest of the request to the process.
        pump: Option<Pump>,
    },
}

/// Why a process gave no answer at all.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error(transparent)]
    Request(#[from] BodyError),
    #[error("git cannot be read from: {0}")]
    Read(#[from] io::Error),
    #[error("{0}")]
    Failed(String),
}

impl Streamed {
    /// Makes a body of `file`, as far as it is limited.
    pub(super) fn file(file: Take<File>, held: Box<dyn Send + Sync>) -> Self {
        Self::new(Source::File(file), held)
    }

    /// Makes a body of what a process writes, with `begin` before it. Waits for the first of it, so that a process that only
    /// fails is still known before the response begins.
    pub(super) async fn process(
        process: Process,
        pump: Pump,
        begin: &[u8],
        held: Box<dyn Send + Sync>,
    ) -> Result<Self, NoAnswer> {
        let mut body = Self::new(Source::Process { process, pump: Some(pump) }, held);
        body.buffer.extend_from_slice(begin);
        let read = std::future::poll_fn(|context| body.poll_read(context)).await?;
        if read == 0
            && let Some(problem) = std::future::poll_fn(|context| body.poll_end(context)).await
        {
            return Err(NoAnswer::Failed(problem));
        }
        Ok(body)
    }

    /// Has the whole body kept as the answer to a question, if all goes well.
    pub(super) fn keep_as(mut self, answers: Answers, question: Question) -> Self {
        self.kept = Some((answers, question, Vec::new()));
        self
    }

    /// Has the response logged at its end.
    pub(in super::super) fn log_at_end(&mut self, log: Log, request: RequestLog) {
        self.log = Some((log, request));
    }

    fn new(source: Source, held: Box<dyn Send + Sync>) -> Self {
        Self { source, buffer: BytesMut::new(), done: false, sent: 0, error: None, log: None, kept: None, _held: held }
    }

    /// Reads more into the buffer; 0 at the end.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<usize, NoAnswer>> {
        self.buffer.reserve(STEP);
        let read = match &mut self.source {
            Source::File(file) => pin!(file.read_buf(&mut self.buffer)).poll(context),
            Source::Process { process, pump } => {
                if let Some(moving) = pump
                    && let Poll::Ready(moved) = moving.as_mut().poll(context)
                {
                    *pump = None;
                    moved?;
                }
                pin!(process.stdout.read_buf(&mut self.buffer)).poll(context)
            }
        };
        read.map_err(NoAnswer::from)
    }

    /// Waits for the end of a process; returns what went wrong.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Option<String>> {
        let ended = match &mut self.source {
            Source::File(file) => Poll::Ready((file.limit() > 0).then(|| "the file became shorter".to_owned())),
            Source::Process { process, .. } => pin!(process.end()).poll(context),
        };
        if let Poll::Ready(problem) = &ended {
            self.done = true;
            self.error.clone_from(problem);
            if let Some((answers, question, bytes)) = self.kept.take().filter(|_| problem.is_none()) {
                answers.keep(question, bytes.into());
            }
        }
        ended
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        if this.buffer.is_empty() {
            if this.done {
                return Poll::Ready(None);
            }
            match std::task::ready!(this.poll_read(context)) {
                // git's answers say themselves where they end, and what went wrong: so this is a complete response,
                // whatever the process ended with. A file that became shorter is not.
                Ok(0) => {
                    let problem = std::task::ready!(this.poll_end(context));
                    let broken = problem.filter(|_| matches!(this.source, Source::File(_)));
                    return Poll::Ready(broken.map(|problem| Err(io::Error::other(problem))));
                }
                Ok(_) => {}
                Err(error) => {
                    this.done = true;
                    this.error = Some(error.to_string());
                    return Poll::Ready(Some(Err(io::Error::other(error))));
                }
            }
        }
        let bytes = this.buffer.split().freeze();
        this.sent += bytes.len() as u64;
        if let Some((_, _, kept)) = &mut this.kept {
            kept.extend_from_slice(&bytes);
            this.kept.take_if(|(_, _, kept)| kept.len() > MAX_ANSWER);
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.done && self.buffer.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::File(file) => SizeHint::with_exact(file.limit() + self.buffer.len() as u64),
            Source::Process { .. } => SizeHint::default(),
        }
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        if let Some((log, mut request)) = self.log.take() {
            request.bytes = self.sent;
            let whole = match &self.source {
                Source::File(file) => file.limit() == 0 && self.buffer.is_empty(),
                Source::Process { .. } => self.done,
            };
            request.error = self.error.take().or_else(|| (!whole).then(|| "the client left".to_owned()));
            log(&request);
        }
    }
}
