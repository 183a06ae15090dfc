//! What git is run with, whatever the user has configured.

/// The settings that every process outside of the project's repository gets. Beside them only
/// [`SettingsForOthers`](super::SettingsForOthers) count.
pub(super) const FIXED: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.commitGraph=false",
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
    // Mistakes that old programs made and that real repositories hold on to. None of them is dangerous, and every client
    // accepts them; everything else that git knows to be wrong is refused.
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
    // Bounds the memory that packing takes, whatever the repository.
    "core.bigFileThreshold=8m",
    "core.packedGitWindowSize=16m",
    "core.packedGitLimit=128m",
    "core.deltaBaseCacheLimit=32m",
    "pack.windowMemory=64m",
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

/// The settings that every process in the project's own repository gets. Everything else there is the user's choice: how to
/// reach remotes, what to trust, how to pack.
pub(super) const FIXED_IN_PROJECT: &[&str] = &[
    // A repack in the background would outlive the program.
    "gc.auto=0",
    "maintenance.auto=false",
    // The mirror branch is moved without hooks elsewhere too.
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "fetch.bundleURI=",
    // What git prints is read.
    "color.ui=false",
    "color.advice=false",
    "color.push=false",
    "color.remote=false",
    "color.transport=false",
];

/// The variables that would lead git to another repository than the one that it is run for (`git rev-parse
/// --local-env-vars`, but for the settings of the command line), or change what it makes.
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
