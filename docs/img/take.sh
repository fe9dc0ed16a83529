#!/bin/sh
# Renews docs/img/report.png from a finished run: docs/img/take.sh RUN   (needs chromium; opens no network address)
set -eu
run=$(cd "$1" && pwd)
out=$(cd "$(dirname "$0")" && pwd)/report.png
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT
chromium --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
  --disable-component-update --disable-sync --hide-scrollbars --user-data-dir="$profile" \
  --window-size=1240,2380 --screenshot="$out" "file://$run/report.html" 2>/dev/null
echo "$out"
