#!/usr/bin/env bash
# Installs the pinned OpenID Connect provider of the tests (tools/oidc) into a cache, once per version, and prints the
# folder it is in.
set -euo pipefail
module=$(cd "$(dirname "$0")/../tools/oidc" && pwd)
sum=$(cat "$module/package.json" "$module/package-lock.json" | cksum | cut -d ' ' -f 1)
folder=${XDG_CACHE_HOME:-$HOME/.cache}/velocity/oidc/$sum

if [ ! -d "$folder" ]; then
  for tool in node npm; do
    command -v "$tool" >/dev/null && continue
    echo "missing: $tool (Node.js 20 or newer), to run the provider that the tests sign in at" >&2
    echo '  https://nodejs.org; Debian: apt-get install nodejs npm; Fedora: dnf install nodejs; macOS: brew install node' >&2
    exit 1
  done
  echo "installing the OpenID Connect provider of the tests into $folder" >&2
  mkdir -p "$(dirname "$folder")"
  # Under another name until it is whole: what was interrupted is not taken for what is there.
  fresh=$(mktemp -d "$folder.XXXXXX")
  trap 'rm -rf "$fresh"' EXIT
  cp "$module/package.json" "$module/package-lock.json" "$fresh"
  (cd "$fresh" && npm ci --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
  chmod 755 "$fresh"
  [ -d "$folder" ] || mv "$fresh" "$folder"
fi
echo "$folder"
