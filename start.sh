#!/bin/sh
# Finds Python and hands over to webui/bootstrap, which installs what is needed and starts the program.
unset CDPATH
self=$0
while [ -L "$self" ]; do
    target=$(readlink "$self")
    case $target in
        /*) self=$target ;;
        *) self=$(dirname -- "$self")/$target ;;
    esac
done
here=$(cd -- "$(dirname -- "$self")" && pwd -P) || exit 2

# The .venv's own Python first: it is there on every start but the first, and asking it costs nothing.
for python in "$here/.venv/bin/python" python3 python3.14 python3.13 python3.12 python3.11 python3.10 python; do
    case $("$python" -V 2>/dev/null) in
        "Python 3."[1-9][0-9]*) exec "$python" -E "$here/webui/bootstrap" "$@" ;;
    esac
done

install="get it from https://www.python.org/downloads/"
for pair in "apt-get:sudo apt install python3 python3-venv" "dnf:sudo dnf install python3" \
    "pacman:sudo pacman -S python" "zypper:sudo zypper install python311" "apk:sudo apk add python3" \
    "brew:brew install python"; do
    if command -v "${pair%%:*}" >/dev/null 2>&1; then
        install="install it with: ${pair#*:}"
        break
    fi
done
echo "Sampler Lab needs Python 3.10 or newer; $install" >&2
exit 2
