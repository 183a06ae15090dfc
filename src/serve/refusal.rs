//! Error responses to clients.

use std::error::Error;
use std::fmt::Write;

use hyper::body::Body;
use hyper::header::{ALLOW, CONNECTION, CONTENT_RANGE, HeaderValue};
use hyper::{Method, Request, StatusCode};

use super::answer::{Answer, header, plain};
use super::contents::{ContentsError, Resource, Tip};

use crate::model::GitAddress;

/// An error response.
#[derive(Clone)]
pub(super) struct Refusal {
    status: StatusCode,
    /// The allowed methods, if the method is the problem.
    allow: &'static str,
    /// One line without a line break.
    text: String,
    /// The local cause. It is only logged, because it may contain local paths.
    cause: Option<String>,
    /// The complete length, if a range is the problem.
    length: Option<u64>,
    /// What the mirror could contain but does not.
    pub(super) lacking: Option<String>,
    /// Whether a retry may succeed, because the contents caused the error rather than the client.
    pub(super) is_of_contents: bool,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, text: String) -> Self {
        let text = text.replace(char::is_control, " ");
        Self { status, text, cause: None, length: None, allow: "GET, HEAD", lacking: None, is_of_contents: false }
    }

    /// Creates an error response for a local failure. The cause is only logged.
    pub(super) fn failed(status: StatusCode, text: String, cause: &str) -> Self {
        Self { cause: Some(cause.replace(char::is_control, " ")), ..Self::new(status, text) }
    }

    /// Returns the log message: the text and the cause.
    pub(super) fn logged(&self) -> String {
        let cause = self.cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default();
        self.text.clone() + &cause
    }

    /// Rejects a method. `allow` lists the allowed ones.
    pub(super) fn method(allow: &'static str, text: String) -> Self {
        Self { allow, ..Self::new(StatusCode::METHOD_NOT_ALLOWED, text) }
    }

    pub(super) fn missing(resource: Option<Resource>, tip: &Tip) -> Self {
        let what = resource.as_ref().map(Resource::to_string).unwrap_or_default();
        match resource {
            // Entries are served with upstream's signatures, so only upstream can sign a matching index.
            Some(Resource::PublicKey(_) | Resource::Names(_) | Resource::Versions(_)) => {
                let text = format!(
                    "{what} is not available: the mirror serves registry entries as upstream signed them, one per package; /pinned has the pinned index"
                );
                Self::new(StatusCode::NOT_FOUND, text)
            }
            Some(Resource::Pinned(..)) => {
                let commit = tip.short();
                let text = format!("{what} is not in the mirror at commit {commit}; run `git hexmirror index`");
                Self { lacking: Some(what), ..Self::new(StatusCode::NOT_FOUND, text) }
            }
            _ => Self::lacking(what, tip),
        }
    }

    /// Reports that the mirror lacks something that an update could add.
    pub(super) fn lacking(what: String, tip: &Tip) -> Self {
        let text = format!("{what} is not in the mirror at commit {}; run `git hexmirror update`", tip.short());
        Self { lacking: Some(what), ..Self::new(StatusCode::NOT_FOUND, text) }
    }

    /// Reports that a git repository is not served: it is not in the mirror, or no lock pins it.
    pub(super) fn lacking_git(address: &GitAddress, tip: &Tip) -> Self {
        let what = format!("the git repository {address}");
        let text = format!(
            "{what} is not in the mirror at commit {}, or no lock pins it; run `git hexmirror update`",
            tip.short()
        );
        Self { lacking: Some(what), ..Self::new(StatusCode::NOT_FOUND, text) }
    }

    pub(super) fn unsatisfiable(length: u64) -> Self {
        let text = format!("the range is outside of the {length} bytes of this file");
        Self { length: Some(length), ..Self::new(StatusCode::RANGE_NOT_SATISFIABLE, text) }
    }

    pub(super) fn from_contents(error: &ContentsError, tip: Option<&Tip>) -> Self {
        let (status, hint) = match error {
            ContentsError::Unavailable { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "run `git hexmirror status` on the server")
            }
            ContentsError::Locks { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "fix the locks: git clients may only see what they pin")
            }
            ContentsError::NotPrepared { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "see the server's log for the reason")
            }
            ContentsError::Damaged { .. } => {
                (StatusCode::INTERNAL_SERVER_ERROR, "run `git hexmirror verify` on the server")
            }
        };
        let mut text = error.to_string();
        if let Some(tip) = tip {
            let _ = write!(text, " at commit {}", tip.short());
        }
        let (mut causes, mut next) = (Vec::new(), error.source());
        while let Some(cause) = next {
            causes.push(cause.to_string());
            next = cause.source();
        }
        Self { is_of_contents: true, ..Self::failed(status, format!("{text}; {hint}"), &causes.join(": ")) }
    }

    pub(super) fn answer(&self) -> Answer {
        let mut answer = plain(self.status, format!("{}\n", self.text));
        match self.status {
            StatusCode::METHOD_NOT_ALLOWED => {
                answer.headers_mut().insert(ALLOW, HeaderValue::from_static(self.allow));
                // The request may have a body, which is not read.
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            StatusCode::BAD_REQUEST
            | StatusCode::FORBIDDEN
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::MISDIRECTED_REQUEST => {
                // For the same reason.
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        if let Some(length) = self.length {
            answer.headers_mut().insert(CONTENT_RANGE, header(format!("bytes */{length}")));
        }
        answer
    }
}

/// Rejects requests that a read-only server cannot answer.
pub(super) fn check<B: Body>(request: &Request<B>) -> Result<(), Refusal> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let text = format!("{} is not allowed: the mirror is read-only; use GET or HEAD", request.method());
        return Err(Refusal::method("GET, HEAD", text));
    }
    if !request.body().is_end_stream() {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "the request must not have a body".into()));
    }
    Ok(())
}
