# Needs the image git-hexmirror, which ../Dockerfile makes.
FROM git-hexmirror AS hexmirror
FROM elixir:1.18
COPY --from=hexmirror /git-hexmirror /usr/local/bin/git-hexmirror
RUN mix local.hex --force && mix local.rebar --force
# The clone may belong to another user than the one in the container.
RUN git config --system --add safe.directory /project
