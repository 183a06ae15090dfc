//! The web pages. Only browsers see them: their requests have `text/html` in `Accept`, which no client of a registry or of git
//! sends, or lead below `/-/`.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    HeaderName, HeaderValue, LOCATION, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use super::answer::{Answer, header};
use super::blocking::blocking;
use super::comparisons::Comparisons;
use super::conditional::is_known;
use super::contents::{Contents, ContentsError, Tip, Visit};
use super::downloads::Downloads;
use super::limits::Limits;
use super::listener::Arrival;
use super::refusal::Refusal;
use super::work_limits::WorkLimits;
use crate::model::hex_digits;
use crate::page::{self, Address, Page};

const HTML: &str = "text/html; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Pages load the style sheet and the icon from this server, and nothing else from anywhere. They run no scripts, and cannot
/// be shown inside of other pages.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// The header fields of all answers here.
const FIELDS: [(HeaderName, &str); 6] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    // The same path may have another answer for clients.
    (VARY, "accept"),
];

/// The style sheet and the icon, with their `ETag`s.
static STYLE: LazyLock<(Bytes, HeaderValue)> = LazyLock::new(|| with_etag(page::STYLE.into()));
static ICON: LazyLock<(Bytes, HeaderValue)> = LazyLock::new(|| with_etag(page::ICON.into()));

/// Makes pages, a bounded number at a time.
pub(super) struct Pages {
    contents: Arc<dyn Contents>,
    limits: WorkLimits,
    comparisons: Comparisons,
    downloads: Downloads,
}

/// Returns whether a request is a browser's, which shows an error as a page.
pub(super) fn is_of_browser<B>(request: &Request<B>) -> bool {
    request.headers().get_all(ACCEPT).iter().any(|accept| accept.to_str().is_ok_and(accepts_html))
}

/// Returns whether `text/html` is named in an `Accept` field (RFC 9110, section 12.5.1). Wildcards do not count.
fn accepts_html(accept: &str) -> bool {
    accept.split(',').any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_html = parts.next().is_some_and(|media| media.eq_ignore_ascii_case("text/html"));
        let is_refused = |part: &str| part.strip_prefix(['q', 'Q']).is_some_and(|rest| is_zero(rest.trim()));
        is_html && !parts.any(is_refused)
    })
}

/// Returns whether a weight is zero, such as `=0.000`.
fn is_zero(weight: &str) -> bool {
    weight.strip_prefix('=').is_some_and(|weight| weight.trim().parse() == Ok(0.0_f32))
}

/// Returns whether a request is for a page: below `/-/`, or for the overview by a browser.
pub(super) fn is_for_page<B>(request: &Request<B>) -> bool {
    let path = request.uri().path();
    let is_read = request.method() == Method::GET || request.method() == Method::HEAD;
    Address::is_below(path) || is_read && path.trim_start_matches('/').is_empty() && is_of_browser(request)
}

impl Pages {
    pub(super) fn new(contents: Arc<dyn Contents>, limits: &Limits) -> Self {
        let (pages, comparisons) = (WorkLimits::new(limits.pages), Comparisons::new(limits.comparisons));
        let downloads = Downloads::new(limits.download_bytes, limits.pages);
        Self { contents, limits: pages, comparisons, downloads }
    }

    /// Answers a request for a page.
    pub(super) async fn answer<B>(
        &self,
        request: &Request<B>,
        arrival: Arrival,
        tip: &Result<Tip, ContentsError>,
        visit: Visit,
    ) -> Result<Answer, Refusal> {
        let path = request.uri().path();
        let address = Address::parse(path, request.uri().query())
            .ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "there is no page with this address".to_owned()))?;
        let send = |content_type, (bytes, etag): (Bytes, HeaderValue)| Ok(send(request, content_type, bytes, etag));
        match address {
            Address::Style => return send(CSS, STYLE.clone()),
            Address::Icon => return send(SVG, ICON.clone()),
            _ => {}
        }
        let tip = tip.as_ref().map_err(|error| Refusal::from_contents(error, None))?;
        match self.made(&address, arrival.peer.ip(), tip, visit).await? {
            // Its links would lead elsewhere: the path has a slash at its end.
            Page::Html(_) if depth(path) != address.depth() => Ok(moved(path, &address)),
            Page::Html(html) => send(HTML, with_etag(html.into())),
            Page::Download { name, bytes } => {
                let bytes = self.downloaded(&address, arrival.peer.ip(), tip, bytes).await?;
                Ok(download(request, &name, bytes))
            }
            Page::Moved(address) => Ok(moved(path, &address)),
            Page::Missing(what) => Err(Refusal::new(StatusCode::NOT_FOUND, what)),
        }
    }
}

impl Pages {
    async fn made(&self, address: &Address, peer: IpAddr, tip: &Tip, visit: Visit) -> Result<Page, Refusal> {
        let (contents, at, asked) = (self.contents.clone(), tip.clone(), address.clone());
        let make = move || contents.page(&at, &asked, &visit);
        let failed = |error: &ContentsError| Refusal::from_contents(error, Some(tip));
        if let Address::Compare { .. } = address {
            // This page does not depend on how the browser reached the server.
            let made = self.comparisons.page(peer, format!("{tip} {address}"), make).await;
            return match &*made.ok_or_else(|| Refusal::busy("comparing other versions"))? {
                Ok(page) => Ok(page.clone()),
                Err(error) => Err(failed(error)),
            };
        }
        let permit = self.limits.acquire(peer).await;
        let make = move || {
            let page = make();
            drop(permit);
            page
        };
        let made = blocking(|| "this page".to_owned(), make).await;
        made.map_err(|error| failed(&error))
    }

    /// Returns the content of a file of this many bytes.
    async fn downloaded(&self, address: &Address, peer: IpAddr, tip: &Tip, bytes: u64) -> Result<Bytes, Refusal> {
        let (contents, at, asked) = (self.contents.clone(), tip.clone(), address.clone());
        let read = move || Ok(contents.download(&at, &asked)?.unwrap_or_default());
        let file = self.downloads.file(peer, format!("{tip} {address}"), bytes, read).await;
        let file = file.ok_or_else(|| Refusal::busy("sending other files to browsers"))?;
        file.map_err(|error| Refusal::from_contents(&error, Some(tip)))
    }
}

/// Returns the number of folders that a browser sees in a path.
fn depth(path: &str) -> usize {
    path.matches('/').count().saturating_sub(1)
}

/// Leads a browser from a path to a page.
fn moved(path: &str, address: &Address) -> Answer {
    let mut answer = Response::new(Either::Left(Full::default()));
    *answer.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    let relative = format!("{}{address}", "../".repeat(depth(path)));
    let location = if relative.is_empty() { "./".to_owned() } else { relative };
    answer.headers_mut().insert(LOCATION, header(location));
    add_fields(&mut answer);
    answer
}

/// Makes an error's response one for browsers.
pub(super) fn as_page(mut answer: Answer, path: &str, text: &str) -> Answer {
    let html = page::failure(path, &answer.status().to_string(), text);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(HTML));
    answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(html.len()));
    *answer.body_mut() = Either::Left(Full::from(html));
    add_fields(&mut answer);
    answer
}

fn send<B>(request: &Request<B>, content_type: &'static str, bytes: Bytes, etag: HeaderValue) -> Answer {
    let mut answer = Response::new(Either::Left(Full::default()));
    if is_known(request.headers(), &etag) {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        *answer.body_mut() = Either::Left(Full::new(bytes));
    }
    answer.headers_mut().insert(ETAG, etag);
    add_fields(&mut answer);
    answer
}

/// Sends a file of a package, which browsers must not show: it could be a page.
fn download<B>(request: &Request<B>, name: &str, bytes: Bytes) -> Answer {
    let (bytes, etag) = with_etag(bytes);
    let mut answer = send(request, PLAIN, bytes, etag);
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let plain: String = name.chars().map(plain).collect();
    // RFC 6266, section 4.3, and RFC 8187: the second form is for names that are not ASCII.
    let encoded = utf8_percent_encode(name, NON_ALPHANUMERIC);
    let disposition = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}");
    answer.headers_mut().insert(CONTENT_DISPOSITION, header(disposition));
    answer
}

/// Adds the fields that keep a browser from doing more with a text than showing it, and that say that browsers get something else.
pub(super) fn protect(answer: &mut Answer) {
    for (name, value) in FIELDS {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
}

fn add_fields(answer: &mut Answer) {
    // The branch, the locks and the day may change at any time.
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    protect(answer);
}

fn with_etag(bytes: Bytes) -> (Bytes, HeaderValue) {
    let digest = hex_digits(&Sha256::digest(&bytes)[..16]);
    (bytes, header(format!("\"{digest}\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_browsers_ask_for_html() {
        for (accept, expected) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
            ("application/xml, TEXT/HTML;level=1", true),
            ("text/html;q=0.1", true),
            ("text/html; q=0", false),
            ("text/html;q=0.000", false),
            ("*/*", false),
            ("text/*", false),
            ("text/htmlx", false),
            ("application/octet-stream", false),
            ("", false),
        ] {
            assert_eq!(accepts_html(accept), expected, "{accept}");
        }
    }
}
