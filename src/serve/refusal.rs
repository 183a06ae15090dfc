//! Errors as clients see them.

use std::error::Error;
use std::fmt::Write;

use http_body_util::{Either, Full};
use hyper::header::{ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

use super::contents::{ContentsError, Resource, Tip};
use super::service::Answer;
use crate::model::GitAddress;

/// An error as the client sees it.
#[derive(Clone)]
pub(super) struct Refusal {
    status: StatusCode,
    /// What may be done instead, where the method is wrong.
    allow: &'static str,
    /// One line, without its end.
    text: String,
    /// Why it failed on this machine: for the server's log only, since it may name local paths.
    cause: Option<String>,
    /// The length of the whole, where a range of it could not be had.
    length: Option<u64>,
    /// What the mirror could have and does not.
    pub(super) lacking: Option<String>,
    /// It may be gone at the next try: the contents failed, not the client.
    pub(super) is_of_contents: bool,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, text: String) -> Self {
        let text = text.replace(char::is_control, " ");
        Self { status, text, cause: None, length: None, allow: "GET, HEAD", lacking: None, is_of_contents: false }
    }

    /// Refuses because this machine failed. The cause goes to the log only.
    pub(super) fn failed(status: StatusCode, text: String, cause: &str) -> Self {
        Self { cause: Some(cause.replace(char::is_control, " ")), ..Self::new(status, text) }
    }

    /// Returns what is logged: the text and the cause.
    pub(super) fn logged(&self) -> String {
        let cause = self.cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default();
        self.text.clone() + &cause
    }

    /// Refuses a method; `allow` lists those that would do.
    pub(super) fn method(allow: &'static str, text: String) -> Self {
        Self { allow, ..Self::new(StatusCode::METHOD_NOT_ALLOWED, text) }
    }

    pub(super) fn missing(resource: Option<Resource>, tip: &Tip) -> Self {
        let what = resource.as_ref().map(Resource::to_string).unwrap_or_default();
        match resource {
            // Entries are served as upstream signed them, and so only upstream could sign an index of them.
            Some(Resource::PublicKey(_) | Resource::Names(_) | Resource::Versions(_)) => {
                let text = format!(
                    "{what} is not served: registry entries are as their repository signed them, one for each package"
                );
                Self::new(StatusCode::NOT_FOUND, text)
            }
            _ => Self::lacking(what, tip),
        }
    }

    /// Says that the mirror does not have something that an update could bring.
    pub(super) fn lacking(what: String, tip: &Tip) -> Self {
        let text = format!("{what} is not in the mirror at commit {}; run `git hexmirror update`", tip.short());
        Self { lacking: Some(what), ..Self::new(StatusCode::NOT_FOUND, text) }
    }

    /// Says that clients are not led to a git repository: it is not there, or no lock pins it.
    pub(super) fn lacking_git(address: &GitAddress, tip: &Tip) -> Self {
        let what = format!("the git repository {address}");
        let text = format!(
            "{what} is not in the mirror at commit {}, or no lock pins what is; run `git hexmirror update`",
            tip.short()
        );
        Self { lacking: Some(what), ..Self::new(StatusCode::NOT_FOUND, text) }
    }

    pub(super) fn unsatisfiable(length: u64) -> Self {
        let text = format!("the range lies outside of the {length} bytes there are");
        Self { length: Some(length), ..Self::new(StatusCode::RANGE_NOT_SATISFIABLE, text) }
    }

    pub(super) fn from_contents(error: &ContentsError, tip: Option<&Tip>) -> Self {
        let (status, hint) = match error {
            ContentsError::Unavailable { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "run `git hexmirror status` on the server")
            }
            ContentsError::Locks { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "git clients see what the locks pin, so repair them first")
            }
            ContentsError::NotPrepared { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "the server's machine is at fault, and its log says why")
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
                // A body may follow, and nobody is going to read it.
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            StatusCode::BAD_REQUEST
            | StatusCode::FORBIDDEN
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::MISDIRECTED_REQUEST => {
                // As above.
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

pub(super) fn plain(status: StatusCode, text: String) -> Answer {
    let mut answer = Response::new(Either::Left(Full::default()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    *answer.body_mut() = Either::Left(Full::from(text));
    answer
}

/// Makes a field's value.
pub(super) fn header(value: String) -> HeaderValue {
    HeaderValue::try_from(value).expect("digits and ASCII words are a valid header")
}
