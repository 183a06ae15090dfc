//! Answers a git client's request with a response.

use std::io::{self, Seek, SeekFrom};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderValue, LOCATION,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::runtime;

use super::super::answer::{Answer, header};
use super::super::blocking::blocking;
use super::super::conditional::{self, Part};
use super::super::contents::{Contents, GitRepository, Tip};
use super::super::limits::Limits;
use super::super::refusal::{Refusal, check};
use super::super::retries::Retries;
use super::super::work_limits::WorkLimits;
use super::answer_cache::{AnswerCache, AnswerKey, MAX_REQUEST};
use super::process::{Git, Process, Protocol, Task};
use super::request::{self, BodyError, BodyLimits, Received};
use super::route::{GitRequest, Target, UpstreamRedirect};
use super::run::Run;
use super::spool::{self, End, Next, Room};
use super::streamed::Streamed;
use crate::model::GitAddress;

/// Precedes the refs, except in version 2 (gitprotocol-http(5), "Smart Server Response").
const ANNOUNCEMENT: &[u8] = b"001e# service=git-upload-pack\n0000";
const REQUEST_TYPE: &str = "application/x-git-upload-pack-request";
const READ_ONLY: &str = "this mirror is read-only; push to the repository's original URL";

/// All git repositories of the mirror.
pub(in super::super) struct GitRepositories {
    contents: Arc<dyn Contents>,
    git: Git,
    process_limits: WorkLimits,
    room: Room,
    limits: BodyLimits,
    answers: AnswerCache,
    /// The runtime for git processes, which may outlive the connection that started them.
    runtime: runtime::Handle,
}

impl GitRepositories {
    pub(in super::super) fn new(
        contents: Arc<dyn Contents>,
        git: Git,
        limits: &Limits,
        runtime: runtime::Handle,
    ) -> Self {
        Self {
            contents,
            git,
            process_limits: WorkLimits::new(limits.git_processes),
            room: Room::default(),
            limits: BodyLimits { bytes: limits.body_bytes, time: limits.body_time },
            answers: AnswerCache::default(),
            runtime,
        }
    }

    /// Answers one request.
    pub(in super::super) async fn answer(
        &self,
        peer: SocketAddr,
        request: Request<Incoming>,
        git_request: GitRequest,
    ) -> Result<Answer, Refusal> {
        let GitRequest { address, target, upstream_redirect } = git_request;
        let wanted = permitted(&request, target);
        let (head, body) = request.into_parts();
        let received = match &wanted {
            Ok(Requested::Process(Task::Answer)) => Some(self.receive(&head, body).await?),
            _ => None,
        };
        let request = ReceivedRequest { peer: peer.ip(), head, received, address, wanted, upstream_redirect };
        let mut retries = Retries::new(&self.contents);
        loop {
            let tip = self.contents.tip();
            let answered = match &tip {
                Ok(tip) => self.answer_at(tip, &request).await,
                Err(error) => Err(Refusal::from_contents(error, None)),
            };
            match answered {
                Err(refusal) if retries.prepare(&refusal, tip.as_ref().ok()).await => {}
                answered => return answered,
            }
        }
    }

    async fn receive(&self, head: &Parts, body: Incoming) -> Result<Received, Refusal> {
        if head.headers.get(CONTENT_TYPE).is_none_or(|kind| kind != REQUEST_TYPE) {
            let text = format!("git-upload-pack requires Content-Type: {REQUEST_TYPE}");
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
        }
        request::receive(&head.headers, body, self.limits).await.map_err(|error| not_received(&error))
    }

    async fn answer_at(&self, tip: &Tip, request: &ReceivedRequest) -> Result<Answer, Refusal> {
        let wanted = match &request.wanted {
            Ok(wanted) => wanted,
            Err(refusal) => {
                return self
                    .redirect_upstream(tip, request.upstream_redirect.clone())
                    .await?
                    .ok_or_else(|| refusal.clone());
            }
        };
        let Some(address) = request.address.clone() else { return Err(no_repository()) };
        let (contents, at, of) = (self.contents.clone(), tip.clone(), address.clone());
        let item = || format!("the git repository {address}");
        let found = blocking(item, move || contents.git_repository(&at, &of)).await;
        let Some(repository) = found.map_err(|error| Refusal::from_contents(&error, Some(tip)))? else {
            let lacking = || Refusal::lacking_git(&address, tip);
            return self.redirect_upstream(tip, request.upstream_redirect.clone()).await?.ok_or_else(lacking);
        };
        let folders = [repository.path.clone(), repository.objects.clone()];
        let answered = match wanted {
            Requested::File(name) => file(&request.head, repository, name).await,
            Requested::Process(task) => self.process(request, repository, *task).await,
        };
        answered.map_err(|mut refusal| {
            refusal.is_of_contents |= folders.iter().any(|folder| is_gone(folder));
            refusal
        })
    }

    /// Redirects git to a repository's own address, if the address was only redirected here because it begins like a
    /// mirrored one. git follows a redirect of its first request (`http.followRedirects`, git-config(1)).
    async fn redirect_upstream(
        &self,
        tip: &Tip,
        upstream_redirect: Option<UpstreamRedirect>,
    ) -> Result<Option<Answer>, Refusal> {
        let Some(UpstreamRedirect { address, rest }) = upstream_redirect else { return Ok(None) };
        let (contents, at, repository) = (self.contents.clone(), tip.clone(), address.clone());
        let item = || format!("the git repository {address}");
        let beside = blocking(item, move || contents.is_beside(&at, &repository)).await;
        if !beside.map_err(|error| Refusal::from_contents(&error, Some(tip)))? {
            return Ok(None);
        }
        let mut answer = Response::new(Either::Left(Full::default()));
        *answer.status_mut() = StatusCode::FOUND;
        answer.headers_mut().insert(LOCATION, header(format!("https://{address}{rest}")));
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        Ok(Some(answer))
    }

    async fn process(
        &self,
        request: &ReceivedRequest,
        repository: GitRepository,
        task: Task,
    ) -> Result<Answer, Refusal> {
        let protocol = request.head.headers.get("git-protocol").and_then(|value| value.to_str().ok());
        let protocol = Protocol::new(protocol);
        let body = match &request.received {
            None => Some(None),
            Some(Received::Memory(bytes)) if bytes.len() <= MAX_REQUEST => Some(Some(bytes.clone())),
            Some(_) => None,
        };
        let protocol_name = protocol.as_str().to_owned();
        let key = body.map(|body| AnswerKey { repository: repository.key.clone(), protocol: protocol_name, body });
        if let Some(answer) = self.cached(key.as_ref(), task) {
            return Ok(answer);
        }
        let permit = self.process_limits.acquire(request.peer).await;
        // Another request may have produced the same answer while this one waited for its permit.
        if let Some(answer) = self.cached(key.as_ref(), task) {
            return Ok(answer);
        }
        let begin = if task == Task::Advertise && !protocol.is_2() { ANNOUNCEMENT } else { b"" };
        let (stdin, bytes) = input(request.received.as_ref()).map_err(|error| not_received(&error.into()))?;
        let started = {
            let _runtime = self.runtime.enter();
            Process::start(&self.git, task, &protocol, &repository.path, stdin)
        };
        let (process, stdin) = started.map_err(not_started)?;
        let run = Run {
            process,
            request: stdin.zip(bytes),
            begin,
            folder: repository.path.parent().unwrap_or(&repository.path).to_owned(),
            keep: key.clone().map(|key| (self.answers.clone(), key)),
            held: Box::new((permit, repository.held)),
        };
        let (writer, spool) = spool::spool(&self.room);
        let spool = Arc::new(spool);
        self.runtime.spawn(run.finish(writer));
        // Wait for the first bytes, because an error can still become an error response before the response begins.
        if let Next::End(End::Broken(problem) | End::Complete(Some(problem))) = spool.clone().next(0).await {
            let text = "git failed to answer this; see the server's log for the reason".into();
            return Err(Refusal::failed(StatusCode::INTERNAL_SERVER_ERROR, text, &problem));
        }
        if let Some(key) = key {
            self.answers.share(key, &spool);
        }
        Ok(answered(Either::Right(Box::new(Streamed::spool(spool))), task))
    }

    /// Returns a cached answer, or one that is currently being generated for another request.
    fn cached(&self, key: Option<&AnswerKey>, task: Task) -> Option<Answer> {
        let key = key?;
        if let Some(answer) = self.answers.get(key) {
            return Some(answered(Either::Left(Full::new(answer)), task));
        }
        let spool = self.answers.running(key)?;
        Some(answered(Either::Right(Box::new(Streamed::spool(spool))), task))
    }
}

/// A complete request of a git client.
struct ReceivedRequest {
    peer: IpAddr,
    head: Parts,
    /// The body, taken by whoever processes it.
    received: Option<Received>,
    address: Option<GitAddress>,
    wanted: Result<Requested, Refusal>,
    upstream_redirect: Option<UpstreamRedirect>,
}

/// Returns the process's standard input, and the bytes to write to it if it is a pipe.
fn input(received: Option<&Received>) -> io::Result<(Stdio, Option<Bytes>)> {
    match received {
        None => Ok((Stdio::null(), None)),
        Some(Received::Memory(bytes)) => Ok((Stdio::piped(), Some(bytes.clone()))),
        Some(Received::File(file)) => {
            let mut file = file.try_clone()?;
            file.rewind()?;
            Ok((file.into(), None))
        }
    }
}

/// Returns whether another process removed the repository's folder because it seemed unused.
fn is_gone(folder: &Path) -> bool {
    !folder.join("HEAD").exists()
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

/// What a client wants from a repository.
#[derive(Debug, Clone)]
enum Requested {
    File(String),
    Process(Task),
}

/// Rejects requests that no repository can answer.
fn permitted(request: &Request<Incoming>, target: Target) -> Result<Requested, Refusal> {
    let refusal = |text: &str| Err(Refusal::new(StatusCode::FORBIDDEN, text.to_owned()));
    match target {
        Target::Push => refusal(READ_ONLY),
        Target::UnknownService => refusal("this mirror only offers the service git-upload-pack"),
        Target::Page => check(request).and_then(|()| Err(no_repository())),
        Target::UploadPack if request.method() != Method::POST => {
            Err(Refusal::method("POST", "git-upload-pack requires POST".into()))
        }
        Target::UploadPack => Ok(Requested::Process(Task::Answer)),
        Target::Advertisement => check(request).map(|()| Requested::Process(Task::Advertise)),
        Target::File(name) => check(request).map(|()| Requested::File(name)),
    }
}

fn no_repository() -> Refusal {
    let text = "git repositories are available to git clients under /git/HOST/PATH.git".into();
    Refusal::new(StatusCode::NOT_FOUND, text)
}

fn not_started(error: io::Error) -> Refusal {
    let text = "cannot run git to answer this; is it installed and in the server's PATH?".into();
    Refusal::failed(StatusCode::INTERNAL_SERVER_ERROR, text, &error.to_string())
}

fn not_received(error: &BodyError) -> Refusal {
    let status = match error {
        BodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        BodyError::TooSlow { .. } => StatusCode::REQUEST_TIMEOUT,
        BodyError::Encoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        BodyError::Gzip | BodyError::Interrupted => StatusCode::BAD_REQUEST,
        BodyError::NotKept(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    match error {
        BodyError::NotKept(cause) => Refusal::failed(status, error.to_string(), &cause.to_string()),
        _ => Refusal::new(status, error.to_string()),
    }
}

/// Answers with a file of the repository, or a range of it: the dumb protocol.
async fn file(head: &Parts, repository: GitRepository, name: &str) -> Result<Answer, Refusal> {
    let missing = || Refusal::new(StatusCode::NOT_FOUND, format!("the repository has no file {name}"));
    let kind = content_type(name).ok_or_else(missing)?;
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => missing(),
        _ => Refusal::failed(StatusCode::INTERNAL_SERVER_ERROR, format!("{name} cannot be read"), &error.to_string()),
    };
    let folder = if name.starts_with("objects/") { &repository.objects } else { &repository.path };
    let mut file = File::open(folder.join(name)).await.map_err(unreadable)?;
    let length = file.metadata().await.map_err(unreadable)?.len();
    // A pack's name identifies its contents. Other files differ between versions of the repository.
    let etag = header(format!("\"{}:{}\"", repository.key, name.replace('/', ":")));
    let (headers, mut answer) = (&head.headers, Response::new(Either::Left(Full::default())));
    let fields = answer.headers_mut();
    fields.insert(ETAG, etag.clone());
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    fields.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if conditional::is_known(headers, &etag) {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(answer);
    }
    let is_get = head.method == Method::GET;
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

/// Returns the content type of a file that clients may read. `None` for other files.
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
