#!/usr/bin/env bash
# Run with bash tests/test_rotate.sh; exits 1 at the first test that fails.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

expect() { [[ $2 == "$3" ]] || { echo "not ok - $1: $3 instead of $2" >&2; exit 1; }; echo "ok - $1"; }

for day in 1 2 3 4; do touch -d "2024-01-0$day" "$folder/backup $day.tar"; done
bash "$here/rotate.sh" "$folder" 2 >/dev/null
expect "the newest stay" "backup 3.tar,backup 4.tar" "$(cd "$folder" && printf '%s\n' * | paste -sd,)"
bash "$here/rotate.sh" "$folder" 5 >/dev/null
expect "fewer than wanted all stay" 2 "$(find "$folder" -type f | wc -l)"
expect "a wrong number is refused" 2 "$(bash "$here/rotate.sh" "$folder" many 2>/dev/null && echo 0 || echo $?)"
