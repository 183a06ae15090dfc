//! Makes sure that neither a panic nor a signal for an exceeded limit ends the program without a message.

use std::any::Any;
use std::panic::{self, PanicHookInfo};
use std::process::ExitCode;

use crate::output::{BAD, BOLD, Output, styled};

/// The hint after a panic.
const ISSUES: &str = "this is a bug in git-hexmirror, please report it with the command and this message";

/// The messages with which tokio panics if the system has no thread or descriptor left. The code that builds a runtime catches
/// the panic and turns it into an error.
const OF_TOKIO: &[&str] = &["OS can't spawn worker thread", "failed to create UnixStream"];

/// Runs the program. Returns the exit code 5 if it panics.
pub fn guarded(run: impl FnOnce() -> ExitCode + panic::UnwindSafe) -> ExitCode {
    panic::set_hook(Box::new(report));
    ignore_file_size_signal();
    panic::catch_unwind(run).unwrap_or_else(|payload| {
        // The panic hook has printed the message of any other panic.
        if is_of_tokio(&*payload) {
            Output::plain().always(styled(BAD, "error:") + format!(" {}", text(&*payload)));
        }
        ExitCode::from(5)
    })
}

fn is_of_tokio(payload: &(dyn Any + Send)) -> bool {
    OF_TOKIO.iter().any(|begin| text(payload).starts_with(begin))
}

fn report(info: &PanicHookInfo<'_>) {
    if is_of_tokio(info.payload()) {
        return;
    }
    let place = info.location().map(|location| format!(" ({}:{})", location.file(), location.line()));
    let (output, place) = (Output::plain(), place.unwrap_or_default());
    output.always(styled(BAD, "error:") + format!(" internal error: {}{place}", text(info.payload())));
    output.always(styled(BOLD, "hint:") + format!(" {ISSUES}"));
}

fn text(payload: &(dyn Any + Send)) -> &str {
    let of_string = payload.downcast_ref::<String>().map(String::as_str);
    of_string.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("the panic has no message")
}

/// Makes a write that exceeds the limit of `ulimit -f` fail with an error. By default, the system kills the program with a signal.
#[cfg(unix)]
fn ignore_file_size_signal() {
    // Child processes inherit an ignored signal, but not a handler. If the handler cannot be set, the default stays in place.
    let _ = signal_hook::flag::register(rustix::process::Signal::XFSZ.as_raw(), std::sync::Arc::default());
}

#[cfg(not(unix))]
fn ignore_file_size_signal() {}
