//! The server for Hex and git clients: the only place that names hyper.
//!
//! It knows nothing of the mirror branch: what it serves comes through the [`Contents`] trait. A request goes through
//!
//! | file | what it does |
//! |---|---|
//! | `server` | options, listening, the server's life |
//! | `connection` | one worker a core; connections, and their end |
//! | `seats` | how many connections, in all and of one peer; who makes room |
//! | `guarded` | how long a client may take for what it asked for |
//! | `service` | one request to one response, and its log line |
//! | `tries` | requests whose state of the branch goes away under them |
//! | `host` | under which names a server on a loopback address answers |
//! | `route` | path to [`Resource`] |
//! | `shelf` | what the tip has for a path, and its bytes: looked up once, loaded once |
//! | `cache` | the bounded cache under it, one load for many waiters |
//! | `git` | git repositories: the smart and the dumb protocol |
//! | `tls` | a local certificate authority, and HTTPS with it |
//! | `refusal` | errors as clients see them |
//! | `conditional` | `If-None-Match`, `Range`, `If-Range` |
//! | `surface` | how requests are read, for the fuzz targets |
//! | [`mod@environment`], `redirects` | what makes clients ask this server |

mod cache;
mod conditional;
mod connection;
mod contents;
pub mod environment;
mod git;
mod guarded;
mod host;
mod redirects;
mod refusal;
mod route;
mod seats;
mod server;
mod service;
mod shelf;
#[doc(hidden)]
pub mod surface;
mod tls;
mod tries;

pub use contents::{Contents, ContentsError, Found, GitRepository, Resource, Tip};
pub use git::Git;
pub use server::{Handle, Limits, Log, Options, RequestLog, ServeError, Server};
pub use tls::{Tls, TlsError};
