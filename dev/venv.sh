#!/bin/sh
# Makes the virtual environment $1 with the first suitable Python (or $2) and the pinned packages.
# Does nothing when that is done already; whatever goes wrong is one line.
set -u
venv=$1
wanted=${2-}
log=.venv-setup.log
lock=.venv-setup.lock
recipe="$wanted $(cksum <requirements-dev.txt)"

fail() {
    echo "make: $1" >&2
    exit 1
}

is_ready() {
    [ "$(cat "$venv/ready" 2>/dev/null)" = "$recipe" ] && "$venv/bin/python" -c "" 2>/dev/null
}

# Executed, not just looked for: a version manager's shim may exist and yet refuse.
is_suitable() {
    "$1" -c "import sys; sys.exit(sys.version_info < (3, 11))" >/dev/null 2>&1
}

find_python() {
    [ -z "$wanted" ] && set -- python3.13 python3.12 python3.11 python3 python || set -- "$wanted"
    for candidate in "$@"; do
        is_suitable "$candidate" && echo "$candidate" && return
    done
    return 1
}

# Two makes may start at once on a fresh clone; the second waits for the first.
take_lock() {
    until mkdir "$lock" 2>/dev/null; do
        [ -d "$lock" ] || fail "this folder cannot be written to (is the disk full?)"
        sleep 1
        is_ready && exit 0
        kill -0 "$(cat "$lock/pid" 2>/dev/null)" 2>/dev/null || rm -rf "$lock"
    done
    trap 'rm -rf "$lock"' EXIT
    trap 'exit 130' INT TERM HUP
    echo $$ >"$lock/pid"
}

why_no_venv() {
    grep -o "No space left on device" "$log" 2>/dev/null || echo "on Debian and Ubuntu it needs the package python3-venv"
}

make_venv() {
    if [ "${wanted:-}" = "$(cut -d ' ' -f 1 "$venv/ready" 2>/dev/null)" ] || [ -z "$wanted" ]; then
        "$venv/bin/python" -m pip --version >/dev/null 2>&1 && return
    fi
    python=$(find_python) || fail "no suitable Python: ${wanted:-Python} is missing or older than 3.11 (set PYTHON=/path/to/python3)"
    rm -rf "$venv"
    echo "Making a virtual environment in $venv with $("$python" --version)"
    "$python" -m venv "$venv" >"$log" 2>&1 ||
        fail "$python cannot make a virtual environment ($(why_no_venv); see $log)"
}

show_progress() {
    total=$(grep -c "==" requirements-dev.txt)
    count=0
    while IFS= read -r line; do
        case $line in
        Collecting* | Processing* | "Requirement already satisfied"*)
            count=$((count + 1))
            [ $((count % 20)) -eq 0 ] && [ "$count" -le "$total" ] && echo "  $count of $total packages"
            ;;
        "Installing collected packages"*) echo "  unpacking" ;;
        esac
    done
}

install() {
    rm -f "$venv/ready"
    echo "Installing the pinned packages (a minute or two; details in $log)"
    { "$venv/bin/python" -m pip install --disable-pip-version-check --no-input \
        --require-hashes --no-deps -r requirements-dev.txt 2>&1 ||
        echo "pip gave up"; } | tee "$log" | show_progress
    if ! [ -s "$log" ] || tail -n 1 "$log" | grep -q "^pip gave up"; then
        why=$(grep "^ERROR:" "$log" 2>/dev/null | tail -n 1)
        fail "the packages could not be installed: ${why:-pip failed} (see $log)"
    fi
    echo "$recipe" >"$venv/ready" 2>/dev/null || fail "$venv cannot be written to (is the disk full?)"
}

is_ready && exit 0
take_lock
is_ready && exit 0
make_venv
install
