//! Mirrors git dependencies from a real git server, by running the program.

#[path = "../support/mod.rs"]
mod support;

mod branches;
mod damage;
mod forms;
mod fresh;
mod hostile;
mod import;
mod interrupted;
mod machine;
mod plugins;
mod prune;
mod real;
mod revisions;
mod serving;
mod source;
mod strangers;
mod user_settings;
mod warned;
mod without_depth;
