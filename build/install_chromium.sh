#!/usr/bin/env bash
# Installs what the tests of the web page need: Chromium and its driver, Debian's packages.
#
# It does nothing where both are there, whoever they are from, and says in one line what is missing
# where it may not install. (Ubuntu's package of that name is a snap, which may not start here.)
set -euo pipefail

packages=(chromium chromium-driver)

if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then
    exit
fi
if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    echo "error: the tests of the web page need Chromium: sudo apt-get install ${packages[*]}" >&2
    exit 1
fi
echo "Installing the system packages ${packages[*]} ..."
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
