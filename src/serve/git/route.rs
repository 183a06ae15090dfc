//! From a request's path and host to the repository that is meant, and what of it.

use crate::model::GitAddress;

const INFO_REFS: &str = "/info/refs";
const UPLOAD_PACK: &str = "/git-upload-pack";
const RECEIVE_PACK: &str = "/git-receive-pack";
const OBJECTS: &str = "/objects/";

/// What a git client asks of one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Asked {
    /// The repository that is meant, if it has a valid address.
    pub(super) address: Option<GitAddress>,
    pub(super) what: What,
    /// Where the repository itself is asked the same, if it is the first that git asks of one.
    pub(super) onward: Option<Onward>,
}

impl Asked {
    /// Returns the repository that is meant, if it has a valid address.
    pub(in super::super) fn address(&self) -> Option<&GitAddress> {
        self.address.as_ref()
    }
}

/// An address outside of the mirror: of a repository, and what stands behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Onward {
    pub(super) address: GitAddress,
    pub(super) rest: String,
}

/// What is wanted of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// The references, as the smart protocol's first answer.
    Advertisement,
    /// A conversation with `upload-pack`.
    UploadPack,
    /// Anything to do with a push.
    Push,
    /// A service that git does not have.
    UnknownService,
    /// A file of the bare repository, by its path in it.
    File(String),
    /// Nothing that a git client asks for: a browser, mostly.
    Page,
}

/// Reads a request as one of git; `None` if it is none.
///
/// Under this server's own names a repository is named by `/git/HOST/PATH`. Under the name of another `host` (from the request's
/// `Host` field, without a port) it is named by its path there: so a machine whose name service leads that host here needs no
/// other change, and nothing of other hosts is found under that name. Both with or without `.git`.
pub(in super::super) fn asked(path: &str, query: Option<&str>, host: Option<&str>) -> Option<Asked> {
    // A base URL that ends in a slash makes clients ask for `//git/…`.
    let path = path.trim_start_matches('/');
    let (repository, what) = split(path, query);
    let Some(host) = host else {
        let address: Option<GitAddress> = path.strip_prefix("git/").and_then(|_| {
            // The root of all repositories is none itself.
            repository.strip_prefix("git/")?.parse().ok()
        });
        let dot_git = if repository.ends_with(".git") { ".git" } else { "" };
        let first = first_question(path, &what);
        let onward =
            address.clone().zip(first).map(|(address, asked)| Onward { address, rest: format!("{dot_git}{asked}") });
        return path.starts_with("git/").then_some(Asked { address, what, onward });
    };
    let address = format!("{host}/{repository}").parse().ok();
    (what != What::Page && address.is_some()).then_some(Asked { address, what, onward: None })
}

/// Returns what git asks first of every repository, as it asks it.
fn first_question(path: &str, what: &What) -> Option<&'static str> {
    match what {
        What::Advertisement => Some("/info/refs?service=git-upload-pack"),
        What::Push if path.ends_with(INFO_REFS) => Some("/info/refs?service=git-receive-pack"),
        What::File(name) if name == "info/refs" => Some("/info/refs"),
        _ => None,
    }
}

/// Splits a path into the repository's and what follows it.
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
        // A host may have its repositories below a folder named `git`.
        assert_eq!(under("git.example.org", "/git/github.com/a/HEAD").unwrap(), "git.example.org/git/github.com/a");
        for path in ["/packages/plug", "/tarballs/plug-1.0.0.tar", "/", "/health", "/repos/acme/names", "/git/x.org/a"]
        {
            assert_eq!(under("github.com", path), None, "{path}");
        }
        assert_eq!(asked("/wistia/nsq/info/refs", None, None), None, "no host is named");
    }

    #[test]
    fn only_the_first_question_can_be_asked_elsewhere() {
        let rest = |path: &str, query| asked(path, query, None).unwrap().onward.map(|onward| onward.rest);
        let service = Some("service=git-upload-pack");
        assert_eq!(rest("/git/h.org/x/info/refs", service).unwrap(), "/info/refs?service=git-upload-pack");
        assert_eq!(rest("/git/h.org/x.git/info/refs", Some("a=b")).unwrap(), ".git/info/refs");
        let push = Some("service=git-receive-pack");
        assert_eq!(rest("/git/h.org/x/info/refs", push).unwrap(), "/info/refs?service=git-receive-pack");
        for path in ["/git/h.org/x/git-upload-pack", "/git/h.org/x/git-receive-pack", "/git/h.org/x/HEAD"] {
            assert_eq!(rest(path, None), None, "{path}");
        }
        // Whose own host leads here would be led here again.
        assert_eq!(asked("/x/info/refs", service, Some("h.org")).unwrap().onward, None);
    }

    #[test]
    fn a_repository_may_be_called_what_a_part_of_one_is() {
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
