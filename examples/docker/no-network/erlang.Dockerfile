# Needs the image git-hexmirror, which ../Dockerfile makes.
FROM git-hexmirror AS hexmirror
FROM erlang:27
COPY --from=hexmirror /git-hexmirror /usr/local/bin/git-hexmirror
# The clone may belong to another user than the one in the container.
RUN git config --system --add safe.directory /project
