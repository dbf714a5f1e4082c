#!/usr/bin/env bash
# Builds the release binaries and measures them: requests beside pgbench, import, starts, memory. Arguments go to
# velocity-bench; `scripts/bench.sh --help` lists them.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "$(uname)" != Linux ]; then
  echo 'the bench reads memory and processor time from /proc: run it on Linux' >&2
  exit 1
fi

# pgbench belongs to the Postgres that velocityd runs; 14 is the first with pipelines.
pgbench=
for dir in "${VELOCITY_PG_BIN:-}" $(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin 2>/dev/null | sort -Vr); do
  if [ -n "$dir" ] && [ -x "$dir/pgbench" ]; then pgbench=$dir/pgbench; break; fi
done
[ -n "$pgbench" ] || pgbench=$(command -v pgbench) || {
  printf 'missing: pgbench 14 or newer\n  Debian: apt-get install postgresql; Fedora: dnf install postgresql-server postgresql-contrib; or name the folder in VELOCITY_PG_BIN\n' >&2
  exit 1
}

target=${CARGO_TARGET_DIR:-target}
profile=${PROFILE:-release}
cargo build --locked --profile "$profile" -p velocityd -p velocity -p velocity-bench

scripts/nycflights-data.sh >&2 || echo 'the flights cannot be fetched: import is not measured' >&2

exec "$target/$profile/velocity-bench" --bin-dir "$target/$profile" --pgbench "$pgbench" --json "$target/bench.json" "$@"
