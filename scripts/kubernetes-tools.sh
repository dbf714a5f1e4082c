#!/usr/bin/env bash
# Builds the pinned kube-apiserver, etcd and kubectl (tools/kubernetes) into a cache, once per version, and prints
# the folder they are in. Takes some minutes the first time.
set -euo pipefail
module=$(cd "$(dirname "$0")/../tools/kubernetes" && pwd)
version=$(sed -n 's/^require k8s.io\/kubernetes //p' "$module/go.mod")
# Two sets of sources never share a folder, also where only a dependency changed.
sum=$(cat "$module/go.mod" "$module/go.sum" | cksum | cut -d ' ' -f 1)
bin=${XDG_CACHE_HOME:-$HOME/.cache}/velocity/kubernetes/$version-$sum

tools='go.etcd.io/etcd/server/v3=etcd k8s.io/kubernetes/cmd/kube-apiserver=kube-apiserver
       k8s.io/kubernetes/cmd/kubectl=kubectl'
# What a binary says its version is; the API server decides by it which features it has.
stamp="-X k8s.io/component-base/version.gitVersion=$version -X k8s.io/client-go/pkg/version.gitVersion=$version"

for tool in $tools; do
  name=${tool#*=}
  [ -x "$bin/$name" ] && continue
  if ! command -v go >/dev/null; then
    echo 'missing: Go 1.26 or newer, to build the Kubernetes that the tests run against' >&2
    echo '  https://go.dev/dl (unpack it and put its bin folder on your PATH); macOS: brew install go' >&2
    exit 1
  fi
  echo "building $name (Kubernetes $version) into $bin" >&2
  mkdir -p "$bin"
  # Under another name until it is whole: a build that was interrupted is not taken for one that is there.
  (cd "$module" && CGO_ENABLED=0 go build -mod=readonly -trimpath -buildvcs=false -ldflags "-s -w $stamp" \
    -o "$bin/$name.$$" "${tool%=*}")
  mv "$bin/$name.$$" "$bin/$name"
done
echo "$bin"
