//! Elixir's literal terms, as far as a mix.lock is written in them. Under construction.
