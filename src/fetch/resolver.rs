//! Looks the names of hosts up, on threads whose start may fail.
//!
//! The resolver that reqwest has by default asks tokio for a thread, which panics if the system gives none.

use std::net::ToSocketAddrs;
use std::thread;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::oneshot;

/// The system's resolver.
#[derive(Debug, Clone, Copy)]
pub(super) struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (answer, answered) = oneshot::channel();
        let look_up = move || {
            let found = (name.as_str(), 0).to_socket_addrs();
            // Nobody may be waiting any more.
            let _ = answer.send(found);
        };
        let started = thread::Builder::new().name("resolver".into()).spawn(look_up);
        Box::pin(async move {
            started?;
            let found = answered.await??;
            Ok(Box::new(found) as Addrs)
        })
    }
}
