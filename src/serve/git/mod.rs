//! Git over HTTP, read-only: the smart protocol (versions 0, 1 and 2) through the system git's `upload-pack`, and the dumb
//! one as plain files (gitprotocol-http(5)).
//!
//! | file | what it does |
//! |---|---|
//! | `route` | path and host to the repository and what is wanted of it |
//! | `answer` | one request to one response |
//! | `answers` | answers that were given before |
//! | `process` | `git upload-pack` as a process, bounded and killed with its client |
//! | `request` | the request's body: bounded, unpacked, piped to the process |
//! | `streamed` | a response that is sent while it is made |

mod answer;
mod answers;
mod process;
mod request;
mod route;
mod streamed;

pub(super) use answer::Repositories;
pub use process::Git;
pub(super) use request::unpacked;
pub(super) use route::{Asked, asked};
pub(super) use streamed::Streamed;
