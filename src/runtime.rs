//! Builds tokio runtimes, with an error instead of a panic if the system's limits are reached.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::runtime::{Builder, Runtime};

/// The number of file descriptors that a runtime needs: its poller, its waker, and a pair of sockets for signals with copies.
const DESCRIPTORS: usize = 8;

/// Builds a runtime.
///
/// tokio panics if it cannot open the sockets through which signals arrive, so this function first checks that descriptors are
/// available.
///
/// # Errors
/// Fails if the system has too few descriptors, threads or other resources left.
pub fn build(builder: &mut Builder) -> io::Result<Runtime> {
    let free = (0..DESCRIPTORS).map(|_| io::pipe().map(|(reader, _)| reader)).collect::<io::Result<Vec<_>>>()?;
    drop(free);
    // Another thread may have used up the descriptors in the meantime.
    let built = catch_unwind(AssertUnwindSafe(|| builder.enable_all().build()));
    built.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::ResourceBusy, "Too many open files")))
}

/// Builds a runtime that works on the calling thread.
///
/// # Errors
/// Fails as [`build`] does.
pub fn current_thread() -> io::Result<Runtime> {
    build(&mut Builder::new_current_thread())
}
