//! The entries of a lock as components.

use std::collections::BTreeSet;

use super::component::{ComponentId, Role};
use super::purl::is_list;
use crate::hex::registry::Dependency;
use crate::lock::{self, Entry, Lock, LockError, LockKind, Source};
use crate::model::{AssetToolId, FileId, Target};
use crate::plan::{FilePin, GitPin, Pin, Wanted};
use crate::term::Lines;

/// The entries of a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedEntries {
    /// The path of the lock.
    pub file: String,
    /// Whether it is this program's own, which pins what others do not.
    pub is_own: bool,
    /// What the entries pin. Some pin nothing, and some pin several files.
    pub entries: Vec<LockedEntry>,
    /// The machines that it names.
    pub targets: BTreeSet<Target>,
}

/// A component that an entry pins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedEntry {
    /// The component.
    pub id: ComponentId,
    /// The application.
    pub app: String,
    /// The line of the lock.
    pub line: usize,
    /// The distance from the project, if the lock has it.
    pub level: Option<i64>,
    /// What it is for.
    pub role: Role,
    /// What is pinned.
    pub pin: EntryPin,
    /// The dependencies that the lock itself names. `None` if it names none of any entry.
    pub dependencies: Option<Vec<Dependency>>,
}

/// What an entry pins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryPin {
    /// A release.
    Release(Pin),
    /// A revision of a git repository.
    Revision(GitPin),
    /// A file.
    File(FilePin),
    /// A build of an asset tool.
    AssetTool(AssetToolId, FilePin),
    /// Nothing that can be mirrored.
    None {
        /// The reason.
        reason: String,
    },
}

impl LockedEntries {
    /// Reads the entries of a lock. `submodules` has the applications whose submodules the settings require.
    ///
    /// # Errors
    /// Returns an error if a name, a version, an address or a checksum is invalid.
    pub fn of(lock: &Lock, lines: &Lines, submodules: &BTreeSet<String>) -> Result<Self, LockError> {
        let is_own = lock.kind == LockKind::Hexmirror;
        let mut read = Self { file: lock.file.clone(), is_own, entries: Vec::new(), targets: BTreeSet::new() };
        let mut alone = Lock { file: lock.file.clone(), kind: lock.kind, entries: Vec::with_capacity(1) };
        for entry in &lock.entries {
            alone.entries.clear();
            alone.entries.push(entry.clone());
            let mut wanted = Wanted::default();
            wanted.add(&alone)?;
            let mut wanted = wanted.with_submodules_of(submodules);
            read.targets.append(&mut wanted.targets);
            let role = if is_own { Role::Plugin } else { Role::Dependency };
            read.entries.extend(components(wanted).map(|(id, pin)| LockedEntry {
                id,
                app: entry.app.text.clone(),
                line: lines.line_of(entry.span),
                level: entry.level,
                role: match &pin {
                    EntryPin::File(pin) if pin.id.path.is_of_tools() => Role::Tool,
                    EntryPin::File(pin) if pin.id.path.is_of_docs() => Role::Documentation,
                    EntryPin::File(_) => Role::Download,
                    EntryPin::AssetTool(..) => Role::Tool,
                    EntryPin::Revision(pin) if pin.as_of.is_some() => Role::Branch,
                    _ => role,
                },
                pin,
                dependencies: dependencies(entry, lock.kind),
            }));
        }
        Ok(read)
    }
}

/// Returns the components that some pins are. The lists of installers only serve to verify them.
fn components(wanted: Wanted) -> impl Iterator<Item = (ComponentId, EntryPin)> {
    let Wanted { releases, git, files, docs, asset_tools, unmirrored, ignored, .. } = wanted;
    let releases = releases.into_iter().map(|(id, pin)| (ComponentId::Release(id), EntryPin::Release(pin)));
    let git = git.into_iter().map(|pin| {
        let GitPin { app, url, revision, subdir, .. } = &pin;
        let (app, address, subdir) = (app.clone(), url.address().clone(), subdir.clone());
        (ComponentId::Revision { app, address, revision: *revision, subdir }, EntryPin::Revision(pin))
    });
    let tools: Vec<_> = asset_tools.into_values().filter_map(|pin| Some((pin.id.clone(), pin.file?.pin))).collect();
    let of_tools: BTreeSet<FileId> = tools.iter().map(|(_, pin)| pin.id.clone()).collect();
    let files = files.into_values().filter(move |pin| !(is_list(&pin.id.path) || of_tools.contains(&pin.id)));
    let files = files.chain(docs.into_values().filter_map(|docs| docs.file().cloned()));
    let files = files.map(|pin| (ComponentId::File(pin.id.clone()), EntryPin::File(pin)));
    let tools = tools.into_iter();
    let tools =
        tools.map(|(id, pin)| (ComponentId::AssetTool(id.clone(), pin.id.clone()), EntryPin::AssetTool(id, pin)));
    let unmirrored = unmirrored.into_iter().map(|unmirrored| {
        let reason = unmirrored.reason.to_string();
        (ComponentId::Unmirrored(unmirrored), EntryPin::None { reason })
    });
    let unsupported = ignored.into_iter().map(|entry| {
        let reason = entry.reason();
        (ComponentId::Unsupported(entry), EntryPin::None { reason })
    });
    releases.chain(git).chain(files).chain(tools).chain(unmirrored).chain(unsupported)
}

/// Returns the dependencies that an entry names. Those with invalid names are left out: the mirror has none of them.
fn dependencies(entry: &Entry, kind: LockKind) -> Option<Vec<Dependency>> {
    let Source::Hex(source) = &entry.source else { return None };
    let named = |dependency: &lock::Dependency| {
        let package = dependency.package.parse().ok()?;
        let app = (dependency.app != dependency.package).then(|| dependency.app.clone());
        let (requirement, optional) = (dependency.requirement.clone().unwrap_or_default(), dependency.optional);
        Some(Dependency { package, requirement, optional, app, repository: dependency.repository.parse().ok() })
    };
    let has_dependencies = matches!(kind, LockKind::Mix | LockKind::Gleam);
    has_dependencies.then(|| source.dependencies.iter().filter_map(named).collect())
}
