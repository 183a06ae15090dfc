//! Exposes the parsers of requests to the fuzz targets (`fuzz/`). This module is not part of the public interface: its
//! items may change at any time.

use std::ops::Range;

use hyper::header::{HeaderMap, HeaderValue, IF_RANGE, RANGE};

use super::conditional::{self, Part};
use super::host::{Host, Names};
use super::route::{self, Route};
use super::{Registry, Resource, git};
use crate::model::GitAddress;

/// Returns the resources that a request's path may refer to. `None` if it refers to anything else.
pub fn resources(path: &str) -> Option<Vec<Resource>> {
    match route::route(path, Registry::Signed) {
        Ok(Route::Resources(resources)) => Some(resources),
        _ => None,
    }
}

/// Returns the git repository that a request refers to, if its address is valid. `None` if the request is not a git
/// request. `host` is a mirrored host.
pub fn repositories(path: &str, query: Option<&str>, host: Option<&str>) -> Option<Vec<GitAddress>> {
    git::git_request(path, query, host).map(|request| request.address().cloned().into_iter().collect())
}

/// Returns a `Host` without its port, and whether a server on a loopback address with these `names` answers to it;
/// `None` if the host is not valid.
pub fn host(host: &str, names: &[&str]) -> Option<(String, bool)> {
    let known = Names::new(names.iter().filter_map(|name| name.parse().ok()).collect());
    Host::parse(host).map(|host| (host.name().to_owned(), known.has(host)))
}

/// Returns the range of `length` bytes that a request with these header fields receives. Empty if the range is
/// unsatisfiable.
pub fn range(range: &HeaderValue, if_range: Option<&HeaderValue>, etag: &HeaderValue, length: u64) -> Range<u64> {
    let mut headers = HeaderMap::from_iter([(RANGE, range.clone())]);
    headers.extend(if_range.map(|condition| (IF_RANGE, condition.clone())));
    match conditional::part(&headers, etag, length) {
        Part::Whole => 0..length,
        Part::Bytes(range) => range,
        Part::Unsatisfiable => 0..0,
    }
}

/// Returns whether an `If-None-Match` field contains an `ETag`.
pub fn is_known(if_none_match: &HeaderValue, etag: &HeaderValue) -> bool {
    let headers = HeaderMap::from_iter([(hyper::header::IF_NONE_MATCH, if_none_match.clone())]);
    conditional::is_known(&headers, etag)
}

/// Decompresses the gzipped body of a git request that arrives in pieces. `None` if it is not valid gzip, is truncated,
/// or exceeds `limit` bytes when decompressed.
pub async fn body(pieces: &[&[u8]], limit: u64) -> Option<Vec<u8>> {
    git::unpacked(pieces, limit).await
}
