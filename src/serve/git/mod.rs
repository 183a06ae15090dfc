//! Read-only git over HTTP: the smart protocol (versions 0, 1 and 2) by running the system git's `upload-pack`, and the
//! dumb protocol by serving plain files (gitprotocol-http(5)).
//!
//! | file | responsibility |
//! |---|---|
//! | `route` | path and host to the repository and the requested service |
//! | `answer` | one request to one response |
//! | `answer_cache` | the cache of answers |
//! | `process` | `git upload-pack` as a process, bounded and killed with its client |
//! | `request` | the request's body: bounded, decompressed, and complete before a process starts |
//! | `run` | one run of a process, from its request to its answer |
//! | `spool` | an answer between the process that writes it and the clients that read it |
//! | `streamed` | a response that is sent while it is generated |

mod answer;
mod answer_cache;
mod process;
mod request;
mod route;
mod run;
mod spool;
mod streamed;

pub(super) use answer::GitRepositories;
pub use process::Git;
pub(super) use request::unpacked;
pub(super) use route::git_request;
pub(super) use streamed::Streamed;
