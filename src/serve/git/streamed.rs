//! A response that is sent while it is generated. Its memory use is bounded regardless of its size.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, SizeHint};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, Take};

use super::super::request_log::{Log, RequestLog};
use super::spool::{End, Next, STEP, Spool};

/// The body of a response.
pub(in super::super) struct Streamed {
    source: Source,
    done: bool,
    sent: u64,
    error: Option<String>,
    /// The log to notify when the response ends, and the log entry so far.
    log: Option<(Log, RequestLog)>,
    /// Kept alive until the body is complete.
    held: Vec<Box<dyn Send + Sync>>,
}

enum Source {
    File(Take<File>),
    Spool {
        spool: Arc<Spool>,
        /// The pending read.
        next: Option<Pin<Box<dyn Future<Output = Next> + Send + Sync>>>,
    },
}

impl Streamed {
    /// Creates a body from a part of a file.
    pub(super) fn file(file: Take<File>, held: Box<dyn Send + Sync>) -> Self {
        let mut body = Self::new(Source::File(file));
        body.hold(held);
        body
    }

    /// Creates a body from the output of a run of git.
    pub(super) fn spool(spool: Arc<Spool>) -> Self {
        Self::new(Source::Spool { spool, next: None })
    }

    /// Keeps a value alive until the whole body is sent.
    pub(in super::super) fn hold(&mut self, held: Box<dyn Send + Sync>) {
        self.held.push(held);
    }

    /// Logs the response when it ends.
    pub(in super::super) fn log_at_end(&mut self, log: Log, request: RequestLog) {
        self.log = Some((log, request));
    }

    fn new(source: Source) -> Self {
        Self { source, done: false, sent: 0, error: None, log: None, held: Vec::new() }
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        match &mut self.source {
            Source::File(file) => {
                let mut buffer = BytesMut::with_capacity(STEP);
                let read = ready!(pin!(file.read_buf(&mut buffer)).poll(context));
                Poll::Ready(match read {
                    Ok(0) if file.limit() > 0 => Next::End(End::Broken("the file became shorter".into())),
                    Ok(0) => Next::End(End::Complete(None)),
                    Ok(_) => Next::Bytes(buffer.freeze()),
                    Err(error) => Next::End(End::Broken(error.to_string())),
                })
            }
            Source::Spool { spool, next } => {
                let step = next.get_or_insert_with(|| Box::pin(spool.clone().next(self.sent)));
                let step = ready!(step.as_mut().poll(context));
                *next = None;
                Poll::Ready(step)
            }
        }
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
        if this.done {
            return Poll::Ready(None);
        }
        match ready!(this.poll_next(context)) {
            Next::Bytes(bytes) => {
                this.sent += bytes.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            // git's protocol marks the end of an answer and reports errors in it, so this is a complete response even
            // if git printed an error message.
            Next::End(End::Complete(error)) => {
                (this.done, this.error) = (true, error);
                Poll::Ready(None)
            }
            Next::End(End::Broken(problem)) => {
                (this.done, this.error) = (true, Some(problem.clone()));
                Poll::Ready(Some(Err(io::Error::other(problem))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.done
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::File(file) => SizeHint::with_exact(file.limit()),
            Source::Spool { .. } => SizeHint::default(),
        }
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        if let Some((log, mut request)) = self.log.take() {
            request.bytes = self.sent;
            let is_complete = match &self.source {
                Source::File(file) => file.limit() == 0,
                Source::Spool { .. } => self.done,
            };
            request.error = self.error.take().or_else(|| (!is_complete).then(|| "the client left".to_owned()));
            log(&request);
        }
    }
}
