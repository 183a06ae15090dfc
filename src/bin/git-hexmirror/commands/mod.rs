//! The commands, one thin file each: a command calls one operation and prints the result.

pub mod compact;
pub mod completions;
pub mod demo;
pub mod diff;
pub mod env;
pub mod export;
pub mod follow;
pub mod health;
pub mod hook;
pub mod hooks;
pub mod import;
pub mod index;
pub mod init;
pub mod list;
pub mod lock;
pub mod log;
pub mod man;
pub mod prune;
pub mod publish;
pub mod pull;
pub mod push;
pub mod run;
pub mod serve;
pub mod shell;
pub mod status;
pub mod trust;
pub mod update;
pub mod verify;
pub mod version;

mod changes;
mod documents;
mod offline;
mod serve_log;
mod settings;
mod source;
mod stop_signal;
