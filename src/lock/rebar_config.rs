//! rebar.config: the plugins and dependencies that it names. The file is read as literal terms and never evaluated.
//!
//! rebar3 installs the `plugins` of every package that it builds, with those of the profile `prod`
//! (`rebar_prv_install_deps:handle_dep/6`), and for the project itself also its `project_plugins`
//! (`rebar_plugins:project_plugins_install/1`). `rebar_app_utils:parse_dep/5` has the forms of a definition.

use std::fmt;

use super::{AppFolders, LockError};
use crate::model::{GitName, GitUrl, PackageName, Revision, redacted_address};
use crate::term::{Span, Spanned, Term, erlang};

/// The maximum number of definitions that are read from one file.
const MAX_DEFINITIONS: usize = 1000;
/// The profile that rebar3 applies to dependencies, besides the default one.
const DEPENDENCY_PROFILE: &str = "prod";

/// The plugins and dependencies of a rebar.config.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RebarConfig {
    /// The definitions of plugins.
    plugins: Vec<Definition>,
    /// The definitions of plugins that are installed only if the package is the project itself.
    project_plugins: Vec<Definition>,
    /// The definitions of plugins that `overrides` give to packages, if this is the configuration of the project itself.
    overriding_plugins: Vec<Definition>,
    /// The definitions of dependencies.
    dependencies: Vec<Definition>,
    /// Where the applications of the project are. `None` if the file does not say so.
    app_folders: Option<AppFolders>,
    /// The same of the profile `prod`.
    production: Option<Box<RebarConfig>>,
    /// The same of other profiles.
    profiles: Vec<RebarConfig>,
}

/// The definition of a plugin or a dependency.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Definition {
    /// The name of the application.
    pub name: String,
    /// Where it comes from.
    pub source: DefinedSource,
}

/// Where a plugin or a dependency comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DefinedSource {
    /// A package.
    Package {
        /// The package.
        package: PackageName,
        /// The version requirement, if the definition has one.
        requirement: Option<String>,
    },
    /// A git repository.
    Git {
        /// The address.
        url: GitUrl,
        /// What is checked out.
        checkout: GitCheckout,
        /// The folder that contains the application, if it is not the root.
        subdir: Option<String>,
    },
    /// Something that this program does not understand.
    Unknown {
        /// The reason.
        reason: String,
    },
}

/// What a definition checks out of a git repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum GitCheckout {
    /// The newest commit of a ref.
    Name(GitName),
    /// A commit.
    Commit(Revision),
}

impl fmt::Display for GitCheckout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Commit(revision) => f.write_str(&revision.short()),
        }
    }
}

impl RebarConfig {
    /// Reads the contents of a rebar.config.
    ///
    /// # Errors
    /// Returns an error if the contents are not literal terms or exceed a limit.
    pub fn read(contents: &[u8]) -> Result<Self, LockError> {
        let terms = erlang::consult(contents)?;
        let mut left = MAX_DEFINITIONS;
        let config = Self::of_terms(terms.iter(), &mut left, true);
        config.ok_or_else(|| LockError {
            message: format!("the file has more than {MAX_DEFINITIONS} plugins and dependencies"),
            label: "too many".to_owned(),
            span: Span::new(0, 0),
        })
    }

    /// Reads terms of the form `{Key, Value}`. As in a property list, the first one with a key counts. Returns `None` if
    /// there are too many definitions.
    fn of_terms<'t>(
        terms: impl Iterator<Item = &'t Spanned<'t>> + Clone,
        left: &mut usize,
        with_profiles: bool,
    ) -> Option<Self> {
        let term = |key: &str| {
            let mut pairs = terms.clone().filter_map(|term| term.term.as_pair());
            pairs.find(|(name, _)| name.term.as_atom() == Some(key)).map(|(_, value)| value)
        };
        let value = |key: &str| term(key).and_then(|value| value.term.as_list()).unwrap_or_default();
        let mut definitions = |key: &str| {
            let list = value(key);
            *left = left.checked_sub(list.len())?;
            Some(list.iter().map(Definition::of).collect())
        };
        let mut config = Self {
            plugins: definitions("plugins")?,
            project_plugins: definitions("project_plugins")?,
            dependencies: definitions("deps")?,
            app_folders: term("project_app_dirs").map(AppFolders::of),
            ..Self::default()
        };
        for settings in value("overrides").iter().filter_map(overriding) {
            *left = left.checked_sub(1)?;
            config.overriding_plugins.extend(Self::of_terms(settings.iter(), left, false)?.plugins);
        }
        for profile in value("profiles").iter().filter(|_| with_profiles) {
            let Some((name, settings)) = profile.term.as_pair() else { continue };
            let settings = settings.term.as_list().unwrap_or_default();
            *left = left.checked_sub(1)?;
            let profile = Self::of_terms(settings.iter(), left, false)?;
            if name.term.as_atom() == Some(DEPENDENCY_PROFILE) {
                config.production.get_or_insert_with(|| Box::new(profile));
            } else {
                config.profiles.push(profile);
            }
        }
        Some(config)
    }

    /// Returns the plugins that rebar3 installs to build the package as a dependency.
    pub fn plugins(&self) -> impl Iterator<Item = &Definition> {
        self.plugins.iter().chain(self.production.iter().flat_map(|profile| &profile.plugins))
    }

    /// Returns the dependencies of the package as a dependency. They count only if it comes from a git repository: those
    /// of a Hex package are in its registry entry.
    pub fn dependencies(&self) -> impl Iterator<Item = &Definition> {
        self.dependencies.iter().chain(self.production.iter().flat_map(|profile| &profile.dependencies))
    }

    /// Returns the plugins that rebar3 installs if the package is the project itself, in any profile.
    pub fn plugins_of_project(&self) -> impl Iterator<Item = &Definition> {
        let profiles = self.production.as_deref().into_iter().chain(&self.profiles);
        let all = [self].into_iter().chain(profiles);
        all.flat_map(|config| [&config.plugins, &config.project_plugins, &config.overriding_plugins]).flatten()
    }

    /// Returns the folders with the applications of the project.
    pub fn app_folders(&self) -> AppFolders {
        self.app_folders.clone().unwrap_or_default()
    }
}

/// Returns the settings that an element of `overrides` gives to packages: `{override, Settings}`, `{add, Package, Settings}` and
/// so on (`rebar_app_info:apply_overrides/2`). `del` only takes settings away.
fn overriding<'t>(element: &'t Spanned<'t>) -> Option<&'t [Spanned<'t>]> {
    let elements = element.term.as_tuple().filter(|elements| matches!(elements.len(), 2 | 3))?;
    let [kind, .., settings] = elements else { return None };
    matches!(kind.term.as_atom(), Some("override" | "add")).then(|| settings.term.as_list())?
}

impl Definition {
    /// Reads the definition of a package in text form, such as `pc ~> 1.12` or `pc`.
    ///
    /// # Errors
    /// Fails if the name is not that of a package.
    pub fn of_text(text: &str) -> Result<Self, crate::model::NameError> {
        let (name, requirement) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let requirement = Some(requirement.trim()).filter(|requirement| !requirement.is_empty());
        let source = DefinedSource::Package { package: name.parse()?, requirement: requirement.map(str::to_owned) };
        Ok(Self { name: name.to_owned(), source })
    }

    fn of(term: &Spanned<'_>) -> Self {
        let (name, rest) = match &term.term {
            Term::Tuple(elements) => match &elements[..] {
                [name, rest @ ..] => (name, rest),
                [] => (term, &[][..]),
            },
            _ => (term, &[][..]),
        };
        let Some(text) = text(name) else {
            let reason = format!("it is {}, not a name or a tuple that begins with one", term.term.describe());
            return Self { name: "?".to_owned(), source: DefinedSource::Unknown { reason } };
        };
        let source = DefinedSource::of(text, rest).unwrap_or_else(|reason| DefinedSource::Unknown { reason });
        Self { name: text.to_owned(), source }
    }
}

impl DefinedSource {
    /// Reads what follows the name in a definition. Returns the reason if it is not understood.
    fn of(name: &str, rest: &[Spanned<'_>]) -> Result<Self, String> {
        let package = |package: &str, requirement: Option<&str>| {
            let package = package.parse().map_err(|error: crate::model::NameError| error.to_string())?;
            Ok(Self::Package { package, requirement: requirement.map(str::to_owned) })
        };
        match rest {
            [] => package(name, None),
            [version] if string(version).is_some() => package(name, string(version)),
            [source] => Self::of_source(source, None, package),
            // A version that is followed by the source of another kind is ignored, as are options.
            [version, source, ..] if source.term.as_tuple().is_some() => {
                Self::of_source(source, string(version), package)
            }
            [source, ..] => Self::of_source(source, None, package),
        }
    }

    fn of_source(
        source: &Spanned<'_>,
        requirement: Option<&str>,
        package: impl Fn(&str, Option<&str>) -> Result<Self, String>,
    ) -> Result<Self, String> {
        let elements = source.term.as_tuple().unwrap_or_default();
        let kind = elements.first().and_then(|kind| kind.term.as_atom());
        match (kind, elements) {
            (Some("pkg"), [_, name, ..]) => package(text(name).ok_or("its package has no name")?, requirement),
            (Some("git"), [_, url]) => git(url, None, None),
            (Some("git"), [_, url, checkout, ..]) => git(url, Some(checkout), None),
            (Some("git_subdir"), [_, url, checkout, subdir, ..]) => {
                git(url, Some(checkout), Some(string(subdir).ok_or("its folder is not a string")?))
            }
            (Some(kind), _) => Err(format!("its source is of the kind {}", kind.escape_debug())),
            (None, _) => Err(format!("its source is {}", source.term.describe())),
        }
    }
}

fn git(url: &Spanned<'_>, checkout: Option<&Spanned<'_>>, subdir: Option<&str>) -> Result<DefinedSource, String> {
    let address = string(url).ok_or("its address is not a string")?;
    let url =
        address.parse().map_err(|error| format!("its address {} is refused: {error}", redacted_address(address)))?;
    let name = |name: Result<GitName, crate::model::GitNameError>| {
        name.map(GitCheckout::Name).map_err(|error| error.to_string())
    };
    let commit = |term: &Spanned<'_>| match string(term) {
        Some("") => Ok(GitCheckout::Name(GitName::Head)),
        Some(text) => text.parse().map(GitCheckout::Commit).map_err(|error| format!("{error}")),
        None => Err("its ref is not a string".to_owned()),
    };
    let checkout = match checkout {
        None => GitCheckout::Name(GitName::Head),
        Some(checkout) => match checkout.term.as_pair() {
            None => commit(checkout)?,
            Some((kind, value)) => match (kind.term.as_atom(), string(value)) {
                (Some("branch"), Some(branch)) => name(GitName::branch(branch))?,
                (Some("tag"), Some(tag)) => name(GitName::tag(tag))?,
                (Some("ref"), _) => commit(value)?,
                _ => return Err("it checks out neither a branch, nor a tag, nor a commit".to_owned()),
            },
        },
    };
    Ok(DefinedSource::Git { url, checkout, subdir: subdir.map(str::to_owned) })
}

/// Returns the text of a string or a binary.
fn string<'t>(term: &'t Spanned<'_>) -> Option<&'t str> {
    match &term.term {
        Term::List(elements) if elements.is_empty() => Some(""),
        other => other.as_text(),
    }
}

/// Returns the text of an atom, a string or a binary.
fn text<'t>(term: &'t Spanned<'_>) -> Option<&'t str> {
    term.term.as_atom().or_else(|| term.term.as_text())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(definitions: impl Iterator<Item = impl std::borrow::Borrow<Definition>>) -> Vec<String> {
        let show = |definition: &Definition| {
            let name = &definition.name;
            match &definition.source {
                DefinedSource::Package { package, requirement } => {
                    format!("{name} = {package} {}", requirement.as_deref().unwrap_or("any"))
                }
                DefinedSource::Git { url, checkout, subdir } => {
                    format!("{name} = {} {checkout} {}", url.address(), subdir.as_deref().unwrap_or("."))
                }
                DefinedSource::Unknown { reason } => format!("{name}? {reason}"),
            }
        };
        definitions.map(|definition| show(definition.borrow())).collect()
    }

    fn plugins(text: &str) -> Vec<String> {
        shown(RebarConfig::read(format!("{{plugins, [{text}]}}.").as_bytes()).unwrap().plugins())
    }

    #[test]
    fn every_form_of_a_definition_is_read() {
        let revision = "1".repeat(40);
        for (text, expected) in [
            ("pc", "pc = pc any"),
            ("<<\"pc\">>", "pc = pc any"),
            ("{pc, \"~> 1.1\"}", "pc = pc ~> 1.1"),
            ("{pc, <<\"1.0.0\">>}", "pc = pc 1.0.0"),
            ("{pc, {pkg, port_compiler}}", "pc = port_compiler any"),
            ("{pc, \"1.0.0\", {pkg, port_compiler}}", "pc = port_compiler 1.0.0"),
            ("{pc, {git, \"https://h/pc.git\"}}", "pc = h/pc HEAD ."),
            ("{pc, {git, \"https://h/pc.git\", \"\"}}", "pc = h/pc HEAD ."),
            ("{pc, {git, \"https://h/pc.git\", {branch, \"main\"}}}", "pc = h/pc heads/main ."),
            ("{pc, \".*\", {git, \"https://h/pc.git\", {tag, \"v1\"}}}", "pc = h/pc tags/v1 ."),
            ("{pc, \".*\", {git, \"https://h/pc.git\", {tag, \"v1\"}}, [raw]}", "pc = h/pc tags/v1 ."),
            ("{pc, {git, \"https://h/pc.git\", {tag, \"v1\"}}, [raw]}", "pc = h/pc tags/v1 ."),
            ("{pc, {git_subdir, \"https://h/a\", {branch, \"main\"}, \"apps/pc\"}}", "pc = h/a heads/main apps/pc"),
            ("{pc, {hg, \"https://h/pc\", \"\"}}", "pc? its source is of the kind hg"),
            ("{pc, 1}", "pc? its source is an integer"),
            ("{\"../x\", \"1.0.0\"}", "../x? \"../x\" is not a valid package name"),
        ] {
            let read = plugins(text).remove(0);
            assert!(read.starts_with(expected), "{text}: {read}");
        }
        let pinned = format!("{{pc, {{git, \"https://h/pc.git\", {{ref, \"{revision}\"}}}}}}");
        assert_eq!(plugins(&pinned), ["pc = h/pc 1111111111 ."]);
        for unknown in
            ["1", "{}", "{1, x}", "{pc, {git, \"/srv/pc\"}}", "{pc, {git, \"https://h/pc\", {ref, \"main\"}}}"]
        {
            let read = plugins(unknown).remove(0);
            assert!(read.contains('?'), "{unknown}: {read}");
        }
    }

    #[test]
    fn a_dependency_asks_for_its_plugins_and_the_project_for_more() {
        let text = "{plugins, [a]}.\n{plugins, [ignored]}.\n{project_plugins, [b]}.\n{deps, [x]}.\n\
                    {profiles, [{test, [{plugins, [c]}, {deps, [y]}]}, \
                                {prod, [{plugins, [d]}, {project_plugins, [e]}, {deps, [z]}]}]}.\n";
        let config = RebarConfig::read(text.as_bytes()).unwrap();
        let names = |definitions: Vec<&Definition>| {
            definitions.into_iter().map(|definition| definition.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(config.plugins().collect()), ["a", "d"]);
        assert_eq!(names(config.dependencies().collect()), ["x", "z"]);
        assert_eq!(names(config.plugins_of_project().collect()), ["a", "b", "d", "e", "c"]);
        assert_eq!(RebarConfig::read(b"").unwrap(), RebarConfig::default());
        assert_eq!(plugins(""), [""; 0]);
    }

    #[test]
    fn the_project_asks_for_the_plugins_that_it_gives_to_packages() {
        let text = "{overrides, [{override, [{plugins, [a]}]}, {override, x, [{plugins, [b]}, {deps, [no]}]}, \
                    {add, x, [{plugins, [c]}]}, {del, x, [{plugins, [no]}]}, {add, x}, {odd, x, [{plugins, [no]}]}, odd]}.\n\
                    {profiles, [{test, [{overrides, [{add, x, [{plugins, [d]}]}]}]}]}.\n";
        let config = RebarConfig::read(text.as_bytes()).unwrap();
        let names: Vec<&str> = config.plugins_of_project().map(|definition| definition.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
        assert_eq!(config.plugins().count(), 0);
    }

    #[test]
    fn code_and_too_many_definitions_are_errors() {
        assert!(RebarConfig::read(b"{plugins, os:cmd(\"x\")}.").is_err());
        let many = format!("{{plugins, [{}]}}.", vec!["pc"; MAX_DEFINITIONS + 1].join(","));
        assert!(RebarConfig::read(many.as_bytes()).unwrap_err().message.contains("more than 1000"));
    }

    #[test]
    fn a_definition_can_be_given_as_text() {
        let read = ["pc", "pc ~> 1.12", " pc  ~> 1.1 or 2.0.0 "].map(|text| Definition::of_text(text).unwrap());
        assert_eq!(shown(read.iter()), ["pc = pc any", "pc = pc ~> 1.12", "pc = pc ~> 1.1 or 2.0.0"]);
        assert!(Definition::of_text("../pc").is_err());
    }
}
