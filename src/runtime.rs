//! Runtimes for asynchronous work, made so that a machine at its limits gives an error.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::runtime::{Builder, Runtime};

/// How many file descriptors a runtime takes: its poller, its waker, and a pair of sockets for signals and their copies.
const DESCRIPTORS: usize = 8;

/// Builds a runtime.
///
/// tokio panics if it has no descriptor for the sockets that signals arrive by, so these are looked for first.
///
/// # Errors
/// Fails where the system does not give what a runtime needs.
pub fn build(builder: &mut Builder) -> io::Result<Runtime> {
    let free = (0..DESCRIPTORS).map(|_| io::pipe().map(|(reader, _)| reader)).collect::<io::Result<Vec<_>>>()?;
    drop(free);
    // Another thread may have taken them.
    let built = catch_unwind(AssertUnwindSafe(|| builder.enable_all().build()));
    built.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::ResourceBusy, "Too many open files")))
}

/// Builds a runtime that works on the calling thread.
///
/// # Errors
/// Those of [`build`].
pub fn current_thread() -> io::Result<Runtime> {
    build(&mut Builder::new_current_thread())
}
