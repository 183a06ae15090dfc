//! The server, seen from a raw socket.

mod http;
mod limits;
mod moving;
mod support;
