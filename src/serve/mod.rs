//! The server for Hex and git clients, and the only module that uses hyper.
//!
//! It knows nothing about the mirror branch: everything that it serves comes from the [`Contents`] trait.
//!
//! | file | responsibility |
//! |---|---|
//! | `server` | options, and the server's life cycle |
//! | `listener` | the addresses that it listens on |
//! | `error` | why a server cannot run |
//! | `limits` | the limits of a server and their defaults |
//! | `connection` | one worker per core; connections and their end |
//! | `connection_limits` | the number of connections, in total and per peer, and which idle ones to close |
//! | `guarded` | the time that a client may take to read a response |
//! | `service` | one request to one response |
//! | `answer` | the type of all responses |
//! | `metrics` | counts for Prometheus |
//! | `elsewhere`, `shell_script` | the settings for clients on other machines |
//! | `request_log` | what is logged of a request |
//! | `retries` | retries of a request whose tip disappears meanwhile |
//! | `host_name` | a name that the user gives the server |
//! | `host` | the names that a server on a loopback address answers to |
//! | `proxy` | which requests leave, if the server is a command's proxy |
//! | `route` | path to [`Resource`] |
//! | `pages` | the web pages, for browsers |
//! | `comparisons` | the pages that take long: few at a time, one for all who ask for the same |
//! | `downloads` | the files that browsers download: a bounded number of bytes, one copy for all who ask for the same |
//! | `work_limits` | how many git processes run, how many pages are made, and how much browsers download at once |
//! | `blocking` | asks the contents on a thread of its own |
//! | `content_cache` | the items of the current tip and their bytes: each is looked up once and loaded once |
//! | `byte_cache` | the bounded cache of loaded bytes, with one load for all waiting requests |
//! | `git` | git repositories: the smart and the dumb protocol |
//! | `tls`, `certificate`, `authority`, `authority_folder` | HTTPS, with a local certificate authority and its folder |
//! | `refusal` | errors as clients see them |
//! | `conditional` | `If-None-Match`, `Range`, `If-Range` |
//! | `surface` | the parsers of requests, for the fuzz targets |
//! | [`mod@environment`], `access`, `insteadof`, `git_config`, `hex_config`, `variable` | the settings that make clients use this server |
//! | `outer`, `outer_server` | the environment before such settings |

mod access;
mod answer;
mod authority;
mod authority_folder;
mod blocking;
mod byte_cache;
mod certificate;
mod comparisons;
mod conditional;
mod connection;
mod connection_limits;
mod content_cache;
mod contents;
mod downloads;
mod elsewhere;
pub mod environment;
mod error;
mod git;
mod git_config;
mod hex_config;
mod host;
mod host_name;
mod insteadof;
mod limits;
mod listener;
mod metrics;
mod outer;
mod outer_server;
mod pages;
mod proxy;
mod record;
mod refusal;
mod request_log;
mod retries;
mod route;
mod server;
mod service;
mod shell_record;
mod shell_script;
mod stall_guard;
#[doc(hidden)]
pub mod surface;
mod tls;
mod variable;
mod work_limits;

pub use certificate::{AuthorityState, Renewal, TlsError};
pub use contents::{Contents, ContentsError, Following, Found, GitRepository, Registry, Resource, STALE, Tip, Visit};
pub use error::ServeError;
pub use git::Git;
pub use host_name::{HostName, HostNameError};
pub use limits::Limits;
pub use request_log::{Log, RequestLog, Unanswered};
pub use server::{Handle, Options, Server};
pub use tls::Tls;
