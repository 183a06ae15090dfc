# An Elixir application's image for these examples: Hex and rebar3 are in it, because the mirror's network has no other source.
FROM elixir:1.18
RUN mix local.hex --force && mix local.rebar --force
