//! Error responses to clients.

use std::error::Error;
use std::fmt::Write;

use hyper::body::Body;
use hyper::header::{ALLOW, CONNECTION, CONTENT_RANGE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, StatusCode};

use super::answer::{Answer, header, plain};
use super::contents::{ContentsError, Resource, Tip};
use super::request_log::Unanswered;

use crate::model::{GitAddress, shortened};

/// Why the mirror does not have all files of a registry, and where such files are.
const NO_INDEX: &str =
    "the mirror serves registry entries as upstream signed them, one per package; /pinned has the pinned index";

/// After how many seconds a busy server should be asked again.
const RETRY_SECONDS: u64 = 5;

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
    /// After how many seconds the client should ask again.
    retry_after: Option<u64>,
    /// What the client asked for in vain, unless the request itself is wrong.
    pub(super) unanswered: Option<Unanswered>,
    /// Whether a retry may succeed, because the contents caused the error rather than the client.
    pub(super) is_of_contents: bool,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, text: String) -> Self {
        let text = text.replace(char::is_control, " ");
        Self {
            status,
            text,
            cause: None,
            length: None,
            retry_after: None,
            allow: "GET, HEAD",
            unanswered: None,
            is_of_contents: false,
        }
    }

    /// Creates an error response for a local failure. The cause is only logged.
    pub(super) fn failed(status: StatusCode, text: String, cause: &str) -> Self {
        Self { cause: Some(cause.replace(char::is_control, " ")), ..Self::new(status, text) }
    }

    /// Returns what the client is told.
    pub(super) fn text(&self) -> &str {
        &self.text
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

    /// Reports that the mirror lacks an item.
    ///
    /// `tools` names the versions of Elixir whose installers the mirror has.
    pub(super) fn missing(resource: Resource, tip: &Tip, tools: &str) -> Self {
        let commit = tip.short();
        let (text, is_lacking) = match resource {
            // Entries are served with upstream's signatures, so only upstream can sign a matching index.
            Resource::PublicKey(_) | Resource::Names(_) | Resource::Versions(_) => {
                (format!("{resource} is not available: {NO_INDEX}"), false)
            }
            Resource::Pinned(..) => (
                format!(
                    "{resource} is not in the mirror at commit {commit}; run `git hexmirror index`, or `git hexmirror update` if \
                     the index was imported"
                ),
                true,
            ),
            Resource::File(ref path) if path.is_of_tools() => (
                format!(
                    "{path} is not in the mirror at commit {commit}, which has Hex and rebar3 for {tools}; add your versions of \
                     Elixir and OTP to the setting tools and run `git hexmirror update`"
                ),
                true,
            ),
            Resource::File(ref path) if path.is_of_docs() => (
                format!(
                    "{path} is not in the mirror at commit {commit}; `git hexmirror update --docs` mirrors the documentation of what \
                     the locks pin, if any was published"
                ),
                true,
            ),
            ref resource => {
                (format!("{resource} is not in the mirror at commit {commit}; run `git hexmirror update`"), true)
            }
        };
        let unanswered = is_lacking.then_some(Unanswered::Resource(resource));
        Self { unanswered, ..Self::new(StatusCode::NOT_FOUND, text) }
    }

    /// Reports that the mirror has no pinned index.
    pub(super) fn no_index(status: StatusCode, tip: &Tip) -> Self {
        let text = format!(
            "the mirror has no pinned index at commit {}: `git hexmirror index --init` creates one; or lead clients to the \
             registry that upstream signed, which is below /signed, with the variables of /env",
            tip.short()
        );
        Self::new(status, text)
    }

    /// Reports that the mirror lacks an item of a pinned index, because it has none.
    pub(super) fn missing_with_index(resource: Resource, tip: &Tip) -> Self {
        let unanswered = Some(Unanswered::Resource(resource));
        Self { unanswered, ..Self::no_index(StatusCode::NOT_FOUND, tip) }
    }

    /// Reports that a git repository is not served: it is not in the mirror, or no lock pins it.
    pub(super) fn lacking_git(address: &GitAddress, tip: &Tip) -> Self {
        let unanswered = Unanswered::GitRepository(address.clone());
        let text = format!(
            "{unanswered} is not in the mirror at commit {}, or no lock pins it; run `git hexmirror update`",
            tip.short()
        );
        Self { unanswered: Some(unanswered), ..Self::new(StatusCode::NOT_FOUND, text) }
    }

    /// Adds that the client asked for something at `path` that no mirror contains.
    pub(super) fn of_path(self, path: &str) -> Self {
        let not_served = || Unanswered::NotServed { path: shortened(path).into_owned(), reason: self.text.clone() };
        let unanswered = self.unanswered.clone().or_else(|| (self.status == StatusCode::NOT_FOUND).then(not_served));
        Self { unanswered, ..self }
    }

    /// Reports that too much is asked for at a time. `doing` names it.
    pub(super) fn busy(doing: &str) -> Self {
        let text = format!("the server is busy {doing}; load this page again in a few seconds");
        Self { retry_after: Some(RETRY_SECONDS), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, text) }
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
        if let Some(seconds) = self.retry_after {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
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
