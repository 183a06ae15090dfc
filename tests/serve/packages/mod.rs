//! The server, tested over a raw socket.

mod http;
mod limits;
mod metrics;
mod moving;
mod pages;
mod proxy;
pub mod server;
