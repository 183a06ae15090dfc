//! Looks at everything that this program depends on in a clone, and says what needs doing. Contacts no other machine.

mod clients;
mod disk;
mod environment;
mod finding;
mod left_out;
mod mirror;
mod setup;

use std::collections::BTreeSet;
use std::path::Path;

use super::{Project, Result};
pub use finding::{Advice, Finding, Topic};

/// Looks at everything, in the order of the topics. A check that fails is a finding. `binary` is the path of this program.
pub fn doctor(project: &Project, binary: &Path) -> Vec<Finding> {
    let checks: [(Topic, &dyn Fn() -> Result<Vec<Finding>>); 11] = [
        (Topic::Git, &|| setup::git(project)),
        (Topic::Clients, &|| clients::clients(project)),
        (Topic::Locks, &|| mirror::locks(project)),
        (Topic::Locks, &|| left_out::left_out(project)),
        (Topic::Mirror, &|| mirror::mirrors(project)),
        (Topic::Remotes, &|| Ok(setup::remotes(project))),
        (Topic::Hooks, &|| setup::hooks(project, binary)),
        (Topic::Settings, &|| setup::settings(project)),
        (Topic::Upstream, &|| setup::upstream(project)),
        (Topic::Environment, &|| Ok(environment::environment(project))),
        (Topic::Disk, &|| disk::disk(project)),
    ];
    let found =
        checks.into_iter().map(|(topic, check)| check().unwrap_or_else(|error| vec![Finding::error(topic, error)]));
    let mut found: Vec<Finding> = found.flatten().collect();
    // What is wrong once may make several checks fail.
    let mut errors = BTreeSet::new();
    found.retain(|finding| !matches!(finding.advice, Some(Advice::Resolve(_))) || errors.insert(finding.text.clone()));
    found
}
