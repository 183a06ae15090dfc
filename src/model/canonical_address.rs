//! The canonical form of an address, for comparing addresses that several programs interpret.
//!
//! Git accepts many spellings of one address, and curl, ssh and the server interpret further ones. The canonical form is
//! coarse on purpose: it ignores the scheme, the user, the port, the case, a final `.git`, empty and `.` segments, the
//! query and the fragment, and it resolves `..`. Different repositories may have one canonical form, but
//! a spelling of a repository never has another form than its plain address.

use url::Host;

use super::{GitAddress, percent_decoded};

/// The canonical form of an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CanonicalAddress {
    /// A repository on a host. Both parts are in lower case.
    Repository {
        /// The canonical host.
        host: String,
        /// The path, without `.git`.
        path: String,
    },
    /// An unknown repository on a host: programs may disagree about the path.
    Unclear {
        /// The canonical host.
        host: String,
    },
    /// A folder on this machine.
    Folder(String),
}

/// An address on a host, in canonical form except for the case of its path.
#[derive(Debug, PartialEq, Eq)]
struct OnHost {
    host: String,
    /// `None` if the path is unclear.
    path: Option<String>,
}

impl CanonicalAddress {
    /// Returns the canonical form of a parsed address.
    pub fn of(address: &GitAddress) -> Self {
        Self::Repository { host: host(address.host()), path: segments(address.path()).to_lowercase() }
    }

    /// Returns the canonical form of an address in any spelling that git accepts.
    pub fn of_text(text: &str) -> Self {
        match parse(text) {
            Some(OnHost { host, path: Some(path) }) => Self::Repository { host, path: path.to_lowercase() },
            Some(OnHost { host, path: None }) => Self::Unclear { host },
            None => Self::Folder(folder(text)),
        }
    }
}

/// Returns the canonical form of a host: percent-decoded, in lower case, in ASCII, without trailing dots. IPv4 addresses
/// have four decimal numbers.
pub(super) fn host(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let parsed = Host::parse(text).or_else(|_| Host::parse(&format!("[{text}]")));
    let canonical = parsed.map_or_else(|_| text.to_lowercase(), |host| host.to_string());
    canonical.trim_end_matches('.').trim_matches(['[', ']']).to_owned()
}

/// Returns the address of an address in any spelling; `None` if it is none of a repository that can be mirrored.
pub(super) fn address_of(text: &str) -> Option<GitAddress> {
    let OnHost { host, path } = parse(text)?;
    GitAddress::new(&host, &path?).ok()
}

fn parse(text: &str) -> Option<OnHost> {
    let mut text = text.trim_matches(|c: char| c.is_whitespace() || c.is_control());
    // In `https::https://host/path`, the part before `::` names the remote helper.
    while let Some((name, rest)) = text.split_once("::")
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    {
        text = rest.trim_start();
    }
    match text.split_once("://") {
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("file") => None,
        Some((_, rest)) => of_url(rest),
        None => of_scp_like(text),
    }
}

/// Parses what follows the `://` of a URL. Like curl, ignores further slashes there.
fn of_url(rest: &str) -> Option<OnHost> {
    let rest = rest.trim_start_matches('/');
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = host_of(authority)?;
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let path = percent_decoded(path).filter(|path| is_clear(path)).map(|path| segments(&path));
    Some(OnHost { host, path })
}

/// Parses `[user@]host:path`, `[user@][host]:path` and `[user@][host:port]:path` (`parse_connect_url` in git's
/// `connect.c`). Git does not decode the path.
fn of_scp_like(text: &str) -> Option<OnHost> {
    let bracket = text.find('[').filter(|at| *at == 0 || text[..*at].ends_with('@'));
    let colon = match bracket {
        Some(at) => text[at..].find("]:").map(|end| at + end + 1),
        None => text.find(':'),
    };
    let (authority, path) = text.split_at(colon?);
    // A Windows drive is a path on this machine.
    if authority.contains('/') || authority.len() < 2 {
        return None;
    }
    let path = path.get(1..).unwrap_or_default();
    Some(OnHost { host: host_of(authority)?, path: is_clear(path).then(|| segments(path)) })
}

/// Returns the canonical host of an authority, which may have a user, brackets and a port; `None` if there is no host.
fn host_of(authority: &str) -> Option<String> {
    let without_user = |text| str::rsplit_once(text, '@').map_or(text, |(_, host)| host);
    let text = without_user(authority);
    let text = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inner, _)) => without_user(inner),
        None => text,
    };
    let text = match text.split_once(':') {
        // IPv6 addresses have more than one colon.
        Some((host, port)) if !port.contains(':') => host,
        _ => text,
    };
    Some(host(text)).filter(|host| !host.is_empty())
}

/// Returns whether all programs agree about where the segments of a path are.
fn is_clear(path: &str) -> bool {
    !path.contains(|c: char| c == '\\' || c.is_control())
}

/// Resolves the segments of a path, and removes a final `.git`. `~` is the folder that a relative path of an ssh address
/// refers to.
fn segments(path: &str) -> String {
    let mut kept = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." | "~" => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    without_git(&kept.join("/")).to_owned()
}

/// Removes any number of final slashes and `.git`, in any case.
fn without_git(path: &str) -> &str {
    let mut path = path;
    loop {
        let end = path.len().saturating_sub(".git".len());
        path = match path.get(end..) {
            Some(last) if last.eq_ignore_ascii_case(".git") => &path[..end],
            _ if path.ends_with('/') => &path[..path.len() - 1],
            _ => return path,
        };
    }
}

fn folder(text: &str) -> String {
    let is_url = text.get(..7).is_some_and(|begin| begin.eq_ignore_ascii_case("file://"));
    let path =
        if is_url { percent_decoded(&text[7..]).unwrap_or_else(|| text[7..].to_owned()) } else { text.to_owned() };
    let mut kept = Vec::new();
    for segment in path.split('/').enumerate() {
        match segment {
            (0, "") => kept.push(""),
            (_, "" | ".") => {}
            (_, "..") if kept.last().is_some_and(|last| !matches!(*last, ".." | "")) => drop(kept.pop()),
            (_, segment) => kept.push(segment),
        }
    }
    without_git(&kept.join("/")).to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> String {
        match CanonicalAddress::of_text(text) {
            CanonicalAddress::Repository { host, path } => format!("{host} {path}"),
            CanonicalAddress::Unclear { host } => format!("{host} ?"),
            CanonicalAddress::Folder(path) => format!("folder {path}"),
        }
    }

    #[test]
    fn all_spellings_have_the_same_form() {
        for text in [
            "[forge.test]:lib",
            "[forge.test:22]:lib",
            "user@[forge.test:22]:lib.git",
            "[user@forge.test:22]:/lib",
            "git@forge.test:~/lib",
            "ssh://forge.test/~/lib/.git",
            "ssh://git@[forge.test]:22/lib",
            "https://forge.test/./lib",
            "https://forge.test/team/../lib",
            "https://forge.test/team/%2e%2E/lib",
            "https://forge.test/../lib",
            "https://forge%2etest/lib",
            "https://FORGE%2Etest/lib",
            "forge.test..:lib",
            "https://forge.test../lib",
            " https://forge.test/lib",
            "\thttps://forge.test/lib\n",
            "https:///forge.test/lib",
            "https://forge.test//lib//",
            "https://forge.test/l%69b%2Egit?x=1#y",
            "https://a@b:p@forge.test:8443/Lib.GIT.git/",
            "http+unix::https::https://forge.test/lib",
        ] {
            assert_eq!(at(text), "forge.test lib", "{text:?}");
        }
        for (text, expected) in [
            ("https://forge.test/lib%2Dweb", "forge.test lib-web"),
            ("git@forge.test:lib%2Dweb", "forge.test lib%2dweb"),
            ("https://forge.test/lib.git/../other", "forge.test other"),
            ("https://forge.test/a%zz", "forge.test ?"),
            ("https://forge.test/a%ff", "forge.test ?"),
            ("https://forge.test/a\\b", "forge.test ?"),
            ("https://forge.test", "forge.test "),
            ("https://0x7f.1/lib", "127.0.0.1 lib"),
            ("ssh://[::1]:22/lib", "::1 lib"),
            ("[::1]:lib", "::1 lib"),
            ("https://f\u{f6}rge.test/lib", "xn--frge-5qa.test lib"),
            ("origin", "folder origin"),
            ("/srv//x/./y/../lib.git/", "folder /srv/x/lib"),
            ("file:///srv/x/l%69b/.git", "folder /srv/x/lib"),
            ("../../lib", "folder ../../lib"),
            ("C:\\lib", "folder C:\\lib"),
            ("./a:b", "folder a:b"),
            ("", "folder "),
        ] {
            assert_eq!(at(text), expected, "{text:?}");
        }
    }

    /// Spells each character of a text as it is, in the other case, or percent-encoded.
    fn respelled(text: &'static str, encode: bool) -> impl Strategy<Value = String> {
        let each = text.chars().map(move |c| {
            let encoded = if encode && c != '/' { format!("%{:02x}", u32::from(c)) } else { c.to_string() };
            prop_oneof![4 => Just(c.to_string()), 1 => Just(c.to_ascii_uppercase().to_string()), 1 => Just(encoded)]
        });
        each.collect::<Vec<_>>().prop_map(|pieces| pieces.concat())
    }

    fn spelled_path(encode: bool) -> impl Strategy<Value = String> {
        let noise = || prop_oneof![4 => Just("/"), 1 => Just("//"), 1 => Just("/./"), 1 => Just("/x/../")];
        let end = prop_oneof![Just(""), Just("/"), Just(".git"), Just(".git/"), Just("/.git"), Just(".git.git//")];
        (noise(), respelled("team", encode), noise(), respelled("lib", encode), end)
            .prop_map(|(first, team, second, lib, end)| format!("{first}{team}{second}{lib}{end}"))
    }

    fn spelling() -> impl Strategy<Value = String> {
        let user = || prop_oneof![Just(""), Just("me@"), Just("me:a@b/c@"), Just("me:p@")];
        let port = prop_oneof![Just(""), Just(":"), Just(":22"), Just(":8443")];
        let dots = || prop_oneof![3 => Just(""), 1 => Just("."), 1 => Just("..")];
        let scheme =
            prop_oneof![Just("https"), Just("HTTP"), Just("git"), Just("ssh"), Just("git+ssh"), Just("x::ssh")];
        let url = (scheme, user(), respelled("forge.test", true), dots(), port.clone(), spelled_path(true))
            .prop_filter_map("an unencoded slash ends the authority", |(scheme, user, host, dots, port, path)| {
                (!user.contains('/')).then(|| format!("{scheme}://{user}{host}{dots}{port}{path}"))
            });
        let bracketed =
            (prop_oneof![Just(""), Just("me@")], respelled("forge.test", false), dots(), port, spelled_path(false))
                .prop_map(|(user, host, dots, port, path)| format!("{user}[{host}{dots}{port}]:{path}"));
        let scp = (prop_oneof![Just(""), Just("me@")], respelled("forge.test", false), dots(), spelled_path(false))
            .prop_map(|(user, host, dots, path)| format!("{user}{host}{dots}:{path}"));
        (prop_oneof![Just(""), Just(" "), Just("\t")], prop_oneof![url, bracketed, scp])
            // Git takes any text before `://` for a scheme.
            .prop_filter("the host is no scheme", |(_, text)| {
                text.find("://").is_none_or(|at| !text[..at].contains('.'))
            })
            .prop_map(|(blank, text)| format!("{blank}{text}"))
    }

    proptest! {
        #[test]
        fn generated_spellings_have_the_form_of_the_plain_address(text in spelling()) {
            prop_assert_eq!(CanonicalAddress::of_text(&text), CanonicalAddress::of(&"forge.test/team/lib".parse().unwrap()), "{}", text);
            prop_assert!(address_of(&text).is_some());
        }

        #[test]
        fn any_text_has_a_form(text in "[a-z:/@.%\\[\\]~ ?#\\\\ü]{0,30}") {
            let _ = (CanonicalAddress::of_text(&text), address_of(&text));
        }

        /// What git accepts in a lock has the same form as an address and as a text.
        #[test]
        fn an_address_and_its_text_have_the_same_form(text in "(https|ssh)://[a-z.]{1,5}(/[a-z.%2e]{1,5}){1,3}") {
            if let Ok(url) = text.parse::<crate::model::GitUrl>() {
                prop_assert_eq!(CanonicalAddress::of_text(&text), CanonicalAddress::of(url.address()));
            }
        }
    }
}
