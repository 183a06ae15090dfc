//! Requests whose tip is deleted, with all objects that only it had, before they are answered.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use git_hexmirror::model::GitAddress;
use git_hexmirror::ops::{self, MirrorContents};
use git_hexmirror::serve::{Contents, ContentsError, Found, GitRepository, Options, Resource, Server, Tip};

use super::mirror::{Mirror, ask};

type Rewrite = Box<dyn FnOnce() + Send>;

/// The real contents, with an action between the first read of the tip and everything else.
struct Overtaken {
    contents: MirrorContents,
    rewrite: Mutex<Option<Rewrite>>,
}

impl Contents for Overtaken {
    fn tip(&self) -> Result<Tip, ContentsError> {
        let tip = self.contents.tip();
        if let Some(rewrite) = self.rewrite.lock().unwrap().take() {
            rewrite();
        }
        tip
    }

    fn refresh(&self) {
        self.contents.refresh();
    }

    fn find(&self, tip: &Tip, resource: &Resource) -> Result<Option<Found>, ContentsError> {
        self.contents.find(tip, resource)
    }

    fn is_absent(&self, tip: &Tip, resource: &Resource) -> Result<bool, ContentsError> {
        self.contents.is_absent(tip, resource)
    }

    fn load(&self, tip: &Tip, resource: &Resource, found: &Found) -> Result<Bytes, ContentsError> {
        self.contents.load(tip, resource, found)
    }

    fn git_repository(&self, tip: &Tip, address: &GitAddress) -> Result<Option<GitRepository>, ContentsError> {
        self.contents.git_repository(tip, address)
    }

    fn is_beside(&self, tip: &Tip, address: &GitAddress) -> Result<bool, ContentsError> {
        self.contents.is_beside(tip, address)
    }

    fn has_host(&self, tip: &Tip, host: &str) -> Result<bool, ContentsError> {
        self.contents.has_host(tip, host)
    }
}

#[test]
fn items_that_disappear_are_read_at_the_next_tip() {
    let (mirror, _) = Mirror::of_made();
    mirror.pin();
    let mirror = Arc::new(mirror);
    let contents = Arc::new(Overtaken { contents: MirrorContents::new(&mirror.project()), rewrite: Mutex::new(None) });
    let options = Options { git: ops::system_git(&mirror.project()), ..Options::default() };
    let server = Server::bind("127.0.0.1:0", contents.clone(), options).unwrap().start().unwrap();
    let lib = "/git/example.org/team/lib";
    let post = format!(
        "POST {lib}.git/git-upload-pack HTTP/1.1\r\nGit-Protocol: version=2\r\nContent-Length: 28\r\n\
         Content-Type: application/x-git-upload-pack-request"
    );
    let requests = [
        (format!("GET {lib}.git/info/refs?service=git-upload-pack HTTP/1.1"), "", "200"),
        (format!("GET {lib}.git/HEAD HTTP/1.1"), "", "200"),
        (post, "0014command=ls-refs\n00010000", "200"),
        (format!("GET {lib}_extra.git/info/refs?service=git-upload-pack HTTP/1.1"), "", "302"),
        ("GET /packages/plug HTTP/1.1".to_owned(), "", "404"),
        ("GET /tarballs/plug-1.0.0.tar HTTP/1.1".to_owned(), "", "404"),
    ];
    for (number, (head, body, status)) in requests.into_iter().enumerate() {
        let rewritten = mirror.clone();
        *contents.rewrite.lock().unwrap() = Some(Box::new(move || {
            rewritten.commit_with(&[("round", &number.to_string())]);
            rewritten.sandbox.git("project", &["reflog", "expire", "--expire=now", "--all"]);
            rewritten.sandbox.git("project", &["gc", "--quiet", "--prune=now"]);
            rewritten.sandbox.git("project", &["pack-refs", "--all"]);
        }));
        let (answer, body) = ask(server.local_addr(), &head, body.as_bytes());
        let text = String::from_utf8_lossy(&body).into_owned();
        assert!(answer.starts_with(&format!("http/1.1 {status}")), "{head}: {answer}{text}");
        assert!(contents.rewrite.lock().unwrap().is_none());
    }
}
