//! Tests of every command of the program, on a small Hex repository made for the test and on the real project.

#[path = "../support/mod.rs"]
mod support;

mod age;
mod changes;
mod completions;
mod containers;
mod credentials;
mod doctor;
mod env;
mod export;
mod files;
mod folder_upstream;
mod follow;
mod growth;
mod import;
mod index;
mod init;
mod json;
mod learned;
mod links;
mod locks;
mod log;
mod manual;
mod mounts;
mod nested;
mod offline;
mod origin;
mod policies;
mod progress;
mod publish;
mod real;
mod refresh;
mod run;
mod serve;
mod settings;
mod shell;
mod source;
mod terminal;
mod text;
mod tls;
mod trust;
mod update;
mod version;
mod where_it_runs;
