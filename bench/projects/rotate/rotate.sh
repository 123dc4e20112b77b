#!/usr/bin/env bash
# Keep the newest N files of a folder, remove the others: rotate.sh FOLDER N
set -euo pipefail

main() {
  local folder=${1:?a folder} keep=${2:?a number}
  [[ $keep =~ ^[0-9]+$ ]] || { echo "rotate: $keep is no number" >&2; return 2; }
  [[ -d $folder ]] || { echo "rotate: $folder is no folder" >&2; return 2; }
  local files=() file
  while IFS= read -r file; do files+=("$file"); done < <(find "$folder" -maxdepth 1 -type f -printf '%T@ %p\n' | sort -rn | cut -d' ' -f2-)
  for file in "${files[@]:keep}"; do
    rm -- "$file"
    echo "removed $(basename "$file")"
  done
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then main "$@"; fi
