//! The git repositories of a mirror, served to real git over real sockets.

mod astray;
mod clients;
mod elsewhere;
mod files;
mod limits;
pub mod mirror;
mod mix;
mod overtaken;
mod read_only;
mod smart;
mod upstream_redirect;
