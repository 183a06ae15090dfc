//! The fetcher's behaviour on the wire, tested with a real server on a loopback port.

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use crate::support::fetching::{Scene, checksum, keyed, noise, once, quick, release, release_of, told};
use crate::support::upstream::{ALWAYS, Fault, TestUpstream};
use flate2::Compression;
use flate2::write::GzEncoder;
use git_hexmirror::fetch::{Endpoint, Entry, FetchError, Limits, Origin, Proxies, Settings, Timeouts, Upstream};
use git_hexmirror::model::{PackageName, RepositoryName};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

async fn entry(fetcher: &Upstream, etag: Option<&str>) -> Result<Entry, FetchError> {
    let package: PackageName = "plug".parse().unwrap();
    fetcher.registry_entry(&RepositoryName::hexpm(), &package, etag).await
}

const SIGNED: &[u8] = b"\x0a\x07payload\x12\x03sig";

#[tokio::test]
async fn an_entry_is_unpacked_and_asked_for_again_by_its_etag() {
    let scene = Scene::new();
    scene.server.put("packages/plug", &gzip(SIGNED));
    let fetcher = scene.fetcher();
    let Entry::Found { signed, etag: Some(etag) } = entry(&fetcher, None).await.unwrap() else { panic!("no entry") };
    assert_eq!(signed, SIGNED);
    assert_eq!(entry(&fetcher, Some(&etag)).await.unwrap(), Entry::NotModified);
    assert_eq!(scene.server.connections(), 1);
    scene.server.put("packages/plug", &gzip(b"\x0a\x01x"));
    let Entry::Found { signed, .. } = entry(&fetcher, Some(&etag)).await.unwrap() else { panic!("no entry") };
    assert_eq!(signed, b"\x0a\x01x");
}

#[tokio::test]
async fn an_entry_that_a_proxy_packed_or_unpacked_is_the_same() {
    let scene = Scene::new();
    let fetcher = scene.fetcher();
    scene.server.set_header("content-encoding", "gzip");
    for body in [gzip(SIGNED), gzip(&gzip(SIGNED)), SIGNED.to_vec()] {
        scene.server.put("packages/plug", &body);
        assert!(matches!(entry(&fetcher, None).await.unwrap(), Entry::Found { signed, .. } if signed == SIGNED));
    }
}

#[tokio::test]
async fn a_tarball_is_kept_and_not_fetched_again() {
    let (scene, plug, bytes) = (Scene::new(), release("plug"), noise(300_000));
    let expected = scene.publish(&plug, &bytes);
    let (fetcher, downloads) = (scene.fetcher(), scene.downloads());
    let download = fetcher.tarball(&plug, Some(&expected), &downloads).await.unwrap();
    assert_eq!((download.bytes, download.downloaded_bytes, download.origin), (300_000, 300_000, Origin::Network));
    assert_eq!((download.outer_checksum, download.read().unwrap()), (expected, bytes));
    assert_eq!(scene.events.received(), 300_000);
    let again = fetcher.tarball(&plug, Some(&expected), &downloads).await.unwrap();
    assert_eq!((again.path.clone(), again.downloaded_bytes, again.origin), (download.path, 0, Origin::Downloads));
    assert_eq!(scene.server.count("*"), 1);
    assert_eq!(scene.files(), [format!("{expected}.tar")]);
    downloads.remove(&expected).unwrap();
    assert!(scene.files().is_empty());
}

#[tokio::test]
async fn temporary_errors_are_retried() {
    let faults = [
        Fault::Hangup,
        Fault::Status(408, None),
        Fault::Status(429, None),
        Fault::Status(500, None),
        Fault::Status(503, None),
        Fault::Truncate(10),
    ];
    for fault in faults {
        let (scene, plug) = (Scene::new(), release("plug"));
        let expected = scene.publish(&plug, &noise(1000));
        scene.server.put("packages/plug", &gzip(SIGNED));
        scene.server.fail("*", 2, fault.clone());
        let (fetcher, downloads) = (scene.fetcher(), scene.downloads());
        fetcher.tarball(&plug, Some(&expected), &downloads).await.unwrap();
        assert_eq!((scene.server.count("*"), scene.events.retries()), (3, 2), "{fault:?}");
        scene.server.fail("*", 2, fault.clone());
        entry(&fetcher, None).await.unwrap();
        assert_eq!((scene.server.count("*"), scene.events.retries()), (6, 4), "{fault:?}");
    }
}

#[tokio::test]
async fn permanent_errors_are_not_retried() {
    for (status, check) in [
        (404, FetchError::is_not_found as fn(&FetchError) -> bool),
        (410, FetchError::is_not_found),
        (401, |error| matches!(error, FetchError::Unauthorized { status: 401, .. })),
        (403, |error| matches!(error, FetchError::Unauthorized { status: 403, .. })),
        (400, |error| matches!(error, FetchError::Status { status: 400, .. })),
    ] {
        let (scene, plug) = (Scene::new(), release("plug"));
        scene.publish(&plug, b"tarball");
        scene.server.fail("*", 1, Fault::Status(status, None));
        let error = scene.fetcher().tarball(&plug, None, &scene.downloads()).await.unwrap_err();
        assert!(check(&error) && error.is_network(), "{status}: {error:?}");
        assert_eq!((scene.server.count("*"), scene.files()), (1, Vec::<String>::new()));
    }
}

#[tokio::test]
async fn attempts_end() {
    let scene = Scene::new();
    scene.server.fail("*", ALWAYS, Fault::Status(503, None));
    let error = entry(&scene.fetcher(), None).await.unwrap_err();
    assert_eq!(told(&error), format!("{}/packages/plug responded with HTTP 503", scene.server.url()));
    assert_eq!((scene.server.count("*"), scene.events.retries()), (4, 3));
}

#[tokio::test]
async fn retry_after_is_honoured_up_to_the_limit() {
    let scene = Scene::new();
    scene.server.put("packages/plug", &gzip(SIGNED));
    let mut settings = quick();
    settings.retry.first_pause = Duration::from_nanos(2);
    settings.retry.longest_retry_after = Duration::from_millis(7);
    let fetcher = scene.fetcher_with(settings);
    let date = httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(3600));
    for (header, least) in [("3600", 7), (date.as_str(), 7), ("0", 0)] {
        scene.server.fail("*", 1, Fault::Status(429, Some(header.into())));
        entry(&fetcher, None).await.unwrap();
        let pause = *scene.events.pauses().last().unwrap();
        assert_eq!(pause.as_millis(), least, "{header}");
    }
}

#[tokio::test]
async fn wrong_bytes_are_reported_and_not_kept() {
    let (scene, plug, bytes) = (Scene::new(), release("plug"), noise(1000));
    let expected = scene.publish(&plug, &bytes);
    scene.server.fail("*", 1, Fault::Flip(500));
    let error = scene.fetcher().tarball(&plug, Some(&expected), &scene.downloads()).await.unwrap_err();
    let mut wrong = bytes;
    wrong[500] ^= 1;
    let url = scene.server.url();
    let text = format!(
        "plug-1.0.0.tar has the wrong checksum: expected {expected}, got {} from {url}/tarballs/plug-1.0.0.tar",
        checksum(&wrong)
    );
    assert_eq!(told(&error), text);
    assert!(error.is_integrity() && !error.is_network());
    assert_eq!((scene.server.count("*"), scene.files()), (1, Vec::<String>::new()));
}

#[tokio::test]
async fn a_stall_ends() {
    for fault in [Fault::Stall, Fault::StallAfter(10)] {
        let (scene, plug) = (Scene::new(), release("plug"));
        scene.publish(&plug, &noise(1000));
        scene.server.fail("*", ALWAYS, fault);
        let stall = Duration::from_millis(50);
        let timeouts = Timeouts { stall, ..Timeouts::default() };
        let fetcher = scene.fetcher_with(Settings { timeouts, ..once() });
        let error = fetcher.tarball(&plug, None, &scene.downloads()).await.unwrap_err();
        assert!(matches!(error, FetchError::TimedOut { after, .. } if after == stall), "{error:?}");
        assert_eq!(
            told(&error),
            format!("{}/tarballs/plug-1.0.0.tar did not answer for 0.05 seconds", scene.server.url())
        );
    }
}

#[tokio::test]
async fn too_much_is_refused_and_not_kept() {
    let (scene, plug) = (Scene::new(), release("plug"));
    scene.server.put("packages/plug", &gzip(&[b'\n'; 5000]));
    scene.publish(&plug, &noise(1001));
    let limits = Limits { registry_entry: 4999, tarball: 1000, file: 1000 };
    let (fetcher, downloads) = (scene.fetcher_with(Settings { limits, ..quick() }), scene.downloads());
    let refused = |error, expected| assert!(matches!(error, FetchError::TooLarge { limit, .. } if limit == expected));
    refused(entry(&fetcher, None).await.unwrap_err(), 4999);
    refused(fetcher.tarball(&plug, None, &downloads).await.unwrap_err(), 1000);
    for fault in [Fault::Endless, Fault::ClaimLength(1 << 60)] {
        scene.server.fail("*", 2, fault);
        refused(fetcher.tarball(&plug, None, &downloads).await.unwrap_err(), 1000);
        refused(entry(&fetcher, None).await.unwrap_err(), 4999);
    }
    assert_eq!((scene.events.retries(), scene.files()), (0, Vec::<String>::new()));
}

#[tokio::test]
async fn an_unreachable_server_is_reported_after_a_retry() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let scene = Scene::new();
    let hosts = [(format!("127.0.0.1:{port}"), "refused"), ("no-such-host.invalid".into(), "lookup")];
    for (host, reason) in hosts {
        let endpoint = Endpoint::public(format!("http://user:hunter2@{host}/").parse().unwrap());
        let error = entry(&scene.fetcher_at(quick(), [("hexpm", endpoint)]), None).await.unwrap_err();
        assert!(matches!(error, FetchError::Unreachable { .. }) && error.is_network(), "{error:?}");
        let told = told(&error);
        assert!(
            told.starts_with(&format!("cannot connect to http://user:****@{host}/packages/plug: "))
                && told.contains(reason),
            "{told}"
        );
        assert!(!format!("{error:?} {told}").contains("hunter2"));
    }
    assert_eq!(scene.events.retries(), 2);
}

#[tokio::test]
async fn redirects_are_followed_within_bounds() {
    let scene = Scene::new();
    scene.server.put("packages/plug", &gzip(SIGNED));
    let fetcher = scene.fetcher();
    scene.server.fail("/packages/plug", 1, Fault::Redirect(302, "/a/b".into()));
    scene.server.fail("/a/b", 1, Fault::Redirect(307, "../packages/plug".into()));
    entry(&fetcher, None).await.unwrap();
    assert_eq!(scene.server.count("*"), 3);
    scene.server.fail("/packages/plug", ALWAYS, Fault::Redirect(301, "/packages/plug".into()));
    let error = entry(&fetcher, None).await.unwrap_err();
    assert!(told(&error).ends_with(": there are too many redirects"), "{error}");
    assert_eq!((scene.server.count("*"), scene.events.retries()), (3 + 6, 0));
}

#[tokio::test]
async fn keys_go_to_their_own_repository_only() {
    let (scene, other) = (Scene::new(), Scene::new());
    for path in ["packages/plug", "repos/acme/packages/plug"] {
        scene.server.put(path, &gzip(SIGNED));
        other.server.put(path, &gzip(SIGNED));
    }
    scene.server.require_key("/repos/acme/", "acme-key");
    let endpoints = [
        ("hexpm", scene.endpoint()),
        ("hexpm:acme", keyed(&format!("{}/repos/acme", scene.server.url()), "acme-key")),
        ("mine", Endpoint::public(other.server.url().parse().unwrap())),
    ];
    let fetcher = scene.fetcher_at(quick(), endpoints);
    let package: PackageName = "plug".parse().unwrap();
    for repository in ["hexpm", "hexpm:acme", "mine"] {
        fetcher.registry_entry(&repository.parse().unwrap(), &package, None).await.unwrap();
    }
    let key = |request: &crate::support::upstream::Request| request.header("authorization").map(str::to_owned);
    assert_eq!(scene.server.requests("*").iter().map(key).collect::<Vec<_>>(), [None, Some("acme-key".into())]);
    // Another port is another origin, as is each later hop.
    scene.server.fail("*", 1, Fault::Redirect(302, format!("{}/packages/plug", other.server.url())));
    fetcher.registry_entry(&"hexpm:acme".parse().unwrap(), &package, None).await.unwrap();
    assert_eq!(scene.server.count("/repos/acme/packages/plug"), 2);
    assert_eq!(other.server.requests("*").iter().map(key).collect::<Vec<_>>(), [None, None]);
}

#[tokio::test]
async fn an_organisation_is_found_below_its_repository_with_its_key() {
    let (scene, plug) = (Scene::new(), release_of("hexpm:acme", "plug"));
    scene.server.put("repos/acme/tarballs/plug-1.0.0.tar", b"tarball");
    scene.server.require_key("/", "key");
    let fetcher = scene.fetcher_at(quick(), [("hexpm", keyed(&scene.server.url(), "key"))]);
    fetcher.tarball(&plug, Some(&checksum(b"tarball")), &scene.downloads()).await.unwrap();
    let error = scene.fetcher().tarball(&release("plug"), None, &scene.downloads()).await.unwrap_err();
    assert!(matches!(error, FetchError::Unauthorized { status: 401, .. }), "{error:?}");
    let error = fetcher.tarball(&release_of("other:acme", "plug"), None, &scene.downloads()).await.unwrap_err();
    assert_eq!(told(&error), "no URL is configured for the Hex repository other:acme");
    let error = entry(&scene.fetcher_at(quick(), [("hexpm", keyed(&scene.server.url(), "hunter2\n"))]), None).await;
    assert!(!told(&error.unwrap_err()).contains("hunter2"));
}

#[tokio::test]
async fn credentials_of_the_address_are_sent_unless_there_is_a_key() {
    let scene = Scene::new();
    scene.server.put("packages/plug", &gzip(SIGNED));
    let url = scene.server.url().replace("http://", "http://user:pass@");
    for endpoint in [Endpoint::public(url.parse().unwrap()), keyed(&url, "key")] {
        entry(&scene.fetcher_at(quick(), [("hexpm", endpoint)]), None).await.unwrap();
    }
    let headers = scene.server.requests("*");
    let all: Vec<_> =
        headers.iter().flat_map(|request| &request.headers).filter(|(name, _)| name == "authorization").collect();
    assert_eq!(all.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["Basic dXNlcjpwYXNz", "key"]);
}

#[tokio::test]
async fn proxies_are_used_as_the_settings_say() {
    let (proxy, scene) = (Scene::new(), Scene::new());
    scene.server.put("packages/plug", &gzip(SIGNED));
    proxy.server.put("packages/plug", &gzip(SIGNED));
    let address = proxy.server.url();
    let proxied = |url: &str, no_proxy: Option<&str>| {
        let proxies = Proxies::parse(Some(&address), Some(&address), no_proxy).unwrap();
        scene.fetcher_at(Settings { proxies, ..once() }, [("hexpm", Endpoint::public(url.parse().unwrap()))])
    };
    entry(&proxied("http://repo.invalid", Some("127.0.0.1")), None).await.unwrap();
    assert_eq!(proxy.server.requests("*").last().unwrap().target, "http://repo.invalid/packages/plug");
    entry(&proxied(&scene.server.url(), Some("127.0.0.1")), None).await.unwrap();
    assert_eq!((proxy.server.count("*"), scene.server.count("*")), (1, 1));
    let error = entry(&proxied("https://repo.invalid", None), None).await.unwrap_err();
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error:?}");
    let tunnel = proxy.server.requests("*").pop().unwrap();
    assert_eq!((tunnel.method.as_str(), tunnel.target.as_str()), ("CONNECT", "repo.invalid:443"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_requests_as_allowed_run_at_once_over_as_many_connections() {
    let scene = Scene::over_link(Duration::from_millis(2));
    let fetcher = Arc::new(scene.fetcher_with(Settings { concurrency: 4, ..quick() }));
    let downloads = Arc::new(scene.downloads());
    scene.server.fail("*", 4, Fault::Stall);
    let releases: Vec<_> = (0..40).map(|number| release(&format!("p{number}"))).collect();
    let tasks = releases.iter().enumerate().map(|(number, release)| {
        let expected = scene.publish(release, &noise(20_000 + number));
        let (fetcher, downloads, release) = (Arc::clone(&fetcher), Arc::clone(&downloads), release.clone());
        tokio::spawn(async move { fetcher.tarball(&release, Some(&expected), &downloads).await })
    });
    let tasks: Vec<_> = tasks.collect();
    scene.server.wait_for("*", 4);
    scene.server.release();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!((scene.server.count("*"), scene.server.peak()), (40, 4));
    assert!(scene.server.connections() <= 8, "{} connections", scene.server.connections());
}

#[test]
fn the_test_upstream_stops_while_something_stalls() {
    let folder = tempfile::tempdir().unwrap();
    let server = TestUpstream::serve(folder.path());
    server.fail("*", ALWAYS, Fault::Stall);
    let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    server.wait_for("/", 1);
    drop(server);
}
