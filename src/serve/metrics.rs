//! Counts requests, and writes the counts in Prometheus' text format (version 0.0.4 of "Exposition formats").
//!
//! All labels have a few fixed values, so that no client can make a monitor store more series.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::contents::Following;
use super::request_log::{RequestLog, Unanswered};
use crate::page::Address;

/// The value of `Content-Type`.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file of a registry.
    Registry,
    /// A release.
    Tarball,
    /// A git repository.
    Git,
    /// A web page below `/-/`.
    Page,
    /// `/health` and `/metrics`.
    Monitoring,
    /// Anything else.
    Other,
}

const KINDS: [(Kind, &str); 6] = [
    (Kind::Registry, "registry"),
    (Kind::Tarball, "tarball"),
    (Kind::Git, "git"),
    (Kind::Page, "page"),
    (Kind::Monitoring, "monitoring"),
    (Kind::Other, "other"),
];
/// The classes of statuses. Others do not occur.
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

impl Kind {
    /// Returns the kind of a path, which need not be valid.
    pub(super) fn of(path: &str) -> Self {
        let mut segments: Vec<&str> = path.trim_start_matches('/').splitn(8, '/').collect();
        let last = segments.last().copied().unwrap_or_default();
        // Under the name of a mirrored host, git's paths begin with the repository's.
        if segments[0] == "git" || last == "git-upload-pack" || path.ends_with("/info/refs") {
            return Self::Git;
        }
        if Address::is_below(path) {
            return Self::Page;
        }
        if segments.len() > 1 && matches!(segments[0], "signed" | "pinned") {
            segments.remove(0);
        }
        while segments.len() > 2 && segments[0] == "repos" {
            segments.drain(..2);
        }
        match segments[..] {
            ["packages" | "policies", _] | ["names" | "versions" | "public_key"] => Self::Registry,
            ["tarballs", _] => Self::Tarball,
            ["health" | "metrics"] => Self::Monitoring,
            _ => Self::Other,
        }
    }
}

/// The counts of one kind of requests.
#[derive(Debug, Default)]
struct Counts {
    by_class: [AtomicU64; CLASSES.len()],
    bytes: AtomicU64,
    microseconds: AtomicU64,
}

/// The counts of a server since its start.
#[derive(Debug)]
pub(super) struct Metrics {
    counts: [Counts; KINDS.len()],
    lacking: AtomicU64,
    started: u64,
}

impl Default for Metrics {
    fn default() -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { counts: Default::default(), lacking: AtomicU64::new(0), started }
    }
}

impl Metrics {
    /// Counts an answered request.
    pub(super) fn count(&self, kind: Kind, request: &RequestLog) {
        let is_lacking = matches!(&request.unanswered, Some(Unanswered::Resource(_) | Unanswered::GitRepository(_)));
        let counts = self.of(kind);
        let class = usize::from(request.status / 100).clamp(2, 5) - 2;
        let microseconds = u64::try_from(request.elapsed.as_micros()).unwrap_or(u64::MAX);
        counts.by_class[class].fetch_add(1, Relaxed);
        counts.microseconds.fetch_add(microseconds, Relaxed);
        counts.bytes.fetch_add(request.bytes, Relaxed);
        self.lacking.fetch_add(is_lacking.into(), Relaxed);
    }

    /// Counts the bytes of a response's body whose length was not known before.
    pub(super) fn add_bytes(&self, kind: Kind, bytes: u64) {
        self.of(kind).bytes.fetch_add(bytes, Relaxed);
    }

    fn of(&self, kind: Kind) -> &Counts {
        let at = KINDS.iter().position(|(known, _)| *known == kind);
        &self.counts[at.expect("each kind is in the list")]
    }

    /// Returns all metrics as text.
    pub(super) fn text(&self, is_readable: bool, following: Option<&Following>) -> String {
        let mut text = String::new();
        let each = || self.counts.iter().zip(KINDS.map(|(_, name)| name));
        let requests = each().flat_map(|(counts, kind)| {
            let row = move |(count, class): (&AtomicU64, &str)| {
                (format!("{{kind=\"{kind}\",status=\"{class}\"}}"), count.load(Relaxed).to_string())
            };
            counts.by_class.iter().zip(CLASSES).map(row)
        });
        let about = "Answered requests, by what they asked for and by the class of the status.";
        metric(&mut text, ("hexmirror_requests_total", "counter", about), requests);
        let bytes = each().map(|(counts, kind)| (label(kind), counts.bytes.load(Relaxed).to_string()));
        metric(&mut text, ("hexmirror_response_bytes_total", "counter", "Bytes of responses' bodies."), bytes);
        let seconds = each().map(|(counts, kind)| {
            let seconds = Duration::from_micros(counts.microseconds.load(Relaxed)).as_secs_f64();
            (label(kind), seconds.to_string())
        });
        let about = "Time from the end of requests' headers to the start of their responses.";
        metric(&mut text, ("hexmirror_request_seconds_total", "counter", about), seconds);
        let single = |value: String| [(String::new(), value)].into_iter();
        let about = "Requests for something that the mirror could have but has not.";
        let lacking = self.lacking.load(Relaxed).to_string();
        metric(&mut text, ("hexmirror_lacking_total", "counter", about), single(lacking));
        let about = "Whether the mirror branch can be read.";
        let readable = u8::from(is_readable).to_string();
        metric(&mut text, ("hexmirror_mirror_readable", "gauge", about), single(readable));
        if let Some(following) = following {
            add_following(&mut text, following);
        }
        let about = "When the server started, in seconds since 1970.";
        metric(&mut text, ("hexmirror_start_time_seconds", "gauge", about), single(self.started.to_string()));
        let version = [(format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), "1".to_owned())];
        metric(&mut text, ("hexmirror_build_info", "gauge", "The server's version."), version.into_iter());
        text
    }
}

/// Adds how the server follows a remote.
fn add_following(text: &mut String, following: &Following) {
    let mut gauge = |name, about, value: String| {
        metric(text, (name, "gauge", about), [(String::new(), value)].into_iter());
    };
    let about = "Whether the last fetch from the followed remote succeeded.";
    gauge("hexmirror_follow_up", about, u8::from(following.problem.is_none() && following.ago.is_some()).to_string());
    let about = "Whether no fetch from the followed remote succeeded for three intervals.";
    gauge("hexmirror_follow_stale", about, u8::from(following.is_stale).to_string());
    if let Some(ago) = following.ago {
        let about = "Time since the last successful fetch from the followed remote.";
        gauge("hexmirror_follow_age_seconds", about, ago.as_secs().to_string());
    }
}

fn label(kind: &str) -> String {
    format!("{{kind=\"{kind}\"}}")
}

/// Writes a metric with its values.
fn metric(
    text: &mut String,
    (name, of_type, about): (&str, &str, &str),
    values: impl Iterator<Item = (String, String)>,
) {
    let mut line = |line: String| text.write_str(&line).expect("writing to memory does not fail");
    line(format!("# HELP {name} {about}\n# TYPE {name} {of_type}\n"));
    values.for_each(|(labels, value)| line(format!("{name}{labels} {value}\n")));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_kind_follows_from_the_path() {
        for (kind, paths) in [
            (Kind::Registry, &["/packages/plug", "//names", "/pinned/versions", "/repos/acme/packages/x"][..]),
            (Kind::Tarball, &["/tarballs/a-1.0.0.tar", "/signed/repos/a/repos/b/tarballs/x", "/tarballs/x"]),
            (
                Kind::Git,
                &["/git/h/p.git/HEAD", "/a/lib/info/refs", "/a/b/c/d/e/f/g/h/i/info/refs", "/x/git-upload-pack"],
            ),
            (Kind::Page, &["/-", "/-/", "//-/packages"]),
            (Kind::Monitoring, &["/health", "/metrics"]),
            (Kind::Other, &["/", "", "/health/x", "/tarballs", "/packages", "/signed", "/repos", "/repos/x", "/env"]),
        ] {
            for path in paths {
                assert_eq!(Kind::of(path), kind, "{path}");
            }
        }
    }

    fn request(status: u16, unanswered: Option<Unanswered>) -> RequestLog {
        RequestLog {
            peer: ([127, 0, 0, 1], 1).into(),
            method: "GET".into(),
            path: "/".into(),
            status,
            bytes: 2,
            elapsed: Duration::from_millis(500),
            error: None,
            unanswered,
        }
    }

    #[test]
    fn each_request_is_counted_once() {
        let metrics = Metrics::default();
        let lacking = Unanswered::GitRepository("h/lib".parse().unwrap());
        let elsewhere = Unanswered::Elsewhere { host: "h".into(), port: 1 };
        metrics.count(Kind::Tarball, &request(404, Some(lacking)));
        metrics.count(Kind::Tarball, &request(421, Some(elsewhere)));
        for status in [200, 206, 999, 100] {
            metrics.count(Kind::Tarball, &request(status, None));
        }
        metrics.add_bytes(Kind::Git, 7);
        let text = metrics.text(true, None);
        for line in [
            "hexmirror_requests_total{kind=\"tarball\",status=\"2xx\"} 3",
            "hexmirror_requests_total{kind=\"tarball\",status=\"4xx\"} 2",
            "hexmirror_requests_total{kind=\"tarball\",status=\"5xx\"} 1",
            "hexmirror_request_seconds_total{kind=\"tarball\"} 3",
            "hexmirror_response_bytes_total{kind=\"git\"} 7",
            "hexmirror_response_bytes_total{kind=\"tarball\"} 12",
            "hexmirror_lacking_total 1",
            "hexmirror_mirror_readable 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        assert!(metrics.text(false, None).contains("\nhexmirror_mirror_readable 0\n"));
    }

    #[test]
    fn a_followed_remote_that_is_out_of_reach_can_be_alerted_on() {
        let text = |ago: Option<u64>, is_stale, problem: Option<&str>| {
            let (ago, problem) = (ago.map(Duration::from_secs), problem.map(str::to_owned));
            let following = Following { remote: "origin".into(), ago, is_stale, problem };
            Metrics::default().text(true, Some(&following))
        };
        let has = |text: &str, line: &str| assert!(text.lines().any(|found| found == line), "{line}: {text}");
        let good = text(Some(7), false, None);
        for line in ["hexmirror_follow_up 1", "hexmirror_follow_stale 0", "hexmirror_follow_age_seconds 7"] {
            has(&good, line);
        }
        let down = text(Some(200), true, Some("no answer"));
        for line in ["hexmirror_follow_up 0", "hexmirror_follow_stale 1"] {
            has(&down, line);
        }
        let never = text(None, true, None);
        has(&never, "hexmirror_follow_up 0");
        assert!(!never.contains("_age_") && !Metrics::default().text(true, None).contains("_follow_"));
    }

    proptest! {
        #[test]
        fn no_path_adds_a_line(paths in prop::collection::vec("(/|git|tarballs|[\"{}\\n]|\\PC){0,12}", 0..20)) {
            let (counted, fresh) = (Metrics::default(), Metrics::default());
            paths.iter().for_each(|path| counted.count(Kind::of(path), &request(200, None)));
            prop_assert_eq!(counted.text(true, None).lines().count(), fresh.text(true, None).lines().count());
        }
    }
}
