//! `serve`

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use git_hexmirror::ops::{self, MirrorContents, OpError, Project};
use git_hexmirror::serve::{Log, Options, RequestLog, Server, Tls, Unanswered};

use crate::options::ServedRegistry;
use crate::outcome::{CommandError, Outcome};
use crate::output::{BAD, CHANGED, DIM, Output, Text, styled};
use crate::session::Session;

/// How many failed requests a server names.
const MAX_NAMED: usize = 1000;

/// Serve the mirror to mix, rebar3, git and other clients
///
/// Serves Hex packages, and git repositories under /git/HOST/PATH.git, read-only. Each request sees the current state of the
/// branch. For git repositories, only the revisions that the project's locks pin are visible, or all revisions if the project has
/// no lock. The first line on standard output is the server's URL. Stops on SIGINT and SIGTERM. Names what the mirror could not
/// answer, once, with what would fix it. With --verbose, logs each request.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Address to listen on; port 0 selects a free port
    #[arg(short, long, value_name = "ADDR:PORT", default_value = "127.0.0.1:4040")]
    listen: String,
    /// Memory limit for the cache of rebuilt tarballs, in MB
    #[arg(long, value_name = "MB", default_value = "64", value_parser = clap::value_parser!(u16).range(1..))]
    cache: u16,
    /// Registry to serve: entries as upstream signed them, or the pinned index, which lists only what the mirror has
    ///
    /// The other one is served below /signed or /pinned. Create the pinned index with `git hexmirror index --init`.
    #[arg(long, value_name = "WHICH", default_value = "signed")]
    registry: ServedRegistry,
    /// Use HTTPS, with a certificate of a local authority that is created on first use
    ///
    /// The authority is stored in .git/hexmirror/tls/ca.pem; `git hexmirror env --tls` makes clients trust it. It can only sign
    /// for the names of this server and is valid for a year. It is replaced if the names change or if less than 90 days are
    /// left. Its key never leaves this machine. Do not add it to the system's trust store: clients trust it for one process or
    /// one URL.
    #[arg(long, conflicts_with = "tls_cert")]
    tls: bool,
    /// Use HTTPS with your own certificate: a PEM file with the certificate and its chain
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of your own certificate: a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Additional host name of this server, such as mirror.example.org; may be repeated
    ///
    /// With --tls, the certificate includes this name in addition to localhost, 127.0.0.1 and the address listened on. On a
    /// loopback address, the server only accepts requests for these names, localhost, IP addresses, the names by which containers
    /// reach their host, and the hosts of pinned git repositories, so that web pages cannot read it. If the name of such a
    /// host resolves to this server (for example through /etc/hosts), the server serves that host's repositories under their
    /// original URLs, and nothing else.
    #[arg(long = "hostname", value_name = "NAME")]
    hostnames: Vec<String>,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let project = session.reading_project()?;
    let mirror = ops::served_mirror(&project)?;
    let registry = arguments.registry.into();
    ops::check_registry(&project, &mirror, registry)?;
    let output = session.output;
    let options = Options {
        cache_bytes: u64::from(arguments.cache) << 20,
        log: request_log(&output).or_else(|| Some(failure_log(&output))),
        git: ops::system_git(&project),
        tls: tls(session, &project, arguments)?,
        registry,
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
        format!(
            "serving {}; to use it, run in another shell: eval \"$(git hexmirror env{tls} --url {url})\"",
            project.branch
        ),
    ));
    if is_renewed {
        output.say(format!(
            "created a new authority in {}, because the old one was for other names or about to expire; clients need the new file",
            ops::authority(&project).display()
        ));
    }
    if !server.local_addr().ip().is_loopback() {
        output.say(
            styled(CHANGED, "warning:")
                + format!(
                    " everyone who can reach {} can read the mirror, including private packages",
                    server.local_addr()
                ),
        );
    }
    server.run(stopped()).map_err(OpError::from)?;
    Ok(0)
}

/// Returns the certificate and key if the user asks for HTTPS.
fn tls(session: &Session, project: &Project, arguments: &Arguments) -> Result<Option<Tls>, CommandError> {
    if let (Some(certificate), Some(key)) = (&arguments.tls_cert, &arguments.tls_key) {
        let tls = Tls::open(&session.path(certificate), &session.path(key)).map_err(OpError::from)?;
        return Ok(Some(tls));
    }
    Ok(arguments.tls.then(|| ops::tls(project, &names(arguments))).transpose()?)
}

/// Returns the names for the certificate: the given ones, and the address unless it is unspecified, such as 0.0.0.0.
fn names(arguments: &Arguments) -> Vec<String> {
    let address = arguments.listen.parse::<SocketAddr>().ok().map(|address| address.ip());
    let usable = address.filter(|address| !address.is_unspecified()).map(|address| address.to_string());
    arguments.hostnames.iter().cloned().chain(usable).collect()
}

/// Returns a function that prints each request, with --verbose.
pub fn request_log(output: &Output) -> Option<Log> {
    let output = *output;
    output.verbose.then(|| Arc::new(move |request: &RequestLog| log(&output, request)) as Log)
}

/// Returns a function that prints each request that the server could not answer, once.
fn failure_log(output: &Output) -> Log {
    let (output, named) = (*output, Mutex::new(HashSet::new()));
    Arc::new(move |request: &RequestLog| {
        let Some(line) = failure(request) else { return };
        let mut named = named.lock().unwrap_or_else(PoisonError::into_inner);
        if named.len() < MAX_NAMED && named.insert(line.clone()) {
            output.say(line);
            if named.len() == MAX_NAMED {
                output.say("further requests that fail are not named; run with --verbose to log all of them");
            }
        }
    })
}

/// Describes a request that the server could not answer, with what would fix it.
fn failure(request: &RequestLog) -> Option<String> {
    match &request.unanswered {
        Some(other @ Unanswered::NotServed { .. }) => Some(other.to_string()),
        Some(_) => request.error.clone(),
        None => request.error.clone().filter(|_| request.status >= 500),
    }
}

fn log(output: &Output, request: &RequestLog) {
    let RequestLog { peer, method, path, status, bytes, elapsed, error, .. } = request;
    let milliseconds = elapsed.as_secs_f64() * 1000.0;
    let error = error.as_ref().map_or_else(Text::default, |error| Text::from(" ") + styled(BAD, error.trim()));
    output.always(Text::from(format!("{peer} {method} {path} {status} {bytes} {milliseconds:.1}ms")) + error);
}

/// Completes when the process receives SIGINT or SIGTERM.
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
