//! Git over HTTP, read-only: the smart protocol (versions 0, 1 and 2) through the system git's `upload-pack`, and the dumb
//! one as plain files (gitprotocol-http(5)).
//!
//! | file | what it does |
//! |---|---|
//! | `route` | path and host to the repository and what is wanted of it |
//! | `answer` | one request to one response |
//! | `answers` | answers that were given before |
//! | `process` | `git upload-pack` as a process, bounded and killed with its client |
//! | `request` | the request's body: bounded, unpacked, and whole before a process is started |
//! | `run` | one run of a process, from its request to its answer |
//! | `spool` | an answer between the process that writes it and those who read it |
//! | `streamed` | a response that is sent while it is made |
//! | `turns` | how many processes run at once |

mod answer;
mod answers;
mod process;
mod request;
mod route;
mod run;
mod spool;
mod streamed;
mod turns;

pub(super) use answer::Repositories;
pub use process::Git;
pub(super) use request::unpacked;
pub(super) use route::asked;
pub(super) use streamed::Streamed;
