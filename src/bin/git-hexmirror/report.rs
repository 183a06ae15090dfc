//! Errors for people: what happened, where, and what to do next.

use std::collections::BTreeMap;
use std::error::Error;

use git_hexmirror::fetch::{FetchError, WebUrl, Withheld};
use git_hexmirror::git::GitError;
use git_hexmirror::ops::{Failure, FileRefusal, OpError};
use git_hexmirror::store::StoreError;

use crate::commands::CommandError;
use crate::machine;
use crate::output::{BAD, BOLD, CHANGED, Output, Text, styled};
use crate::session::Session;
use crate::{push_rules, snippet};

/// How many of several things are named.
const NAMED: usize = 3;

/// The exit code for a mirror that is not fresh, or damaged.
pub const NOT_FRESH: u8 = 1;
/// The exit code for a checksum or a signature that is wrong.
pub const INTEGRITY: u8 = 4;

/// Prints an error and returns the exit code.
pub fn report(session: &Session, error: &CommandError) -> u8 {
    print(session, &styled(BAD, "error:"), error)
}

/// Prints what went wrong in something that the command can do without.
pub fn warn(session: &Session, error: &CommandError) {
    print(session, &styled(CHANGED, "warning:"), error);
}

fn print(session: &Session, title: &Text, error: &CommandError) -> u8 {
    let output = &session.output;
    match error {
        CommandError::Print(error) => {
            output.always(title.clone() + format!(" cannot print: {error}"));
            5
        }
        CommandError::Usage { message, hint } => {
            output.always(title.clone() + format!(" {message}"));
            show_hint(output, Some((*hint).to_owned()));
            2
        }
        CommandError::Op(error) => {
            show(output, title, error);
            // Of refs and objects the libraries do not always say where they are.
            if is_of_machine(error) && !whole_text(error).contains('/') {
                output.always(format!("  in {}", session.directory().display()));
            }
            show_hint(output, hint(error));
            exit_code(error.failure())
        }
    }
}

/// Returns whether the system or a library failed at something of this repository.
fn is_of_machine(error: &OpError) -> bool {
    let has_cause = match error {
        OpError::Several { errors } => return errors.iter().any(is_of_machine),
        OpError::Git(error) | OpError::Remote(error) => error.is_local(),
        error => error.source().is_some(),
    };
    has_cause && error.failure() == Failure::Repository
}

/// Returns what an error and its causes say.
fn whole_text(error: &OpError) -> String {
    if let OpError::Several { errors } = error {
        return errors.iter().map(whole_text).collect::<Vec<_>>().join("\n");
    }
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text += &format!("\n{error}");
        cause = error.source();
    }
    text
}

fn exit_code(failure: Failure) -> u8 {
    match failure {
        Failure::NotFresh => NOT_FRESH,
        Failure::Usage => 2,
        Failure::Network => 3,
        Failure::Integrity => INTEGRITY,
        Failure::Repository => 5,
    }
}

fn show(output: &Output, title: &Text, error: &OpError) {
    match error {
        OpError::Lock { file, text, source } => {
            output.always(snippet::render(source, file, text, output.color()));
        }
        OpError::Several { errors } => {
            let (entries, others) = by_cause(errors);
            let (passing, others): (Vec<_>, Vec<_>) = others.into_iter().partition(|error| is_passing(error));
            for error in others.into_iter().chain(passing.iter().take(NAMED).copied()) {
                show(output, title, error);
            }
            if passing.len() > NAMED {
                let more = passing.len() - NAMED;
                output.always(title.clone() + format!(" {more} more could not be fetched for such reasons"));
            }
            for (cause, mut entries) in entries {
                let rest = entries.split_off(entries.len().min(NAMED)).len();
                let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
                output.always(
                    styled(BAD, "error:")
                        + format!(" the registry entries of {}{more} are refused", entries.join(", ")),
                );
                output.always(format!("  caused by: {cause}"));
            }
        }
        error => {
            output.always(title.clone() + format!(" {error}"));
            let mut cause = error.source();
            while let Some(error) = cause {
                output.always(format!("  caused by: {error}"));
                cause = error.source();
            }
        }
    }
}

/// Returns whether an error is of the network and may pass: of many the first say enough.
fn is_passing(error: &OpError) -> bool {
    matches!(error, OpError::Fetch(error) if error.is_network() && !error.is_not_found())
}

/// Sorts out the registry entries that are refused for the same reason, which mostly is one wrong key.
fn by_cause(errors: &[OpError]) -> (BTreeMap<String, Vec<String>>, Vec<&OpError>) {
    let mut entries = BTreeMap::<String, Vec<String>>::new();
    for error in errors {
        if let OpError::Entry { entry, source } = error {
            entries.entry(source.to_string()).or_default().push(entry.to_string());
        }
    }
    entries.retain(|_, entries| entries.len() > 1);
    // They come as upstream answers.
    entries.values_mut().for_each(|entries| entries.sort());
    let alone = |error: &&OpError| match error {
        OpError::Entry { source, .. } => !entries.contains_key(&source.to_string()),
        _ => true,
    };
    let others = errors.iter().filter(alone).collect();
    (entries, others)
}

fn show_hint(output: &Output, hint: Option<String>) {
    if let Some(hint) = hint {
        output.always(styled(BOLD, "hint:") + format!(" {hint}"));
    }
}

/// Says what to do next.
fn hint(error: &OpError) -> Option<String> {
    if error.failure() == Failure::Repository
        && !matches!(error, OpError::Several { .. })
        && let Some(hint) = machine::hint(&whole_text(error))
    {
        return Some(hint.to_owned());
    }
    let hint = match error {
        OpError::Store(error) => return store_hint(error),
        OpError::Fetch(error) => return fetch_hint(error),
        OpError::Git(error) => return git_hint(error),
        OpError::Remote(error) => return remote_hint(error),
        OpError::Several { errors } => return errors.iter().find_map(hint),
        OpError::NoLock { .. } => {
            "run it inside a project with a mix.lock or rebar.lock (`mix deps.get` makes one), or name locks with --lock"
        }
        OpError::Lock { file, .. } if file.starts_with("refs/") => {
            "nothing was changed; mend the lock there, or delete what stands on that commit"
        }
        OpError::NoLockAt { .. } => {
            "choose a commit that has one; locks elsewhere than in the root are named with --lock, or found from their folder"
        }
        OpError::Refused { reason: FileRefusal::Outside, .. } => {
            "locks, .hexmirror.toml and the keys that it names are read from within the worktree only: have the file itself there"
        }
        OpError::Refused { .. } => {
            "a branch may have brought it (git log -- FILE): see what it is, and remove it or have the real file there"
        }
        OpError::NoRevision { .. } => {
            "`git log --oneline -- mix.lock` lists the commits that changed the lock; a shallow clone has few (git fetch --unshallow)"
        }
        OpError::TooManyRevisions => "name them as REV..REV, or one against the worktree as REV",
        OpError::RevisionAndPackage { name } => {
            return Some(format!("say which is meant: `{name}..` is the revision, `-- {name}` the package"));
        }
        OpError::NoPackage { near, .. } if !near.is_empty() => {
            return Some(format!("did you mean {}?", near.join(" or ")));
        }
        OpError::NoPackage { .. } => "`git hexmirror lock` lists what the locks name",
        OpError::NoPublicKey { repository } => {
            return Some(format!(
                "set it: git config hexmirror.{repository}.publicKey PATH, or mix hex.repo add {repository} URL --public-key PATH"
            ));
        }
        OpError::NotListed { release } => {
            let package = &release.package;
            return Some(format!(
                "the release may be gone upstream, or its registry not up to date yet; `mix hex.info {package}` shows what there is"
            ));
        }
        OpError::RegistryDisagrees { release, .. } | OpError::InnerChecksum { release, .. } => {
            return Some(format!(
                "nothing was stored; if you trust upstream more than the lock, run `mix deps.update {}`, else find out who changed it",
                release.package
            ));
        }
        OpError::Entry { entry, .. } => {
            return Some(format!(
                "nothing was stored; check the repository's address and public key (git config hexmirror.{0}.url and hexmirror.{0}.publicKey)",
                entry.repository
            ));
        }
        OpError::Signer { repository, found, .. } => {
            return Some(format!(
                "nothing was changed; if {repository} announced a new key, give it (hexmirror.{repository}.publicKey), allow it with `git config hexmirror.{repository}.signer {found}`, and run `git hexmirror update`; else somebody put another key in its place"
            ));
        }
        OpError::OlderEntry { entry, .. } => {
            return Some(format!(
                "the mirror keeps its own; an upstream or a cache that lags behind, or somebody who replays old entries, may be the cause; --keep-going commits the rest now; if upstream took it back on purpose: git hexmirror update --refresh --accept-older {entry}"
            ));
        }
        OpError::Tarball { .. } => {
            "nothing was stored, and what was fetched is kept; --keep-going commits the rest now; the package's publisher should know of this"
        }
        OpError::NoRemote => {
            "name one after the command, by its name or address; or add one: git remote add origin URL; of several, git config remote.pushDefault NAME says which"
        }
        OpError::RemoteLacks { remote, .. } => {
            return Some(format!(
                "who has it takes it there with `git hexmirror push {remote}`; or make it: git hexmirror update"
            ));
        }
        OpError::Compacted { remote, .. } => {
            return Some(format!(
                "replace it, which is safe as long as nobody else pushes there: git hexmirror push --force-with-lease {remote}"
            ));
        }
        OpError::RemoteHasMore { remote, .. } => {
            return Some(format!("nothing was changed; bring it first: git hexmirror pull {remote}"));
        }
        OpError::RemoteKeptMoving { .. } => "nothing is lost; run it again",
        OpError::TwoTarballs { .. } => {
            "nothing was changed; run `git hexmirror update --refresh`, so that the registry can decide"
        }
        OpError::SharedHooks { .. } => {
            "give this repository hooks of its own (git config core.hooksPath .githooks), then: git hexmirror hooks install"
        }
        OpError::StillLacking { .. } => {
            "the branch is as it was; this is a defect of git-hexmirror, please report it with the lock"
        }
        OpError::KeptMoving { .. } => "try again when nothing else writes to the branch",
        _ => return None,
    };
    Some(hint.to_owned())
}

fn store_hint(error: &StoreError) -> Option<String> {
    let hint = match error {
        StoreError::NotARepository { .. } => "run it inside a git repository, or make one with `git init`".to_owned(),
        StoreError::NoMirror { remote: Some(remote), .. } => format!(
            "bring {remote}'s with `git hexmirror pull {remote}`; if it has none, make it with `git hexmirror init`, fill it with `git hexmirror update`"
        ),
        StoreError::NoMirror { remote: None, .. } => {
            "make it with `git hexmirror init`, fill it with `git hexmirror update`".to_owned()
        }
        StoreError::DubiousOwnership { directory } => format!(
            "it belongs to another user, whose settings and hooks would run as yours; if you trust them: git config --global --add safe.directory {}",
            quoted(&directory.to_string_lossy())
        ),
        StoreError::UnnamedBare { directory } => {
            format!("name it: git --git-dir={} hexmirror", quoted(&directory.to_string_lossy()))
        }
        StoreError::BranchName { .. } => {
            "name it with --branch NAME or git config hexmirror.branch NAME, such as hexmirror or refs/hexmirror/main"
                .to_owned()
        }
        StoreError::InTheWay { other, .. } => {
            format!("choose another name for the mirror: git config hexmirror.branch NAME; or rename {other}")
        }
        StoreError::NotAMirror { .. } => {
            "choose another name for the mirror: git config hexmirror.branch NAME".to_owned()
        }
        StoreError::Partial { branch } => {
            let of_remote = branch.strip_prefix("refs/remotes/").and_then(|name| name.split_once('/'));
            let remote = of_remote.map(|(remote, _)| format!(" {}", quoted(remote))).unwrap_or_default();
            format!("fetch them with `git hexmirror pull{remote}`")
        }
        StoreError::BrokenRef { reference, .. } => match reference.strip_prefix("refs/remotes/") {
            Some(name) => {
                let remote = name.split_once('/').map_or(name, |(remote, _)| remote);
                format!("fetch it again: git hexmirror pull {}", quoted(remote))
            }
            None => "a crash of the machine can do that; `git hexmirror update` recovers it, from its reflog, packed-refs or a remote".to_owned(),
        },
        StoreError::BrokenPackedRefs { path, .. } => format!(
            "it has all packed branches and tags: restore it from a backup, or move it away (mv {0} {0}.damaged) and restore the \
             refs from their reflogs in .git/logs, or by git fetch",
            path.display()
        ),
        StoreError::NotRecovered { path, .. } => format!(
            "find a clone that has the mirror and fetch it from there; or start over: rm {}, then git hexmirror update",
            quoted(&path.to_string_lossy())
        ),
        StoreError::CheckedOut { .. } => "check out another branch there; the mirror needs no worktree".to_owned(),
        StoreError::Format { found, supported, .. } if found > supported => "update git-hexmirror".to_owned(),
        StoreError::Damaged { .. } => {
            "see all damage with `git hexmirror verify`, and restore it with `git hexmirror update --repair`".to_owned()
        }
        _ => return None,
    };
    Some(hint)
}

fn git_hint(error: &GitError) -> Option<String> {
    let hint = match error {
        GitError::Unreachable { .. } | GitError::Stalled { .. } => {
            "check the network and git's settings (http.proxy, url.…insteadOf); what was fetched is kept for the next `git hexmirror update`, and --keep-going commits the rest now"
        }
        GitError::NoRevision { .. } => {
            "it may have been force-pushed away; update the dependency, or find who has the commit; --keep-going commits the rest now"
        }
        GitError::Refused { .. } | GitError::Incomplete { .. } => {
            "nothing was stored; the repository's owner should know of this"
        }
        GitError::Submodule { .. } => {
            "drop `submodules: true` for the dependency, or have the submodule point to a server"
        }
        error => return any_git_hint(error),
    };
    Some(hint.to_owned())
}

/// Says what to do where the mirror cannot be brought from a remote or taken there.
fn remote_hint(error: &GitError) -> Option<String> {
    let hint = match error {
        GitError::Unreachable { .. } | GitError::Stalled { .. } => {
            "check the network, the address (`git remote -v`) and git's settings (http.proxy, url.…insteadOf); the mirror is as it was"
        }
        GitError::Refused { .. } => {
            "nothing was taken over; the mirror is as it was; who looks after that repository should know of this"
        }
        GitError::NotTaken { message, .. } if message.contains("shallow update not allowed") => {
            "this clone is shallow: run `git fetch --unshallow`, or push to where it was cloned from"
        }
        GitError::NotTaken { message, .. } if push_rules::refuse(message) => return Some(push_rules::hint(message)),
        GitError::NotTaken { .. } => "who looks after that repository has to allow pushing to the mirror branch",
        error => return any_git_hint(error),
    };
    Some(hint.to_owned())
}

fn any_git_hint(error: &GitError) -> Option<String> {
    match error {
        GitError::NotRun { .. } => {
            Some("install git; it fetches git dependencies, and takes the mirror to remotes and from them".to_owned())
        }
        GitError::TooOld { .. } => Some("update git".to_owned()),
        GitError::AccessRefused { url, .. } | GitError::NoRepository { url, .. } => Some(format!(
            "see that `git ls-remote {}` works: the user's own credential helpers and ssh keys are used, and nobody is asked where there is no terminal",
            quoted(url)
        )),
        _ => None,
    }
}

fn fetch_hint(error: &FetchError) -> Option<String> {
    let hint = match error {
        FetchError::Unreachable { .. }
        | FetchError::TimedOut { .. }
        | FetchError::Interrupted { .. }
        | FetchError::Truncated { .. } => {
            "check the network and http_proxy/https_proxy; what was fetched is kept for the next `git hexmirror update`, and --keep-going commits the rest now"
        }
        FetchError::Tls { .. } | FetchError::CaCertificates { .. } => {
            "set HEX_CACERTS_PATH to a PEM file with the certificate authority to trust"
        }
        FetchError::NotFound { .. } => {
            "it may be gone upstream, or need a login (mix hex.user auth) or a key (mix hex.organization auth NAME --key KEY); --keep-going commits the rest now"
        }
        FetchError::Unauthorized { status: 407, .. } => {
            "the proxy asks who you are: http_proxy=http://USER:PASSWORD@HOST:PORT (or https_proxy)"
        }
        FetchError::Unauthorized { url, status, withheld } => return Some(key_hint(url, *status, *withheld)),
        FetchError::Status { status: 429, .. } => {
            "upstream has had enough requests for now; wait some minutes, or ask for less at once: git hexmirror update --jobs 2; what was fetched is kept for it"
        }
        FetchError::Status { status: 500..=599, .. } => {
            "upstream, or a proxy before it, is in trouble (for hex.pm: https://status.hex.pm); try again later; what was fetched is kept for the next `git hexmirror update`, and --keep-going commits the rest now"
        }
        FetchError::WebPage { .. } => {
            "it comes from a proxy or a network that wants you to log in: open any page in a browser, or set http_proxy/https_proxy; nothing of it was stored"
        }
        FetchError::ChecksumMismatch { .. } => {
            "nothing was stored; the tarball upstream is not the one that was locked"
        }
        FetchError::NoEndpoint { repository } => {
            return Some(format!(
                "say where it is: git config hexmirror.{repository}.url URL, or mix hex.repo add {repository} URL"
            ));
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

/// Describes how to get access: an organisation's packages need a key, and what is public is refused by something in between.
fn key_hint(url: &WebUrl, status: u16, withheld: Option<Withheld>) -> String {
    match withheld {
        Some(Withheld::UntrustedMirror) => {
            return "you have a key, but HEX_MIRROR and HEX_MIRROR_URL name a mirror that gets none; if it may have the key, set HEX_TRUSTED_MIRROR_URL instead".to_owned();
        }
        Some(Withheld::ExpiredLogin) => {
            return "the login of the Hex client has expired: `mix hex.user whoami` renews it, `mix hex.user auth` logs in again".to_owned();
        }
        None => {}
    }
    let address = url.to_string();
    let organisation = address.split_once("/repos/").and_then(|(_, rest)| rest.split('/').next());
    match organisation {
        Some(name) => format!("log in with `mix hex.user auth`, or in CI give an organisation's key: mix hex.organization auth {name} --key KEY"),
        None if status == 403 => "public packages need no key: a proxy or a firewall in between may refuse them (http_proxy, https_proxy), or upstream this address; a private repository needs one (mix hex.repo add NAME URL --auth-key KEY)".to_owned(),
        None => "give a key: mix hex.repo add NAME URL --auth-key KEY; for hexpm or a trusted mirror, HEX_REPOS_KEY; or name the host in ~/.netrc".to_owned(),
    }
}

/// Writes a word so that a shell takes it for one.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+@:".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
