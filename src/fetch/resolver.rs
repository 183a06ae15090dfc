//! Resolves host names on threads, and reports an error if a thread cannot be started.
//!
//! reqwest's default resolver asks tokio for a thread, which panics in that case.

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
            // The request may have been cancelled.
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
