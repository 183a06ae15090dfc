//! The web pages of real mirrors.

mod code;
