#!/usr/bin/env bash
# Runs the tests of sign-in with OpenID Connect: against a certified provider (Node.js) and in a real browser (Chromium).
#   scripts/test-oidc.sh            all of them
#   scripts/test-oidc.sh protocol   those that need no browser
#   scripts/test-oidc.sh --install  first install what is missing (as root, with apt-get)
#   scripts/test-oidc.sh --optional without Node.js or Chromium: say so, run what can be run, and call that a success
set -euo pipefail
cd "$(dirname "$0")/.."
suites='oidc::' optional=
for argument in "$@"; do
  case $argument in
    protocol) suites=protocol ;;
    --install) install=1 ;;
    --optional) optional=1 ;;
    *) echo "there is no $argument here: protocol, --install, --optional" >&2; exit 2 ;;
  esac
done
first() { for name; do command -v "$name" && return; done; return 1; }
find_tools() {
  node=$(first node) && npm=$(first npm) || node=
  chromium=${VELOCITY_CHROMIUM:-$(first chromium chromium-browser google-chrome google-chrome-stable || true)}
  chromedriver=${VELOCITY_CHROMEDRIVER:-$(first chromedriver || true)}
}
find_tools
if [ -n "${install:-}" ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  wanted=()
  [ -n "$node" ] || wanted+=(nodejs npm)
  [ "$suites" = protocol ] || { [ -n "$chromium" ] && [ -n "$chromedriver" ]; } || wanted+=(chromium chromium-driver)
  if [ ${#wanted[@]} -gt 0 ]; then
    echo "installing ${wanted[*]}" >&2
    export DEBIAN_FRONTEND=noninteractive
    { timeout 120 apt-get -qq update && timeout 300 apt-get -qq install -y --no-install-recommends "${wanted[@]}"; } >/dev/null 2>&1 ||
      echo "apt-get could not install ${wanted[*]}" >&2
    find_tools
  fi
fi

lacks() { printf 'missing: %s\n  %s\n' "$1" "$2" >&2; }
if [ -z "$node" ]; then
  lacks 'Node.js 20 or newer with npm, for the provider that the tests sign in at' \
    'Debian: apt-get install nodejs npm; Fedora: dnf install nodejs; macOS: brew install node'
  [ -n "$optional" ] || exit 1
  echo 'make test-oidc: skipped, nothing of sign-in was tested' >&2
  exit 0
fi
if [ "$suites" != protocol ] && { [ -z "$chromium" ] || [ -z "$chromedriver" ]; }; then
  lacks 'Chromium and ChromeDriver, for the tests in a browser' \
    'Debian: apt-get install chromium chromium-driver; Fedora: dnf install chromium chromedriver; macOS: brew install chromium chromedriver. Elsewhere: VELOCITY_CHROMIUM and VELOCITY_CHROMEDRIVER'
  [ -n "$optional" ] || { echo '  or only those without a browser: scripts/test-oidc.sh protocol' >&2; exit 1; }
  echo 'make test-oidc: the tests in a browser are skipped' >&2
  suites=protocol
fi
# Its sandbox refuses root, who runs tests in containers.
sandbox=()
if [ "$(id -u)" -eq 0 ]; then export VELOCITY_CHROMIUM_NO_SANDBOX=1; sandbox=(--no-sandbox); fi
if [ "$suites" != protocol ] && [ -n "$optional" ]; then
  profile=$(mktemp -d)
  # A browser that shows no page at all is no browser.
  page=$(timeout 60 "$chromium" --headless --disable-gpu --disable-dev-shm-usage --disable-background-networking "${sandbox[@]}" \
    --user-data-dir="$profile" --dump-dom 'data:text/html,<p>there</p>' 2>/dev/null || true)
  if [[ $page != *there* ]]; then
    echo 'make test-oidc: Chromium does not start here, the tests in a browser are skipped' >&2
    suites=protocol
  fi
  rm -rf "$profile"
fi
if ! VELOCITY_OIDC_TOOLS=$(${optional:+timeout 300} scripts/oidc-tools.sh); then
  [ -n "$optional" ] || exit 1
  echo 'make test-oidc: skipped, the provider could not be installed; nothing of sign-in was tested' >&2
  exit 0
fi
export VELOCITY_OIDC_TOOLS VELOCITY_CHROMIUM=$chromium VELOCITY_CHROMEDRIVER=$chromedriver

# The same build as that of `make test`, so that nothing is compiled a second time.
read -ra selection <<<"${VELOCITY_TEST_PACKAGES:---workspace --all-features}"
built=$("${CARGO:-cargo}" test --locked "${selection[@]}" --tests --no-run --message-format json-render-diagnostics)
file=$(sed -n 's|.*"package_id":"[^"]*/crates/velocity-api#.*"name":"it".*"executable":"\([^"]*\)".*|\1|p' <<<"$built")
[ -n "$file" ] || { echo 'there is no test binary of velocity-api' >&2; exit 1; }
# Each test has a provider, and most in a browser a browser, of its own.
cd crates/velocity-api
tests() { "$file" --ignored "$@" --test-threads "${VELOCITY_TEST_THREADS:-2}"; }
tests oidc:: --skip oidc::in_browser
[ "$suites" = protocol ] || tests oidc::in_browser || {
  # On a machine that is busy with other things a browser may miss its moment; what is broken fails twice.
  [ -n "$optional" ] || exit 1
  echo 'make test-oidc: once more in the browser' >&2
  tests oidc::in_browser
}
