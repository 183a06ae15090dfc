//! The responses of the server.

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

use super::git::Streamed;

/// A response whose body is in memory or streamed.
pub(super) type Answer = Response<Either<Full<Bytes>, Box<Streamed>>>;

pub(super) fn plain(status: StatusCode, text: String) -> Answer {
    let mut answer = Response::new(Either::Left(Full::default()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    *answer.body_mut() = Either::Left(Full::from(text));
    answer
}

/// Creates a header field's value.
pub(super) fn header(value: String) -> HeaderValue {
    HeaderValue::try_from(value).expect("digits and ASCII words are a valid header")
}
