//! What an update would do: a lock and a snapshot to a plan, as pure data.
