//! What the server reads from a request: the path, `Host`, `Range`, and the body of a git request.

use std::future::Future;
use std::io::Read;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use git_hexmirror::model::{PackageName, RepositoryName, Version};
use git_hexmirror::serve::surface;
use git_hexmirror::serve::{HostName, Resource};
use hyper::header::HeaderValue;
use hyper::http::uri::Authority;

use super::model::{check_address, check_release};

/// A path, a query and a host on separate lines. A file that is found has a canonical address, which leads to the same
/// file.
pub fn routes(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut lines = text.splitn(3, '\n');
    let (path, query, host) = (lines.next().unwrap_or_default(), lines.next(), lines.next());
    for resource in surface::resources(path).into_iter().flatten() {
        let canonical = canonical(&resource);
        let found = surface::resources(&canonical);
        assert!(found.is_some_and(|found| found.contains(&resource)), "{canonical} leads to {resource:?}");
        let encoded: String = canonical.bytes().map(|byte| format!("%{byte:02x}")).collect();
        assert_eq!(surface::resources(&encoded), surface::resources(&canonical));
        if let Resource::Tarball(id) = &resource {
            check_release(id);
        }
    }
    if let Some(file) = path.strip_prefix("/tarballs/").filter(|file| !file.contains(['%', '/'])) {
        let found = surface::resources(path).is_some();
        assert_eq!(found, is_tarball_name(file), "{file:?}");
    }
    for address in surface::repositories(path, query, host).into_iter().flatten() {
        check_address(&address);
        for path in [format!("/git/{address}/HEAD"), format!("//git/{address}.git/info/refs")] {
            let found = surface::repositories(&path, query, None);
            assert_eq!(found.as_deref(), Some(&[address.clone()][..]), "{path}");
        }
    }
}

/// Returns whether the file name can be split into a package's name and a version in any way.
fn is_tarball_name(file: &str) -> bool {
    let valid =
        |stem: &str, at: usize| stem[..at].parse::<PackageName>().is_ok() && stem[at + 1..].parse::<Version>().is_ok();
    file.strip_suffix(".tar").is_some_and(|stem| stem.match_indices('-').any(|(at, _)| valid(stem, at)))
}

fn canonical(resource: &Resource) -> String {
    let base = |repository: &RepositoryName| match repository.as_str() {
        "hexpm" => String::new(),
        other => format!("/repos/{other}"),
    };
    match resource {
        Resource::PublicKey(repository) => format!("{}/public_key", base(repository)),
        Resource::Names(repository) => format!("{}/names", base(repository)),
        Resource::Versions(repository) => format!("{}/versions", base(repository)),
        Resource::RegistryEntry(repository, package) => format!("{}/packages/{package}", base(repository)),
        Resource::Pinned(repository, file) => format!("/pinned{}/{file}", base(repository)),
        Resource::Policy(id) => format!("{}/policies/{}", base(&id.repository), id.name),
        Resource::File(path) => format!("/{path}"),
        Resource::Tarball(id) => format!("{}/tarballs/{}", base(&id.repository), id.tarball_name()),
    }
}

/// A `Host` header. Its name is the one that the `http` crate reads, and the server only accepts names of this machine.
pub fn hosts(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some((name, answers)) = surface::host(text, &[]) else { return };
    assert!(text.starts_with(&name));
    let is_port = |port: &str| port.bytes().all(|digit| digit.is_ascii_digit());
    if let Ok(authority) = text.parse::<Authority>()
        && !text.contains('@')
        && (authority.host() == text || text[authority.host().len()..].strip_prefix(':').is_some_and(is_port))
    {
        assert_eq!(authority.host().strip_suffix('.').unwrap_or(authority.host()), name, "{text:?}");
    }
    let is_local = |host: &str| {
        ["localhost", "host.docker.internal", "gateway.docker.internal", "host.containers.internal"].contains(&host)
            || host.ends_with(".localhost")
    };
    if answers {
        match url::Host::parse(&name) {
            Ok(url::Host::Domain(domain)) => assert!(is_local(&domain), "{name:?} is {domain:?}"),
            Ok(_) => {}
            // An unusual address in brackets, or an IPv6 address without them.
            Err(_) => assert!(
                name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok() || is_local(&name.to_lowercase()),
                "{name:?}"
            ),
        }
    }
    if name.parse::<HostName>().is_ok() {
        assert_eq!(surface::host(text, &[&name]), Some((name.clone(), true)), "the name that it was given");
    }
    let uppercase = surface::host(&text.to_ascii_uppercase(), &[]);
    assert_eq!(uppercase, Some((name.to_ascii_uppercase(), answers)), "case does not count");
    assert_eq!(surface::host(&format!("{name}:4040"), &[]), Some((name, answers)), "nor does the port");
}

/// A length, a kind of `If-Range` and a `Range`. The response contains exactly the requested bytes.
pub fn ranges(bytes: &[u8]) {
    let [length, condition, range @ ..] = bytes else { return };
    let Ok(header) = HeaderValue::from_bytes(range) else { return };
    let (etag, length) = (HeaderValue::from_static("\"abc\""), u64::from(*length));
    let condition = match condition % 4 {
        0 => None,
        1 => Some("\"abc\""),
        2 => Some("W/\"abc\""),
        _ => Some("\"other\""),
    };
    let given = surface::range(&header, condition.map(HeaderValue::from_static).as_ref(), &etag, length);
    let holds = condition.is_none_or(|condition| condition == "\"abc\"");
    let asked = header.to_str().ok().filter(|_| holds).and_then(read_range);
    for at in 0..length {
        let wanted = match asked {
            None => true,
            Some((Some(first), last)) => at >= first && last.is_none_or(|last| at <= last),
            Some((None, Some(count))) => count >= length - at,
            Some((None, None)) => unreachable!("one of them is there"),
        };
        assert_eq!(given.contains(&at), wanted, "byte {at} of {length}, asked for {header:?}");
    }
    assert!(given.is_empty() || given.end <= length);
    // The same bytes as `If-None-Match`. A match means that they contain the entity tag, and an entity tag appended to
    // them matches.
    let known = surface::is_known(&header, &etag);
    assert!(!known || range.trim_ascii() == b"*" || range.windows(5).any(|part| part == b"\"abc\""));
    if range.iter().filter(|byte| **byte == b'"').count() % 2 == 0 {
        let longer = [range, b", \"abc\""].concat();
        assert!(surface::is_known(&HeaderValue::from_bytes(&longer).expect("still a value"), &etag));
    }
}

/// Parses one byte range according to RFC 9110. Numbers that are too large become the largest.
fn read_range(text: &str) -> Option<(Option<u64>, Option<u64>)> {
    let equals = text.find('=')?;
    if !text[..equals].trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let spec = text[equals + 1..].trim();
    let dash = spec.find('-')?;
    let read = |digits: &str| match digits {
        "" => Some(None),
        _ if digits.chars().all(|digit| digit.is_ascii_digit()) => {
            Some(Some(digits.chars().fold(0u64, |number, digit| {
                number.saturating_mul(10).saturating_add(u64::from(digit) - u64::from('0'))
            })))
        }
        _ => None,
    };
    match (read(&spec[..dash])?, read(&spec[dash + 1..])?) {
        (None, None) => None,
        (Some(first), Some(last)) if first > last => None,
        range => Some(range),
    }
}

/// A position at which to split, and the gzipped body of a git request. The body inflates as with zlib, wherever it is
/// split.
pub fn git_body(bytes: &[u8]) {
    const LIMIT: u64 = 1 << 16;
    let [first, second, body @ ..] = bytes else { return };
    let whole = ready(surface::body(&[body], LIMIT));
    let cut = usize::from(*first).min(body.len());
    let (start, rest) = body.split_at(cut);
    let (middle, end) = rest.split_at(usize::from(*second).min(rest.len()));
    assert_eq!(ready(surface::body(&[start, middle, end], LIMIT)), whole);
    let mut rest = body;
    let mut decoder = flate2::bufread::GzDecoder::new(&mut rest);
    let mut unpacked = Vec::new();
    let fine = (&mut decoder).take(LIMIT + 1).read_to_end(&mut unpacked).is_ok();
    let fine = fine && unpacked.len() as u64 <= LIMIT && decoder.into_inner().is_empty();
    assert_eq!(whole, fine.then_some(unpacked));
    // A body that a client compresses is received unchanged.
    let packed = git_hexmirror::hex::gzip::gzip(body);
    let cut = usize::from(*first).min(packed.len());
    assert!(
        ready(surface::body(&[&packed[..cut], &packed[cut..]], LIMIT)).as_deref() == Some(body)
            || body.len() as u64 > LIMIT
    );
}

/// Polls a future that never waits.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("it waits for nothing"),
    }
}
