//! The commands that mix runs for a git dependency (`lib/mix/lib/mix/scm/git.ex`).
