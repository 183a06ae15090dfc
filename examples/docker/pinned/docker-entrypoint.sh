#!/bin/sh
# Adds the registry in HEX_REGISTRY, fetches the dependencies, and runs the command.
set -e
if [ -n "$HEX_REGISTRY" ]; then
    mix hex.repo add hexpm "$HEX_REGISTRY" --public-key=.hex_repo/public_key
fi
mix deps.get
exec "$@"
