//! The server, tested over a raw socket.

mod http;
mod limits;
mod metrics;
mod moving;
mod proxy;
mod server;
