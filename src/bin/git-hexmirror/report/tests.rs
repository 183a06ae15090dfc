//! Prints the errors with their hints as one list, so that they can be reviewed together.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use git_hexmirror::fetch::{FetchError, WebUrl, Withheld};
use git_hexmirror::git::{GitError, Refs};
use git_hexmirror::hex::artefacts::ChecksumMapError;
use git_hexmirror::hex::asset_tools::{NpmError, UnpackError};
use git_hexmirror::hex::mix_archive::MixArchiveError;
use git_hexmirror::hex::registry::{KeyError, RegistryError};
use git_hexmirror::model::{
    DownloadError, EntryId, Fingerprint, GitAddress, OuterChecksum, ReleaseId, Remote, RepositoryName, Revision,
};
use git_hexmirror::ops::FileError;
use git_hexmirror::plan::{LeftOutLock, LostFact, Omission};
use git_hexmirror::serve::TlsError;
use git_hexmirror::store::StoreError;

use super::*;

fn path() -> PathBuf {
    "/project".into()
}

fn io_error() -> io::Error {
    io::Error::other("CAUSE")
}

fn cause() -> Box<dyn Error + Send + Sync> {
    "CAUSE".into()
}

fn op_errors() -> Vec<OpError> {
    let commit = git_hexmirror::store::ObjectId::from_hex(&[b'1'; 40]).unwrap();
    use OpError::*;
    let repository: RepositoryName = "acme".parse().unwrap();
    let package: git_hexmirror::model::PackageName = "plug".parse().unwrap();
    let entry = EntryId { repository: RepositoryName::hexpm(), package: package.clone() };
    let id = ReleaseId { repository: RepositoryName::hexpm(), package, version: "1.0.0".parse().unwrap() };
    let release = || id.clone();
    let outer = |byte| OuterChecksum::from_bytes([byte; 32]);
    let inner = |byte| git_hexmirror::model::InnerChecksum::from_bytes([byte; 32]);
    let remote = || git_hexmirror::model::Remote::from("origin");
    let branch = || "hexmirror".to_owned();
    let (file, reason) = ("vendor/x/mix.lock".into(), Omission::Below("vendor"));
    let left_out = vec![LeftOutLock { file, reason }];
    vec![
        NoFolder { directory: path() },
        NoLock { wanted: "mix.lock or rebar.lock".into(), directory: path(), left_out: Vec::new() },
        NoLock { wanted: "mix.lock or rebar.lock".into(), directory: path(), left_out },
        TooManyLocks { limit: 10_000 },
        NoLockAt { wanted: "mix.lock".into(), states: "HEAD~ or HEAD".into() },
        NoRevision { revision: "v1".into() },
        NoMergeBase { range: "a...b".into() },
        TooManyRevisions,
        RevisionAndPackage { name: "plug".into() },
        NoPackage { name: "plog".into(), near: vec!["plug".into()] },
        NoPackage { name: "other".into(), near: Vec::new() },
        Refused { file: "mix.lock".into(), reason: FileRefusal::Outside },
        Refused { file: "mix.lock".into(), reason: FileRefusal::Kind { kind: "a FIFO" } },
        Refused { file: "mix.lock".into(), reason: FileRefusal::TooLarge { limit: 1 << 20 } },
        Read { path: path(), source: io_error() },
        NoPublicKey { repository: repository.clone() },
        PublicKey { repository: repository.clone(), problem: "PROBLEM".into() },
        NoPrivateKey { path: path(), signer: None },
        NoPrivateKey { path: path(), signer: Some(Fingerprint::from_bytes([1; 32])) },
        PrivateKey { origin: "HEXMIRROR_PRIVATE_KEY".into(), source: KeyError::Encrypted },
        OtherIndexKey {
            repository: repository.clone(),
            expected: Fingerprint::from_bytes([1; 32]),
            origin: "/project/key.pem".into(),
            found: Fingerprint::from_bytes([2; 32]),
        },
        SameIndexKey { origin: "HEXMIRROR_PRIVATE_KEY".into() },
        PrivateKeyInMirror { path: "hex/acme/index/public_key".into(), commit: None },
        PrivateKeyInMirror { path: "hex/acme/index/public_key".into(), commit: Some(commit) },
        Entry { entry: entry.clone(), source: RegistryError::BadSignature },
        Signer {
            repository,
            expected: Fingerprint::from_bytes([1; 32]),
            expected_in: "recorded in the local mirror".into(),
            found: Fingerprint::from_bytes([2; 32]),
            found_in: "of the public key in use".into(),
        },
        SignerUnknown {
            repository: "hexpm:acme".parse().unwrap(),
            signer: Fingerprint::from_bytes([1; 32]),
            found_in: "recorded in the local mirror".into(),
        },
        OlderEntry {
            entry,
            lost: vec![LostFact::Release("1.1.0".parse().unwrap()), LostFact::Retirement("1.0.0".parse().unwrap())],
        },
        NotListed { release: release() },
        InvalidRelease { release: release(), reason: "it points to advisory 9, of 1".into() },
        RegistryDisagrees { release: release(), expected: outer(1), got: outer(2) },
        TwoTarballs { release: release(), one: outer(1), other: outer(2) },
        InnerChecksum { release: release(), expected: inner(1), got: inner(2) },
        KeptMoving { branch: branch() },
        LockWouldChange { file: "app/hexmirror.lock".into(), is_bare: false },
        LockWouldChange { file: "hexmirror.lock".into(), is_bare: true },
        TooManyPlugins { rounds: 64 },
        NoBranch { branch: "https://h/advisories.git main".parse().unwrap() },
        StillLacking { lacking: vec![id.to_string()] },
        NoRemote,
        UnknownRemote { remote: "orgin".into(), known: vec![remote(), "hub".into()] },
        RemoteLacks { remote: remote(), branch: branch() },
        RemoteKeptMoving { remote: remote(), branch: branch(), attempts: 5 },
        Compacted { remote: remote(), branch: branch() },
        RemoteHasMore { remote: remote(), branch: branch() },
        SharedHooks { folder: path() },
        Run { program: "mix".into(), source: io_error() },
        NestedShell,
        Sample { problem: "PROBLEM".into() },
        Machine { action: "create a temporary folder in", path: path(), source: io_error() },
    ]
}

fn file_errors() -> Vec<FileError> {
    use FileError::*;
    let list = || "installs/hex-1.x.csv".parse().unwrap();
    let asset_tool = || "esbuild 0.25.0 linux-x64".parse().unwrap();
    let release = || ReleaseId {
        repository: RepositoryName::hexpm(),
        package: "plug".parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
    };
    vec![
        ChecksumList {
            release: release(),
            file: "checksum.exs".into(),
            source: ChecksumMapError::Checksum { name: "FILE".into() },
        },
        TooManyArtefacts { release: release(), target: "x86_64-linux-gnu nif 2.16".parse().unwrap(), files: 65 },
        NoArtefact { artefact: "FILE of alpha 1.0.0".into(), tried: vec!["https://h/FILE".parse().unwrap()] },
        NoArtefact { artefact: "FILE of alpha 1.0.0".into(), tried: Vec::new() },
        UnsignedList { list: list() },
        WrongInstaller { path: "installs/1.14.0/hex-2.0.0.ez".parse().unwrap(), list: list() },
        MixArchive { pair: "1.14.0 otp 25".parse().unwrap(), source: MixArchiveError::Names },
        NotOfNpm { package: "@esbuild/linux-x64@0.25.0".into(), source: NpmError::NotSigned },
        NotOfNpm { package: "@esbuild/linux-x64@0.25.0".into(), source: NpmError::Manifest },
        WrongIntegrity { address: "https://h/FILE".parse().unwrap() },
        AssetArchive { id: asset_tool(), source: UnpackError::NoProgram { name: "package/bin/esbuild".into() } },
        AssetAddress { id: asset_tool(), source: DownloadError::Scheme },
        NoTool { path: list() },
        UnpinnedTool { path: list() },
        NoTools { has_downloads: false },
        NoTools { has_downloads: true },
        NoMixHome,
    ]
}

fn store_errors() -> Vec<StoreError> {
    use StoreError::*;
    let branch = || "hexmirror".to_owned();
    vec![
        NotARepository { directory: path() },
        DubiousOwnership { directory: path() },
        NoGitDir { file: "/wt/.git".into(), target: "/home/me/project/.git/worktrees/wt".into() },
        NoGitDir { file: "/project/sub/.git".into(), target: "../.git/modules/sub".into() },
        NoTemporary { folder: "/tmp".into(), source: io_error() },
        UnnamedBare { directory: path() },
        Unsupported { feature: "SHA-256 objects (extensions.objectFormat)".into() },
        BranchName { branch: "a..b".into(), problem: "git does not accept it" },
        InTheWay { branch: "hexmirror/x".into(), other: branch() },
        NoMirror { branch: branch(), remote: None },
        NoMirror { branch: branch(), remote: Some(Remote::from("origin")) },
        NotAMirror { branch: branch() },
        Partial { branch: "refs/remotes/origin/hexmirror".into() },
        Format { branch: branch(), found: 2, supported: 1 },
        CheckedOut { branch: branch(), worktree: path() },
        Damaged { path: "manifest".into(), source: cause() },
        BrokenRef { reference: "refs/heads/hexmirror".into(), problem: "it is empty".into() },
        BrokenRef { reference: "refs/remotes/origin/hexmirror".into(), problem: "it is empty".into() },
        BrokenPackedRefs { path: "/project/.git/packed-refs".into(), source: cause() },
        NotRecovered {
            reference: "refs/heads/hexmirror".into(),
            problem: "it is empty".into(),
            path: "/project/.git/refs/heads/hexmirror".into(),
        },
        Moved { branch: branch() },
        Unreadable { path: "manifest".into(), source: cause() },
    ]
}

fn git_errors() -> Vec<GitError> {
    use GitError::*;
    let url = || "https://example.org/a/b".to_owned();
    let message = || "MESSAGE".to_owned();
    let address: GitAddress = "example.org/a/b".parse().unwrap();
    let revision: Revision = "1".repeat(40).parse().unwrap();
    let refs = Refs { names: vec!["main".into(), "tags/v1".into()], more: 2 };
    vec![
        NotRun { program: "git".into(), source: io_error() },
        TooOld { found: "2.20.1".into(), needed: "2.32" },
        Unreachable { url: url(), message: message() },
        AccessRefused { url: url(), message: message() },
        NoRepository { url: url(), message: message() },
        Stalled { url: url(), seconds: 30 },
        NoRevision { url: url(), revision, refs },
        Refused { url: url(), message: message() },
        Incomplete { address: address.clone(), message: message() },
        TooManySubmodules { address },
        RemoteName { remote: Remote::from("--x") },
        PushRejected { url: url(), reference: "refs/heads/hexmirror".into(), message: message() },
        PushRejected { url: url(), reference: "refs/heads/hexmirror".into(), message: "GH013: secret".into() },
        Failed { action: "store a pack", folder: path(), message: message() },
    ]
}

fn fetch_errors() -> Vec<FetchError> {
    use FetchError::*;
    let url = || "https://repo.hex.pm/packages/plug".parse::<WebUrl>().unwrap();
    let refused = |status, withheld| Unauthorized { url: url(), status, withheld };
    let status = |status| Status { url: url(), status, retry_after: None };
    vec![
        NoEndpoint { repository: "acme".parse().unwrap() },
        InvalidKey { url: url() },
        CaCertificates { path: path(), source: cause() },
        Unreachable { url: url(), proxy: None, source: cause() },
        TimedOut { url: url(), after: Duration::from_secs(30) },
        Tls { url: url(), source: cause() },
        Interrupted { url: url(), source: cause() },
        Truncated { url: url(), expected: 2, got: 1 },
        NotFound { url: url(), status: 404 },
        refused(401, None),
        refused(401, Some(Withheld::UntrustedMirror)),
        refused(401, Some(Withheld::ExpiredLogin)),
        refused(403, None),
        refused(407, None),
        status(429),
        status(503),
        WebPage { url: url() },
        Protocol { url: url(), reason: "damaged gzip".into() },
        TooLarge { url: url(), limit: 1000 },
        HexConfig { path: path(), source: cause() },
    ]
}

fn server_errors() -> Vec<OpError> {
    let url = || "http://mirror:4040".to_owned();
    let of = |source| OpError::Probe { url: url(), source };
    let asked = || "http://mirror:4040/health".parse::<WebUrl>().unwrap();
    vec![
        OpError::ServerUrl { url: url(), reason: "it is longer than 4096 bytes".into() },
        of(FetchError::Unreachable { url: asked(), proxy: None, source: cause() }),
        of(FetchError::Tls { url: asked(), source: cause() }),
        of(FetchError::CaCertificates { path: path(), source: cause() }),
        OpError::Tls(TlsError::Damaged { path: "/tls/names".into(), problem: "it is missing".into() }),
        OpError::Tls(TlsError::ReadOnly { folder: path(), problem: "there is none".into() }),
    ]
}

#[test]
fn errors_and_their_hints() {
    let stores = store_errors().into_iter().map(OpError::from);
    let (gits, remotes) = (git_errors().into_iter().map(OpError::Git), git_errors().into_iter().map(OpError::Remote));
    let fetches = fetch_errors().into_iter().map(OpError::from);
    let files = file_errors().into_iter().map(OpError::from);
    let errors = op_errors()
        .into_iter()
        .chain(files)
        .chain(server_errors())
        .chain(stores)
        .chain(gits)
        .chain(remotes)
        .chain(fetches);
    let mut list = String::new();
    for error in errors {
        list += &format!("error: {}\n", whole_text(&error).replace('\n', "\n  caused by: "));
        list += &hint(&error).map_or_else(String::new, |hint| format!("hint: {hint}\n"));
        list.push('\n');
    }
    insta::assert_snapshot!("errors", list);
}
