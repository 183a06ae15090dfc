//! Hints on what to do about errors of exports and publications, of the mirror branch, of git, and of fetches.

use std::path::Path;

use git_hexmirror::bucket::{BucketError, Denial};
use git_hexmirror::fetch::{FetchError, WebUrl, Withheld};
use git_hexmirror::git::GitError;
use git_hexmirror::model::BucketService;
use git_hexmirror::ops::{ExportError, ImportError, PublishError};
use git_hexmirror::plan::RefusedTarball;
use git_hexmirror::serve::{Registry, TlsError};
use git_hexmirror::store::StoreError;

use crate::push_rules;

/// What to do about a private key on the mirror branch.
pub const LEAKED_KEY: &str = "`git hexmirror update --repair` removes the key from the branch and `git hexmirror compact` from its history; \
    `git hexmirror index --rotate-key` replaces the key of the pinned index; never use the old one again";

/// What to do about damage in a partial clone.
pub const PARTIAL: &str = "this is a partial clone (git clone --filter), which may lack objects: run `git hexmirror pull` to fetch those of the mirror";

/// What to do about a private key that a repair removed from the mirror branch.
pub const REMOVED_KEY: &str = "`git hexmirror compact` removes the key from the history; `git hexmirror index --rotate-key` replaces the key of \
    the pinned index; never use the old one again";

/// Returns a hint for an error of `export`.
pub fn export_hint(error: &ExportError) -> String {
    match error {
        ExportError::Foreign { more, .. } => {
            let others = if *more > 0 { format!(" and {more} more like it") } else { String::new() };
            format!("choose another place, or move that file{others} away and run the command again")
        }
        ExportError::Nested { .. } => {
            "remove the one that you do not need from hexmirror.lock or the setting downloads, and run `git hexmirror prune`; `git hexmirror serve` and object stores can have both".into()
        }
        ExportError::Link { .. } => {
            "replace it by a folder or a file, or write to the place that it leads to".into()
        }
        ExportError::OtherMirror { list, .. } => format!(
            "choose another place; if this mirror shall take over that place, and the files of the other one shall be replaced, delete the lines that begin with `mirror` in {list}, and run the command again"
        ),
        ExportError::NotAFolder { .. } => "choose a folder, or a path at which there is nothing yet".into(),
        ExportError::Root { .. } => "choose a folder of its own, such as /srv/hexmirror".into(),
        ExportError::GitDir { .. } => "choose a folder outside of it".into(),
        ExportError::List { .. } => {
            "delete this list and run the command again: it keeps what has the right content, and names what is in the way".into()
        }
        ExportError::NoEntries { registry: Registry::Pinned, .. } => {
            "bring it up to date with `git hexmirror index`; if it was imported, fetch the entries with `git hexmirror update` and leave out --registry pinned".into()
        }
        ExportError::NoEntries { has_index: true, .. } => {
            "pass --registry pinned for the index that it has, or fetch the entries with `git hexmirror update`".into()
        }
        ExportError::NoEntries { .. } => {
            "fetch them with `git hexmirror update`; without a network, create an index with `git hexmirror index --init` and pass --registry pinned".into()
        }
        ExportError::NoIndex { .. } => {
            "create it with `git hexmirror index --init`; or leave out --registry pinned, and lead clients to the registry that upstream signed: an update removes an imported index".into()
        }
        _ => String::new(),
    }
}

/// Returns a hint for an error of `import`.
pub fn import_hint(error: &ImportError) -> Option<String> {
    let hint = match error {
        ImportError::Nothing { .. } => {
            "pass a .hex_repo, a .git_repo, ~/.hex/packages, a folder with tarballs (NAME-VERSION.tar) or one with git repositories"
        }
        ImportError::TooManyFiles { .. } => "pass the folders that have the packages",
        ImportError::NothingPinned { .. } => {
            "check that this is the right project (`git hexmirror lock` prints its locks); --all imports also packages that no lock pins; of a damaged git repository nothing may be found (git fsck)"
        }
        ImportError::CutOff { .. } => {
            "a shallow clone has only a part of the history: run `git fetch --unshallow` in it, or clone it again without --depth"
        }
        ImportError::Git { .. } => {
            "nothing was imported; `git fsck` in that folder says more; clone it again, or move it away and run the command again"
        }
        ImportError::Refused(RefusedTarball::TwoContents { .. }) => {
            "nothing was imported; remove the wrong one of the two files, and run the command again"
        }
        ImportError::Refused(RefusedTarball::OtherThanStored { .. }) => {
            "nothing was imported; remove the file, or pin its checksum in a lock"
        }
        ImportError::TwoRegistries { .. } => "nothing was imported; import one of them",
        ImportError::PrivateKey { .. } => {
            "nothing was imported; whoever could read this folder has the key, so replace it and publish its public half"
        }
        ImportError::Signature { .. } | ImportError::Registry { .. } => {
            "nothing was imported; build that registry again (mix hex.registry build), or import only its tarballs"
        }
        ImportError::Changed { .. } => "nothing was imported; run the command again when nobody writes to the folder",
        _ => "nothing was imported; remove the file, and run the command again",
    };
    Some(hint.to_owned())
}

/// Returns a hint for an error of `publish`.
pub fn publish_hint(error: &PublishError) -> String {
    match error {
        PublishError::Busy { .. } | PublishError::Lapsed { .. } => "run the command again later",
        PublishError::Overtaken { .. } => "run the command again; it continues if something is left to do",
        PublishError::State { .. } => "update git-hexmirror; if it is up to date, delete this object and publish again",
        _ => "",
    }
    .into()
}

/// Returns a hint for an error of a bucket.
pub fn bucket_hint(error: &BucketError) -> Option<String> {
    use BucketService::{Azure, Google, S3};

    let hint = match error {
        BucketError::NoBucket { address } => match address.service() {
            S3 => {
                "create the bucket, or check its name, the region (AWS_REGION) and, for services other than Amazon's, AWS_ENDPOINT_URL"
            }
            Google => "create the bucket, or check its name",
            Azure => "create the container, or check its name and AZURE_STORAGE_ACCOUNT_NAME",
        },
        BucketError::Denied { denial: Denial::Clock, .. } => {
            "the service refuses requests that are signed with another time: set this machine's clock"
        }
        BucketError::Denied { denial: Denial::NoCredentials, service, .. } => match service {
            S3 => "set credentials in the environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            Google => {
                "set credentials in the environment: GOOGLE_SERVICE_ACCOUNT, the path of a service account's key file"
            }
            Azure => "set credentials in the environment: AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
        },
        BucketError::Denied { denial: Denial::Credentials, service: S3, .. } => {
            "the credentials in the environment are wrong or have expired; temporary ones also need AWS_SESSION_TOKEN"
        }
        BucketError::Denied { denial: Denial::Credentials, .. } => {
            "the credentials in the environment are wrong or have expired"
        }
        BucketError::Denied { service, .. } => {
            let permissions = match service {
                S3 => "s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject",
                Google => "the role Storage Object Admin",
                Azure => "the role Storage Blob Data Contributor",
            };
            return Some(format!(
                "publishing needs the permissions to list the bucket and to read, write and delete objects below the prefix ({permissions}); a proxy in between can also answer 403"
            ));
        }
        BucketError::Unreachable { address, .. } => match address.service() {
            S3 => {
                "check the network, https_proxy and, for services other than Amazon's, AWS_ENDPOINT_URL (for http:// also AWS_ALLOW_HTTP=true); run the command again to continue"
            }
            Google => "check the network and https_proxy; run the command again to continue",
            Azure => "check the network, https_proxy and AZURE_STORAGE_ACCOUNT_NAME; run the command again to continue",
        },
        BucketError::TimedOut { .. } => "check the network and https_proxy; run the command again to continue",
        BucketError::Service { .. } => "run the command again to continue",
        BucketError::Settings { .. } => "docs/publish.md lists the variables",
        _ => return None,
    };
    Some(hint.to_owned())
}

/// Returns a hint for an error of the mirror branch.
pub fn store_hint(error: &StoreError) -> Option<String> {
    let hint = match error {
        StoreError::NotARepository { .. } => {
            "run this inside a git repository, or create one with `git init`".to_owned()
        }
        StoreError::NoMirror { remote: Some(remote), .. } => format!(
            "run `git hexmirror pull {remote}` to fetch it from {remote}; if {remote} has none, run `git hexmirror init` and then `git hexmirror update`"
        ),
        StoreError::NoMirror { remote: None, .. } => {
            "run `git hexmirror init` to create it, then `git hexmirror update` to fill it".to_owned()
        }
        StoreError::NoGitDir { target, .. } => no_git_dir_hint(target),
        StoreError::DubiousOwnership { directory } => format!(
            "the repository belongs to another user, whose git configuration and hooks would run with your permissions; if you trust that user, run: git config --global --add safe.directory {0}; in a Dockerfile: RUN git config --system --add safe.directory {0}",
            quoted(&directory.to_string_lossy())
        ),
        StoreError::UnnamedBare { directory } => {
            format!("name the repository explicitly: git --git-dir={} hexmirror", quoted(&directory.to_string_lossy()))
        }
        StoreError::BranchName { .. } => {
            "set a name such as hexmirror or refs/hexmirror/main with --branch NAME or git config hexmirror.branch NAME"
                .to_owned()
        }
        StoreError::InTheWay { other, .. } => {
            format!("choose another name for the mirror branch (git config hexmirror.branch NAME), or rename {other}")
        }
        StoreError::NotAMirror { .. } => {
            "choose another name for the mirror branch: git config hexmirror.branch NAME".to_owned()
        }
        StoreError::Partial { branch } => {
            let of_remote = branch.strip_prefix("refs/remotes/").and_then(|name| name.split_once('/'));
            let remote = of_remote.map(|(remote, _)| format!(" {}", quoted(remote))).unwrap_or_default();
            format!("run `git hexmirror pull{remote}` to fetch the missing objects")
        }
        StoreError::BrokenRef { reference, .. } => match reference.strip_prefix("refs/remotes/") {
            Some(name) => {
                let remote = name.split_once('/').map_or(name, |(remote, _)| remote);
                format!("run `git hexmirror pull {}` to fetch it again", quoted(remote))
            }
            None => "a system crash can cause this; `git hexmirror update` recovers the ref from its reflog, packed-refs or a remote".to_owned(),
        },
        StoreError::BrokenPackedRefs { path, .. } => format!(
            "this file holds all packed branches and tags; restore it from a backup, or move it away (mv {0} {0}.damaged) and \
             restore the refs from their reflogs in .git/logs or with git fetch",
            path.display()
        ),
        StoreError::NotRecovered { path, .. } => format!(
            "fetch the mirror from another clone that has it; or start over: rm {}, then git hexmirror update",
            quoted(&path.to_string_lossy())
        ),
        StoreError::CheckedOut { .. } => {
            "check out another branch in that worktree; the mirror branch does not need one".to_owned()
        }
        StoreError::Format { found, supported, .. } if found > supported => "update git-hexmirror".to_owned(),
        StoreError::Damaged { .. } => {
            "`git hexmirror verify` lists all damage, `git hexmirror update --repair` restores it".to_owned()
        }
        _ => return None,
    };
    Some(hint)
}

/// Returns a hint for a worktree or a submodule whose repository is absent.
fn no_git_dir_hint(target: &Path) -> String {
    let is_git = |folder: &&Path| folder.file_name().is_some_and(|name| name == ".git");
    let repository = target.ancestors().find(is_git).and_then(Path::parent).filter(|_| target.is_absolute());
    let mount = match repository.map(|folder| quoted(&folder.to_string_lossy())) {
        Some(folder) => format!("mount that repository at the same path, too (docker run -v {folder}:{folder}:ro)"),
        None => "mount the repository that it belongs to as a whole".to_owned(),
    };
    format!(
        "this is a worktree or a submodule, and its repository is elsewhere; in a container, {mount}, or mount a clone of its own"
    )
}

/// Returns a hint for a clone that lacks objects because those that it borrows are absent.
pub fn alternate_hint(file: &Path, absent: &Path) -> String {
    let folder = quoted(&absent.to_string_lossy());
    format!(
        "{} names {folder}, which does not exist here: this clone borrows its objects (git clone --shared or --reference); in a container, mount that folder at the same path, too (docker run -v {folder}:{folder}:ro); or make the clone complete where the folder exists: git repack -a -d && rm .git/objects/info/alternates",
        file.display()
    )
}

/// Returns a hint for an error of the server's certificate.
pub fn tls_hint(error: &TlsError) -> Option<String> {
    match error {
        TlsError::ReadOnly { .. } => Some(
            "run `git hexmirror serve --tls` once where the folder is writable, with the same --hostname options; or choose a writable folder with --tls-dir".into(),
        ),
        TlsError::Damaged { path, .. } => {
            let folder = path.parent().unwrap_or(path).to_string_lossy();
            Some(format!(
                "restore the file from a backup; or remove the authority (rm -r {}) and start the server again, which creates a new one that clients have to trust",
                quoted(&folder)
            ))
        }
        _ => None,
    }
}

/// Returns a hint for a server that does not answer.
pub fn probe_hint(error: &FetchError) -> &'static str {
    match error {
        FetchError::PlainText { .. } => "write the address with https://, as `git hexmirror serve` prints it",
        FetchError::Tls { .. } if !error.is_untrusted_certificate() => {
            "the server does not speak HTTPS there: write the address with http://, as `git hexmirror serve` prints it"
        }
        FetchError::Tls { .. } => {
            "pass the file with the server's certificate authority with --ca, such as DIR/ca.pem of `serve --tls-dir DIR`, and use a name that its certificate has"
        }
        FetchError::CaCertificates { .. } => "--ca must name a PEM file with the certificate authority of the server",
        _ => "check that `git hexmirror serve` runs and listens there",
    }
}

/// Returns a hint for an error of fetching a git dependency.
pub fn git_hint(error: &GitError) -> Option<String> {
    let hint = match error {
        GitError::Unreachable { .. } | GitError::Stalled { .. } => {
            "check the network and git's configuration (http.proxy, url.*.insteadOf); completed downloads are kept for the next `git hexmirror update`; with --keep-going, it commits them now"
        }
        GitError::NoRevision { .. } => {
            "a force push may have removed the commit; update the dependency, or ask its maintainers to restore the commit; `git hexmirror update --keep-going` commits everything else"
        }
        GitError::Refused { .. } | GitError::Incomplete { .. } => {
            "this repository was not stored; please tell its maintainers"
        }
        GitError::Submodule { .. } => {
            "remove `submodules: true` from the dependency, or point the submodule at a server"
        }
        error => return any_git_hint(error),
    };
    Some(hint.to_owned())
}

/// Returns a hint on what to do if the mirror cannot be fetched from a remote or pushed to it.
pub fn remote_hint(error: &GitError) -> Option<String> {
    let hint = match error {
        GitError::Unreachable { .. } | GitError::Stalled { .. } => {
            "check the network, the remote's URL (`git remote -v`) and git's configuration (http.proxy, url.*.insteadOf); the mirror was not changed"
        }
        GitError::Refused { .. } => "the mirror was not changed; please tell the administrators of the remote",
        GitError::PushRejected { message, .. } if message.contains("shallow update not allowed") => {
            "this clone is shallow: run `git fetch --unshallow`, or push to the repository that it was cloned from"
        }
        GitError::PushRejected { message, .. } if push_rules::refuse(message) => {
            return Some(push_rules::hint(message));
        }
        GitError::PushRejected { .. } => "ask the administrators of the remote to allow pushes to the mirror branch",
        error => return any_git_hint(error),
    };
    Some(hint.to_owned())
}

fn any_git_hint(error: &GitError) -> Option<String> {
    match error {
        GitError::NotRun { .. } => {
            Some("install git: it fetches git dependencies, and pushes and pulls the mirror".to_owned())
        }
        GitError::TooOld { .. } => Some("update git".to_owned()),
        GitError::AccessRefused { url, .. } | GitError::NoRepository { url, .. } => Some(format!(
            "check that `git ls-remote {}` works; git uses your credential helpers and ssh keys, and cannot ask for a password without a terminal",
            quoted(url)
        )),
        _ => None,
    }
}

/// Returns a hint for an error of fetching from a Hex repository.
pub fn fetch_hint(error: &FetchError) -> Option<String> {
    let hint = match error {
        FetchError::Unreachable { .. }
        | FetchError::TimedOut { .. }
        | FetchError::Interrupted { .. }
        | FetchError::Truncated { .. } => {
            "check the network and http_proxy/https_proxy; completed downloads are kept for the next `git hexmirror update`; with --keep-going, it commits them now"
        }
        FetchError::Tls { .. } | FetchError::CaCertificates { .. } => {
            "set HEX_CACERTS_PATH to a PEM file with the certificate authority to trust"
        }
        FetchError::NotFound { .. } => {
            "it may have been removed upstream, or require a login (mix hex.user auth) or a key (mix hex.organization auth NAME --key KEY); `git hexmirror update --keep-going` commits everything else"
        }
        FetchError::NoFile { .. } | FetchError::BadFile { .. } => {
            "a repository is read from this folder, because its URL is a path (git config hexmirror.REPOSITORY.url, or HEXMIRROR_URL); unset it to ask the repository's server"
        }
        FetchError::Unauthorized { status: 407, .. } => {
            "the proxy requires credentials: set http_proxy (or https_proxy) to http://USER:PASSWORD@HOST:PORT"
        }
        FetchError::Unauthorized { url, status, withheld } => return Some(key_hint(url, *status, *withheld)),
        FetchError::Status { status: 429, .. } => {
            "upstream limits the rate of requests; wait a few minutes, then run `git hexmirror update --jobs 2` to send fewer at once; completed downloads are kept"
        }
        FetchError::Status { status: 500..=599, .. } => {
            "upstream or a proxy has a problem (for hex.pm, see https://status.hex.pm); try again later; completed downloads are kept for the next `git hexmirror update`; with --keep-going, it commits them now"
        }
        FetchError::WebPage { .. } => {
            "a proxy or a network with a login page probably sent it: open any page in a browser to log in, or set http_proxy/https_proxy; the answer was not stored"
        }
        FetchError::ChecksumMismatch { file, .. } if file.starts_with("installs/") && !file.contains(".csv") => {
            "it was not stored; it is not the file that Elixir's signed list names: compare it with the one at https://builds.hex.pm; `git hexmirror update --refresh` pins what the newest list chooses"
        }
        FetchError::ChecksumMismatch { file, .. } if file.starts_with("installs/") => {
            "the list of Hex's or rebar3's versions has changed since it was pinned; `git hexmirror update --refresh` pins the newest one"
        }
        FetchError::ChecksumMismatch { .. } => "it was not stored; what upstream has is not what your lock pins",
        FetchError::NoEndpoint { repository } => {
            return Some(format!(
                "set it with `git config hexmirror.{repository}.url URL` or `mix hex.repo add {repository} URL`"
            ));
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

/// Returns a hint on how to get access. An organisation's packages need a key; if access to public packages is refused, a proxy
/// in between is the likely cause.
fn key_hint(url: &WebUrl, status: u16, withheld: Option<Withheld>) -> String {
    match withheld {
        Some(Withheld::UntrustedMirror) => {
            return "your key was not sent, because Hex sends no keys to a mirror set by HEX_MIRROR or HEX_MIRROR_URL; if you trust the mirror with the key, set HEX_TRUSTED_MIRROR_URL instead".to_owned();
        }
        Some(Withheld::ExpiredLogin) => {
            return "the Hex client's login has expired: `mix hex.user whoami` renews it, `mix hex.user auth` logs in again".to_owned();
        }
        None => {}
    }
    let address = url.to_string();
    let organisation = address.split_once("/repos/").and_then(|(_, rest)| rest.split('/').next());
    match organisation {
        Some(name) => format!("the key or login may have expired: log in with `mix hex.user auth`; in CI, use an organisation key: mix hex.organization auth {name} --key KEY; what the mirror has works without either (`git hexmirror run -- CMD`), and `git hexmirror update --keep-going` commits everything else"),
        None if status == 403 => "public packages need no key: a proxy or a firewall may block them (http_proxy, https_proxy), or upstream may block your IP address; a private repository needs a key (mix hex.repo add NAME URL --auth-key KEY)".to_owned(),
        None => "set a key with `mix hex.repo add NAME URL --auth-key KEY`; for hexpm or a trusted mirror, set HEX_REPOS_KEY; or add the host to ~/.netrc".to_owned(),
    }
}

/// Quotes a word for a POSIX shell.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+@:".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
