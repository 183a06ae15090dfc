//! The HTTP connections to upstream. Redirects are followed by this module's own rules.

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::OnceLock;
use std::time::SystemTime;

use reqwest::dns::Resolve;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Certificate, Client, NoProxy, Proxy, Response, StatusCode};

use super::endpoint::{Endpoint, WebUrl, Withheld};
use super::error::{Cause, FetchError, RedirectRefusal};
use super::inside::{InsideReason, OutsideResolver, ResolvesInside};
use super::proxies::Proxies;
use super::resolver::SystemResolver;
use super::retry::retry_after;
use super::settings::{Settings, Timeouts};
use crate::cryptography;
use crate::model::{is_local, local_cause};

/// The maximum number of redirects that are followed. Hex follows 3.
pub(super) const MAX_REDIRECTS: usize = 5;

/// The connections to upstream, which are reused between requests.
#[derive(Debug)]
pub(super) struct Connections {
    settings: Settings,
    authorities: Option<Vec<Certificate>>,
    plain: Client,
    /// Created on first use, because loading the platform's certificate authorities takes time and can fail.
    secure: OnceLock<Client>,
    /// For addresses that a tracked file may have chosen.
    outside: OnceLock<Client>,
}

impl Connections {
    pub(super) fn new(settings: &Settings) -> Result<Self, FetchError> {
        let authorities = settings.ca_certificates.as_deref().map(read_authorities).transpose()?;
        let plain = client(settings, Some(&[]), SystemResolver)?;
        let (secure, outside) = Default::default();
        Ok(Self { settings: settings.clone(), authorities, plain, secure, outside })
    }

    /// Requests `url`, which is below `endpoint`. Returns the response with its body unread if the status is 2xx or
    /// 304.
    pub(super) async fn get(
        &self,
        endpoint: &Endpoint,
        url: WebUrl,
        headers: &[(HeaderName, String)],
    ) -> Result<Answer, FetchError> {
        let origin = url.as_url().origin();
        let key = endpoint.access.key.as_ref().map(|key| authorization(key.reveal(), &url)).transpose()?;
        let mut headers = header_map(headers, &url)?;
        let mut url = if key.is_none() { self.with_login(url) } else { url };
        for _ in 0..=MAX_REDIRECTS {
            headers.remove(AUTHORIZATION);
            // The key belongs to the repository, so no other host, port or scheme may receive it.
            if let Some(key) = key.as_ref().filter(|_| url.as_url().origin() == origin) {
                headers.insert(AUTHORIZATION, key.clone());
            }
            let answer = self.once(&url, headers.clone()).await?;
            if !is_redirect(answer.status()) {
                return check_status(answer, endpoint.access.withheld);
            }
            url = follow(&url, answer.response.headers().get(LOCATION))?;
        }
        Err(FetchError::Redirect { url, reason: RedirectRefusal::TooMany })
    }

    /// Returns an address with the netrc credentials for its host. Credentials in the address have precedence, as in
    /// curl.
    fn with_login(&self, url: WebUrl) -> WebUrl {
        let host = url.as_url().host_str().filter(|_| !url.has_login());
        let login = host.and_then(|host| self.settings.netrc.login(host));
        login.map(|(name, password)| url.with_login(name, password)).unwrap_or(url)
    }

    /// Requests an address once. Returns the response with its body unread, whatever its status is.
    pub(super) async fn once(&self, url: &WebUrl, headers: HeaderMap) -> Result<Answer, FetchError> {
        let response = self.send(url, headers).await?;
        Ok(Answer { url: url.clone(), response, timeouts: self.settings.timeouts })
    }

    /// Requests an address that a tracked file may have chosen once. Names that resolve to internal addresses are refused
    /// unless `may_be_internal`. A proxy resolves names by itself.
    pub(super) async fn once_outside(
        &self,
        url: &WebUrl,
        headers: HeaderMap,
        may_be_internal: bool,
    ) -> Result<Answer, FetchError> {
        if may_be_internal || self.settings.proxies.of(url).is_some() {
            return self.once(url, headers).await;
        }
        let client = match self.outside.get() {
            Some(client) => client,
            None => {
                let client = client(&self.settings, self.authorities.as_deref(), OutsideResolver)?;
                self.outside.get_or_init(|| client)
            }
        };
        let response = self.send_by(client, url, headers).await?;
        Ok(Answer { url: url.clone(), response, timeouts: self.settings.timeouts })
    }

    async fn send(&self, url: &WebUrl, headers: HeaderMap) -> Result<Response, FetchError> {
        self.send_by(self.client(url)?, url, headers).await
    }

    async fn send_by(&self, client: &Client, url: &WebUrl, headers: HeaderMap) -> Result<Response, FetchError> {
        // reqwest converts credentials in the address to a header. The headers given here replace it.
        let response = client.get(url.as_url().clone()).headers(headers).send().await;
        response.map_err(|source| failure(url, self.settings.proxies.of(url), &self.settings.timeouts, source))
    }

    fn client(&self, url: &WebUrl) -> Result<&Client, FetchError> {
        let secure_proxy = self.settings.proxies.http.as_ref().is_some_and(|proxy| proxy.as_url().scheme() == "https");
        if url.as_url().scheme() == "http" && !secure_proxy {
            return Ok(&self.plain);
        }
        if let Some(client) = self.secure.get() {
            return Ok(client);
        }
        let client = client(&self.settings, self.authorities.as_deref(), SystemResolver)?;
        Ok(self.secure.get_or_init(|| client))
    }
}

/// A response whose body has not been read yet.
#[derive(Debug)]
pub(super) struct Answer {
    /// The address of the response, after redirects.
    pub(super) url: WebUrl,
    response: Response,
    timeouts: Timeouts,
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Returns the value of a header if it is text.
    pub(super) fn header(&self, name: HeaderName) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// Returns the header with the target of a redirect.
    pub(super) fn location(&self, name: HeaderName) -> Option<&HeaderValue> {
        self.response.headers().get(name)
    }

    /// Returns the declared length of the body in bytes.
    pub(super) fn length(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// Reads the body up to a length in bytes, whatever it is.
    ///
    /// # Errors
    /// Fails if the connection is interrupted or times out.
    pub(super) async fn beginning(mut self, length: usize) -> Result<Vec<u8>, FetchError> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            match self.response.chunk().await {
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(source) => return Err(failure(&self.url, None, &self.timeouts, source)),
            }
        }
        bytes.truncate(length);
        Ok(bytes)
    }

    /// Reads the body and passes it to `take` as it arrives.
    ///
    /// # Errors
    /// [`FetchError::TooLarge`] as soon as the body is known to be longer than `limit` bytes, [`FetchError::WebPage`]
    /// if it is a web page and may not be one, and whatever `take` returns.
    pub(super) async fn body(
        mut self,
        limit: u64,
        may_be_page: bool,
        mut take: impl FnMut(&[u8]) -> Result<(), FetchError>,
    ) -> Result<(), FetchError> {
        let expected = self.length();
        let kind = self.header(CONTENT_TYPE).map(|kind| kind.trim_start().to_ascii_lowercase());
        let html = !may_be_page && kind.is_some_and(|kind| kind.starts_with("text/html"));
        let mut got = 0;
        if expected.is_some_and(|expected| expected > limit) {
            return Err(FetchError::TooLarge { url: self.url, limit });
        }
        loop {
            match self.response.chunk().await {
                // The page of a captive portal or a proxy. Responses of Hex repositories never begin with `<`, whatever
                // type a server declares.
                Ok(Some(chunk)) if html && got == 0 && chunk.trim_ascii_start().starts_with(b"<") => {
                    return Err(FetchError::WebPage { url: self.url });
                }
                Ok(Some(chunk)) => {
                    got += chunk.len() as u64;
                    if got > limit {
                        return Err(FetchError::TooLarge { url: self.url, limit });
                    }
                    take(&chunk)?;
                }
                Ok(None) => return Ok(()),
                Err(source) if source.is_timeout() => return Err(failure(&self.url, None, &self.timeouts, source)),
                Err(source) => {
                    return Err(match expected {
                        Some(expected) if got < expected => FetchError::Truncated { url: self.url, expected, got },
                        _ => failure(&self.url, None, &self.timeouts, source),
                    });
                }
            }
        }
    }
}

fn client(
    settings: &Settings,
    authorities: Option<&[Certificate]>,
    resolver: impl Resolve + 'static,
) -> Result<Client, FetchError> {
    cryptography::install();
    let mut builder = Client::builder()
        .user_agent(&settings.user_agent)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(settings.timeouts.connect)
        .read_timeout(settings.timeouts.stall)
        .pool_max_idle_per_host(settings.concurrency.max(1))
        .dns_resolver(resolver)
        // object_store links HTTP/2 into reqwest. Hex uses HTTP/1.1, and connections per host are limited above.
        .http1_only()
        // Proxies never come from the environment here. The caller has already put them into the settings.
        .no_proxy();
    for proxy in proxies(&settings.proxies)? {
        builder = builder.proxy(proxy);
    }
    if let Some(authorities) = authorities {
        builder = builder.tls_certs_only(authorities.iter().cloned());
    }
    builder.build().map_err(|source| FetchError::Client { source })
}

fn proxies(proxies: &Proxies) -> Result<Vec<Proxy>, FetchError> {
    let except = proxies.no_proxy.as_deref().and_then(NoProxy::from_string);
    let http = proxies.http.as_ref().map(|url| (url, Proxy::http(url.as_url().clone())));
    let https = proxies.https.as_ref().map(|url| (url, Proxy::https(url.as_url().clone())));
    let made = http.into_iter().chain(https).map(|(url, proxy)| match proxy {
        Ok(proxy) => Ok(proxy.no_proxy(except.clone())),
        Err(source) => Err(FetchError::Proxy { proxy: url.clone(), source: source.without_url() }),
    });
    made.collect()
}

fn read_authorities(path: &Path) -> Result<Vec<Certificate>, FetchError> {
    let error = |source: Cause| FetchError::CaCertificates { path: path.to_owned(), source };
    let pem = std::fs::read(path).map_err(|source| error(source.into()))?;
    let authorities = Certificate::from_pem_bundle(&pem).map_err(|source| error(source.into()))?;
    if authorities.is_empty() { Err(error("it contains no PEM certificate".into())) } else { Ok(authorities) }
}

fn authorization(key: &str, url: &WebUrl) -> Result<HeaderValue, FetchError> {
    let mut value = HeaderValue::from_str(key).map_err(|_| FetchError::InvalidKey { url: url.clone() })?;
    value.set_sensitive(true);
    Ok(value)
}

pub(super) fn header_map(headers: &[(HeaderName, String)], url: &WebUrl) -> Result<HeaderMap, FetchError> {
    let value = |text: &str| {
        let reason = "it gave an ETag that cannot be sent back".to_owned();
        HeaderValue::from_str(text).map_err(|_| FetchError::Protocol { url: url.clone(), reason })
    };
    headers.iter().map(|(name, text)| Ok((name.clone(), value(text)?))).collect()
}

pub(super) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

pub(super) fn follow(url: &WebUrl, location: Option<&HeaderValue>) -> Result<WebUrl, FetchError> {
    let refuse = |reason| FetchError::Redirect { url: url.clone(), reason };
    let location = location.and_then(|location| location.to_str().ok());
    let location = location.ok_or_else(|| refuse(RedirectRefusal::NoLocation))?;
    let next = url.follow(location).map_err(|error| refuse(RedirectRefusal::Invalid(error)))?;
    if url.as_url().scheme() == "https" && next.as_url().scheme() != "https" {
        return Err(refuse(RedirectRefusal::Downgrade { to: next }));
    }
    Ok(next)
}

pub(super) fn check_status(answer: Answer, withheld: Option<Withheld>) -> Result<Answer, FetchError> {
    let status = answer.status();
    if status.is_success() || matches!(status, StatusCode::NOT_MODIFIED | StatusCode::RANGE_NOT_SATISFIABLE) {
        return Ok(answer);
    }
    let retry_after = answer.header(RETRY_AFTER).and_then(|header| retry_after(header, SystemTime::now()));
    let (url, status) = (answer.url, status.as_u16());
    Err(match status {
        404 | 410 => FetchError::NotFound { url, status },
        401 | 403 | 407 => FetchError::Unauthorized { url, status, withheld },
        _ => FetchError::Status { url, status, retry_after },
    })
}

/// Converts an error from reqwest.
fn failure(url: &WebUrl, proxy: Option<&WebUrl>, timeouts: &Timeouts, error: reqwest::Error) -> FetchError {
    let url = url.clone();
    // Otherwise the error would show the address with its query.
    let error = error.without_url();
    if let Some(source) = local_fault(&error) {
        return FetchError::Machine { url, source };
    }
    if has_cause::<ResolvesInside>(&error) {
        return FetchError::Inside { url, reason: InsideReason::Internal };
    }
    if error.is_timeout() {
        let after = if error.is_connect() { timeouts.connect } else { timeouts.stall };
        return FetchError::TimedOut { url, after };
    }
    if has_cause::<rustls::Error>(&error) {
        return FetchError::Tls { url, source: innermost(&error) };
    }
    if error.is_connect() {
        return FetchError::Unreachable { url, proxy: proxy.cloned(), source: innermost(&error) };
    }
    FetchError::Interrupted { url, source: innermost(&error) }
}

/// Returns the local error that made a request fail, if there was one.
fn local_fault(error: &reqwest::Error) -> Option<io::Error> {
    if let Some(cause) = local_cause(error) {
        let text = cause.to_string();
        return Some(
            cause.raw_os_error().map_or_else(|| io::Error::new(cause.kind(), text), io::Error::from_raw_os_error),
        );
    }
    // The system's resolver reports an unknown host if it cannot open a file. Opening a socket reveals the actual
    // error.
    let opened = || std::net::UdpSocket::bind((std::net::Ipv4Addr::LOCALHOST, 0)).err();
    error.is_connect().then(opened)?.filter(is_local)
}

/// Returns the innermost cause of an error. The outer layers only say that a request failed, which our message already
/// does.
fn innermost(error: &(dyn Error + 'static)) -> Cause {
    match error.source() {
        Some(source) => innermost(source),
        None => error.to_string().into(),
    }
}

/// Returns whether an error of a type is among the causes. `io::Error` does not expose its inner error as its source.
fn has_cause<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let wrapped: Option<&(dyn Error + 'static)> = wrapped.map(|wrapped| wrapped as _);
    error.is::<E>() || wrapped.or_else(|| error.source()).is_some_and(has_cause::<E>)
}
