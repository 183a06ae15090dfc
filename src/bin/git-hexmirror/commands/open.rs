//! `open`

use std::process::{Command, Stdio};
use std::sync::Arc;

use git_hexmirror::ops::{self, MirrorContents, OpError};
use git_hexmirror::serve::{Options, ServeError, Server};

use super::serve_log::{LogFormat, ServeLog};
use super::stop_signal::StopSignal;
use crate::outcome::{CommandError, Outcome};
use crate::session::Session;

/// The address to listen on if the user gives none: that of `serve`, so that addresses of pages stay the same, or a free one.
const ADDRESSES: [&str; 2] = ["127.0.0.1:4040", "127.0.0.1:0"];

/// Show the mirror in a browser
///
/// Serves the mirror as `git hexmirror serve` does, and opens its first page in $BROWSER or in the browser of the desktop. The first
/// line on standard output is the server's URL. Stops on SIGINT and SIGTERM.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Address to listen on; port 0 selects a free port [default: 127.0.0.1:4040, or a free port if that one is in use]
    #[arg(short, long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// Only print the URL
    #[arg(long)]
    no_browser: bool,
}

pub fn run(session: &Session, arguments: &Arguments) -> Outcome {
    let stop = StopSignal::listen();
    let project = session.reading_project()?;
    ops::served_mirror(&project)?;
    let log = ServeLog::new(session.output, LogFormat::Text);
    let options = || Options { log: Some(log.requests()), git: ops::system_git(&project), ..Options::default() };
    let listen = |address: &str| Server::bind(address, Arc::new(MirrorContents::new(&project)), options());
    let server = match &arguments.listen {
        Some(address) => listen(address),
        None => match listen(ADDRESSES[0]) {
            Err(ServeError::InUse { .. }) => listen(ADDRESSES[1]),
            server => server,
        },
    };
    let server = server.map_err(OpError::from)?;
    let url = server.base_urls().next().expect("a server has an address");
    session.output.raw(format!("{url}\n").as_bytes()).map_err(CommandError::Print)?;
    // The server already listens, so the browser's first request waits until it is answered.
    if !arguments.no_browser && !opens(&format!("{url}/")) {
        session.output.say("no browser could be started; open this address in one, or set BROWSER");
    }
    server.run(async move { stop.received().await }).map_err(OpError::from)?;
    Ok(0)
}

/// Starts a browser: the first of $BROWSER that can be started, or the desktop's. Returns whether there is one.
fn opens(url: &str) -> bool {
    let named = std::env::var("BROWSER").unwrap_or_default();
    let of_desktop = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let browsers = named.split(':').chain([of_desktop]);
    browsers
        .filter_map(|browser| command(browser, url))
        .any(|mut command| command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().is_ok())
}

/// Returns the command of a browser. `%s` in it stands for the URL, which otherwise is the last argument.
fn command(browser: &str, url: &str) -> Option<Command> {
    let mut words = browser.split_whitespace();
    let mut command = Command::new(words.next()?);
    let mut has_url = false;
    for word in words {
        has_url |= word.contains("%s");
        command.arg(word.replace("%s", url));
    }
    if !has_url {
        command.arg(url);
    }
    Some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_gets_the_url_where_it_wants_it() {
        let shown = |browser| {
            let command = command(browser, "http://x/")?;
            let words = command.get_args().map(|word| word.to_string_lossy().into_owned());
            Some(
                std::iter::once(command.get_program().to_string_lossy().into_owned())
                    .chain(words)
                    .collect::<Vec<_>>()
                    .join(" "),
            )
        };
        for (browser, expected) in [
            ("firefox", Some("firefox http://x/")),
            ("firefox --new-window", Some("firefox --new-window http://x/")),
            ("chromium --app=%s", Some("chromium --app=http://x/")),
            ("", None),
            (" ", None),
        ] {
            assert_eq!(shown(browser).as_deref(), expected, "{browser:?}");
        }
    }
}
