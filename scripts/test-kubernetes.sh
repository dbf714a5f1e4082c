#!/usr/bin/env bash
# Runs the suites about the Kubernetes API, which `make test` runs against the built-in one, against a real one: etcd
# and kube-apiserver, started here on free ports with their data in a temporary folder, and stopped at the end.
#   scripts/test-kubernetes.sh            all of it
#   scripts/test-kubernetes.sh SUITE…     only these: conformance, operator, velocityd
#   scripts/test-kubernetes.sh -- COMMAND with the servers up and KUBECONFIG set
set -euo pipefail
cd "$(dirname "$0")/.."
# Tests of the operator share no server, since an operator works on all namespaces: as many run at once.
servers=4
# A thousand schemas at once are for `make test`: here each one is also some writes to etcd and some traffic encrypted
# twice on the same few cores, and what is to be seen is that the operator asks a real server no more than ours.
export VELOCITY_TEST_CROWD=${VELOCITY_TEST_CROWD:-100}
missing() { printf 'missing: %s\n  %s\n' "$1" "$2" >&2; exit 1; }
command -v openssl >/dev/null || missing openssl 'Debian: apt-get install openssl; Fedora: dnf install openssl'
bin=$(scripts/kubernetes-tools.sh)
export PATH=$bin:$PATH

run=$(mktemp -d "${TMPDIR:-/tmp}/velocity-kubernetes.XXXXXX")
started=() running=
stop() {
  trap - EXIT
  [ -z "$running" ] || kill "$running" 2>/dev/null || true
  # Nothing of theirs is kept, so they need no time to write it down.
  [ ${#started[@]} -eq 0 ] || kill -9 "${started[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$run"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Away from where the system and the tests pick theirs by themselves.
taken=' '
free_port() {
  while port=$((20000 + RANDOM % 10000)); [[ $taken == *" $port "* ]] || (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
  taken+="$port "
}
start() { "$@" >"$run/$(basename "$1")-${#started[@]}.log" 2>&1 </dev/null & started+=($!); }

# -- Keys: an authority for this run, the API servers' certificate, the key of service accounts, the administrator's token.
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$run/$1.key" 2>/dev/null; }
key ca; key server; key accounts
openssl pkey -in "$run/accounts.key" -pubout -out "$run/accounts.pub"
openssl req -x509 -new -key "$run/ca.key" -subj /CN=velocity-tests -days 2 -out "$run/ca.crt"
openssl req -new -key "$run/server.key" -subj /CN=kube-apiserver -out "$run/server.csr"
openssl x509 -req -in "$run/server.csr" -CA "$run/ca.crt" -CAkey "$run/ca.key" -CAcreateserial -days 2 -out "$run/server.crt" \
  -extfile <(echo 'subjectAltName=IP:127.0.0.1,DNS:localhost') 2>/dev/null
token=$(openssl rand -hex 16)
echo "$token,admin,admin,system:masters" >"$run/tokens.csv"

# -- One etcd, and API servers that each see a part of it of their own.
free_port; etcd=http://127.0.0.1:$port
free_port
start etcd --data-dir "$run/etcd" --unsafe-no-fsync --listen-client-urls "$etcd" --advertise-client-urls "$etcd" \
  --listen-peer-urls "http://127.0.0.1:$port"
kubeconfigs=()
for ((n = 1; n <= servers + 1; n++)); do
  free_port; url=https://127.0.0.1:$port
  [ "$n" -eq 1 ] && first=$url
  # No controllers run, so nothing makes the service accounts that pods would want, nor are there endpoints to keep.
  start kube-apiserver --etcd-servers "$etcd" --etcd-prefix "/$n" --bind-address 127.0.0.1 --secure-port "$port" \
    --tls-cert-file "$run/server.crt" --tls-private-key-file "$run/server.key" --cert-dir "$run" \
    --token-auth-file "$run/tokens.csv" --authorization-mode RBAC --service-cluster-ip-range 10.96.0.0/16 \
    --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$run/accounts.pub" \
    --service-account-signing-key-file "$run/accounts.key" --disable-admission-plugins ServiceAccount \
    --endpoint-reconciler-type none
  cat >"$run/kubeconfig-$n" <<K
apiVersion: v1
kind: Config
clusters: [{name: tests, cluster: {server: "$url", certificate-authority: "$run/ca.crt"}}]
users: [{name: admin, user: {token: $token}}]
contexts: [{name: tests, context: {cluster: tests, user: admin}}]
current-context: tests
K
  kubeconfigs+=("$run/kubeconfig-$n")
done
ready() {
  for _ in $(seq 600); do
    kubectl --kubeconfig "$1" get --raw /readyz >/dev/null 2>&1 && return
    for pid in "${started[@]}"; do kill -0 "$pid" 2>/dev/null || break 2; done
    sleep 0.1
  done
  echo 'the Kubernetes API does not get ready; its log ends with' >&2
  tail -n 5 "$run"/*.log >&2
  exit 1
}
for kubeconfig in "${kubeconfigs[@]}"; do ready "$kubeconfig"; done

export KUBE_CONFORMANCE_URL=$first KUBE_CONFORMANCE_TOKEN=$token KUBE_CONFORMANCE_ETCD=$etcd
# The last one is for velocityd alone, with the CRDs as they are.
VELOCITY_TEST_KUBECONFIGS=$(IFS=:; echo "${kubeconfigs[*]:0:servers}")
export VELOCITY_TEST_KUBECONFIGS VELOCITY_TEST_KUBECONFIG=${kubeconfigs[servers]}
# In the background, so that a signal is heard at once; it gets no input, since it would not be in the foreground.
go_on() { "$@" </dev/null & running=$!; wait "$running"; running=; }
if [ "${1:-}" = -- ]; then
  shift
  KUBECONFIG=${kubeconfigs[0]} go_on "$@"
  exit
fi

# The same build as that of `make test`, so that nothing is compiled a second time.
read -ra selection <<<"${VELOCITY_TEST_PACKAGES:---workspace --all-features}"
go_on "${CARGO:-cargo}" test --locked "${selection[@]}" --tests --no-run --message-format json-render-diagnostics >"$run/built"
suite() {
  local package=$1 file; shift
  file=$(sed -n "s|.*\"package_id\":\"[^\"]*/crates/$package#.*\"name\":\"it\".*\"executable\":\"\([^\"]*\)\".*|\1|p" "$run/built")
  [ -n "$file" ] || { echo "there is no test binary of $package" >&2; exit 1; }
  echo "$package against Kubernetes $(basename "$bin" | cut -d - -f 1)"
  go_on env -C "crates/$package" "$file" "$@"
}
for name in "${@:-all}"; do
  [[ $name =~ ^(all|conformance|operator|velocityd)$ ]] || missing "a suite named $name" 'there are: conformance, operator, velocityd'
done
wanted() { [[ " ${*:2} " == *" $1 "* || $# -eq 1 ]]; }
if wanted conformance "$@"; then suite velocity-localkube --include-ignored; fi
if wanted operator "$@"; then suite velocity-operator --test-threads "$servers"; fi
if wanted velocityd "$@"; then suite velocityd --ignored kubernetes:: --test-threads 1; fi
