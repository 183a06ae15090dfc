//! The smart protocol.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::{fs, thread};

use flate2::Compression;
use flate2::write::GzEncoder;
use git_hexmirror::ops::MirrorContents;
use git_hexmirror::serve::{Git, Options, RequestLog, Server};

use super::mirror::{Mirror, NSQ, NSQ_REVISION, RUMMAGE, RUMMAGE_REVISION, ask, stderr, url};

#[test]
fn both_sample_repositories_in_every_version_of_the_protocol() {
    let Some(mirror) = Mirror::of_sample() else { return };
    let (server, git) = (mirror.serve(), &mirror.sandbox);
    for version in ["0", "1", "2"] {
        let protocol = format!("protocol.version={version}");
        for (address, revision) in [(NSQ, NSQ_REVISION), (RUMMAGE, RUMMAGE_REVISION)] {
            let url = url(&server, address);
            let name = &format!("clone-{version}-{revision}");
            git.git("", &["-c", &protocol, "clone", "--quiet", &url, name]);
            git.git(name, &["fsck", "--strict", "--full"]);
            git.git(name, &["checkout", "--quiet", revision]);
            assert_eq!(git.git(name, &["rev-parse", "HEAD"]), revision);
            assert_eq!(git.git(name, &["-c", &protocol, "fetch"]), "", "there is nothing more to fetch");

            // The address without `.git`, a shallow clone, and a revision that is on no branch.
            let name = &format!("shallow-{version}-{revision}");
            git.git("", &["init", "--quiet", name]);
            let url = url.strip_suffix(".git").unwrap();
            git.git(name, &["-c", &protocol, "fetch", "--quiet", "--depth=1", url, revision]);
            assert_eq!(git.git(name, &["rev-list", "--count", "FETCH_HEAD"]), "1");
            git.git(name, &["fsck"]);
            git.git(name, &["-c", &protocol, "fetch", "--quiet", "--unshallow", url, revision]);
            assert!(git.git(name, &["rev-list", "--count", "FETCH_HEAD"]).parse::<u32>().unwrap() > 50);
        }
    }
}

#[test]
fn commits_are_served_by_id_and_missing_ones_are_named() {
    let (mirror, revisions) = Mirror::of_made();
    let (server, git) = (mirror.serve(), &mirror.sandbox);
    let url = url(&server, "example.org/team/lib");
    for version in ["0", "1", "2"] {
        let name = &format!("client-{version}");
        git.git("", &["init", "--quiet", name]);
        let protocol = format!("protocol.version={version}");
        git.git(name, &["-c", &protocol, "fetch", "--quiet", &url, &revisions[4]]);
        assert_eq!(git.git(name, &["rev-list", "--count", "FETCH_HEAD"]), "5");
        let absent = "0123456789012345678901234567890123456789";
        let output = git.try_git(name, &["-c", &protocol, "fetch", &url, absent]);
        assert!(!output.status.success() && stderr(&output).contains("not our ref"), "{}", stderr(&output));
    }
    let branches = git.git("", &["ls-remote", &url]);
    let names: Vec<&str> = branches.lines().map(|line| line.split_once('\t').unwrap().1).collect();
    assert_eq!(names, ["HEAD", "refs/heads/main", "refs/heads/next", "refs/tags/v1.0", "refs/tags/v1.0^{}"]);
    git.git("", &["clone", "--quiet", "--filter=blob:none", "--no-checkout", &url, "partial"]);
    git.git("partial", &["checkout", "--quiet", "main"]);
}

#[test]
fn commits_that_a_client_has_are_not_sent_again() {
    let (mut mirror, _) = Mirror::of_made();
    let (server, git) = (mirror.serve(), &mirror.sandbox);
    git.git("", &["clone", "--quiet", &url(&server, "example.org/team/lib"), "client"]);
    // The client has so many commits of its own that git sends the list gzipped. The list begins with the newest commit
    // and ends at a common one.
    for number in 0..120 {
        let mut command = git.command("git", "client".as_ref());
        command.args(["-c", "user.name=Test", "-c", "user.email=test@example.com", "commit", "--quiet"]);
        command.args(["--allow-empty", &format!("--message={number}")]);
        let date = format!("2035-01-01T00:{:02}:{:02}Z", number / 60, number % 60);
        assert!(command.env("GIT_COMMITTER_DATE", date).status().unwrap().success());
    }
    git.git("lib", &["commit", "--quiet", "--allow-empty", "--message=More"]);
    let more = git.git("lib", &["rev-parse", "HEAD"]);
    mirror.store("example.org/team/lib", &mirror.sandbox.path().join("lib/.git"));
    mirror.commit();
    let git = &mirror.sandbox;
    for version in ["2", "0"] {
        let mut command = git.command("git", "client".as_ref());
        command.args(["-c", &format!("protocol.version={version}"), "fetch"]);
        let output = command.env("GIT_TRACE_CURL", "1").env("GIT_TRACE_CURL_NO_DATA", "1").output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stderr(&output).to_ascii_lowercase().contains("content-encoding: gzip"), "{}", stderr(&output));
        assert_eq!(git.git("client", &["rev-parse", "origin/main"]), more);
        git.git("client", &["update-ref", "-d", "refs/remotes/origin/main"]);
        git.git("client", &["reflog", "expire", "--expire=now", "--all"]);
        git.git("client", &["gc", "--quiet", "--prune=now"]);
    }
}

/// A request for the refs in version 2.
fn ls_refs() -> Vec<u8> {
    b"0014command=ls-refs\n00010000".to_vec()
}

fn post(address: &str, fields: &[&str], length: usize) -> String {
    let fields: String = fields.iter().map(|field| format!("\r\n{field}")).collect();
    format!(
        "POST /git/{address}.git/git-upload-pack HTTP/1.1\r\nContent-Type: application/x-git-upload-pack-request\r\n\
         Git-Protocol: version=2\r\nContent-Length: {length}{fields}"
    )
}

#[test]
fn a_gzipped_request_is_equivalent_to_a_plain_one() {
    let (mirror, revisions) = Mirror::of_made();
    let server = mirror.serve();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&ls_refs()).unwrap();
    let packed = encoder.finish().unwrap();
    let lib = "example.org/team/lib";
    // The first answer is streamed in pieces; the others come from the cache.
    let plain = || ask(server.local_addr(), &post(lib, &[], ls_refs().len()), &ls_refs());
    let (_, plain) = (plain(), plain());
    let gzipped = ask(server.local_addr(), &post(lib, &["Content-Encoding: gzip"], packed.len()), &packed);
    assert!(plain.0.starts_with("http/1.1 200") && plain.0.contains("application/x-git-upload-pack-result"));
    assert!(String::from_utf8_lossy(&plain.1).contains(&revisions[9]));
    assert_eq!(plain.1, gzipped.1);
    for (fields, body, status) in [
        (&["Content-Encoding: gzip"][..], &ls_refs()[..], "400"),
        (&["Content-Encoding: gzip"], &packed[..packed.len() - 4], "400"),
        (&["Content-Encoding: br"], &packed, "415"),
    ] {
        let (head, text) = ask(server.local_addr(), &post(lib, fields, body.len()), body);
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{head}{}", String::from_utf8_lossy(&text));
    }
}

#[test]
fn a_push_is_refused_in_words_that_git_shows() {
    let (mirror, _) = Mirror::of_made();
    let (server, git) = (mirror.serve(), &mirror.sandbox);
    let output = git.try_git("lib", &["push", &url(&server, "example.org/team/lib"), "main"]);
    let text = stderr(&output);
    assert!(!output.status.success());
    assert!(text.contains("remote: this mirror is read-only; push to"), "{text}");
    assert!(text.contains("403"), "{text}");
    let body = "0000";
    let head = format!("POST /git/x/y.git/git-receive-pack HTTP/1.1\r\nContent-Length: {}", body.len());
    assert!(ask(server.local_addr(), &head, body.as_bytes()).0.starts_with("http/1.1 403"));
}

#[test]
fn a_missing_repository_is_named_with_the_remedy() {
    let (mirror, _) = Mirror::of_made();
    let (server, git) = (mirror.serve(), &mirror.sandbox);
    let output = git.try_git("", &["clone", &url(&server, "example.org/team/other"), "x"]);
    let text = stderr(&output);
    assert!(
        text.contains("remote: the git repository example.org/team/other is not in the mirror at commit"),
        "{text}"
    );
    assert!(text.contains("run `git hexmirror update`"), "{text}");
    for (path, status) in [
        ("/git/example.org/team/lib.git/info/refs?service=git-upload-archive", 403),
        ("/git/example.org/team/lib.git/git-upload-pack", 405),
        ("/git/example.org/team/lib", 404),
        ("/git/example.org/../lib.git/HEAD", 404),
        ("/git/", 404),
    ] {
        let (head, body) = ask(server.local_addr(), &format!("GET {path} HTTP/1.1"), b"");
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{path}: {head}");
        assert_eq!(String::from_utf8(body).unwrap().lines().count(), 1, "{path}");
    }
    assert_eq!(mirror.cached(), [""; 0], "nothing was written for any of these");
}

#[test]
fn many_clones_at_once_through_two_servers_share_one_folder() {
    let (mirror, revisions) = Mirror::of_made();
    let servers = [mirror.serve(), mirror.serve()];
    thread::scope(|scope| {
        for number in 0..8 {
            let (git, url) = (&mirror.sandbox, url(&servers[number % 2], "example.org/team/lib"));
            let last = &revisions[9];
            scope.spawn(move || {
                let name = &format!("clone-{number}");
                git.git("", &["clone", "--quiet", &url, name]);
                assert_eq!(&git.git(name, &["rev-parse", "HEAD"]), last);
                git.git(name, &["fsck", "--strict"]);
            });
        }
    });
    assert_eq!(mirror.cached().len(), 1);
}

#[test]
fn the_cache_may_be_deleted_while_it_is_served() {
    let (mirror, revisions) = Mirror::of_made();
    let (server, git) = (mirror.serve(), &mirror.sandbox);
    let url = url(&server, "example.org/team/lib");
    for (number, part) in ["", "*.lock", "*/HEAD", "*/objects", ""].into_iter().enumerate() {
        if let Some(name) = part.strip_prefix("*/") {
            for folder in mirror.cached() {
                // The state after an interrupted `rm -r`, depending on whether it deleted `HEAD` early or late.
                let path = mirror.cache().join(&folder).join(name);
                let _ = fs::remove_file(mirror.cache().join(&folder).join("HEAD"));
                let _ = fs::remove_dir_all(path);
            }
        } else if part.is_empty() {
            let _ = fs::remove_dir_all(mirror.cache());
        } else {
            for entry in mirror.cache().read_dir().unwrap().map(|entry| entry.unwrap().path()) {
                let _ = fs::remove_file(entry);
            }
        }
        let name = &format!("clone-{number}");
        git.git("", &["clone", "--quiet", &url, name]);
        assert_eq!(git.git(name, &["rev-parse", "HEAD"]), revisions[9]);
    }
}

#[test]
fn settings_and_hooks_in_the_branch_have_no_effect() {
    let (mirror, _) = Mirror::of_made();
    let below = |name: &str| format!("git/example.org/team/lib.git/{name}");
    let marker = mirror.sandbox.path().join("marker");
    let run = format!("[uploadpack]\n\tpackObjectsHook = touch {}\n[core]\n\tfsmonitor = x\n", marker.display());
    let more = [
        (below("config"), run.as_str()),
        (below("hooks/post-upload-pack"), "#!/bin/sh\n"),
        (below("objects/info/alternates"), "/\n"),
        (below("objects/info/http-alternates"), "http://example.org/\n"),
        (below("refs/heads/x"), "x\n"),
    ];
    let more: Vec<(&str, &str)> = more.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    mirror.commit_with(&more);
    let (server, git) = (mirror.serve(), &mirror.sandbox);
    git.git("", &["clone", "--quiet", &url(&server, "example.org/team/lib"), "clone"]);
    let folder = mirror.cache().join(&mirror.cached()[0]);
    for name in ["config", "hooks", "objects/info/alternates", "objects/info/http-alternates", "refs/heads"] {
        assert!(!folder.join(name).exists(), "{name}");
    }
    assert!(!marker.exists());
}

#[test]
fn each_request_is_logged_at_its_end() {
    let (mirror, _) = Mirror::of_made();
    let requests = Arc::new(Mutex::new(Vec::<RequestLog>::new()));
    let log = requests.clone();
    let options =
        Options { log: Some(Arc::new(move |request| log.lock().unwrap().push(request.clone()))), ..Options::default() };
    let (server, git) = (mirror.serve_with(options), &mirror.sandbox);
    git.git("", &["clone", "--quiet", &url(&server, "example.org/team/lib"), "clone"]);
    server.stop().unwrap();
    let requests = requests.lock().unwrap();
    let shown: Vec<String> = requests.iter().map(|r| format!("{} {} {:?}", r.method, r.status, r.error)).collect();
    assert_eq!(shown, ["GET 200 None", "POST 200 None", "POST 200 None"]);
    assert!(requests.iter().all(|request| request.bytes > 100), "{requests:?}");
}

#[test]
#[cfg(unix)]
fn identical_requests_run_git_once() {
    use std::os::unix::fs::PermissionsExt;

    let (mut mirror, revisions) = Mirror::of_made();
    let runs = mirror.sandbox.path().join("runs");
    let program = mirror.sandbox.path().join("counted-git");
    fs::write(&program, format!("#!/bin/sh\necho run >>{}\nexec git \"$@\"\n", runs.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let options = Options { git: Git { program, search_path: std::env::var_os("PATH") }, ..Options::default() };
    let contents = Arc::new(MirrorContents::new(&mirror.project()));
    let server = Server::bind("127.0.0.1:0", contents, options).unwrap().start().unwrap();
    let url = url(&server, "example.org/team/lib");
    let count = || fs::read_to_string(&runs).unwrap_or_default().lines().count();
    let clone = |mirror: &Mirror, version: &str, name: &str| {
        let protocol = format!("protocol.version={version}");
        mirror.sandbox.git("", &["-c", &protocol, "clone", "--quiet", &url, name]);
        mirror.sandbox.git(name, &["fsck", "--strict"]);
        mirror.sandbox.git(name, &["rev-parse", "HEAD"])
    };
    assert_eq!((clone(&mirror, "2", "first"), count()), (revisions[9].clone(), 3));
    assert_eq!((clone(&mirror, "2", "second"), count()), (revisions[9].clone(), 3));
    assert_eq!((clone(&mirror, "0", "other"), count()), (revisions[9].clone(), 5), "another protocol, other answers");
    // Another version of the repository is another question.
    mirror.sandbox.git("lib", &["commit", "--quiet", "--allow-empty", "--message=More"]);
    let more = mirror.sandbox.git("lib", &["rev-parse", "HEAD"]);
    mirror.store("example.org/team/lib", &mirror.sandbox.path().join("lib/.git"));
    mirror.commit();
    assert_eq!((clone(&mirror, "2", "third"), count()), (more, 8));
    // An answer that reports an error is not cached: the refs come from the cache, the rest runs again.
    for expected in [10, 11] {
        let absent = "0123456789012345678901234567890123456789";
        let output = mirror.sandbox.try_git("first", &["-c", "protocol.version=2", "fetch", &url, absent]);
        assert!(stderr(&output).contains("not our ref"), "{}", stderr(&output));
        assert_eq!(count(), expected);
    }
}
