//! `run --offline`: the protections, and what tried to leave.

use git_hexmirror::model::count;
use git_hexmirror::ops::{FailedRequests, OpError};

use crate::output::{BAD, GOOD, Output, styled};
use crate::session::Session;

/// The protections of `run --offline` in addition to the proxy.
pub enum Isolation {
    /// A network namespace with loopback only.
    Namespace,
    /// None, with the reason.
    ProxyOnly(String),
}

/// Moves this process into a network namespace, if the system permits it. Another process tries it first, because a failure half
/// way would leave this one without a working loopback interface.
#[cfg(target_os = "linux")]
pub fn isolated() -> Result<Isolation, OpError> {
    use git_hexmirror::ops::isolate;

    let probe = std::env::current_exe().and_then(|program| {
        std::process::Command::new(program)
            .args(["run", "--probe-namespace"])
            .stdin(std::process::Stdio::null())
            .output()
    });
    match probe {
        Ok(probe) if probe.status.success() => {
            let failed = |source| OpError::Machine {
                action: "create a network namespace with",
                path: "/proc/self/ns/net".into(),
                source,
            };
            isolate().map_err(failed).map(|()| Isolation::Namespace)
        }
        Ok(probe) => Ok(Isolation::ProxyOnly(String::from_utf8_lossy(&probe.stderr).trim().to_owned())),
        Err(error) => Ok(Isolation::ProxyOnly(error.to_string())),
    }
}

#[cfg(not(target_os = "linux"))]
pub fn isolated() -> Result<Isolation, OpError> {
    Ok(Isolation::ProxyOnly("only Linux has them".into()))
}

/// Tries whether this process can have a network namespace, and prints the reason if it cannot.
pub fn probe(session: &Session) -> u8 {
    #[cfg(target_os = "linux")]
    match git_hexmirror::ops::isolate() {
        Ok(()) => return 0,
        Err(error) => session.output.always(error.to_string()),
    }
    1
}

/// Prints what the mirror lacks, which hosts the command tried to reach, and which protections were in force.
pub fn say_what_left(output: &Output, failed: &FailedRequests, isolation: &Isolation) {
    let left: Vec<_> = failed.left().map(|(host, port, number)| (host.to_owned(), port.to_string(), number)).collect();
    let lacking = failed.lacking();
    if lacking > 0 {
        let things = count(lacking, "thing", "things");
        output
            .say(styled(BAD, "offline:") + format!(" the command asked the mirror for {things} that it does not have"));
    }
    if left.is_empty() && lacking == 0 {
        output.say(styled(GOOD, "offline:") + " the command asked the proxy for nothing but the mirror");
    }
    if !left.is_empty() {
        let hosts = count(left.len(), "address that is", "addresses that are");
        output.say(
            styled(BAD, "offline:") + format!(" the command asked for {hosts} not in the mirror, and was refused:"),
        );
        let width = left.iter().map(|(host, ..)| host.chars().count()).max().unwrap_or(0).max("HOST".len());
        output.say(format!("  {:<width$}  {:>5}  REQUESTS", "HOST", "PORT"));
        for (host, port, number) in left {
            output.say(format!("  {host:<width$}  {port:>5}  {number:>8}"));
        }
    }
    output.say(match isolation {
        Isolation::Namespace => "protections: the proxy, and a network namespace with loopback only; connections without the proxy, \
                                 such as git:// and ssh, could not leave either, and are not listed"
            .to_owned(),
        Isolation::ProxyOnly(reason) => format!(
            "protections: the proxy only, because a network namespace is not available ({reason}); connections without the \
             proxy, such as git:// and ssh, are neither stopped nor listed"
        ),
    });
}
