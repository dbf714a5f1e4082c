#!/usr/bin/env bash
# Says exactly what is missing to build and test, and how to get it.
set -u
missing=0
say() { printf 'missing: %s\n  %s\n' "$1" "$2" >&2; missing=1; }

if ! command -v cargo >/dev/null; then
  say 'Rust 1.95 or newer' 'install it with rustup: https://rustup.rs'
else
  have=$(cargo --version | sed -E 's/^cargo ([0-9]+)\.([0-9]+).*/\1 \2/')
  read -r major minor <<<"$have"
  if [ "$major" -lt 1 ] || { [ "$major" -eq 1 ] && [ "$minor" -lt 95 ]; }; then
    say "Rust 1.95 or newer (found 1.$minor)" 'rustup update'
  fi
fi
command -v cc >/dev/null || say 'a C compiler (cc)' 'Debian: apt-get install build-essential; Fedora: dnf install gcc; macOS: xcode-select --install'
[ "$missing" -eq 0 ]
