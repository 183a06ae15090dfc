//! The literal terms of Erlang and Elixir: text to [`Term`] with the place each stands at.
