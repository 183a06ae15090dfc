//! The settings and environment of git processes that do not depend on the user's configuration.

/// The settings of every git process outside the project's repository. Besides these, only
/// [`ThirdPartySettings`](super::ThirdPartySettings) apply.
pub(super) const FIXED: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.commitGraph=false",
    // No repository here has such an index, but `git fsck` starts another process to check it.
    "core.multiPackIndex=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.allow=never",
    "protocol.https.allow=always",
    "protocol.http.allow=always",
    "protocol.ssh.allow=always",
    "protocol.git.allow=always",
    "protocol.file.allow=never",
    "protocol.ext.allow=never",
    "transfer.bundleURI=false",
    "transfer.credentialsInUrl=allow",
    "fetch.unpackLimit=1",
    "transfer.unpackLimit=1",
    "fetch.writeCommitGraph=false",
    "fetch.fsckObjects=true",
    // These mistakes of old programs exist in real repositories. None of them is dangerous, and every client accepts
    // them. All other defects that git can detect are refused.
    "fetch.fsck.badDate=ignore",
    "fetch.fsck.badDateOverflow=ignore",
    "fetch.fsck.badTimezone=ignore",
    "fetch.fsck.missingEmail=ignore",
    "fetch.fsck.missingNameBeforeEmail=ignore",
    "fetch.fsck.missingSpaceBeforeDate=ignore",
    "fetch.fsck.missingSpaceBeforeEmail=ignore",
    "fetch.fsck.zeroPaddedDate=ignore",
    "fetch.fsck.zeroPaddedFilemode=ignore",
    "fsck.badDate=ignore",
    "fsck.badDateOverflow=ignore",
    "fsck.badTimezone=ignore",
    "fsck.missingEmail=ignore",
    "fsck.missingNameBeforeEmail=ignore",
    "fsck.missingSpaceBeforeDate=ignore",
    "fsck.missingSpaceBeforeEmail=ignore",
    "fsck.zeroPaddedDate=ignore",
    "fsck.zeroPaddedFilemode=ignore",
    // Bounds the memory that packing needs, whatever the repository.
    "core.bigFileThreshold=8m",
    "core.packedGitWindowSize=16m",
    "core.packedGitLimit=128m",
    "core.deltaBaseCacheLimit=32m",
    "pack.windowMemory=64m",
    // What is written outside of the project's repository can be fetched again.
    "core.fsync=none",
    "pack.deltaCacheSize=64m",
    "pack.packSizeLimit=0",
    "pack.indexVersion=2",
    "pack.writeReverseIndex=false",
    "fetch.bundleURI=",
    "fetch.negotiationAlgorithm=default",
    "color.ui=false",
    "color.advice=false",
    "color.remote=false",
    "color.transport=false",
];

/// The settings of every git process in the project's own repository. Everything else is up to the user: how to reach
/// remotes, what to trust, how to pack.
pub(super) const FIXED_IN_PROJECT: &[&str] = &[
    // Maintenance runs once, after the last of these processes.
    "gc.auto=0",
    "maintenance.auto=false",
    // Thousands of loose files would take five times the space of a few packs.
    "fetch.unpackLimit=1",
    "transfer.unpackLimit=1",
    // Other updates of the mirror branch do not run hooks either.
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "fetch.bundleURI=",
    // This program parses git's output.
    "color.ui=false",
    "color.advice=false",
    "color.push=false",
    "color.remote=false",
    "color.transport=false",
];

/// The variables that would redirect git to another repository (`git rev-parse --local-env-vars`, except for the
/// settings of the command line) or change its output.
pub(super) const REMOVED: &[&str] = &[
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_ATTR_SOURCE",
    "GIT_CEILING_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_DEFAULT_HASH",
    "GIT_DEFAULT_REF_FORMAT",
    "GIT_DIR",
    "GIT_GLOB_PATHSPECS",
    "GIT_GRAFT_FILE",
    "GIT_ICASE_PATHSPECS",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_LITERAL_PATHSPECS",
    "GIT_NAMESPACE",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REF_PARANOIA",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_TEMPLATE_DIR",
    "GIT_WORK_TREE",
    "LANG",
    "LANGUAGE",
];
