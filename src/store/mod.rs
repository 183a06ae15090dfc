//! The mirror branch: the only place that names gix.
