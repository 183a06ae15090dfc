//! Maps a request's path and host to a repository and the requested service.

use crate::model::GitAddress;

const INFO_REFS: &str = "/info/refs";
const UPLOAD_PACK: &str = "/git-upload-pack";
const RECEIVE_PACK: &str = "/git-receive-pack";
const OBJECTS: &str = "/objects/";

/// A git client's request to one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Asked {
    /// The requested repository, if its address is valid.
    pub(super) address: Option<GitAddress>,
    pub(super) what: What,
    /// The corresponding address of the repository's own server, if this is git's first request to the repository.
    pub(super) upstream_redirect: Option<UpstreamRedirect>,
}

impl Asked {
    /// Returns the requested repository, if its address is valid.
    pub(in super::super) fn address(&self) -> Option<&GitAddress> {
        self.address.as_ref()
    }
}

/// An address outside the mirror: a repository and the rest of the URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UpstreamRedirect {
    pub(super) address: GitAddress,
    pub(super) rest: String,
}

/// The requested part of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// The refs, as the first response of the smart protocol.
    Advertisement,
    /// A request to `upload-pack`.
    UploadPack,
    /// Any request that belongs to a push.
    Push,
    /// A service that git does not have.
    UnknownService,
    /// A file of the bare repository, by its path in it.
    File(String),
    /// A path that no git client requests. The client is probably a browser.
    Page,
}

/// Parses a git request. `None` if the request is not one.
///
/// Under one of this server's own names, the path `/git/HOST/PATH` names a repository. If `host` (from the request's
/// `Host` field, without a port) is the name of another host, the path alone names a repository of that host. A machine
/// whose name resolution points that host here therefore needs no other change, and cannot reach repositories of other
/// hosts under that name. Both forms work with and without `.git`.
pub(in super::super) fn asked(path: &str, query: Option<&str>, host: Option<&str>) -> Option<Asked> {
    // If the base URL ends in a slash, clients request `//git/…`.
    let path = path.trim_start_matches('/');
    let (repository, what) = split(path, query);
    let Some(host) = host else {
        let address: Option<GitAddress> = path.strip_prefix("git/").and_then(|_| {
            // The root of all repositories is not a repository itself.
            repository.strip_prefix("git/")?.parse().ok()
        });
        let dot_git = if repository.ends_with(".git") { ".git" } else { "" };
        let first = first_question(path, &what);
        let upstream_redirect = address
            .clone()
            .zip(first)
            .map(|(address, asked)| UpstreamRedirect { address, rest: format!("{dot_git}{asked}") });
        return path.starts_with("git/").then_some(Asked { address, what, upstream_redirect });
    };
    let address = format!("{host}/{repository}").parse().ok();
    (what != What::Page && address.is_some()).then_some(Asked { address, what, upstream_redirect: None })
}

/// Returns the path and query of git's first request to every repository.
fn first_question(path: &str, what: &What) -> Option<&'static str> {
    match what {
        What::Advertisement => Some("/info/refs?service=git-upload-pack"),
        What::Push if path.ends_with(INFO_REFS) => Some("/info/refs?service=git-receive-pack"),
        What::File(name) if name == "info/refs" => Some("/info/refs"),
        _ => None,
    }
}

/// Splits a path into the repository's path and the remainder.
fn split<'a>(path: &'a str, query: Option<&str>) -> (&'a str, What) {
    let ending = |ending: &str| path.strip_suffix(ending);
    if let Some(repository) = ending(INFO_REFS) {
        let service = query.unwrap_or("").split('&').find_map(|field| field.strip_prefix("service="));
        let what = match service {
            None => What::File("info/refs".into()),
            Some("git-upload-pack") => What::Advertisement,
            Some("git-receive-pack") => What::Push,
            Some(_) => What::UnknownService,
        };
        return (repository, what);
    }
    if let Some(repository) = ending(UPLOAD_PACK) {
        return (repository, What::UploadPack);
    }
    if let Some(repository) = ending(RECEIVE_PACK) {
        return (repository, What::Push);
    }
    if let Some(repository) = ending("/HEAD") {
        return (repository, What::File("HEAD".into()));
    }
    match path.rfind(OBJECTS) {
        Some(at) => (&path[..at], What::File(path[at + 1..].to_owned())),
        None => (path, What::Page),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(path: &str, query: Option<&str>, host: Option<&str>) -> (Option<String>, What) {
        let Asked { address, what, .. } = asked(path, query, host).unwrap();
        (address.map(|address| address.to_string()), what)
    }

    fn file(name: &str) -> What {
        What::File(name.to_owned())
    }

    #[test]
    fn everything_that_git_asks_for() {
        let upload = Some("service=git-upload-pack");
        for (rest, query, what) in [
            ("info/refs", upload, What::Advertisement),
            ("info/refs", Some("service=git-receive-pack"), What::Push),
            ("info/refs", Some("service=git-upload-archive"), What::UnknownService),
            ("info/refs", None, file("info/refs")),
            ("git-upload-pack", None, What::UploadPack),
            ("git-receive-pack", None, What::Push),
            ("HEAD", None, file("HEAD")),
            ("objects/info/packs", None, file("objects/info/packs")),
            ("objects/pack/pack-1.pack", None, file("objects/pack/pack-1.pack")),
        ] {
            for repository in ["/git/github.com/wistia/nsq.git", "/git/github.com/wistia/nsq"] {
                let path = format!("{repository}/{rest}");
                assert_eq!(named(&path, query, None), (Some("github.com/wistia/nsq".into()), what.clone()), "{path}");
            }
        }
        assert_eq!(named("/git/github.com/wistia/nsq", None, None).1, What::Page);
        assert_eq!(named("/git/", None, None), (None, What::Page));
    }

    #[test]
    fn a_repository_answers_to_its_own_host_and_to_no_other() {
        let under = |host, path: &str| asked(path, None, Some(host)).map(|asked| asked.address.unwrap().to_string());
        let nsq = asked("/wistia/nsq/info/refs", None, Some("github.com")).unwrap();
        assert_eq!((nsq.address.unwrap().to_string(), nsq.what), ("github.com/wistia/nsq".into(), file("info/refs")));
        assert_eq!(under("github.com", "//a/b.git/HEAD").unwrap(), "github.com/a/b");
        // A host may store its repositories below a folder named `git`.
        assert_eq!(under("git.example.org", "/git/github.com/a/HEAD").unwrap(), "git.example.org/git/github.com/a");
        for path in ["/packages/plug", "/tarballs/plug-1.0.0.tar", "/", "/health", "/repos/acme/names", "/git/x.org/a"]
        {
            assert_eq!(under("github.com", path), None, "{path}");
        }
        assert_eq!(asked("/wistia/nsq/info/refs", None, None), None, "no host is named");
    }

    #[test]
    fn only_the_first_question_can_be_asked_elsewhere() {
        let rest = |path: &str, query| {
            asked(path, query, None).unwrap().upstream_redirect.map(|upstream_redirect| upstream_redirect.rest)
        };
        let service = Some("service=git-upload-pack");
        assert_eq!(rest("/git/h.org/x/info/refs", service).unwrap(), "/info/refs?service=git-upload-pack");
        assert_eq!(rest("/git/h.org/x.git/info/refs", Some("a=b")).unwrap(), ".git/info/refs");
        let push = Some("service=git-receive-pack");
        assert_eq!(rest("/git/h.org/x/info/refs", push).unwrap(), "/info/refs?service=git-receive-pack");
        for path in ["/git/h.org/x/git-upload-pack", "/git/h.org/x/git-receive-pack", "/git/h.org/x/HEAD"] {
            assert_eq!(rest(path, None), None, "{path}");
        }
        // If the repository's own host name points here, a redirect would lead back here.
        assert_eq!(asked("/x/info/refs", service, Some("h.org")).unwrap().upstream_redirect, None);
    }

    #[test]
    fn a_repository_may_have_the_name_of_a_service() {
        let (address, what) = named("/git/h.org/objects/objects/info/packs", None, None);
        assert_eq!((address, what), (Some("h.org/objects".into()), file("objects/info/packs")));
        assert_eq!(named("/git/h.org/x/objects/HEAD", None, None).0.unwrap(), "h.org/x/objects");
    }

    #[test]
    fn the_paths_of_hex_are_not_taken() {
        for path in
            ["/packages/plug", "/tarballs/plug-1.0.0.tar", "/", "/health", "/names", "/repos/acme/names", "/git"]
        {
            assert_eq!(asked(path, None, None), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_panics(path in "/(git/)?(/|-|%|\\.|\\PC|objects/|[0-9a-f]){0,30}(/info/refs|/HEAD)?", host in "\\PC{0,9}") {
            let _ = (asked(&path, Some(&host), Some(&host)), asked(&path, Some(&host), None));
        }
    }
}
