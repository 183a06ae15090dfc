//! The files in which version managers (asdf, mise) are told which Elixir and Erlang a project uses.

use crate::model::ToolsPair;

/// Returns the versions that a `.tool-versions` or a `mise.toml` names. `None` if one of them is missing or not exact.
pub fn pair_of_tool_versions(file: &str, contents: &[u8]) -> Option<ToolsPair> {
    let text = std::str::from_utf8(contents).ok()?;
    let (elixir, erlang) = if file.ends_with(".toml") { of_mise(text)? } else { of_asdf(text)? };
    // asdf and mise name builds of Elixir by the release of OTP that they were made with.
    let (elixir, built) = elixir.split_once("-otp-").map_or((&*elixir, None), |(elixir, otp)| (elixir, Some(otp)));
    let otp = erlang.as_deref().and_then(|erlang| erlang.split('.').next()).or(built)?;
    format!("{elixir} otp {otp}").parse().ok()
}

/// The versions of Elixir and Erlang.
type Versions = (String, Option<String>);

fn of_asdf(text: &str) -> Option<Versions> {
    let version = |tool: &str| {
        let mut lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().split_whitespace());
        // Further versions on a line are fallbacks.
        lines.find_map(|mut words| (words.next() == Some(tool)).then(|| words.next()).flatten())
    };
    Some((version("elixir")?.to_owned(), version("erlang").map(str::to_owned)))
}

fn of_mise(text: &str) -> Option<Versions> {
    let table: toml::Table = toml::from_str(text).ok()?;
    let version = |tool: &str| {
        let value = table.get("tools")?.get(tool)?;
        let value = value.as_array().map_or(Some(value), |all| all.first())?;
        value.get("version").unwrap_or(value).as_str().map(str::to_owned)
    };
    Some((version("elixir")?, version("erlang")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_needed() {
        for (file, text, pair) in [
            (".tool-versions", "erlang 27.2 26.0\nelixir 1.18.4-otp-27 # x\n", Some("1.18.4 otp 27")),
            (".tool-versions", "elixir 1.14.5-otp-25\n", Some("1.14.5 otp 25")),
            (".tool-versions", "# elixir 1.0.0\nnodejs 20\nelixir\t1.17.3\nerlang\t26.1.2\n", Some("1.17.3 otp 26")),
            (".tool-versions", "elixir 1.17.3\n", None),
            (".tool-versions", "elixir latest\nerlang 27\n", None),
            (".tool-versions", "erlang 27\n", None),
            ("mise.toml", "[tools]\nelixir = '1.18.4-otp-27'\nerlang = '27'\n", Some("1.18.4 otp 27")),
            (
                "mise.toml",
                "[tools]\nelixir = ['1.18.4', '1.17.0']\nerlang = { version = '27.1' }\n",
                Some("1.18.4 otp 27"),
            ),
            ("mise.toml", "[tools]\nelixir = 1\n", None),
            ("mise.toml", "elixir", None),
            (".tool-versions", "\u{0}", None),
        ] {
            let found = pair_of_tool_versions(file, text.as_bytes()).map(|pair| pair.to_string());
            assert_eq!(found.as_deref(), pair, "{text:?}");
        }
        assert_eq!(pair_of_tool_versions(".tool-versions", b"\xff"), None);
    }
}
