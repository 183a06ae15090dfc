//! The requests that a server could not answer, and what would fix that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::artefacts::machine::new_target;
use super::artefacts::stored_lists;
use super::{Project, Result, mirror, status};
use crate::model::{EntryId, Fingerprint, ManifestPart, RepositoryName, Target};
use crate::plan::Comparison;
use crate::serve::{Log, RequestLog, Resource, Unanswered};

/// The maximum number of failed requests to record, of each kind.
const MAX_FAILED: usize = 1000;

/// The requests that a server could not answer.
#[derive(Debug, Default)]
pub struct FailedRequests {
    /// What was requested in vain, by its description.
    unanswered: BTreeMap<String, Unanswered>,
    /// The server's own errors with their causes.
    errors: BTreeSet<String>,
    /// How often a host and port was requested that is not mirrored.
    left: BTreeMap<(String, u16), u64>,
}

impl FailedRequests {
    /// Returns the hosts and ports outside of the mirror that were requested through the proxy, and how often.
    pub fn left(&self) -> impl ExactSizeIterator<Item = (&str, u16, u64)> {
        self.left.iter().map(|((host, port), count)| (host.as_str(), *port, *count))
    }

    /// Returns how many different things the mirror was asked for in vain.
    pub fn lacking(&self) -> usize {
        self.unanswered.len()
    }

    /// Records a request if it failed.
    fn add(&mut self, request: &RequestLog) {
        if let Some(Unanswered::Elsewhere { host, port }) = &request.unanswered {
            let key = (host.clone(), *port);
            if self.left.len() < MAX_FAILED || self.left.contains_key(&key) {
                *self.left.entry(key).or_default() += 1;
            }
        } else if let Some(unanswered) = request.unanswered.as_ref().filter(|_| self.unanswered.len() < MAX_FAILED) {
            self.unanswered.insert(unanswered.to_string(), unanswered.clone());
        }
        let error = request.error.as_ref().filter(|_| request.status >= 500);
        self.errors.extend(error.filter(|_| self.errors.len() < MAX_FAILED).cloned());
    }
}

/// The failed requests of a server that is running.
#[derive(Debug, Clone, Default)]
pub(in crate::ops) struct SharedFailedRequests(Arc<Mutex<FailedRequests>>);

impl SharedFailedRequests {
    /// Returns a log that records failed requests before it passes each request on to `log`.
    pub fn noting(&self, log: Option<Log>) -> Log {
        let failed = self.0.clone();
        Arc::new(move |request: &RequestLog| {
            failed.lock().unwrap_or_else(PoisonError::into_inner).add(request);
            log.iter().for_each(|log| log(request));
        })
    }

    /// Returns the requests that have failed so far, and forgets them.
    pub fn take(&self) -> FailedRequests {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Failed requests by what would fix them. Everything is described for display and sorted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// The server's own errors.
    pub errors: Vec<String>,
    /// The locks.
    pub locks: Vec<String>,
    /// What the locks pin: an update adds it.
    pub pinned: Vec<String>,
    /// What no lock pins: it must be added to a lock first.
    pub unpinned: Vec<String>,
    /// Documentation that no lock pins: the setting `docs` asks for it.
    pub docs: Vec<String>,
    /// Files of the pinned index, which `index` creates.
    pub unindexed: Vec<String>,
    /// Repositories of which the mirror lacks entries, and has an index, with the key that signed it. Clients that have the
    /// key need no entries of the repository.
    pub indexes: Vec<(RepositoryName, Fingerprint)>,
    /// What no mirror contains, each with what to do instead.
    pub not_served: Vec<String>,
    /// This machine, if packages have precompiled files for it and no lock names it. `None` unless the command failed.
    pub machine: Option<Target>,
    /// What the locks pin and the mirror has. Empty unless the command failed.
    pub comparison: Comparison,
}

/// Explains failed requests. If the command failed too, anything that the mirror lacks may be the reason, whether or not
/// the server received a request for it. Returns `None` if there is nothing to explain.
pub fn explain(project: &Project, failed: FailedRequests, has_command_failed: bool) -> Option<Explanation> {
    if !has_command_failed && failed.unanswered.is_empty() && failed.errors.is_empty() {
        return None;
    }
    // Without a readable lock or mirror, the requests themselves are all that is known.
    let status = status(project, true).ok();
    let locks = status.as_ref().map(|status| status.locks.clone()).unwrap_or_default();
    let comparison = status.and_then(|status| status.comparison).unwrap_or_default();
    let indexes = indexes(project, &failed, &comparison).unwrap_or_default();
    let machine = if has_command_failed { unnamed_machine(project).unwrap_or_default() } else { None };
    Some(Explanation { locks, indexes, machine, ..Explanation::new(failed, comparison, has_command_failed) })
}

/// Returns this machine if packages have precompiled files for it and no lock names it.
fn unnamed_machine(project: &Project) -> Result<Option<Target>> {
    let (wanted, (_, snapshot)) = (project.wanted(&project.locks()?)?, mirror(project)?);
    new_target(project, &stored_lists(wanted.releases.values(), &snapshot)?, &wanted.targets)
}

/// Returns the indexes of the repositories of which entries are lacking.
fn indexes(
    project: &Project,
    failed: &FailedRequests,
    comparison: &Comparison,
) -> Result<Vec<(RepositoryName, Fingerprint)>> {
    let requested = failed.unanswered.values().filter_map(|unanswered| match unanswered {
        Unanswered::Resource(Resource::RegistryEntry(repository, _)) => Some(repository),
        _ => None,
    });
    let lacking: BTreeSet<&RepositoryName> =
        comparison.entries.iter().map(|entry| &entry.repository).chain(requested).collect();
    if lacking.is_empty() {
        return Ok(Vec::new());
    }
    let (_, snapshot) = mirror(project)?;
    let signers = snapshot.part(ManifestPart::Index)?.index_signers.clone();
    Ok(signers.into_iter().filter(|(repository, _)| lacking.contains(repository)).collect())
}

impl Explanation {
    fn new(failed: FailedRequests, comparison: Comparison, has_command_failed: bool) -> Self {
        let mut explanation = Self { errors: failed.errors.into_iter().collect(), ..Self::default() };
        for (text, unanswered) in failed.unanswered {
            let list = match &unanswered {
                Unanswered::Resource(Resource::Pinned(..)) => &mut explanation.unindexed,
                Unanswered::NotServed { .. } | Unanswered::Elsewhere { .. } => &mut explanation.not_served,
                _ if is_pinned(&unanswered, &comparison) => &mut explanation.pinned,
                Unanswered::Resource(Resource::File(path)) if path.is_of_docs() => &mut explanation.docs,
                _ => &mut explanation.unpinned,
            };
            list.push(text);
        }
        if has_command_failed {
            explanation.pinned = comparison.lacking();
            explanation.comparison = comparison;
        }
        explanation
    }
}

/// Returns whether an update of a mirror with these differences would add what a request asked for.
fn is_pinned(unanswered: &Unanswered, comparison: &Comparison) -> bool {
    match unanswered {
        Unanswered::Resource(Resource::Tarball(id)) => comparison.to_fetch().any(|pin| pin.id == *id),
        Unanswered::Resource(Resource::RegistryEntry(repository, package)) => {
            let is_it = |entry: &EntryId| entry.repository == *repository && entry.package == *package;
            comparison.entries.iter().any(is_it)
        }
        Unanswered::Resource(Resource::Policy(id)) => comparison.policies.contains(id),
        Unanswered::Resource(Resource::File(path)) => comparison.files.iter().any(|pin| pin.id.path == *path),
        Unanswered::GitRepository(address) => comparison.git_to_fetch().any(|pin| pin.url.address() == address),
        Unanswered::Resource(_) | Unanswered::NotServed { .. } | Unanswered::Elsewhere { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{IndexFile, ReleaseId};
    use crate::plan::Pin;

    fn tarball(release: &str) -> Unanswered {
        let (package, version) = release.split_once(' ').unwrap();
        Unanswered::Resource(Resource::Tarball(ReleaseId {
            repository: RepositoryName::hexpm(),
            package: package.parse().unwrap(),
            version: version.parse().unwrap(),
        }))
    }

    fn failed(all: &[Unanswered]) -> FailedRequests {
        let unanswered = all.iter().map(|unanswered| (unanswered.to_string(), unanswered.clone())).collect();
        FailedRequests { unanswered, ..FailedRequests::default() }
    }

    fn lacking(release: &str) -> Comparison {
        let Unanswered::Resource(Resource::Tarball(id)) = tarball(release) else { unreachable!() };
        Comparison { missing: vec![Pin { id, outer: None, inner: None }], ..Comparison::default() }
    }

    #[test]
    fn requests_are_grouped_by_what_fixes_them() {
        let docs = Unanswered::NotServed { path: "/docs/a-1.0.0.tar.gz".into(), reason: "none".into() };
        let entry = Unanswered::Resource(Resource::RegistryEntry(RepositoryName::hexpm(), "c".parse().unwrap()));
        let index = Unanswered::Resource(Resource::Pinned(RepositoryName::hexpm(), IndexFile::Names));
        let git = Unanswered::GitRepository("h/lib".parse().unwrap());
        let all = [tarball("a 1.0.0"), tarball("b 1.0.0"), docs, entry, index, git];
        let explanation = Explanation::new(failed(&all), lacking("a 1.0.0"), false);
        assert_eq!(explanation.pinned, ["a 1.0.0"]);
        assert_eq!(explanation.unpinned, ["b 1.0.0", "the git repository h/lib", "the registry entry of c"]);
        assert_eq!(explanation.not_served, ["/docs/a-1.0.0.tar.gz (none)"]);
        assert_eq!(explanation.unindexed.len(), 1);
    }

    #[test]
    fn after_a_failure_everything_that_is_pinned_and_missing_is_named() {
        let explain = |has_failed| Explanation::new(failed(&[]), lacking("a 1.0.0"), has_failed);
        assert_eq!(explain(true).pinned, ["a 1.0.0"]);
        assert_eq!(explain(false), Explanation::default());
    }

    #[test]
    fn the_number_of_recorded_requests_is_limited() {
        let mut failed = FailedRequests::default();
        for number in 0..2 * MAX_FAILED {
            failed.add(&RequestLog {
                peer: ([127, 0, 0, 1], 1).into(),
                method: "GET".into(),
                path: "/".into(),
                status: 503,
                bytes: 0,
                elapsed: Duration::ZERO,
                error: Some(format!("error {number}")),
                unanswered: Some(tarball(&format!("a {number}.0.0"))),
            });
        }
        assert_eq!((failed.unanswered.len(), failed.errors.len()), (MAX_FAILED, MAX_FAILED));
    }
}
