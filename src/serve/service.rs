//! Maps a request to a response and logs it.

use std::sync::Arc;
use std::time::Instant;

use http_body_util::{Either, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::access::{self, Access};
use super::answer::{Answer, header, plain};
use super::blocking::blocking;
use super::conditional::{self, Part};
use super::content_cache::{ContentCache, Item};
use super::contents::{ContentsError, Registry, Resource, Tip, Visit};
use super::elsewhere;
use super::git::{self, GitRepositories};
use super::host::{self, Host, Names, RequestedHost};
use super::listener::Arrival;
use super::metrics::{self, Kind, Metrics};
use super::pages::{self, Pages};
use super::proxy::{Elsewhere, Proxy};
use super::refusal::{Refusal, check};
use super::request_log::{Log, RequestLog};
use super::retries::Retries;
use super::route::{self, Route};

/// Answers requests.
pub(super) struct Service {
    pub(super) cache: ContentCache,
    pub(super) repositories: GitRepositories,
    pub(super) pages: Pages,
    pub(super) log: Option<Log>,
    pub(super) metrics: Arc<Metrics>,
    /// The address that the page at `/` tells clients to configure.
    pub(super) base_url: String,
    /// The registry at paths that name none.
    pub(super) registry: Registry,
    /// The names that the user gave to the server.
    pub(super) names: Names,
    /// The proxy, if the server is one.
    pub(super) proxy: Option<Proxy>,
}

impl Service {
    /// Answers a request, counts and logs it. Errors become responses too.
    pub(super) async fn answer(self: Arc<Self>, arrival: Arrival, request: Request<Incoming>) -> Answer {
        let begun = Instant::now();
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let (mut answer, refused) = self.respond(arrival, request).await;
        let kind = Kind::of(uri.path());
        let (error, unanswered) = refused.map_or((None, None), |refusal| (Some(refusal.logged()), refusal.unanswered));
        let logged = RequestLog {
            peer: arrival.peer,
            method: method.to_string(),
            path: uri.path_and_query().map_or(String::new(), ToString::to_string),
            status: answer.status().as_u16(),
            bytes: answer.body().size_hint().exact().unwrap_or(0),
            elapsed: begun.elapsed(),
            error,
            unanswered,
        };
        self.metrics.count(kind, &logged);
        match (answer.body_mut(), self.log.clone()) {
            (Either::Left(_), log) => log.iter().for_each(|log| log(&logged)),
            (Either::Right(streamed), log) => {
                let metrics = self.metrics.clone();
                let at_end = move |request: &RequestLog| {
                    metrics.add_bytes(kind, request.bytes);
                    log.iter().for_each(|log| log(request));
                };
                streamed.log_at_end(Arc::new(at_end), logged);
            }
        }
        answer
    }

    /// Returns the response and, if it is an error, the refusal that it was made from.
    async fn respond(&self, arrival: Arrival, request: Request<Incoming>) -> (Answer, Option<Refusal>) {
        let is_head = request.method() == Method::HEAD;
        let elsewhere = self.proxy.and_then(|proxy| proxy.elsewhere(&request));
        let host = match elsewhere.as_ref().map_or(Ok(()), Elsewhere::check).and_then(|()| Host::of(&request)) {
            Ok(host) => self.requested_host(host, arrival).await,
            Err(refusal) => Err(refusal),
        };
        let is_own = matches!(host, Ok(RequestedHost::Server)) && elsewhere.is_none();
        let visited = (is_own && pages::is_of_browser(&request)).then(|| request.uri().path().to_owned());
        let answered = match host {
            Ok(host) => self.answer_as(&host, arrival, request).await,
            Err(refusal) => Err(refusal),
        };
        // If the mirror cannot answer for a host, the request would have left.
        let answered = answered.map_err(|refusal| elsewhere.as_ref().map_or(refusal, Elsewhere::refusal));
        let (mut answer, refused) = match answered {
            Ok(answer) => (answer, None),
            Err(refusal) => {
                let mut answer = refusal.answer();
                pages::protect(&mut answer);
                let answer = match visited {
                    Some(path) => pages::as_page(answer, &path, refusal.text()),
                    None => answer,
                };
                (answer, Some(refusal))
            }
        };
        if is_head {
            *answer.body_mut() = Either::Left(Full::default());
        }
        (answer, refused)
    }

    async fn answer_as(
        &self,
        host: &RequestedHost,
        arrival: Arrival,
        request: Request<Incoming>,
    ) -> Result<Answer, Refusal> {
        let (path, query) = (request.uri().path(), request.uri().query());
        match host {
            RequestedHost::Server => match git::git_request(path, query, None) {
                Some(asked) => self.repositories.answer(arrival.peer, request, asked).await,
                None => {
                    check(&request)?;
                    let answered = self.get(&request, arrival).await;
                    // Nothing is missing from the mirror if a person mistypes the address of a page.
                    let is_for_page = pages::is_for_page(&request);
                    answered.map_err(|refusal| if is_for_page { refusal } else { refusal.of_path(path) })
                }
            },
            RequestedHost::Mirrored(host) => match git::git_request(path, query, Some(host)) {
                Some(asked) => self.repositories.answer(arrival.peer, request, asked).await,
                None => Err(host::not_of_host(host)),
            },
        }
    }

    /// Returns what a request's `Host` refers to. Rejects unknown names. If the branch cannot be read, no host counts
    /// as mirrored.
    async fn requested_host(&self, host: Option<Host<'_>>, arrival: Arrival) -> Result<RequestedHost, Refusal> {
        let Some(host) = host.filter(|host| !host.is_this_machine()) else { return Ok(RequestedHost::Server) };
        let name = host.name().to_ascii_lowercase();
        let mut retries = Retries::new(self.cache.contents());
        loop {
            // Without a branch, no host is mirrored.
            let Ok(tip) = self.cache.tip() else { break };
            let refusal = match self.has_host(&tip, &name).await {
                Ok(true) => return Ok(RequestedHost::Mirrored(name)),
                Ok(false) => break,
                Err(error) => Refusal::from_contents(&error, Some(&tip)),
            };
            if !retries.prepare(&refusal, Some(&tip)).await {
                break;
            }
        }
        match self.names.admit(host, arrival.is_loopback) {
            true => Ok(RequestedHost::Server),
            false => Err(host::misdirected(host)),
        }
    }

    async fn has_host(&self, tip: &Tip, name: &str) -> Result<bool, ContentsError> {
        let (contents, at, host) = (self.cache.contents().clone(), tip.clone(), name.to_owned());
        blocking(|| format!("the list of git repositories of {name}"), move || contents.has_host(&at, &host)).await
    }

    async fn get<B>(&self, request: &Request<B>, arrival: Arrival) -> Result<Answer, Refusal> {
        let mut retries = Retries::new(self.cache.contents());
        loop {
            let tip = self.cache.tip();
            match self.get_at(request, arrival, &tip).await {
                Err(refusal) if retries.prepare(&refusal, tip.as_ref().ok()).await => {}
                answered => return answered,
            }
        }
    }

    async fn get_at<B>(
        &self,
        request: &Request<B>,
        arrival: Arrival,
        tip: &Result<Tip, ContentsError>,
    ) -> Result<Answer, Refusal> {
        let path = request.uri().path();
        if pages::is_for_page(request) {
            return self.pages.answer(request, arrival, tip, self.visit(request, arrival)).await;
        }
        if let Ok(tip) = tip
            && let Some(item) = self.cache.remembered(tip, path)
        {
            return self.send(request, tip, &item).await;
        }
        match route::route(path, self.registry)
            .map_err(|error| Refusal::new(route_status(&error), error.to_string()))?
        {
            Route::Page => {
                let mut answer = plain(StatusCode::OK, self.page(tip.as_ref().ok()));
                pages::protect(&mut answer);
                Ok(answer)
            }
            Route::Health => {
                let tip = tip.as_ref().map_err(|error| Refusal::from_contents(error, None))?;
                if self.registry == Registry::Pinned && !self.has_index(tip).await? {
                    return Err(Refusal::no_index(StatusCode::SERVICE_UNAVAILABLE, tip));
                }
                let following = self.cache.contents().following();
                let more = following.map(|following| format!("{following}\n")).unwrap_or_default();
                Ok(plain(StatusCode::OK, format!("ok {tip}\n{more}")))
            }
            Route::Metrics => {
                let mut answer =
                    plain(StatusCode::OK, self.metrics.text(tip.is_ok(), self.cache.contents().following().as_ref()));
                answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
                Ok(answer)
            }
            Route::Environment => Ok(settings(elsewhere::variables(&self.access(request, arrival, tip).await?))),
            Route::GitConfig => Ok(settings(elsewhere::git_configuration(&self.access(request, arrival, tip).await?))),
            Route::Resources(resources) => {
                let tip = tip.as_ref().map_err(|error| Refusal::from_contents(error, None))?;
                let first = resources.first().cloned().expect("`Route::Resources` is never empty");
                let found = self.cache.find(tip, path, resources).await;
                match found.map_err(|error| Refusal::from_contents(&error, Some(tip)))? {
                    Some(item) => self.send(request, tip, &item).await,
                    None => self.missing(first, tip).await,
                }
            }
        }
    }

    /// Returns how the client, on whatever machine, reaches this server.
    async fn access<B>(
        &self,
        request: &Request<B>,
        arrival: Arrival,
        tip: &Result<Tip, ContentsError>,
    ) -> Result<Access, Refusal> {
        let tip = tip.as_ref().map_err(|error| Refusal::from_contents(error, None))?;
        let authority = elsewhere::authority(request.uri().query(), arrival.is_secure)?;
        let (contents, at) = (self.cache.contents().clone(), tip.clone());
        let item = || "the list of git repositories".to_owned();
        let rules = blocking(item, move || contents.instead_of(&at)).await;
        let instead_of = rules.map_err(|error| Refusal::from_contents(&error, Some(tip)))?;
        let base_url = self.visit(request, arrival).base_url;
        let any_origin = self.cache.contents().accepts_any_origin();
        let registry = self.registry;
        Ok(Access { base_url, registry, instead_of, authority, any_origin, ..Access::default() })
    }

    /// Returns how a client reached this server.
    fn visit<B>(&self, request: &Request<B>, arrival: Arrival) -> Visit {
        let base_url = elsewhere::base_url(request, arrival).unwrap_or_else(|| self.base_url.clone());
        Visit { hex_url: access::hex_url(&base_url, self.registry), base_url }
    }

    /// Answers a request for a resource that the snapshot lacks.
    ///
    /// If the package does not exist upstream either, the response is 304. Hex interprets it as "nothing new" even if
    /// it knows no entry yet (`write_result/4` in its `registry/server.ex`), whereas it would show its user an error
    /// after 404.
    async fn missing(&self, resource: Resource, tip: &Tip) -> Result<Answer, Refusal> {
        if self.cache.is_absent(tip, &resource).await.map_err(|error| Refusal::from_contents(&error, Some(tip)))? {
            let mut answer = Response::new(Either::Left(Full::default()));
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(answer);
        }
        // Hex looks there for a newer version once a day, and interprets a list without versions as "there is none"
        // (`find_new_version_from_csv/1`).
        if matches!(&resource, Resource::File(path) if path.as_str() == UPDATE_CHECK) {
            return Ok(plain(StatusCode::OK, String::new()));
        }
        if matches!(resource, Resource::Pinned(..)) && !self.has_index(tip).await? {
            return Err(Refusal::missing_with_index(resource, tip));
        }
        let tools = match &resource {
            Resource::File(path) if path.is_of_tools() => self.cache.tools().await,
            _ => String::new(),
        };
        Err(Refusal::missing(resource, tip, &tools))
    }

    async fn has_index(&self, tip: &Tip) -> Result<bool, Refusal> {
        self.cache.has_index(tip).await.map_err(|error| Refusal::from_contents(&error, Some(tip)))
    }

    async fn send<B>(&self, request: &Request<B>, tip: &Tip, item: &Arc<Item>) -> Result<Answer, Refusal> {
        let headers = request.headers();
        if conditional::is_known(headers, &item.etag) {
            return Ok(with_item(Response::new(Either::Left(Full::default())), StatusCode::NOT_MODIFIED, item));
        }
        let bytes = match self.cache.kept(item) {
            Some(bytes) => bytes,
            None => match self.cache.load(tip, item).await {
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
        let mut answer = Response::new(Either::Left(Full::default()));
        let fields = answer.headers_mut();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static(item.resource.content_type()));
        fields.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        if let Part::Bytes(range) = part {
            fields.insert(CONTENT_RANGE, header(format!("bytes {}-{}/{length}", range.start, range.end - 1)));
        }
        *answer.body_mut() = Either::Left(Full::new(bytes));
        Ok(with_item(answer, status, item))
    }

    fn page(&self, tip: Option<&Tip>) -> String {
        let url = &self.base_url;
        let hex_url = access::hex_url(url, self.registry);
        let registry = match self.registry {
            Registry::Signed => String::new(),
            Registry::Pinned => format!(
                "The registry at {url} is the pinned index: clients that have its key use {url} as the address of hexpm.\n\
                 All others use the registry that upstream signed, at {hex_url}:\n"
            ),
        };
        let state = match tip {
            Some(tip) => format!("It serves the mirror branch, now at commit {tip}."),
            None => "It cannot read the mirror branch at the moment; see /health.".into(),
        };
        format!(
            "This is git-hexmirror, a read-only mirror of Hex packages and git repositories, kept inside a git repository.\n\
             {state}\n\n\
             {registry}Set HEX_MIRROR={hex_url} for mix and HEX_CDN={hex_url} for rebar3, and clone {url}/git/HOST/PATH.git with git;\n\
             or run `git hexmirror run -- COMMAND`, which sets everything up.\n\n\
             GET /packages/NAME\nGET /tarballs/NAME-VERSION.tar\nGET /docs/NAME-VERSION.tar.gz\nGET /public_key\n\
             GET /names\nGET /versions  lists of the pinned index\n\
             GET /repos/ORGANISATION/...\nGET /signed/..., /pinned/...  as upstream signed it; the pinned index\nGET /git/HOST/PATH.git\nGET /health\nGET /metrics\n\
             GET /env  variables for a shell: eval \"$(curl -fsS {url}/env)\"\nGET /gitconfig  git's part of them\n"
        )
    }
}

/// The list of Hex's own releases for versions of Elixir before 1.18.4.
const UPDATE_CHECK: &str = "installs/hex-1.x.csv";

/// Creates a response with settings, which change whenever the branch or the locks do.
fn settings(text: String) -> Answer {
    let mut answer = plain(StatusCode::OK, text);
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn route_status(error: &route::RouteError) -> StatusCode {
    if error.is_bad_request() { StatusCode::BAD_REQUEST } else { StatusCode::NOT_FOUND }
}

/// Adds the header fields that all responses about an item have. The branch may move at any time, so intermediate
/// caches must revalidate.
fn with_item(mut answer: Answer, status: StatusCode, item: &Item) -> Answer {
    *answer.status_mut() = status;
    let fields = answer.headers_mut();
    fields.insert(ETAG, item.etag.clone());
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    fields.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    answer
}
