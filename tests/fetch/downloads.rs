//! Partial downloads: what is kept, and how the next download resumes.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use crate::support::fetching::{Scene, checksum, noise, once, release, release_of};
use crate::support::upstream::{ALWAYS, Fault};
use git_hexmirror::fetch::hex_home::HexHome;
use git_hexmirror::fetch::{Downloads, FetchError, Origin, Settings};

const HALF: usize = 40_000;
const WHOLE: usize = 100_000;

/// Leaves a partial file of HALF bytes, as an interrupted update does.
async fn interrupted(scene: &Scene) -> PathBuf {
    let plug = release("plug");
    let expected = scene.publish(&plug, &noise(WHOLE));
    scene.server.fail("*", 1, Fault::Truncate(HALF));
    let error = scene.fetcher_with(once()).tarball(&plug, Some(&expected), &scene.downloads()).await.unwrap_err();
    assert!(matches!(error, FetchError::Truncated { expected: 100_000, got: 40_000, .. }), "{error:?}");
    let files = scene.files();
    assert!(matches!(&files[..], [etag, part] if etag.ends_with(".etag") && part.ends_with(".part")), "{files:?}");
    let part = scene.folder.path().join("downloads").join(&files[1]);
    assert_eq!(fs::read(&part).unwrap(), noise(WHOLE)[..HALF]);
    part
}

/// Fetches again and returns the number of bytes received.
async fn resumed(scene: &Scene, bytes: &[u8]) -> u64 {
    let (fetcher, downloads) = (scene.fetcher(), scene.downloads());
    let download = fetcher.tarball(&release("plug"), Some(&checksum(bytes)), &downloads).await.unwrap();
    assert_eq!((download.bytes, download.read().unwrap().as_slice()), (bytes.len() as u64, bytes));
    assert_eq!(scene.files(), [format!("{}.tar", checksum(bytes))]);
    download.downloaded_bytes
}

#[tokio::test]
async fn a_later_process_resumes_a_download() {
    let scene = Scene::new();
    interrupted(&scene).await;
    assert_eq!(resumed(&scene, &noise(WHOLE)).await, (WHOLE - HALF) as u64);
    let request = scene.server.requests("*").pop().unwrap();
    assert_eq!(request.header("range"), Some("bytes=40000-"));
    assert!(request.header("if-range").is_some());
}

#[tokio::test]
async fn the_next_attempt_resumes_a_download() {
    let (scene, plug) = (Scene::new(), release("plug"));
    let expected = scene.publish(&plug, &noise(WHOLE));
    scene.server.fail("*", 2, Fault::Truncate(HALF));
    let download = scene.fetcher().tarball(&plug, Some(&expected), &scene.downloads()).await.unwrap();
    assert_eq!((download.downloaded_bytes, scene.server.count("*")), (WHOLE as u64, 3));
    let ranges: Vec<_> =
        scene.server.requests("*").iter().map(|request| request.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges, [None, Some("bytes=40000-".into()), Some("bytes=80000-".into())]);
}

#[tokio::test]
async fn a_changed_file_is_fetched_anew() {
    let (scene, plug) = (Scene::new(), release("plug"));
    interrupted(&scene).await;
    let bytes = &noise(WHOLE + 5)[5..];
    scene.publish(&plug, bytes);
    assert_eq!(resumed(&scene, bytes).await, WHOLE as u64);
}

#[tokio::test]
async fn servers_that_mishandle_ranges_do_no_harm() {
    for (fault, requests) in [(Fault::IgnoreRange, 2), (Fault::WrongRange, 3)] {
        let scene = Scene::new();
        interrupted(&scene).await;
        scene.server.fail("*", ALWAYS, fault.clone());
        assert_eq!(resumed(&scene, &noise(WHOLE)).await, WHOLE as u64, "{fault:?}");
        assert_eq!(scene.server.count("*"), requests, "{fault:?}");
    }
}

#[tokio::test]
async fn a_damaged_part_costs_one_more_fetch() {
    let scene = Scene::new();
    let part = interrupted(&scene).await;
    let mut bytes = fs::read(&part).unwrap();
    bytes[7] ^= 1;
    fs::write(&part, bytes).unwrap();
    assert_eq!(resumed(&scene, &noise(WHOLE)).await, (WHOLE - HALF + WHOLE) as u64);
    // And a partial file that is longer than the whole file.
    let scene = Scene::new();
    fs::write(interrupted(&scene).await, noise(WHOLE + 1)).unwrap();
    assert_eq!(resumed(&scene, &noise(WHOLE)).await, WHOLE as u64);
    assert_eq!(scene.server.requests("*").len(), 3);
}

#[tokio::test]
async fn a_complete_partial_file_needs_no_network() {
    let scene = Scene::new();
    fs::write(interrupted(&scene).await, noise(WHOLE)).unwrap();
    assert_eq!(resumed(&scene, &noise(WHOLE)).await, 0);
    assert_eq!(scene.server.count("*"), 1);
}

#[tokio::test]
async fn a_range_that_ends_early_is_resumed() {
    let (scene, plug) = (Scene::new(), release("plug"));
    let expected = scene.publish(&plug, &noise(WHOLE));
    for pinned in [Some(&expected), None] {
        scene.server.fail("*", 1, Fault::Truncate(HALF));
        scene.server.fail("*", 2, Fault::ShortRange(10_000));
        let before = scene.server.count("*");
        let downloads = scene.downloads();
        let download = scene.fetcher().tarball(&plug, pinned, &downloads).await.unwrap();
        assert_eq!((download.outer_checksum, download.downloaded_bytes), (expected, WHOLE as u64), "{pinned:?}");
        assert_eq!(scene.server.count("*") - before, 4);
        downloads.remove(&expected).unwrap();
    }
}

#[tokio::test]
async fn a_body_without_a_length_that_has_another_checksum_may_have_ended_early() {
    let (scene, plug) = (Scene::new(), release("plug"));
    let expected = scene.publish(&plug, &noise(WHOLE));
    scene.server.fail("*", 2, Fault::Unframed(HALF));
    let download = scene.fetcher().tarball(&plug, Some(&expected), &scene.downloads()).await.unwrap();
    assert_eq!((download.outer_checksum, scene.server.count("*")), (expected, 3));
}

#[tokio::test]
async fn weak_etags_and_none_at_all_are_not_resumed() {
    for etag in ["W/\"1\"", "", "\"a b\""] {
        let (scene, plug) = (Scene::new(), release("plug"));
        let expected = scene.publish(&plug, &noise(WHOLE));
        scene.server.set_header("etag", etag);
        scene.server.fail("*", 1, Fault::Truncate(HALF));
        let fetcher = scene.fetcher();
        fetcher.tarball(&plug, Some(&expected), &scene.downloads()).await.unwrap();
        assert_eq!(scene.server.count("*"), 2);
        assert!(scene.server.requests("*").iter().all(|request| request.header("range").is_none()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_and_two_tasks_may_want_the_same_tarball() {
    let (scene, plug, bytes) = (Scene::new(), release("plug"), noise(WHOLE));
    let expected = scene.publish(&plug, &bytes);
    scene.server.fail("*", 4, Fault::StallAfter(HALF));
    // A second value locks the folder in the same way as a second process.
    let (first, second) = (Arc::new(scene.downloads()), Arc::new(scene.downloads()));
    let tasks: Vec<_> = [&first, &first, &second, &second]
        .map(|downloads| {
            let (fetcher, downloads, plug) = (scene.fetcher(), Arc::clone(downloads), plug.clone());
            tokio::spawn(async move { fetcher.tarball(&plug, Some(&expected), &downloads).await })
        })
        .into();
    scene.server.wait_for("*", 4);
    scene.server.release();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap().read().unwrap(), bytes);
    }
    assert_eq!(scene.files(), [format!("{expected}.tar")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_download_leaves_an_unlocked_partial_file() {
    let (scene, plug, bytes) = (Scene::new(), release("plug"), noise(WHOLE));
    let expected = scene.publish(&plug, &bytes);
    scene.server.fail("*", 1, Fault::StallAfter(HALF));
    let (fetcher, downloads) = (Arc::new(scene.fetcher()), Arc::new(scene.downloads()));
    let task = tokio::spawn({
        let (fetcher, downloads, plug) = (Arc::clone(&fetcher), Arc::clone(&downloads), plug.clone());
        async move { fetcher.tarball(&plug, Some(&expected), &downloads).await }
    });
    while scene.events.received() < HALF as u64 {
        tokio::task::yield_now().await;
    }
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    let download = fetcher.tarball(&plug, Some(&expected), &downloads).await.unwrap();
    assert_eq!(download.downloaded_bytes, (WHOLE - HALF) as u64);
}

#[tokio::test]
async fn disk_errors_are_reported() {
    let scene = Scene::new();
    let file = scene.folder.path().join("file");
    fs::write(&file, b"").unwrap();
    let error = Downloads::open(file.join("downloads")).unwrap_err();
    assert!(matches!(error, FetchError::Io { .. }) && !error.is_network() && !error.is_integrity());
    assert!(error.to_string().starts_with("cannot create the folder /"), "{error}");
    let (plug, downloads) = (release("plug"), scene.downloads());
    let expected = scene.publish(&plug, b"tarball");
    // Something that a file cannot replace is in the finished file's place.
    fs::create_dir_all(scene.folder.path().join(format!("downloads/{expected}.tar/x"))).unwrap();
    let error = scene.fetcher().tarball(&plug, None, &downloads).await.unwrap_err();
    assert!(matches!(error, FetchError::Io { action: "write", .. }), "{error:?}");
    assert_eq!(scene.server.count("*"), 1);
}

#[tokio::test]
async fn the_hex_clients_cache_is_used_if_it_has_the_pinned_bytes() {
    for repository in ["hexpm", "hexpm:acme"] {
        let (scene, plug) = (Scene::new(), release_of(repository, "plug"));
        let home = scene.folder.path().join("hex");
        let cached = home.join("packages").join(repository).join("plug-1.0.0.tar");
        fs::create_dir_all(cached.parent().unwrap()).unwrap();
        fs::write(&cached, b"tarball").unwrap();
        let settings = Settings { hex_home: Some(HexHome::new(&home)), ..once() };
        let (fetcher, downloads) = (scene.fetcher_with(settings), scene.downloads());
        let download = fetcher.tarball(&plug, Some(&checksum(b"tarball")), &downloads).await.unwrap();
        assert_eq!((&download.path, download.origin, download.bytes), (&cached, Origin::HexCache, 7));
        assert_eq!((download.read().unwrap().as_slice(), scene.server.count("*")), (&b"tarball"[..], 0));
        // Bytes that do not match the pinned checksum, and releases without one, are fetched from upstream.
        for expected in [Some(checksum(b"another")), None] {
            let error = fetcher.tarball(&plug, expected.as_ref(), &downloads).await.unwrap_err();
            assert!(error.is_not_found(), "{error:?}");
        }
        assert_eq!(fs::read(&cached).unwrap(), b"tarball");
    }
}
