#!/usr/bin/env bash
# Puts Prometheus where the tests of the monitoring look for it: build/output/prometheus.
#
# The programs of Debian's package are unpacked, not installed: no server starts by itself, and
# nobody needs to be root. It does nothing where they are there, in PATH or unpacked already.
set -euo pipefail
cd "$(dirname "$0")/.."

target=build/output/prometheus

if [[ -x $target/prometheus ]] || { command -v prometheus && command -v promtool; } >/dev/null; then
    exit
fi
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "error: the tests of the monitoring need Prometheus: put prometheus and promtool into PATH" >&2
    exit 1
fi
echo "Fetching Debian's package prometheus ..."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# The lists of packages may be old or missing; only root can renew them.
if [[ $EUID -eq 0 ]]; then
    apt-get update -qq
fi
(cd "$folder" && apt-get download -qq -o APT::Sandbox::User=root prometheus)
dpkg-deb --extract "$folder"/prometheus_*.deb "$folder"
mkdir -p "$target"
mv "$folder"/usr/bin/promtool "$folder"/usr/bin/prometheus "$target"
