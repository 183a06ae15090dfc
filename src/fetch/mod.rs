//! Upstream over HTTP: the only place that names reqwest.
