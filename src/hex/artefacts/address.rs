//! Where a package's precompiled files are published: what its code says literally, or the place that is usual.

use std::collections::BTreeMap;

use crate::model::{FileAddress, Version};

/// The names that clients give to the address, after which it stands in the code.
const KEYS: [&str; 2] = ["base_url", "make_precompiler_url"];
/// What elixir_make replaces by the name of the file.
const FILE: &str = "@{artefact_filename}";
/// The operator that joins strings.
const JOIN: &str = "<>";
/// The maximum number of addresses in a package's code that are tried for a file.
const MAX_NAMED: usize = 4;
/// The maximum number of projects that a package links to whose releases are searched.
const MAX_FORGES: usize = 2;
/// The longest text that is searched, in bytes.
const MAX_TEXT: usize = 1 << 20;

/// The parts of a package that say where its files are published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackageTexts {
    /// Its `mix.exs` and the modules in `lib/`.
    pub code: Vec<String>,
    /// The links in its metadata.
    pub links: Vec<String>,
}

impl PackageTexts {
    /// Returns whether a file of a package can say it.
    pub fn is_code(path: &[u8]) -> bool {
        path == b"mix.exs" || path.starts_with(b"lib/") && path.ends_with(b".ex")
    }

    /// Adds a file of a package.
    pub fn add(&mut self, content: &[u8]) {
        // All names of addresses in use end in this, also those that others are put together from.
        let has_address = |text: &str| text.len() <= MAX_TEXT && text.contains("_url");
        let text = std::str::from_utf8(content).ok().filter(|text| has_address(text));
        self.code.extend(text.map(str::to_owned));
    }
}

/// Returns the addresses at which a file of a package may be found, the likeliest first. A wrong one does no harm: what
/// is fetched must have the checksum.
///
/// These are the addresses that the user's settings name (`own`), those that the code gives literally, and the release
/// of the version on the forge that the package links to.
///
/// `versions` are the package's and, if it differs, the one in the name of the file.
pub fn addresses(texts: &PackageTexts, own: Option<&str>, versions: &[&Version], file: &str) -> Vec<FileAddress> {
    let values = literals(texts);
    let mut forges: Vec<String> = texts.links.iter().filter_map(|link| forge(link)).collect();
    forges.dedup();
    forges.truncate(MAX_FORGES);
    let mut found: Vec<FileAddress> = Vec::new();
    for version in versions {
        let named = KEYS.into_iter().flat_map(|key| values.get(key).into_iter().flatten());
        let expanded = named.filter_map(|template| expand(template, &values, forges.first(), version));
        let usual = forges.iter().map(|forge| format!("{forge}/releases/download/v{version}"));
        let own = own.map(|own| own.replace("@{version}", &version.to_string()));
        for template in own.into_iter().chain(expanded.take(MAX_NAMED)).chain(usual) {
            let address = match template.contains(FILE) {
                true => template.replace(FILE, file),
                false => format!("{}/{file}", template.trim_end_matches('/')),
            };
            if let Ok(address) = address.parse()
                && !found.contains(&address)
            {
                found.push(address);
            }
        }
    }
    found
}

/// Returns the page of a project on a forge whose releases have files.
fn forge(link: &str) -> Option<String> {
    let rest = link.strip_prefix("https://github.com/").or_else(|| link.strip_prefix("http://github.com/"))?;
    let mut parts = rest.split(['/', '?', '#']);
    let (owner, name) = (parts.next()?, parts.next()?.trim_end_matches(".git"));
    (!owner.is_empty() && owner != "sponsors" && !name.is_empty()).then(|| format!("https://github.com/{owner}/{name}"))
}

/// The literal strings of names in code.
type Literals<'t> = BTreeMap<&'t str, Vec<String>>;

/// Returns the literal strings that the code gives to names: `base_url: "…"`, `@base_url "…"`, `base_url = "…" <> "…"`.
fn literals(texts: &PackageTexts) -> Literals<'_> {
    let mut found = Literals::new();
    for text in &texts.code {
        let (mut above, mut begun) = ("", None);
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            // Code and strings alternate. A quote within a string only makes that string another one.
            let parts: Vec<&str> = line.split('"').collect();
            for (index, pair) in parts.chunks_exact(2).enumerate() {
                let (before, after) = (pair[0].trim(), parts.get(2 * index + 2).copied().unwrap_or_default());
                let (name, value) = match begun.take() {
                    Some((name, value)) if before.is_empty() || before == JOIN => (name, value + pair[1]),
                    // The value can be on the line below its name.
                    _ if before.is_empty() => (last_word(above), pair[1].to_owned()),
                    _ => (last_word(before), pair[1].to_owned()),
                };
                match after.trim() == JOIN {
                    true => begun = Some((name, value)),
                    false => found.entry(name).or_default().push(value),
                }
            }
            above = line;
        }
    }
    found
}

/// Returns the word at the end of code, before a colon, an equals sign or a bracket.
fn last_word(code: &str) -> &str {
    let code = code.trim_end_matches(|c: char| c.is_whitespace() || ":={(<>".contains(c));
    code.rsplit(|c: char| !is_word(c)).next().unwrap_or_default()
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Replaces what is interpolated: the version, and names that have a literal value. `None` if there is anything else.
fn expand(template: &str, values: &Literals<'_>, forge: Option<&String>, version: &Version) -> Option<String> {
    let (mut text, mut rest) = (String::new(), template);
    while let Some((before, after)) = rest.split_once("#{") {
        let (expression, after) = after.split_once('}')?;
        let name = expression.trim().trim_start_matches('@');
        let literal = values.get(name).and_then(|values| values.first()).filter(|value| !value.contains("#{"));
        let value = match literal {
            _ if expression.contains("version") => version.to_string(),
            Some(literal) => literal.clone(),
            None if ["url", "repo", "github"].iter().any(|word| expression.contains(word)) => forge?.clone(),
            None => return None,
        };
        text += before;
        text += &value;
        rest = after;
    }
    Some(text + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(code: &[&str], links: &[&str], own: Option<&str>) -> Vec<String> {
        let mut texts =
            PackageTexts { links: links.iter().map(|link| (*link).to_owned()).collect(), ..Default::default() };
        code.iter().for_each(|code| texts.add(code.as_bytes()));
        let found = addresses(&texts, own, &[&"0.2.0".parse().unwrap()], "f.tar.gz");
        found.iter().map(ToString::to_string).collect()
    }

    const AT: &str = "https://github.com/o/p/releases/download/v0.2.0/f.tar.gz";

    #[test]
    fn addresses_are_those_of_the_code() {
        for code in [
            "use RustlerPrecompiled,\n  base_url: \"https://github.com/o/p/releases/download/v#{version}\",\n  version: version",
            "use RustlerPrecompiled,\n  base_url:\n    \"https://github.com/o/p/releases/download/v#{version}\",",
            "@base_url \"https://github.com/o/p/releases/download/v#{@version}\"",
            "base_url = \"https://github.com/o/p/releases/download/v#{mix_config[:version]}\"",
            "@github_url \"https://github.com/o/p\"\n make_precompiler_url: \"#{@github_url}/releases/download/v#{@version}/@{artefact_filename}\",",
            "base_url:\n  \"https://github.com/o/p/releases/\" <>\n    \"download/v#{@version}\",",
            "base_url: \"https://github.com/o\" <> \"/p/releases/download/v#{@version}\",",
            "app: :p, version: \"1\", base_url: \"https://github.com/o/p/releases/download/v#{version}\", crate: \"x\"",
            "base_url: {\"https://github.com/o/p/releases/download/v#{version}\", [{\"a\", \"b\"}]}",
        ] {
            assert_eq!(tried(&[code], &[], None), [AT], "{code}");
        }
        for code in [
            "base_url: \"#{github_url}/releases/download/v#{version}\"",
            "base_url: url()",
            "# base_url: \"https://example.com\"",
            "base_url: \"https://example.com/#{System.get_env()}\"",
            "base_url: \"file:///etc\"",
            "base_url: \"https://user:secret@example.com\"",
        ] {
            assert_eq!(
                tried(&[code], &["https://github.com/sponsors/o", "https://github.com/o/p.git"], None),
                [AT],
                "{code}"
            );
            let expected: &[&str] = &[];
            assert_eq!(tried(&[code], &[], None), expected, "{code}");
        }
    }

    #[test]
    fn native_code_can_have_a_version_of_its_own() {
        let texts = PackageTexts { code: vec!["base_url: \"https://h/v#{@version}\"".to_owned()], links: Vec::new() };
        let versions = ["1.0.0", "0.9.0"].map(|text| text.parse().unwrap());
        let found = addresses(&texts, None, &[&versions[0], &versions[1]], "f");
        assert_eq!(
            found.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["https://h/v1.0.0/f", "https://h/v0.9.0/f"]
        );
        assert_eq!(addresses(&texts, None, &[&versions[0], &versions[0]], "f").len(), 1);
    }

    #[test]
    fn the_users_address_comes_first() {
        let own = Some("https://h.corp/@{version}/@{artefact_filename}");
        assert_eq!(tried(&[], &["https://github.com/o/p"], own), ["https://h.corp/0.2.0/f.tar.gz", AT]);
        assert_eq!(tried(&[], &[], Some("https://h.corp/x/")), ["https://h.corp/x/f.tar.gz"]);
        let many: Vec<String> = (0..9).map(|number| format!("base_url: \"https://h{number}\"")).collect();
        assert_eq!(tried(&[&many.join("\n")], &[], None).len(), MAX_NAMED);
    }
}
