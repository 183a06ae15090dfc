//! Pins the rebar3 plugins that the releases and revisions of a mirror ask for: fetches what resolving them takes, and
//! the plugins, and composes the hexmirror.lock files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::fetch_plan::{FetchContext, FetchPlan};
use super::fetching::{self, Fetched};
use super::git_fetcher::{GitFetcher, fetched_files, resolve_ref};
use super::pinning::ComposedLock;
use super::stored_entry::decode_entry;
use crate::fetch::{Downloads, Upstream};
use crate::git::GitError;
use crate::hex::registry::Package;
use crate::lock::HexmirrorText;
use crate::model::{EntryChecksum, EntryId, ReleaseId, RepositoryName, Revision, shortened};
use crate::ops::plugins::PluginProject;
use crate::ops::plugins::config::BuildConfig;
use crate::ops::plugins::facts::{FactSource, MirrorFacts};
use crate::ops::project::hex_repositories::HexRepositories;
use crate::ops::project::{LockFile, Project};
use crate::ops::{OpError, Result};
use crate::plan::{GitPin, GitPlan, GitRef, LackingFact, PROJECT, Pin, PluginProblem, RefAnswer, Resolution, Wanted};
use crate::progress::{Event, Progress};
use crate::store::{ReleaseEncoder, Snapshot, Transaction};

/// The maximum number of times that something is fetched because of what was fetched before.
const MAX_ROUNDS: usize = 64;

/// The part of an update that pins plugins.
pub(super) struct PluginUpdate<'a> {
    pub project: &'a Project,
    pub repositories: &'a HexRepositories<'a>,
    pub downloads: &'a Arc<Downloads>,
    pub encoder: &'a ReleaseEncoder,
    pub base: Option<&'a Snapshot>,
    pub wanted: &'a Wanted,
    pub accept_older: &'a BTreeSet<EntryId>,
    pub jobs: Option<usize>,
    pub may_ask: bool,
    pub refresh: bool,
    pub keep_going: bool,
    pub progress: &'a Arc<dyn Progress>,
}

impl PluginUpdate<'_> {
    /// Fetches the plugins of all projects into a transaction, in addition to what was fetched already. Returns the
    /// hexmirror.lock files that must change.
    pub fn pin(
        &self,
        locks: &[LockFile],
        fetched: &mut Fetched,
        transaction: &mut Transaction<'_>,
    ) -> Result<Vec<ComposedLock>> {
        let projects = PluginProject::all(self.project, locks)?;
        let (mut answers, mut asked) = (RefAnswers::default(), BTreeSet::new());
        let mut mirror = MirrorFacts::new(self.project, self.base);
        for _ in 0..MAX_ROUNDS {
            let known = (&answers.known, &asked);
            let (resolutions, notes) = self.resolutions(&projects, fetched, transaction, known, &mut mirror)?;
            let unresolved = resolutions.iter().flat_map(|resolution| &resolution.unresolved);
            let lacking: Vec<&LackingFact> = unresolved.map(|one| &one.fact).collect();
            if lacking.is_empty() {
                self.report(&resolutions, notes);
                let unanswered = resolutions.iter().flat_map(|resolution| &resolution.unanswered);
                let unanswered: BTreeSet<&GitRef> = unanswered.collect();
                fetched.unanswered = unanswered.into_iter().filter_map(|ask| answers.failed.remove(ask)).collect();
                return projects
                    .iter()
                    .zip(&resolutions)
                    .filter_map(|(p, r)| composed(p, r, locks, self.project, self.progress.as_ref()).transpose())
                    .collect();
            }
            for fact in &lacking {
                if let LackingFact::Ref(reference) = fact {
                    self.ask(reference, &mut answers);
                }
            }
            let plan = self.plan(&lacking, &resolutions, transaction)?;
            asked.extend(plan.absent.iter().chain(&plan.entries).cloned());
            if !(plan.absent.is_empty() && plan.entries.is_empty() && plan.releases.is_empty() && plan.git.is_empty()) {
                let context = self.context(&plan)?;
                fetched.extend(fetching::fetch(plan, context, transaction, self.progress)?);
            }
        }
        Err(OpError::TooManyPlugins { rounds: MAX_ROUNDS })
    }

    /// Resolves the plugins of all projects with what is known. Returns also what could not be read of the configurations.
    fn resolutions(
        &self,
        projects: &[PluginProject],
        fetched: &Fetched,
        transaction: &mut Transaction<'_>,
        (refs, asked): (&BTreeMap<GitRef, RefAnswer>, &BTreeSet<EntryId>),
        mirror: &mut MirrorFacts<'_>,
    ) -> Result<(Vec<Resolution>, BTreeSet<String>)> {
        let entries = Entries { update: self, upstream: self.upstream()?, transaction };
        let mut facts = FetchedFacts { mirror, entries, fetched, refs, asked, notes: BTreeSet::new() };
        let resolutions = projects.iter().map(|project| project.resolve(&mut facts, self.refresh));
        let resolutions = resolutions.collect::<Result<_>>()?;
        Ok((resolutions, facts.notes))
    }

    /// Asks upstream for the commit that a definition checks out, once. A repository that does not answer must not stop
    /// an update before everything else is stored: its plugin may be of no use, and rebar3 goes on without it.
    fn ask(&self, reference: &GitRef, answers: &mut RefAnswers) {
        if answers.known.contains_key(reference) {
            return;
        }
        let answer = resolve_ref(self.project, reference, self.may_ask).unwrap_or_else(|error| {
            let causes = error.with_causes();
            let message = format!(
                "cannot ask {} for plugins, so what hexmirror.lock pins of them, if anything, stays: {causes}",
                reference.0.address()
            );
            self.progress.report(Event::Warning { message });
            if matches!(error, OpError::Git(GitError::NoRepository { .. })) {
                return RefAnswer::NoRepository;
            }
            answers.failed.insert(reference.clone(), error);
            RefAnswer::None
        });
        answers.known.insert(reference.clone(), answer);
    }

    fn upstream(&self) -> Result<Upstream> {
        let progress = Arc::clone(self.progress);
        self.repositories.upstream([RepositoryName::hexpm()].iter(), self.jobs, progress)
    }

    /// Plans to fetch what the resolutions lack.
    fn plan(
        &self,
        lacking: &[&LackingFact],
        resolutions: &[Resolution],
        transaction: &mut Transaction<'_>,
    ) -> Result<FetchPlan> {
        let mut plan = FetchPlan::default();
        let (mut releases, mut revisions) = (BTreeMap::new(), Vec::new());
        for fact in lacking {
            match fact {
                // An entry that lists nothing that suits is requested anew.
                LackingFact::Entry(id) if transaction.excerpt([id])?.entries.contains_key(id) => {
                    plan.entries.insert(id.clone());
                    plan.refresh = true;
                }
                // Upstream need not have it.
                LackingFact::Entry(id) => drop(plan.absent.insert(id.clone())),
                LackingFact::Release(pin) => drop(releases.insert(pin.id.clone(), pin.clone())),
                LackingFact::Revision(pin) => revisions.push(pin.clone()),
                LackingFact::Ref(_) => {}
            }
        }
        // A plugin is fetched with the entry that it was chosen from, so that both stay together.
        let mut entries = Entries { update: self, upstream: self.upstream()?, transaction };
        for id in releases.keys().map(ReleaseId::entry) {
            if let Some(signed) = entries.signed(&id)? {
                plan.at_hand.insert(id, signed);
            }
        }
        plan.releases = releases.into_values().collect();
        plan.known = transaction.excerpt([])?.entries.keys().filter(|id| !plan.absent.contains(id)).cloned().collect();
        if !revisions.is_empty() {
            // A repository is stored with everything that is needed of it.
            let of_plugins = resolutions.iter().flat_map(|resolution| &resolution.git).map(|(pin, _)| pin.clone());
            let pins: Vec<GitPin> = self.wanted.git.iter().cloned().chain(of_plugins).chain(revisions).collect();
            let manifest = self.base.map(|base| base.excerpt([])).transpose()?.unwrap_or_default();
            plan.git = GitPlan::new(&pins, &manifest);
        }
        Ok(plan)
    }

    fn context(&self, plan: &FetchPlan) -> Result<FetchContext<'_>> {
        let Self { project, repositories, downloads, encoder, base, accept_older, jobs, keep_going, .. } = *self;
        let git = GitFetcher::of_plan(&plan.git, project, base, jobs, self.may_ask, self.progress)?;
        Ok(FetchContext { repositories, jobs, downloads, encoder, git, base, history: &[], accept_older, keep_going })
    }

    /// Names what cannot be pinned or read.
    fn report(&self, resolutions: &[Resolution], notes: BTreeSet<String>) {
        let problems = resolutions.iter().flat_map(|resolution| &resolution.problems);
        let named = problems.map(PluginProblem::to_string);
        for message in notes.into_iter().chain(named).collect::<BTreeSet<_>>() {
            self.progress.report(Event::Warning { message });
        }
    }
}

/// Returns the hexmirror.lock of a project if it must change.
fn composed(
    of_folder: &PluginProject,
    resolution: &Resolution,
    locks: &[LockFile],
    project: &Project,
    progress: &dyn Progress,
) -> Result<Option<ComposedLock>> {
    let existing = locks.iter().find(|lock| lock.file == of_folder.file);
    let existing = existing.map(|lock| lock.bytes(&project.repository)).transpose()?.unwrap_or_default();
    let existing = String::from_utf8_lossy(&existing);
    let mut text = HexmirrorText::read(&existing);
    let mut lines: BTreeSet<String> = resolution.lines().into_iter().collect();
    let kept = kept(&existing, &lines);
    if !kept.is_empty() {
        let unread = project.unread_builds(locks, &of_folder.file)?;
        for (file, reason) in &unread {
            let message = format!("{file} {reason}, so what hexmirror.lock pins of plugins for it stays");
            progress.report(Event::Warning { message });
        }
        if of_folder.is_unread() || !unread.is_empty() {
            lines.extend(kept);
        }
    }
    if !text.replace(is_plugin, name_of, lines) {
        return Ok(None);
    }
    let text = (!text.is_empty()).then(|| text.text());
    Ok(Some(ComposedLock { file: of_folder.file.clone(), text }))
}

/// Returns the entries of a hexmirror.lock for plugins that the project itself asked for, and for what those need, unless new
/// entries replace them. They stay while its configuration cannot be read.
fn kept(existing: &str, new: &BTreeSet<String>) -> BTreeSet<String> {
    let replaced: BTreeSet<String> = new.iter().map(|line| name_of(line)).collect();
    let lines = existing.lines().filter(|line| line.split(' ').next().is_some_and(is_plugin));
    let (mut askers, mut kept) = (BTreeSet::from([PROJECT]), BTreeSet::new());
    loop {
        let known = askers.len();
        for line in lines.clone() {
            let words: Vec<&str> = line.split(' ').collect();
            let by = words.iter().skip_while(|word| **word != "for").skip(1);
            if by.into_iter().any(|name| askers.contains(name)) {
                askers.extend(words.get(if words[0] == "plugin" { 2 } else { 1 }));
                kept.insert(line);
            }
        }
        if askers.len() == known {
            break;
        }
    }
    kept.into_iter().filter(|line| !replaced.contains(&name_of(line))).map(str::to_owned).collect()
}

fn is_plugin(kind: &str) -> bool {
    matches!(kind, "plugin" | "plugin-git")
}

/// Returns the words of an entry that name the plugin.
fn name_of(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let count = if words[0] == "plugin" { 3 } else { 2 };
    words.into_iter().take(count).collect::<Vec<_>>().join(" ")
}

/// What upstream answered about refs.
#[derive(Default)]
struct RefAnswers {
    known: BTreeMap<GitRef, RefAnswer>,
    /// The errors of those that did not answer.
    failed: BTreeMap<GitRef, OpError>,
}

/// The registry entries of a transaction: those of its base, and those that were fetched for it.
struct Entries<'u, 't, 'r> {
    update: &'u PluginUpdate<'u>,
    upstream: Upstream,
    transaction: &'t mut Transaction<'r>,
}

impl Entries<'_, '_, '_> {
    /// Returns an entry as it is signed.
    fn signed(&mut self, id: &EntryId) -> Result<Option<Vec<u8>>> {
        let Some(stored) = self.transaction.excerpt([id])?.entries.get(id).copied() else { return Ok(None) };
        if let Some(base) = self.update.base
            && base.manifest_of(&id.package)?.entries.get(id) == Some(&stored)
        {
            return Ok(base.entry(id)?);
        }
        let kept = self.upstream.cached_entry(id, self.update.downloads);
        let is_it = |signed: &Vec<u8>| EntryChecksum::from_bytes(Sha256::digest(signed).into()) == stored.checksum;
        let kept = kept.and_then(|(kept, _)| kept.signed).or_else(|| self.upstream.entry_in_folder(id));
        Ok(kept.filter(is_it))
    }
}

/// The facts of a transaction.
struct FetchedFacts<'u, 't, 'r, 'm, 'p> {
    mirror: &'m mut MirrorFacts<'p>,
    entries: Entries<'u, 't, 'r>,
    fetched: &'u Fetched,
    refs: &'u BTreeMap<GitRef, RefAnswer>,
    asked: &'u BTreeSet<EntryId>,
    notes: BTreeSet<String>,
}

impl FactSource for FetchedFacts<'_, '_, '_, '_, '_> {
    fn entry(&mut self, id: &EntryId) -> Result<Option<Option<Package>>> {
        if let Some(signed) = self.entries.signed(id)? {
            return decode_entry(id, &signed).map(|package| Some(Some(package)));
        }
        let manifest = self.entries.transaction.excerpt([id])?;
        let is_absent = manifest.absent.contains(id) && !manifest.entries.contains_key(id);
        Ok(is_absent.then_some(None))
    }

    /// What this update fetches does not count: a version that it only fetches because it is the highest must be pinned.
    fn stored(&mut self, id: &EntryId) -> Result<BTreeSet<ReleaseId>> {
        self.mirror.stored(id)
    }

    fn release(&mut self, pin: &Pin) -> Result<Option<BuildConfig>> {
        let fetched = self.fetched.releases.iter().rfind(|stored| stored.id == pin.id && pin.accepts(&stored.stored));
        match fetched.and_then(|stored| stored.config.clone()) {
            Some(config) => Ok(Some(config)),
            None => self.mirror.release(pin),
        }
    }

    fn reference(&mut self, reference: &GitRef) -> Option<RefAnswer> {
        self.refs.get(reference).copied()
    }

    fn revision(&mut self, pin: &GitPin) -> Result<Option<BuildConfig>> {
        let is_it = |added: &&(Revision, Option<Revision>)| added.0 == pin.revision;
        let fetched = self.fetched.git.iter().filter(|stored| stored.address == *pin.url.address());
        if fetched.flat_map(|stored| &stored.added).any(|added| is_it(&added)) {
            let (project, address) = (self.entries.update.project, pin.url.address());
            return self.mirror.configuration(pin, |git, names| fetched_files(git, project, address, names).map(Some));
        }
        self.mirror.revision(pin)
    }

    fn was_asked(&self, id: &EntryId) -> Option<bool> {
        Some(self.asked.contains(id))
    }

    fn note(&mut self, by: Option<&str>, config: &BuildConfig) {
        let whose = by.map(|by| format!("{}: ", shortened(by))).unwrap_or_default();
        self.notes.extend(config.unread().iter().map(|reason| format!("{whose}{}", shortened(reason))));
    }
}
