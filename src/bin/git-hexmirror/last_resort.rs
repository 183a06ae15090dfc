//! What holds whatever else fails: no signal of a limit and no panic ends the program without a word.

use std::any::Any;
use std::panic::{self, PanicHookInfo};
use std::process::ExitCode;

use crate::output::{BAD, BOLD, Output, styled};

/// Where a panic is to be reported.
const ISSUES: &str = "this is a bug in git-hexmirror, please report it with the command and this message";

/// What tokio panics with if the system gives it no thread or descriptor. Whoever builds a runtime catches that and makes an
/// error of it.
const OF_TOKIO: &[&str] = &["OS can't spawn worker thread", "failed to create UnixStream"];

/// Runs the program.
pub fn guarded(run: impl FnOnce() -> ExitCode + panic::UnwindSafe) -> ExitCode {
    panic::set_hook(Box::new(report));
    ignore_file_size_signal();
    panic::catch_unwind(run).unwrap_or_else(|payload| {
        // Of others the message was printed where it happened.
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
    of_string.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("it does not say what")
}

/// Lets writing fail with an error at the limit of `ulimit -f`, where the system would end the program by a signal.
#[cfg(unix)]
fn ignore_file_size_signal() {
    // A handler, unlike ignoring, is not inherited by the programs that this one runs.
    // What cannot be set is as it was.
    let _ = signal_hook::flag::register(rustix::process::Signal::XFSZ.as_raw(), std::sync::Arc::default());
}

#[cfg(not(unix))]
fn ignore_file_size_signal() {}
