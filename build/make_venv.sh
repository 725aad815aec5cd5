#!/usr/bin/env bash
# Makes the virtual environment: build/make_venv.sh FOLDER
#
# Takes $PYTHON, or the first of python3.12, python3.11 and python3 that runs and is one of the two
# (scripts/preflight.py says why those). What Debian keeps in packages of their own, venv and the
# shared libpython, is installed where this may do so, and named in one line where it may not.
# The repository's root goes on the environment's path, so `import pipeline, gateway` works.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
folder=$1

fail() {
    echo "error: $*" >&2
    exit 1
}

is_accepted() {
    "$1" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null
}

choose_python() {
    local candidate
    for candidate in ${PYTHON:-python3.12 python3.11 python3}; do
        if is_accepted "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python 3.11 or 3.12 (${PYTHON:-python3.12, python3.11, python3}) found:" \
        "install one and run make with PYTHON=/path/to/it"
}

may_install() {
    [[ $EUID -eq 0 ]] && command -v apt-get >/dev/null
}

install_package() {
    echo "Installing the system package $1 ..."
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1"
}

python=$(choose_python)
version=$("$python" -c 'import sys; print(f"{sys.version_info.major}.{sys.version_info.minor}")')

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    may_install || fail "$python has no venv: sudo apt-get install python$version-venv"
    install_package "python$version-venv"
fi
if ! "$python" "$root/scripts/preflight.py" 2>/dev/null && may_install; then
    install_package "libpython$version"
fi
"$python" "$root/scripts/preflight.py"

"$python" -m venv --clear "$folder"
# Relative to the line's own folder, so that the checkout can be moved.
echo ../../../.. >"$folder/lib/python$version/site-packages/streaming_whisper.pth"
