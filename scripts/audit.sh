#!/usr/bin/env bash
# Known vulnerabilities in the locked dependencies, all extras and tools included, by OSV's database.
# 0: none is known; 1: some are; 3: the database could not be asked (0 with --if-reachable), which is no proof of anything.
set -euo pipefail
cd "$(dirname "$0")/.."
UV=$(command -v uv || echo .tools/bin/uv)
[ -x "$UV" ] || { echo "audit: run 'make setup' first" >&2; exit 2; }

code=0
export UV_HTTP_RETRIES="${UV_HTTP_RETRIES:-1}"
# A mirror of OSV's API may be named where the internet is out of reach.
"$UV" audit --frozen --quiet --preview-features audit-command --service-url "${OSV_URL:-https://api.osv.dev/}" || code=$?
case $code in
  0) echo "audit: no known vulnerability in the locked dependencies" ;;
  1) echo "audit: the dependencies above have known vulnerabilities; raise them in pyproject.toml, then 'uv lock'" >&2 ;;
  *)
    echo "audit: NOT AUDITED: the vulnerability database could not be asked, see above (OSV_URL names a mirror)" >&2
    code=3
    [ "${1:-}" != --if-reachable ] || code=0
    ;;
esac
exit $code
