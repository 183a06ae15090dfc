//! `serve`

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use git_hexmirror::ops::{self, MirrorContents, OpError, Project, Unservable};
use git_hexmirror::serve::{AuthorityState, HostName, Options, Registry, Renewal, Server, Tls};
use git_hexmirror::store::StoreError;

use super::follow::{self, Follow, FollowError};
use super::serve_log::{Level, LogFormat, ServeLog};
use super::stop_signal::StopSignal;
use crate::hints::{export_hint, quoted, store_hint};
use crate::options::ServedRegistry;
use crate::outcome::{CommandError, Outcome};
use crate::output::{DIM, styled};
use crate::session::Session;

/// The address to listen on if the user gives none.
const ADDRESS: &str = "127.0.0.1:4040";

/// Serve the mirror to mix, rebar3, git and other clients
///
/// Serves Hex packages, and git repositories under /git/HOST/PATH.git, read-only. Each request sees the current state of the
/// branch. For git repositories, only the revisions that the project's locks pin are visible, or all revisions if the project has
/// no lock. The first line on standard output is the server's URL; further lines are those of further addresses. Stops on SIGINT
/// and SIGTERM. Names what the mirror could not answer, once, with what would fix it. With --verbose, logs each request except for
/// successful ones of /health and /metrics.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Address to listen on; port 0 selects a free port; may be repeated [default: 127.0.0.1:4040]
    #[arg(short, long, value_name = "ADDR:PORT")]
    listen: Vec<String>,
    /// Address to listen on with HTTPS, while --listen is plain HTTP; may be repeated
    ///
    /// The certificate is that of a local authority (see --tls), or your own (see --tls-cert).
    #[arg(long, value_name = "ADDR:PORT")]
    listen_tls: Vec<String>,
    /// Wait until there is a mirror, instead of failing if the folder, the repository, the mirror branch or the pinned index to
    /// serve does not exist yet
    ///
    /// With --follow, the remote may have it. It is asked each second first, then less and less often.
    #[arg(long)]
    wait: bool,
    /// Fetch the mirror of a remote (a name or a URL) first, and again every 60 seconds, or as often as given
    ///
    /// What is fetched is checked as by `git hexmirror pull`. If the remote cannot be reached, the server goes on with what it has,
    /// and /health says so.
    #[arg(long, value_name = "REMOTE[=SECONDS]")]
    follow: Option<String>,
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
    /// for the names of this server and is valid for a year. It is replaced if the names change, if less than 90 days are
    /// left, or if other users could read its key. If its folder is read-only, it is used as it is. A damaged one is an error. Its key never leaves this machine. Do not add it to the system's
    /// trust store: clients trust it for one process or one URL.
    #[arg(long, conflicts_with = "tls_cert")]
    tls: bool,
    /// Folder of the local authority, instead of .git/hexmirror/tls; implies --tls
    #[arg(long, value_name = "DIR", conflicts_with = "tls_cert")]
    tls_dir: Option<PathBuf>,
    /// Use HTTPS with your own certificate: a PEM file with the certificate and its chain
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Private key of your own certificate: a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Additional host name of this server, such as mirror.example.org or *.example.org; may be repeated
    ///
    /// With HTTPS, the certificate includes this name in addition to localhost, 127.0.0.1 and the address listened on. If there is
    /// such a name, and always on a loopback address, the server only accepts requests for these names, localhost, IP addresses,
    /// the names by which containers reach their host, and the hosts of pinned git repositories, so that web pages cannot read it.
    /// If the name of such a host resolves to this server (for example through /etc/hosts), the server serves that host's
    /// repositories under their original URLs, and nothing else.
    #[arg(long = "hostname", value_name = "NAME")]
    hostnames: Vec<HostName>,
    /// Form of the log on standard error; an error that ends the program is always text
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let stop = StopSignal::listen();
    let log = ServeLog::new(session.output, arguments.log_format);
    let follow = arguments.follow.as_deref().map(follow).transpose()?;
    let registry = arguments.registry.into();
    if arguments.wait && !wait(session, log, registry, follow.as_ref(), &stop)? {
        return Ok(0);
    }
    let followed = follow.as_ref().map(|follow| follow::start(session, log, follow)).transpose()?;
    let project = session.reading_project()?;
    let mirror = ops::served_registry(&project, registry)?;
    let options = Options {
        cache_bytes: u64::from(arguments.cache) << 20,
        log: Some(log.requests()),
        git: ops::system_git(&project),
        registry,
        names: arguments.hostnames.clone(),
        ..Options::default()
    };
    let (plain, secure) = addresses(arguments);
    let tls = if secure.is_empty() { None } else { Some(tls(session, &project, arguments, &secure)?) };
    let server = bind(MirrorContents::new(&project).following(followed), options, &plain, (&secure, tls.as_ref()))?;
    let urls: Vec<String> = server.base_urls().collect();
    session.output.raw((urls.join("\n") + "\n").as_bytes()).map_err(CommandError::Print)?;
    let trusting = if plain.is_empty() { trusting(session, arguments) } else { String::new() };
    let how = match registry {
        Registry::Signed => {
            format!("to use it, run in another shell: eval \"$(git hexmirror env{trusting} --url {})\"", urls[0])
        }
        Registry::Pinned => format!(
            "clients that have the key of its pinned index use it as the address of hexpm; the registry that upstream signed is at {}/signed",
            urls[0]
        ),
    };
    log.notice(Level::Info, styled(DIM, format!("serving {}; {how}", project.branch)));
    if let Some(tls) = &tls {
        say_authority(log, tls);
    }
    say_who_can_read(log, &server);
    if let Some(lacking) = ops::lacking_entries(&mirror, registry)? {
        log.notice(Level::Warning, lacking);
    }
    if let Some(Unservable { count, all, error }) = ops::unservable(&project, &mirror) {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        let which = if count == all { String::new() } else { format!("{count} of {all} ") };
        log.notice(Level::Warning, format!("{which}git repositories cannot be served: {error}{cause}"));
    }
    server.run(async move { stop.received().await }).map_err(OpError::from)?;
    Ok(0)
}

/// Parses `--follow`. A message of clap would show the text, which may have a password.
fn follow(text: &str) -> Result<Follow, CommandError> {
    text.parse().map_err(|error: FollowError| CommandError::Usage {
        message: error.to_string(),
        hint: "pass REMOTE or REMOTE=SECONDS, such as origin=30",
    })
}

/// Waits until there is a mirror, here or at the remote that is followed. Returns `false` if the process is asked to stop
/// before.
fn wait(
    session: &Session,
    log: ServeLog,
    registry: Registry,
    follow: Option<&Follow>,
    stop: &StopSignal,
) -> Result<bool, OpError> {
    let open = || {
        let project = session.quiet_project()?;
        if let Some(follow) = follow {
            let follower = follow.follower(&project)?;
            if ops::served_registry(&project, registry).is_err() {
                follower.pull()?;
            }
        }
        Ok(project)
    };
    let waiting = |reason: &OpError| {
        let hint = match reason {
            OpError::Store(error @ StoreError::NoMirror { .. }) => store_hint(error),
            OpError::Export(error) => Some(export_hint(error)),
            _ => None,
        };
        let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        log.notice(Level::Info, format!("waiting for a mirror: {reason}{hint}"));
    };
    ops::wait_for_mirror(open, registry, follow.map_or(Duration::ZERO, Follow::every), waiting, stop.received())
}

/// Returns the addresses with plain HTTP and those with HTTPS.
fn addresses(arguments: &Arguments) -> (Vec<String>, Vec<String>) {
    let Arguments { listen, listen_tls, .. } = arguments;
    let uses_tls = arguments.tls || arguments.tls_dir.is_some() || arguments.tls_cert.is_some();
    let listen = match (listen.is_empty(), listen_tls.is_empty()) {
        (true, true) => vec![ADDRESS.to_owned()],
        _ => listen.clone(),
    };
    if uses_tls && listen_tls.is_empty() { (Vec::new(), listen) } else { (listen, listen_tls.clone()) }
}

/// Listens on all addresses.
fn bind(
    contents: MirrorContents,
    options: Options,
    plain: &[String],
    (secure, tls): (&[String], Option<&Tls>),
) -> Result<Server, OpError> {
    let plain = plain.iter().map(|address| (address, None));
    let mut all = plain.chain(secure.iter().map(|address| (address, tls.cloned())));
    let (first, tls) = all.next().expect("there is at least the default address");
    let server = Server::bind(first, Arc::new(contents), Options { tls, ..options })?;
    Ok(all.try_fold(server, |server, (address, tls)| server.bind_also(address, tls))?)
}

/// Returns the certificate and key for the addresses with HTTPS.
fn tls(session: &Session, project: &Project, arguments: &Arguments, secure: &[String]) -> Result<Tls, OpError> {
    if let (Some(certificate), Some(key)) = (&arguments.tls_cert, &arguments.tls_key) {
        return Ok(Tls::open(&session.path(certificate), &session.path(key))?);
    }
    // The names of the certificate are the given ones, and the addresses unless they are unspecified, such as 0.0.0.0.
    let addresses = secure.iter().filter_map(|address| address.parse::<SocketAddr>().ok()).map(|address| address.ip());
    let usable = addresses.filter(|address| !address.is_unspecified()).map(HostName::from);
    let names: Vec<HostName> = arguments.hostnames.iter().cloned().chain(usable).collect();
    let folder = arguments.tls_dir.as_deref().map(|folder| session.path(folder));
    ops::tls(project, folder.as_deref(), &names)
}

/// Returns the options of `env` with which clients trust the server's certificate.
fn trusting(session: &Session, arguments: &Arguments) -> String {
    match &arguments.tls_dir {
        Some(folder) => format!(" --ca {}", quoted(&Tls::authority_in(&session.path(folder)).to_string_lossy())),
        None if arguments.tls_cert.is_some() => String::new(),
        None => " --tls".to_owned(),
    }
}

fn say_authority(log: ServeLog, tls: &Tls) {
    let Some(file) = tls.authority().map(|path| path.display()) else { return };
    match tls.state() {
        AuthorityState::Unchanged => {}
        AuthorityState::Renewed(renewal) => {
            let why = match renewal {
                Renewal::Names => "the old one was for other names",
                Renewal::Expiring => "the old one was about to expire",
                Renewal::Exposed => "other users could read the key of the old one",
                Renewal::Interrupted => "the old one was not complete",
            };
            log.notice(
                Level::Info,
                format!("created a new authority in {file}, because {why}; clients need the new file"),
            );
        }
        AuthorityState::Expiring => log.notice(
            Level::Warning,
            format!(
                "the authority in {file} expires in less than 90 days, and its folder is not writable; start the server once where it is"
            ),
        ),
    }
}

/// Warns if other machines can reach the server.
fn say_who_can_read(log: ServeLog, server: &Server) {
    let open = server.local_addrs().filter(|address| !address.ip().is_loopback());
    let open = open.map(|address| address.to_string()).collect::<Vec<_>>().join(" or ");
    if !open.is_empty() {
        let message = format!("everyone who can reach {open} can read the mirror, including private packages");
        log.notice(Level::Warning, message);
    }
}
