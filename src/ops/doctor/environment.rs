//! Variables and git settings that lead clients to a mirror, perhaps to one that no longer runs.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use url::{Host, Url};

use super::finding::{Finding, Topic};
use crate::model::redacted_address;
use crate::ops::Project;
use crate::plan::GitPin;

/// The variables that lead Hex, rebar3 and mix to a mirror.
const LEADING: [&str; 6] =
    ["HEX_TRUSTED_MIRROR_URL", "HEX_TRUSTED_MIRROR", "HEX_MIRROR_URL", "HEX_MIRROR", "HEX_CDN", "HEX_BUILDS_URL"];
/// How long a server on this machine may take to accept a connection.
const PATIENCE: Duration = Duration::from_millis(200);

/// Returns what leads clients to a mirror.
pub fn environment(project: &Project) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(url) = project.environment.outer.url() {
        let shown = redacted_address(url);
        found.push(match is_listening(url) {
            Some(false) => Finding::run(
                Topic::Environment,
                format!("an earlier `git hexmirror env` leads clients to {shown}, where no server runs"),
                "eval \"$(git hexmirror env --unset)\"",
            ),
            _ => Finding::good(Topic::Environment, format!("this shell leads clients to {shown}")),
        });
    }
    let values = LEADING.iter().filter_map(|name| Some((*name, project.environment.get(name)?)));
    for (name, url) in values {
        let shown = redacted_address(&url);
        found.push(match is_listening(&url) {
            Some(false) => Finding::run(
                Topic::Environment,
                format!("{name} leads clients to {shown}, where no server runs"),
                format!("unset {name}"),
            ),
            _ => Finding::good(Topic::Environment, format!("{name}={shown}")),
        });
    }
    found.extend(git_rules(project));
    found.extend(past_the_mirror(project));
    if found.is_empty() {
        found.push(Finding::good(Topic::Environment, "nothing leads clients to a mirror"));
    }
    found
}

/// Returns the servers on this machine to which git's settings redirect addresses, if they do not run.
fn git_rules(project: &Project) -> Option<Finding> {
    let rules = project.repository.all_settings_by_subsection("url", "insteadOf");
    let is_ours = |base: &str| project.environment.outer.has(base);
    let bases = rules.iter().map(|(base, _)| base).filter(|base| base.contains("/git/") && !is_ours(base));
    let dead = bases.filter(|base| is_listening(base) == Some(false)).collect::<Vec<_>>();
    let first = redacted_address(dead.first()?);
    let more = if dead.len() > 1 { format!(" and {} more like it", dead.len() - 1) } else { String::new() };
    Some(Finding::act(
        Topic::Environment,
        format!("git's setting url.{first}.insteadOf{more} leads git to a server that does not run"),
        "remove the setting; `git config --show-origin --get-regexp insteadof` shows the file",
    ))
}

/// Returns the settings of git because of which git gets what the locks pin from elsewhere within `run`, or not at all.
fn past_the_mirror(project: &Project) -> Vec<Finding> {
    // Locks that cannot be read are found with their topic.
    let wanted = project.present_locks().and_then(|locks| project.wanted(&locks)).unwrap_or_default();
    if wanted.git.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    // git-config(1): protocol.allow holds for protocols without a policy of their own.
    let policies = ["protocol.http.allow", "protocol.allow"].into_iter();
    let policy = policies.filter_map(|key| Some((key, project.repository.setting(key)?))).next();
    if let Some((key, value)) = policy.filter(|(_, value)| value == "never") {
        let text =
            format!("{key}={value} makes git refuse the mirror's server, which it reaches with http on this machine");
        let action = "allow it where the locks pin git dependencies: git config protocol.http.allow always";
        found.push(Finding::act(Topic::Environment, text, action));
    }
    let rules = project.repository.all_settings_by_subsection("url", "insteadOf");
    let wins = |prefix: &str, pin: &GitPin| {
        let is_whole = |spelling: String| prefix.starts_with(&spelling);
        pin.url.secret_text().starts_with(prefix) && pin.url.address().spellings().into_iter().any(is_whole)
    };
    for (base, prefix) in rules.iter().filter(|(base, _)| !project.environment.outer.has(base)) {
        if let Some(pin) = wanted.git.iter().find(|pin| wins(prefix, pin)) {
            let (base, address) = (redacted_address(base), pin.url.address());
            let text = format!(
                "git asks {base} for {address}, and not the mirror, because url.{base}.insteadOf names its whole address"
            );
            let action = "remove the setting, or name only the beginning of the address; `git config --show-origin --get-regexp insteadof` shows the file";
            found.push(Finding::act(Topic::Environment, text, action));
        }
    }
    found
}

/// Returns whether a server on this machine accepts connections; `None` for an address of another machine.
fn is_listening(url: &str) -> Option<bool> {
    let url = Url::parse(url).ok()?;
    let address: IpAddr = match url.host()? {
        Host::Domain("localhost") => [127, 0, 0, 1].into(),
        Host::Domain(_) => return None,
        Host::Ipv4(address) => address.into(),
        Host::Ipv6(address) => address.into(),
    };
    let socket = SocketAddr::new(address, url.port_or_known_default()?);
    address.is_loopback().then(|| TcpStream::connect_timeout(&socket, PATIENCE).is_ok())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn only_servers_of_this_machine_are_tried() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost"] {
            assert_eq!(is_listening(&format!("http://{host}:{port}/git/h/x")), Some(true), "{host}");
        }
        drop(listener);
        assert_eq!(is_listening(&format!("http://127.0.0.1:{port}")), Some(false));
        for other in ["https://repo.hex.pm", "http://192.0.2.1:80", "/srv/git/x", "git@h:git/x", ""] {
            assert_eq!(is_listening(other), None, "{other}");
        }
    }
}
