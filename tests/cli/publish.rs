//! `publish`: which objects it writes, in which order, and what it does if something goes wrong.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use walkdir::WalkDir;

use crate::support::mount::Mount;
use crate::support::registry::Registry;
use crate::support::s3::{Bucket, Hook, S3Request, refusal};
use crate::support::stage::{PINNED, Ran, Stage, send};

const OWN: &str = ".git-hexmirror/";
/// How long a test waits at most for something that should happen soon.
const PATIENCE: Duration = Duration::from_secs(60);

fn command(stage: &Stage, bucket: &Bucket, options: &[&str]) -> Command {
    let url = format!("s3://{}/hex", bucket.name);
    let mut command = stage.command(&[&["publish", &url], options].concat());
    command.envs(bucket.variables());
    command
}

fn publish(stage: &Stage, bucket: &Bucket, options: &[&str]) -> Ran {
    Ran::of(&mut command(stage, bucket, options))
}

/// Returns the objects below the prefix, without this program's own.
fn objects(bucket: &Bucket) -> BTreeMap<String, Vec<u8>> {
    let objects = bucket.objects().into_iter();
    let below = objects.filter_map(|(key, body)| Some((key.strip_prefix("hex/")?.to_owned(), body)));
    below.filter(|(key, _)| !key.starts_with(OWN)).collect()
}

/// Returns the paths of the files of an export.
fn files_of(folder: &Path) -> Vec<String> {
    let entries = WalkDir::new(folder).into_iter().map(Result::unwrap).filter(|entry| entry.file_type().is_file());
    let paths = entries.map(|entry| entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
    paths.filter(|path| !path.starts_with(OWN)).collect()
}

fn written(requests: &[S3Request]) -> Vec<&str> {
    let puts = requests.iter().filter(|request| request.method == "PUT");
    puts.map(|request| request.path.split_once("/hex/").unwrap().1).collect()
}

#[test]
fn a_bucket_has_what_an_export_has() {
    let Some(bucket) = Bucket::new() else { return };
    let stage = Stage::mirrored();
    publish(&stage, &bucket, &[]).ok().says("published: s3://").says("11 files");
    stage.run(&["export", "../www"]).ok();
    let www = stage.sandbox.path().join("www");
    let mut expected = BTreeMap::from([("mirror.bundle".to_owned(), bucket.get("hex/mirror.bundle").body)]);
    for path in files_of(&www) {
        expected.insert(path.clone(), fs::read(www.join(path)).unwrap());
    }
    // S3 takes a plus that a client did not encode for a blank.
    let plus = expected["tarballs/delta-4.5.6+build.7.tar"].clone();
    expected.insert("tarballs/delta-4.5.6 build.7.tar".into(), plus.clone());
    assert_eq!(objects(&bucket), expected);
    for path in ["delta-4.5.6%2Bbuild.7.tar", "delta-4.5.6%20build.7.tar", "delta-4.5.6+build.7.tar"] {
        let answer = bucket.get(&format!("hex/tarballs/{path}"));
        assert!(answer.status == 200 && answer.body == plus, "{path}: {answer:?}");
    }
    for (path, media_type, cache_control) in [
        ("tarballs/alpha-1.0.0.tar", "application/x-tar", "max-age=31536000, immutable"),
        ("packages/alpha", "application/octet-stream", "no-cache"),
        ("public_key", "application/x-pem-file", "no-cache"),
    ] {
        let answer = bucket.get(&format!("hex/{path}"));
        let header = |name| answer.header(name);
        assert_eq!(
            (header("content-type"), header("cache-control")),
            (Some(media_type), Some(cache_control)),
            "{path}"
        );
        assert_eq!(header("content-encoding"), None);
        assert!(header("etag").is_some(), "rebar3 refuses a tarball without one");
    }
}

#[test]
fn again_it_writes_only_what_changed_and_deletes_only_its_own() {
    let Some(bucket) = Bucket::new() else { return };
    let stage = Stage::mirrored();
    stage.run(&["index", "--init"]).ok();
    bucket.put("hex/tarballs/ours.tar", b"ours");
    bucket.put("hexes", b"ours");
    let plan = publish(&stage, &bucket, &["--registry=pinned", "--dry-run", "--json"]).ok().json();
    assert_eq!(objects(&bucket).len(), 1, "a dry run changes nothing");
    bucket.take_requests();
    let document = publish(&stage, &bucket, &["--registry=pinned", "--json"]).ok().json();
    assert_eq!(document["written"], plan["written"]);
    let requests = bucket.take_requests();
    let written = written(&requests);
    let position = |name: &str| written.iter().position(|path| *path == name).unwrap_or_else(|| panic!("{written:?}"));
    assert_eq!(written[..2], [".git-hexmirror/publication", ".git-hexmirror/files"]);
    assert_eq!(written[written.len() - 2..], [".git-hexmirror/files", ".git-hexmirror/publication"]);
    let order = ["tarballs/alpha-1.0.0.tar", "packages/alpha", "versions", "names"].map(position);
    assert!(order.is_sorted(), "{written:?}");

    publish(&stage, &bucket, &["--registry=pinned"]).ok().says("up to date");
    let requests = bucket.take_requests();
    assert!(requests.iter().all(|request| request.method == "GET"), "{requests:?}");

    stage.lock(&["alpha 1.1.0", PINNED[1], PINNED[2]]);
    stage.run(&["update"]).ok();
    stage.run(&["prune", "--keep-days=0"]).ok();
    let document = publish(&stage, &bucket, &["--registry=pinned", "--json"]).ok().json();
    assert_eq!(document["kept"], serde_json::json!(["tarballs/alpha-1.0.0.tar"]));
    // The tarball, its entry, the list of versions, and the bundle.
    assert_eq!(document["written"].as_array().unwrap().len(), 4, "{document}");
    assert!(objects(&bucket).contains_key("tarballs/alpha-1.0.0.tar"));
    publish(&stage, &bucket, &["--registry=pinned", "--delete"]).ok().says("1 removed");
    let objects = objects(&bucket);
    assert!(!objects.contains_key("tarballs/alpha-1.0.0.tar") && objects.contains_key("tarballs/ours.tar"));
    assert_eq!(bucket.objects()["hexes"], b"ours");
}

/// The files of the former registry cannot be verified with the new key, so that keeping them serves nobody.
#[test]
fn another_registry_replaces_the_former_one_completely() {
    let Some(bucket) = Bucket::new() else { return };
    let stage = Stage::mirrored();
    stage.run(&["index", "--init"]).ok();
    publish(&stage, &bucket, &["--registry=pinned"]).ok();
    publish(&stage, &bucket, &[]).ok().says("up to date");
    let document = publish(&stage, &bucket, &["--registry=signed", "--json"]).ok();
    let document = document.says("changes from the pinned index to the registry that upstream signed").json();
    assert_eq!(document["removed"], serde_json::json!(["names", "versions"]));
    let objects = objects(&bucket);
    assert!(!objects.contains_key("names") && objects.contains_key("tarballs/alpha-1.0.0.tar"));
}

#[test]
fn what_others_wrote_is_never_replaced() {
    let Some(bucket) = Bucket::new() else { return };
    let stage = Stage::mirrored();
    bucket.put("hex/packages/alpha", b"ours");
    let before = bucket.objects();
    publish(&stage, &bucket, &[])
        .exits(2)
        .says("/hex/packages/alpha was not written by this program; nothing was changed");
    assert_eq!(bucket.objects(), before);
}

#[test]
fn what_another_mirror_wrote_is_never_replaced() {
    let Some(bucket) = Bucket::new() else { return };
    let (stage, other) = (Stage::mirrored(), Stage::with(Registry::sample(), &["beta 0.3.0"]));
    other.run(&["update"]).ok();
    publish(&stage, &bucket, &[]).ok();
    let before = objects(&bucket);
    for options in [&[][..], &["--delete"], &["--dry-run"]] {
        let ran = publish(&other, &bucket, options).exits(2).says("has the files of another mirror");
        ran.says(&format!("s3://{}/hex/.git-hexmirror/files", bucket.name));
    }
    assert!(objects(&bucket) == before);
    publish(&stage, &bucket, &[]).ok().says("up to date");
}

#[test]
fn a_lost_list_is_made_again_and_a_check_finds_every_change() {
    let Some(bucket) = Bucket::new() else { return };
    let stage = Stage::mirrored();
    publish(&stage, &bucket, &[]).ok();
    let before = bucket.objects();
    let list = format!("hex/{OWN}files");
    bucket.put("hex/tarballs/alpha-1.0.0.tar", &vec![7; before["hex/tarballs/alpha-1.0.0.tar"].len()]);
    publish(&stage, &bucket, &[]).ok().says("up to date");
    publish(&stage, &bucket, &["--check"]).ok().says("1 file (");
    assert_eq!(bucket.objects()["hex/tarballs/alpha-1.0.0.tar"], before["hex/tarballs/alpha-1.0.0.tar"]);
    bucket.put(&list, b"nonsense");
    publish(&stage, &bucket, &[]).exits(5).says("delete this list and run the command again");
    bucket.delete(&list);
    publish(&stage, &bucket, &[]).ok().says("up to date");
    assert_eq!(bucket.objects()[&list], before[&list]);
}

/// Answers the requests that a condition holds for.
fn refuse(condition: impl Fn(&S3Request) -> bool + Send + Sync + 'static, code: &'static str) -> Hook {
    Box::new(move |request| {
        let path = &request.path;
        let is_program = path.contains("hex");
        (is_program && condition(request)).then(|| refusal("403 Forbidden", code, "No."))
    })
}

#[test]
fn refusals_say_what_to_do() {
    let stage = Stage::mirrored();
    let Some(bucket) = Bucket::behind(refuse(|request| request.method == "PUT", "AccessDenied")) else { return };
    let ran = publish(&stage, &bucket, &[]).exits(3).says("not allowed to write").says("AccessDenied: No.");
    assert!(!ran.says("s3:PutObject").stderr.contains("very-secret"));
    let Some(bucket) = Bucket::behind(refuse(|_| true, "RequestTimeTooSkewed")) else { return };
    publish(&stage, &bucket, &[]).exits(3).says("set this machine's clock");
    let Some(bucket) = Bucket::behind(refuse(|_| true, "SignatureDoesNotMatch")) else { return };
    let ran = publish(&stage, &bucket, &["--json"]).exits(3).says("are wrong or have expired");
    assert!(ran.stdout.is_empty() && !ran.stderr.contains("AKIDEXAMPLE"), "{ran:?}");
}

#[test]
fn a_bucket_that_is_missing_or_out_of_reach_is_named() {
    let Some(mut bucket) = Bucket::new() else { return };
    let stage = Stage::mirrored();
    bucket.name = "nobody-has-this".into();
    publish(&stage, &bucket, &[]).exits(3).says("there is no bucket \"nobody-has-this\"").says("create the bucket");
    bucket.endpoint = "http://127.0.0.1:1".into();
    publish(&stage, &bucket, &[]).exits(3).says("cannot reach the service of s3://").says("AWS_ENDPOINT_URL");
    // Without credentials, the client asks the machine it runs on.
    let mut command = command(&stage, &bucket, &[]);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    Ran::of(command.env("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1"))
        .exits(3)
        .says("set credentials in the environment");
}

#[test]
fn an_address_with_a_password_is_not_repeated() {
    let stage = Stage::mirrored();
    let ran = stage.run(&["publish", "s3://AKIDEXAMPLE:very-secret@acme/hex"]).exits(2);
    assert!(!ran.says("credentials do not belong in the address").stderr.contains("secret"));
    stage.run(&["publish", "acme/hex"]).exits(2).says("expected s3://BUCKET/PREFIX");
}

/// Stops the first publication at an object.
struct Pause {
    reached: mpsc::Receiver<()>,
    go_on: mpsc::Sender<()>,
    bucket: Bucket,
}

impl Pause {
    fn at(object: &'static str) -> Option<Self> {
        let (reach, reached) = mpsc::channel();
        let (go_on, continued) = mpsc::channel::<()>();
        let (state, is_first) = (Mutex::new((reach, continued)), AtomicBool::new(true));
        let bucket = Bucket::behind(Box::new(move |request| {
            if request.writes(object) && is_first.swap(false, Ordering::Relaxed) {
                let state = state.lock().unwrap();
                let _ = state.0.send(());
                let _ = state.1.recv();
            }
            None
        }))?;
        Some(Self { reached, go_on, bucket })
    }
}

fn spawned(stage: &Stage, bucket: &Bucket) -> std::process::Child {
    command(stage, bucket, &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn publishers(requests: &[S3Request]) -> Vec<String> {
    let states = requests.iter().filter(|request| request.writes(".git-hexmirror/publication"));
    let mut publishers: Vec<String> = states
        .filter_map(|request| {
            let text = String::from_utf8_lossy(&request.body).into_owned();
            text.lines().find_map(|line| line.strip_prefix("publisher ").map(str::to_owned))
        })
        .collect();
    publishers.dedup();
    publishers
}

#[test]
fn of_two_publications_the_second_waits() {
    let Some(Pause { reached, go_on, bucket }) = Pause::at("/tarballs/alpha") else { return };
    let stage = Stage::mirrored();
    let first = spawned(&stage, &bucket);
    reached.recv_timeout(PATIENCE).unwrap();
    let mut second = spawned(&stage, &bucket);
    // The second one says that it waits.
    let mut stderr = BufReader::new(second.stderr.take().unwrap());
    let mut line = String::new();
    BufRead::read_line(&mut stderr, &mut line).unwrap();
    assert!(line.starts_with("waiting for another publication to s3://"), "{line}");
    go_on.send(()).unwrap();
    Ran::from(first.wait_with_output().unwrap()).ok().says("published");
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut stderr, &mut rest).unwrap();
    assert!(second.wait().unwrap().success() && rest.contains("up to date"), "{rest}");
    assert_eq!(publishers(&bucket.take_requests()).len(), 2, "they did not take turns");
    publish(&stage, &bucket, &[]).ok().says("up to date");
}

#[test]
fn a_killed_publication_is_completed() {
    let Some(Pause { reached, bucket, .. }) = Pause::at("/packages/alpha") else { return };
    let stage = Stage::mirrored();
    let mut first = spawned(&stage, &bucket);
    reached.recv_timeout(PATIENCE).unwrap();
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(!objects(&bucket).contains_key("public_key"));
    publish(&stage, &bucket, &[]).ok().says("waiting for another publication").says("published");
    assert_eq!(objects(&bucket).len(), 11);
    publish(&stage, &bucket, &[]).ok().says("up to date");
}

/// It cannot know that it was stopped, for example because a laptop slept.
#[test]
fn a_publication_that_slept_does_not_go_on() {
    let Some(Pause { reached, go_on, bucket }) = Pause::at("/packages/alpha") else { return };
    let stage = Stage::mirrored();
    let first = spawned(&stage, &bucket);
    reached.recv_timeout(PATIENCE).unwrap();
    send(first.id(), "STOP");
    publish(&stage, &bucket, &[]).ok();
    let after = objects(&bucket);
    bucket.take_requests();
    send(first.id(), "CONT");
    drop(go_on);
    let ran = Ran::from(first.wait_with_output().unwrap()).exits(3);
    assert!(ran.stderr.contains("took over") || ran.stderr.contains("took too long"), "{ran:?}");
    assert_eq!(objects(&bucket), after);
    publish(&stage, &bucket, &[]).ok().says("up to date");
}

#[test]
fn an_interrupted_publication_does_not_make_the_next_one_wait() {
    let is_first = AtomicBool::new(true);
    let hook: Hook = Box::new(move |request| {
        let is_refused = request.writes("/packages/alpha") && is_first.swap(false, Ordering::Relaxed);
        is_refused.then(|| refusal("403 Forbidden", "AccessDenied", "No."))
    });
    let Some(bucket) = Bucket::behind(hook) else { return };
    let stage = Stage::mirrored();
    publish(&stage, &bucket, &[]).exits(3);
    bucket.take_requests();
    let ran = publish(&stage, &bucket, &[]).ok();
    assert!(!ran.stderr.contains("waiting"), "{ran:?}");
    let requests = bucket.take_requests();
    assert!(!written(&requests).iter().any(|path| path.starts_with("tarballs/")), "they were complete: {requests:?}");
}

#[test]
fn a_service_that_fails_for_a_moment_is_asked_again() {
    let failures = Mutex::new(BTreeMap::<String, usize>::new());
    let hook: Hook = Box::new(move |request| {
        if !request.path.contains("/hex/") {
            return None;
        }
        let mut failures = failures.lock().unwrap();
        let count = failures.entry(format!("{} {}", request.method, request.path)).or_default();
        *count += 1;
        (*count == 1).then(|| refusal("503 Service Unavailable", "SlowDown", "Slow down."))
    });
    let Some(bucket) = Bucket::behind(hook) else { return };
    publish(&Stage::mirrored(), &bucket, &[]).ok().says("published");
    let Some(bucket) = Bucket::behind(Box::new(|request| {
        request.path.contains("/hex/").then(|| refusal("503 Service Unavailable", "SlowDown", "Slow down."))
    })) else {
        return;
    };
    publish(&Stage::mirrored(), &bucket, &[]).exits(3).says("SlowDown: Slow down.");
    assert!((2..20).contains(&bucket.take_requests().len()), "retries are bounded");
}

#[test]
fn hostile_bookkeeping_is_refused() {
    let Some(bucket) = Bucket::new() else { return };
    let stage = Stage::mirrored();
    for (key, text) in [("files", "git-hexmirror files 1\nx 1 ../../etc/passwd\n"), ("publication", "gibberish")] {
        bucket.put(&format!("hex/{OWN}{key}"), text.as_bytes());
        publish(&stage, &bucket, &["--delete"]).exits(5).says(&format!("/hex/{OWN}{key}"));
        assert!(objects(&bucket).is_empty());
        Ran::of(&mut command(&stage, &bucket, &["--dry-run"]));
        bucket.put(&format!("hex/{OWN}{key}"), b"git-hexmirror files 1\n");
    }
}

#[test]
fn a_folder_is_a_destination_too() {
    let stage = Stage::mirrored();
    let www = stage.sandbox.path().join("www");
    let url = format!("file://{}", www.display());
    let document = stage.run(&["publish", &url, "--json"]).ok().json();
    assert_eq!(document["destination"], www.to_str().unwrap());
    stage.lock(&["alpha 1.1.0", PINNED[1], PINNED[2]]);
    stage.run(&["update"]).ok();
    stage.run(&["prune", "--keep-days=0"]).ok();
    stage.run(&["publish", &url]).ok().says("1 file is no longer in the mirror; --delete removes such files");
    let old = www.join("tarballs/alpha-1.0.0.tar");
    assert!(old.exists() && www.join("tarballs/alpha-1.1.0.tar").exists());
    stage.run(&["publish", &url, "--delete"]).ok().says("1 removed");
    assert!(!old.exists());
    stage.run(&["publish", &url]).ok().says("up to date");
}

#[test]
fn a_full_disk_is_said_and_the_next_publication_continues() {
    let stage = Stage::mirrored();
    let www = stage.sandbox.path().join("www");
    let Some(_mount) = Mount::new(&www, &["-t", "tmpfs", "-o", "size=512k", "none"]) else { return };
    let filling = www.join("filling");
    fs::write(&filling, vec![1; 1_000_000]).unwrap_err();
    let url = format!("file://{}", www.display());
    stage.run(&["publish", &url]).exits(5).says("No space left on device");
    fs::remove_file(&filling).unwrap();
    stage.run(&["publish", &url]).ok().says("published");
}

#[test]
fn a_clone_gets_the_mirror_from_the_bundle() {
    let stage = Stage::mirrored();
    let www = stage.sandbox.path().join("www");
    let url = format!("file://{}", www.display());
    stage.run(&["publish", &url]).ok();
    let bundle = www.join("mirror.bundle");
    let (time, tip) = (|| bundle.metadata().unwrap().modified().unwrap(), stage.tip().unwrap());
    let written = time();
    stage.run(&["publish", &url]).ok();
    assert_eq!(time(), written, "the branch did not move");
    let from = format!("--bundle-uri={}", bundle.display());
    stage.sandbox.git("", &["clone", "--quiet", "--single-branch", "--branch=main", &from, "project", "cloned"]);
    assert_eq!(stage.sandbox.git("cloned", &["rev-parse", "refs/bundles/hexmirror"]), tip);
    stage.sandbox.git("cloned", &["fsck", "--strict", "--no-dangling"]);

    stage.lock(&["alpha 1.1.0", PINNED[1], PINNED[2]]);
    stage.run(&["update"]).ok();
    stage.run(&["publish", &url]).ok();
    let heads = stage.sandbox.git("", &["bundle", "list-heads", bundle.to_str().unwrap()]);
    assert_eq!(heads, format!("{} refs/heads/hexmirror", stage.tip().unwrap()));
}

#[test]
fn a_shallow_clone_says_that_it_makes_no_bundle() {
    let stage = Stage::mirrored();
    stage.git(&["commit", "--quiet", "--allow-empty", "--message=Next"]);
    let from = format!("file://{}", stage.project.display());
    stage.sandbox.git("", &["clone", "--quiet", "--depth=1", "--no-single-branch", &from, "shallow"]);
    let url = format!("file://{}", stage.sandbox.path().join("www").display());
    stage.run_in("shallow", &["publish", &url]).ok().says("this clone is shallow, so no mirror.bundle was made");
    assert!(!stage.sandbox.path().join("www/mirror.bundle").exists());
}

/// Refuses every request, and returns those that came, with their heads.
fn refusing_service() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let heads = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&heads);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let lines = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
            shared.lock().unwrap().push(lines.collect::<Vec<_>>().join("\n"));
            let answer = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = (&stream).write_all(answer.as_bytes());
        }
    });
    (address, heads)
}

/// There are no servers for these interfaces here, so this only tests which service is asked, with which credentials.
#[test]
fn other_services_are_asked_at_their_endpoint_with_their_credentials() {
    let stage = Stage::mirrored();
    let key = "c2VjcmV0IGtleQ==";
    for (url, variables, endpoint, authorization) in [
        (
            "gs://acme/hex",
            &[("GOOGLE_BEARER_TOKEN", "very-secret"), ("GOOGLE_ALLOW_HTTP", "true")][..],
            "GOOGLE_BASE_URL",
            "authorization: Bearer very-secret",
        ),
        (
            "az://acme/hex",
            &[("AZURE_STORAGE_ACCOUNT_NAME", "joe"), ("AZURE_STORAGE_ACCOUNT_KEY", key), ("AZURE_ALLOW_HTTP", "true")],
            "AZURE_STORAGE_ENDPOINT",
            "authorization: SharedKey joe:",
        ),
    ] {
        let (address, heads) = refusing_service();
        let mut command = stage.command(&["publish", url]);
        command.envs(variables.iter().copied()).env(endpoint, &address);
        let ran = Ran::of(&mut command).exits(3).says(&format!("not allowed to read {url}/"));
        let role = if url.starts_with("gs") { "Storage Object Admin" } else { "Storage Blob Data Contributor" };
        let ran = ran.says("403 Forbidden").says(role);
        assert!(!ran.stderr.contains("s3:") && !ran.stderr.contains("AWS_"), "{ran:?}");
        assert!(!ran.stderr.contains("secret") && !ran.stderr.contains(key), "{ran:?}");
        let heads = heads.lock().unwrap();
        assert!(heads[0].starts_with("GET /acme/hex"), "{heads:?}");
        assert!(heads[0].lines().any(|line| line.starts_with(authorization)), "{heads:?}");
    }
}

#[test]
fn variables_that_cannot_be_used_are_named_before_anything_is_sent() {
    let stage = Stage::mirrored();
    let folder = stage.project.to_str().unwrap();
    for (url, name, value) in [
        ("s3://acme/hex", "AWS_ENDPOINT_URL", "nonsense"),
        ("s3://acme/hex", "AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent/token"),
        ("s3://acme/hex", "AWS_WEB_IDENTITY_TOKEN_FILE", folder),
        ("s3://acme/hex", "AWS_SESSION_TOKEN", "very-secret\n"),
        ("s3://acme/hex", "https_proxy", "http://a b"),
        ("gs://acme/hex", "GOOGLE_SERVICE_ACCOUNT", "/nonexistent/key.json"),
        ("gs://acme/hex", "https_proxy", "http://very-secret@a b"),
        ("s3://acme/hex", "AWS_ALLOW_HTTP", "very-secret"),
        ("s3://acme/hex", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "very-secret"),
        ("s3://acme/hex", "AWS_CHECKSUM_ALGORITHM", "very-secret"),
        ("s3://acme/hex", "AWS_TIMEOUT", "very-secret"),
        ("s3://acme/hex", "AWS_SECRET_ACCESS_KEY", "very-secret"),
        ("gs://acme/hex", "GOOGLE_SKIP_SIGNATURE", "very-secret"),
        ("az://acme/hex", "AZURE_STORAGE_USE_EMULATOR", "very-secret"),
        ("az://acme/hex", "AZURE_STORAGE_ACCOUNT_NAME", ""),
        ("az://acme/hex", "AZURE_STORAGE_ENDPOINT", "http://joe:very-secret@a"),
    ] {
        let ran = stage.run_with(&["publish", url], &[(name, value)]).exits(2);
        let ran = ran.says(&format!("the environment's settings for {url} cannot be used")).says(name);
        assert!(!ran.says("docs/publish.md").stderr.contains("secret"), "{name}={value}");
    }
}

#[test]
fn an_unusable_url_is_not_repeated() {
    let stage = Stage::mirrored();
    let ran = stage.run(&["publish", "https://joe:very-secret@acme.example/hex"]).exits(2);
    assert!(!ran.says("cannot publish to this URL: expected").stderr.contains("secret"));
    stage.run(&["publish", "file://www"]).exits(2).says("absolute path");
}
