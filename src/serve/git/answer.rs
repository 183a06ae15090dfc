//! One request of a git client to one response.

use std::io::{self, SeekFrom};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderValue, LOCATION,
};
use hyper::{Method, Request, Response, StatusCode};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::Semaphore;
use tokio::task;

use super::super::conditional::{self, Part};
use super::super::contents::{Contents, ContentsError, GitRepository, Tip};
use super::super::refusal::{Refusal, header};
use super::super::server::Limits;
use super::super::service::{Answer, check};
use super::answers::{Answers, MAX_REQUEST, Question};
use super::process::{Git, Process, Protocol, Task};
use super::request::{self, BodyError, BodyLimits};
use super::route::{Asked, Onward, What};
use super::streamed::{NoAnswer, Streamed};

/// What stands before the references, except in version 2 (gitprotocol-http(5), "Smart Server Response").
const ANNOUNCEMENT: &[u8] = b"001e# service=git-upload-pack\n0000";
const REQUEST_TYPE: &str = "application/x-git-upload-pack-request";
const READ_ONLY: &str = "this is a read-only mirror and takes no pushes; push to the repository's own address";

/// All git repositories of the mirror.
pub(in super::super) struct Repositories {
    contents: Arc<dyn Contents>,
    git: Git,
    /// Bounds how many processes run at once.
    processes: Arc<Semaphore>,
    limits: BodyLimits,
    answers: Answers,
}

impl Repositories {
    pub(in super::super) fn new(contents: Arc<dyn Contents>, git: Git, limits: &Limits) -> Self {
        Self {
            contents,
            git,
            processes: Arc::new(Semaphore::new(limits.git_processes.max(1))),
            limits: BodyLimits { bytes: limits.body_bytes, time: limits.body_time },
            answers: Answers::default(),
        }
    }

    /// Answers one request.
    pub(in super::super) async fn answer(
        &self,
        tip: &Tip,
        request: Request<Incoming>,
        asked: Asked,
    ) -> Result<Answer, Refusal> {
        let Asked { addresses, what, onward } = asked;
        let wanted = match wanted(&request, what) {
            Ok(wanted) => wanted,
            Err(refusal) => return self.sent_on(tip, onward).await.ok_or(refusal),
        };
        let Some(first) = addresses.first().cloned() else { return Err(no_repository()) };
        let (contents, at) = (self.contents.clone(), tip.clone());
        let found = task::spawn_blocking(move || {
            let mut found = addresses.iter().map(|address| contents.git_repository(&at, address));
            found.find_map(Result::transpose).transpose()
        });
        let item = format!("the git repository {first}");
        let found = found.await.unwrap_or_else(|error| Err(ContentsError::Damaged { item, source: error.into() }));
        let Some(repository) = found.map_err(|error| Refusal::from_contents(&error, Some(tip)))? else {
            let lacking = || Refusal::lacking(format!("the git repository {first}"), tip);
            return self.sent_on(tip, onward).await.ok_or_else(lacking);
        };
        match wanted {
            Wanted::File(name) => file(&request, repository, &name).await,
            Wanted::Process(task) => self.process(request, repository, task).await,
        }
    }

    /// Tells whether the mirror has a repository of a host.
    pub(in super::super) fn has_host(&self, tip: &Tip, host: &str) -> bool {
        self.contents.has_host(tip, &host.to_ascii_lowercase()).unwrap_or(false)
    }

    /// Sends git on to a repository's own address, where it was only led here because that begins like a mirrored one's. It
    /// follows as long as it has asked nothing else (`http.followRedirects`, git-config(1)).
    async fn sent_on(&self, tip: &Tip, onward: Option<Onward>) -> Option<Answer> {
        let Onward { address, rest } = onward?;
        let (contents, at, asked) = (self.contents.clone(), tip.clone(), address.clone());
        let beside = task::spawn_blocking(move || contents.is_beside(&at, &asked)).await;
        if !matches!(beside, Ok(Ok(true))) {
            return None;
        }
        let mut answer = Response::new(Either::Left(Full::default()));
        *answer.status_mut() = StatusCode::FOUND;
        answer.headers_mut().insert(LOCATION, header(format!("https://{address}{rest}")));
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        Some(answer)
    }

    async fn process(
        &self,
        request: Request<Incoming>,
        repository: GitRepository,
        task: Task,
    ) -> Result<Answer, Refusal> {
        let (head, mut body) = request.into_parts();
        let field = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let protocol = Protocol::new(field("git-protocol"));
        if task == Task::Answer && field("content-type") != Some(REQUEST_TYPE) {
            let text = format!("git-upload-pack is asked with Content-Type: {REQUEST_TYPE}");
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
        }
        let small = request::small(&head.headers, &mut body, MAX_REQUEST, self.limits);
        let small = small.await.map_err(|error| refused(error.into()))?;
        let question = (task == Task::Advertise || small.is_some()).then(|| Question {
            repository: repository.key.clone(),
            protocol: protocol.as_str().to_owned(),
            body: small.clone().filter(|_| task == Task::Answer),
        });
        if let Some(answer) = question.as_ref().and_then(|question| self.answers.get(question)) {
            return Ok(answered(Either::Left(Full::new(answer)), task));
        }
        let permit = self.processes.clone().acquire_owned().await.expect("the semaphore is never closed");
        let (process, stdin) = Process::start(&self.git, task, &protocol, &repository.path).map_err(not_started)?;
        let pump = match small {
            Some(bytes) => request::pump(&head.headers, Full::new(bytes), self.limits, stdin),
            None => request::pump(&head.headers, body, self.limits, stdin),
        };
        let pump = pump.map_err(|error| refused(error.into()))?;
        let begin = if task == Task::Advertise && !protocol.is_2() { ANNOUNCEMENT } else { b"" };
        let body =
            Streamed::process(process, pump, begin, Box::new((permit, repository.held))).await.map_err(refused)?;
        let body = match question {
            Some(question) => body.keep_as(self.answers.clone(), question),
            None => body,
        };
        Ok(answered(Either::Right(Box::new(body)), task))
    }
}

fn answered(body: Either<Full<Bytes>, Box<Streamed>>, task: Task) -> Answer {
    let mut answer = Response::new(body);
    let fields = answer.headers_mut();
    let kind = match task {
        Task::Advertise => "application/x-git-upload-pack-advertisement",
        Task::Answer => "application/x-git-upload-pack-result",
    };
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, max-age=0, must-revalidate"));
    answer
}

/// What is to be done with a repository.
enum Wanted {
    File(String),
    Process(Task),
}

/// Refuses what no repository would give.
fn wanted(request: &Request<Incoming>, what: What) -> Result<Wanted, Refusal> {
    let refusal = |text: &str| Err(Refusal::new(StatusCode::FORBIDDEN, text.to_owned()));
    match what {
        What::Push => refusal(READ_ONLY),
        What::UnknownService => refusal("git-upload-pack is the only service of this mirror"),
        What::Page => check(request).and_then(|()| Err(no_repository())),
        What::UploadPack if request.method() != Method::POST => {
            Err(Refusal::method("POST", "git-upload-pack is asked by POST".into()))
        }
        What::UploadPack => Ok(Wanted::Process(Task::Answer)),
        What::Advertisement => check(request).map(|()| Wanted::Process(Task::Advertise)),
        What::File(name) => check(request).map(|()| Wanted::File(name)),
    }
}

fn no_repository() -> Refusal {
    let text = "git repositories are served to `git clone` and the like, as /git/HOST/PATH.git".into();
    Refusal::new(StatusCode::NOT_FOUND, text)
}

fn not_started(error: io::Error) -> Refusal {
    let text = format!("git cannot be run to answer this: {error}; is it installed, and in the server's PATH?");
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, text)
}

fn refused(error: NoAnswer) -> Refusal {
    let status = match &error {
        NoAnswer::Request(BodyError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
        NoAnswer::Request(BodyError::TooSlow { .. }) => StatusCode::REQUEST_TIMEOUT,
        NoAnswer::Request(BodyError::Encoding) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        NoAnswer::Request(BodyError::Gzip | BodyError::Interrupted) => StatusCode::BAD_REQUEST,
        NoAnswer::Read(_) | NoAnswer::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Refusal::new(status, error.to_string())
}

/// Answers with a file of the repository, or a part of it: the dumb protocol.
async fn file(request: &Request<Incoming>, repository: GitRepository, name: &str) -> Result<Answer, Refusal> {
    let missing = || Refusal::new(StatusCode::NOT_FOUND, format!("the repository has no file {name}"));
    let kind = content_type(name).ok_or_else(missing)?;
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => missing(),
        _ => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{name} cannot be read: {error}")),
    };
    let mut file = File::open(repository.path.join(name)).await.map_err(unreadable)?;
    let length = file.metadata().await.map_err(unreadable)?.len();
    // The name of a pack says what it holds; the other files differ from one state of the repository to the next.
    let etag = header(format!("\"{}:{}\"", repository.key, name.replace('/', ":")));
    let (headers, mut answer) = (request.headers(), Response::new(Either::Left(Full::default())));
    let fields = answer.headers_mut();
    fields.insert(ETAG, etag.clone());
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    fields.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if conditional::is_known(headers, &etag) {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(answer);
    }
    let is_get = request.method() == Method::GET;
    let range = match if is_get { conditional::part(headers, &etag, length) } else { Part::Whole } {
        Part::Whole => 0..length,
        Part::Unsatisfiable => return Err(Refusal::unsatisfiable(length)),
        Part::Bytes(range) => {
            fields.insert(CONTENT_RANGE, header(format!("bytes {}-{}/{length}", range.start, range.end - 1)));
            file.seek(SeekFrom::Start(range.start)).await.map_err(unreadable)?;
            *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
            range
        }
    };
    let sent = range.end - range.start;
    let fields = answer.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    fields.insert(CONTENT_LENGTH, HeaderValue::from(sent));
    *answer.body_mut() = Either::Right(Box::new(Streamed::file(file.take(sent), repository.held)));
    Ok(answer)
}

/// Returns the type of a file that a client may have; `None` for any other.
fn content_type(name: &str) -> Option<&'static str> {
    match name {
        "HEAD" | "info/refs" | "objects/info/packs" => return Some("text/plain; charset=utf-8"),
        _ => {}
    }
    let stem = name.strip_prefix("objects/pack/pack-")?;
    let (digits, extension) = stem.split_once('.')?;
    let is_hex = (40..=64).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    match extension {
        "pack" if is_hex => Some("application/x-git-packed-objects"),
        "idx" if is_hex => Some("application/x-git-packed-objects-toc"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_files_of_a_packed_repository_are_given() {
        let digits = "0123456789abcdef0123456789abcdef01234567";
        for name in ["HEAD", "info/refs", "objects/info/packs", &format!("objects/pack/pack-{digits}.idx")] {
            assert!(content_type(name).is_some(), "{name}");
        }
        for name in [
            "config",
            "objects/info/alternates",
            "objects/01/23456789abcdef0123456789abcdef01234567",
            "objects/pack/pack-../../../../x.pack",
            "objects/pack/../../x",
            &format!("objects/pack/pack-{digits}.keep"),
            &format!("objects/pack/pack-{digits}/../../../x.pack"),
        ] {
            assert!(content_type(name).is_none(), "{name}");
        }
    }
}
