#!/bin/sh
# A command runs as it is; anything else is what curl is to be told.
case "${1:-}" in
  -* | "") exec curl "$@" ;;
esac
command -v "$1" >/dev/null 2>&1 || exec curl "$@"
exec "$@"
