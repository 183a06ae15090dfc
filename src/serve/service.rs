//! One request to one response, and its log line.

use std::error::Error;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderValue,
};
use hyper::{Method, Request, Response, StatusCode};

use super::conditional::{self, Part};
use super::contents::{ContentsError, Resource, Tip};
use super::route::{self, Route};
use super::server::{Log, RequestLog};
use super::shelf::{Item, Shelf};

/// Answers requests.
pub(super) struct Service {
    pub(super) shelf: Shelf,
    pub(super) log: Option<Log>,
    /// What `/` tells clients to set.
    pub(super) base_url: String,
}

/// What is sent: always whole in memory.
pub(super) type Answer = Response<Full<Bytes>>;

impl Service {
    /// Answers one request. Whatever goes wrong becomes an answer too.
    pub(super) async fn answer(self: Arc<Self>, peer: SocketAddr, request: Request<Incoming>) -> Answer {
        let Some(log) = &self.log else { return self.respond(&request).await.0 };
        let begun = Instant::now();
        let (answer, error) = self.respond(&request).await;
        log(&RequestLog {
            peer,
            method: request.method().to_string(),
            path: request.uri().path_and_query().map_or(String::new(), ToString::to_string),
            status: answer.status().as_u16(),
            bytes: answer.body().size_hint().exact().unwrap_or(0),
            elapsed: begun.elapsed(),
            error,
        });
        answer
    }

    /// Returns the answer and, where it is an error, its text.
    async fn respond<B: Body>(&self, request: &Request<B>) -> (Answer, Option<String>) {
        let answered = match check(request) {
            Ok(()) => self.get(request).await,
            Err(refusal) => Err(refusal),
        };
        let (mut answer, error) = match answered {
            Ok(answer) => (answer, None),
            Err(refusal) => (refusal.answer(), Some(refusal.text)),
        };
        if request.method() == Method::HEAD {
            *answer.body_mut() = Full::default();
        }
        (answer, error)
    }

    async fn get<B>(&self, request: &Request<B>) -> Result<Answer, Refusal> {
        let path = request.uri().path();
        let tip = self.shelf.tip();
        if let Ok(tip) = &tip
            && let Some(item) = self.shelf.remembered(tip, path)
        {
            return self.send(request, tip, &item).await;
        }
        match route::route(path).map_err(|error| Refusal::new(route_status(&error), error.to_string()))? {
            Route::Page => Ok(plain(StatusCode::OK, self.page(tip.as_ref().ok()))),
            // Hex takes a list without any version for "there is no newer one" (`find_new_version_from_csv/1`).
            Route::UpdateCheck => Ok(plain(StatusCode::OK, String::new())),
            Route::Health => {
                let tip = tip.map_err(|error| Refusal::from_contents(&error, None))?;
                Ok(plain(StatusCode::OK, format!("ok {tip}\n")))
            }
            Route::Resources(resources) => {
                let tip = tip.map_err(|error| Refusal::from_contents(&error, None))?;
                let first = resources.first().cloned();
                let found = self.shelf.find(&tip, path, resources).await;
                match found.map_err(|error| Refusal::from_contents(&error, Some(&tip)))? {
                    Some(item) => self.send(request, &tip, &item).await,
                    None => self.missing(first, &tip).await,
                }
            }
        }
    }

    /// Answers for what the snapshot does not have.
    ///
    /// Of a package that does not exist upstream either, Hex takes 304 for "nothing new" even where it knows nothing
    /// (`write_result/4` in its `registry/server.ex`); after 404 it would tell its user of an error.
    async fn missing(&self, resource: Option<Resource>, tip: &Tip) -> Result<Answer, Refusal> {
        if let Some(resource) = &resource
            && self.shelf.is_absent(tip, resource).await
        {
            let mut answer = Response::new(Full::default());
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(answer);
        }
        Err(Refusal::missing(resource, tip))
    }

    async fn send<B>(&self, request: &Request<B>, tip: &Tip, item: &Arc<Item>) -> Result<Answer, Refusal> {
        let headers = request.headers();
        if conditional::is_known(headers, &item.etag) {
            return Ok(with_item(Response::new(Full::default()), StatusCode::NOT_MODIFIED, item));
        }
        let bytes = match self.shelf.kept(item) {
            Some(bytes) => bytes,
            None => match self.shelf.load(tip, item).await {
                Ok(bytes) => bytes,
                Err(error) => return Err(Refusal::from_contents(&error, Some(tip))),
            },
        };
        let length = bytes.len() as u64;
        let part =
            if request.method() == Method::GET { conditional::part(headers, &item.etag, length) } else { Part::Whole };
        let (status, bytes) = match &part {
            Part::Whole => (StatusCode::OK, bytes),
            Part::Bytes(range) => (StatusCode::PARTIAL_CONTENT, bytes.slice(range.start as usize..range.end as usize)),
            Part::Unsatisfiable => return Err(Refusal::unsatisfiable(length)),
        };
        let mut answer = Response::new(Full::new(Bytes::new()));
        let fields = answer.headers_mut();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static(item.resource.content_type()));
        fields.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        if let Part::Bytes(range) = part {
            fields.insert(CONTENT_RANGE, header(format!("bytes {}-{}/{length}", range.start, range.end - 1)));
        }
        *answer.body_mut() = Full::new(bytes);
        Ok(with_item(answer, status, item))
    }

    fn page(&self, tip: Option<&Tip>) -> String {
        let url = &self.base_url;
        let state = match tip {
            Some(tip) => format!("It serves the mirror branch, now at commit {tip}."),
            None => "The mirror branch cannot be read now; /health says why.".into(),
        };
        format!(
            "This is git-hexmirror, a read-only Hex repository kept inside a git repository.\n{state}\n\n\
             Set HEX_MIRROR={url} for mix, and HEX_CDN={url} for rebar3;\n\
             `git hexmirror run -- COMMAND` does it for you.\n\n\
             GET /packages/NAME\nGET /tarballs/NAME-VERSION.tar\nGET /names, /versions, /public_key\n\
             GET /repos/ORGANISATION/...\nGET /health\n"
        )
    }
}

/// Refuses what a read-only server has no answer for.
fn check<B: Body>(request: &Request<B>) -> Result<(), Refusal> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let text = format!("{} is not allowed: the mirror is read-only, use GET or HEAD", request.method());
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, text));
    }
    if !request.body().is_end_stream() {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "the request has a body; send none".into()));
    }
    Ok(())
}

fn route_status(error: &route::RouteError) -> StatusCode {
    if error.is_bad_request() { StatusCode::BAD_REQUEST } else { StatusCode::NOT_FOUND }
}

/// An error as the client sees it.
struct Refusal {
    status: StatusCode,
    /// One line, without its end.
    text: String,
    /// The length of the whole, where a range of it could not be had.
    length: Option<u64>,
}

impl Refusal {
    fn new(status: StatusCode, text: String) -> Self {
        let text = text.replace(char::is_control, " ");
        Self { status, text, length: None }
    }

    fn missing(resource: Option<Resource>, tip: &Tip) -> Self {
        let what = resource.map(|resource| resource.to_string()).unwrap_or_default();
        let text = format!("{what} is not in the mirror at commit {}; run `git hexmirror update`", tip.short());
        Self::new(StatusCode::NOT_FOUND, text)
    }

    fn unsatisfiable(length: u64) -> Self {
        let text = format!("the range lies outside of the {length} bytes there are");
        Self { length: Some(length), ..Self::new(StatusCode::RANGE_NOT_SATISFIABLE, text) }
    }

    fn from_contents(error: &ContentsError, tip: Option<&Tip>) -> Self {
        let (status, hint) = match error {
            ContentsError::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "`git hexmirror status` says more"),
            ContentsError::Damaged { .. } => {
                (StatusCode::INTERNAL_SERVER_ERROR, "`git hexmirror verify` names all damage")
            }
        };
        let mut text = error.to_string();
        if let Some(tip) = tip {
            let _ = write!(text, " at commit {}", tip.short());
        }
        let mut cause = error.source();
        while let Some(error) = cause {
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        Self::new(status, format!("{text}; {hint}"))
    }

    fn answer(&self) -> Answer {
        let mut answer = plain(self.status, format!("{}\n", self.text));
        match self.status {
            StatusCode::METHOD_NOT_ALLOWED => {
                answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                // A body may follow, and nobody is going to read it.
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            StatusCode::BAD_REQUEST => {
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

fn plain(status: StatusCode, text: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::new()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    *answer.body_mut() = Full::new(Bytes::from(text));
    answer
}

/// Adds what every answer about an item carries. The branch may move at any time, so caches on the way have to ask again.
fn with_item(mut answer: Answer, status: StatusCode, item: &Item) -> Answer {
    *answer.status_mut() = status;
    let fields = answer.headers_mut();
    fields.insert(ETAG, item.etag.clone());
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    fields.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    answer
}

fn header(value: String) -> HeaderValue {
    HeaderValue::try_from(value).expect("digits and ASCII words are a valid header")
}
