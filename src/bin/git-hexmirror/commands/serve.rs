//! `serve`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use git_hexmirror::ops::{self, MirrorContents, OpError, Project};
use git_hexmirror::serve::{Log, Options, RequestLog, Server, Tls};

use super::CommandError;
use crate::cli::Outcome;
use crate::output::{BAD, CHANGED, DIM, Output, Text, styled};
use crate::session::Session;

/// Serve the mirror to mix, rebar3, git and other clients
///
/// Serves Hex packages, and git repositories under /git/HOST/PATH.git, read-only. Serves the branch as it stands at each
/// request. Of git repositories it shows the revisions that the project's locks pin; if the project has no lock, everything
/// that the branch has. The first line on standard output is the server's address. Stops on SIGINT and SIGTERM. With --verbose, each
/// request is logged.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where to listen; port 0 takes a free one
    #[arg(short, long, value_name = "ADDR:PORT", default_value = "127.0.0.1:4040")]
    listen: String,
    /// How much memory rebuilt tarballs may take, in MB
    #[arg(long, value_name = "MB", default_value = "64", value_parser = clap::value_parser!(u16).range(1..))]
    cache: u16,
    /// Speak HTTPS, with a certificate of a local authority that is made on first use
    ///
    /// The authority is kept beside the repository, in .git/hexmirror/tls/ca.pem; `git hexmirror env --tls` leads clients to
    /// it. It can vouch for the names of this server only, is valid for a year, and is made anew for other names or when less
    /// than 90 days of that year are left. Its key never leaves this machine. Do not add it to a system's trust store: clients
    /// trust it for one process or one address.
    #[arg(long, conflicts_with = "tls_cert")]
    tls: bool,
    /// Speak HTTPS, with your own certificate: a PEM file, with the certificates that it is checked by
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of your own certificate: a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// A further name of this server, such as mirror.example.org; may be repeated
    ///
    /// With --tls it is in the certificate, as localhost, 127.0.0.1 and the address listened on always are. On a loopback
    /// address the server answers to no other names than these, localhost, numbers, those by which containers reach their
    /// host, and the hosts of pinned git repositories: so no web page can read it. If the name of such a host leads here
    /// (through /etc/hosts or the like), its repositories are found under their own addresses, and nothing else is.
    #[arg(long = "hostname", value_name = "NAME")]
    hostnames: Vec<String>,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let project = session.project()?;
    ops::served_mirror(&project)?;
    let output = session.output;
    let options = Options {
        cache_bytes: u64::from(arguments.cache) << 20,
        log: request_log(&output),
        git: ops::system_git(&project),
        tls: tls(session, &project, arguments)?,
        names: arguments.hostnames.clone(),
        ..Options::default()
    };
    let is_renewed = options.tls.as_ref().is_some_and(Tls::is_renewed);
    let contents = Arc::new(MirrorContents::new(&project));
    let server = Server::bind(&arguments.listen, contents, options).map_err(OpError::from)?;
    let url = server.base_url();
    output.raw(format!("{url}\n").as_bytes()).map_err(CommandError::Print)?;
    let tls = if arguments.tls { " --tls" } else { "" };
    output.say(styled(
        DIM,
        format!("serving {}; `git hexmirror env{tls} --url {url}` prints what clients need", project.branch),
    ));
    if is_renewed {
        output.say(format!(
            "{} is a new authority: the old one was for other names, or about to expire; clients need the new file",
            ops::authority(&project).display()
        ));
    }
    if !server.local_addr().ip().is_loopback() {
        output.say(
            styled(CHANGED, "warning:")
                + format!(
                    " everyone who can reach {} can read the mirror, private packages included",
                    server.local_addr()
                ),
        );
    }
    server.run(stopped()).map_err(OpError::from)?;
    Ok(0)
}

/// Returns what is needed for HTTPS, if it is asked for.
fn tls(session: &Session, project: &Project, arguments: &Arguments) -> Result<Option<Tls>, CommandError> {
    if let (Some(certificate), Some(key)) = (&arguments.tls_cert, &arguments.tls_key) {
        let tls = Tls::open(&session.path(certificate), &session.path(key)).map_err(OpError::from)?;
        return Ok(Some(tls));
    }
    Ok(arguments.tls.then(|| ops::tls(project, &names(arguments))).transpose()?)
}

/// Returns the names for the certificate: those given, and the address if it is one that clients can use.
fn names(arguments: &Arguments) -> Vec<String> {
    let address = arguments.listen.parse::<SocketAddr>().ok().map(|address| address.ip());
    let usable = address.filter(|address| !address.is_unspecified()).map(|address| address.to_string());
    arguments.hostnames.iter().cloned().chain(usable).collect()
}

/// Returns what prints each request, if people asked for that.
pub fn request_log(output: &Output) -> Option<Log> {
    let output = *output;
    (output.verbose > 0).then(|| Arc::new(move |request: &RequestLog| log(&output, request)) as Log)
}

fn log(output: &Output, request: &RequestLog) {
    let RequestLog { peer, method, path, status, bytes, elapsed, error, .. } = request;
    let milliseconds = elapsed.as_secs_f64() * 1000.0;
    let error = error.as_ref().map_or_else(Text::default, |error| Text::from(" ") + styled(BAD, error.trim()));
    output.always(Text::from(format!("{peer} {method} {path} {status} {bytes} {milliseconds:.1}ms")) + error);
}

/// Completes when the process is asked to stop.
async fn stopped() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
