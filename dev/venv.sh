#!/bin/sh
# Creates the virtual environment $1 with the packages of requirements-$2.txt ("run" or "dev"), using the first suitable
# Python or $3. Does nothing if it is up to date; every error is one line.
set -u
venv=$1
kind=$2
wanted=${3-}
here=$(dirname "$0")
log=.venv-setup.log
lock=.venv-setup.lock
recipe="$wanted $(cat requirements-run.txt requirements-dev.txt | cksum)"

fail() {
    echo "make: $1" >&2
    exit 1
}

installed() {
    tail -n 1 "$venv/ready" 2>/dev/null
}

# The development requirements include those for running.
is_ready() {
    [ "$(head -n 1 "$venv/ready" 2>/dev/null)" = "$recipe" ] && { [ "$(installed)" = "$kind" ] || [ "$(installed)" = dev ]; } &&
        "$venv/bin/python" -c "" 2>/dev/null
}

# Executed, not just located: a version manager's shim may exist and still fail.
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

# Two makes may start concurrently on a fresh clone; the second waits for the first.
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

logged() {
    grep -q -i -E "$1" "$log" 2>/dev/null
}

why_no_venv() {
    logged "No space left on device" && echo "the disk is full" && return
    echo "on Debian and Ubuntu it needs the package python3-venv"
}

make_venv() {
    if [ "${wanted:-}" = "$(head -n 1 "$venv/ready" 2>/dev/null | cut -d ' ' -f 1)" ] || [ -z "$wanted" ]; then
        "$venv/bin/python" -m pip --version >/dev/null 2>&1 && return
    fi
    python=$(find_python) || fail "no suitable Python: ${wanted:-Python} is missing or older than 3.11 (set PYTHON=/path/to/python3)"
    rm -rf "$venv"
    echo "Making a virtual environment in $venv with $("$python" --version)"
    "$python" -m venv "$venv" >"$log" 2>&1 ||
        fail "$python cannot make a virtual environment ($(why_no_venv); see $log)"
}

why_no_packages() {
    if logged "No space left on device"; then
        echo "the disk is full"
    elif logged "DO NOT MATCH THE HASHES|Hash mismatch"; then
        echo "one is not the file that was locked (hash mismatch)"
    elif logged "CERTIFICATE_VERIFY_FAILED|UnknownIssuer|invalid peer certificate"; then
        echo "the package index's certificate is not trusted; name your network's authorities in SSL_CERT_FILE and PIP_CERT"
    elif logged "NewConnectionError|ConnectTimeout|name resolution|Name or service|dns error|Connection refused|unreachable|timed out|error sending request|client error \(Connect\)"; then
        echo "the package index cannot be reached; is this machine online, and are pip's index and proxy right?"
    else
        grep -i -A 2 "^error:" "$log" | tail -n 3 | tr -s '\n ' ' ' | cut -c 1-300
    fi
}

# pip installs only uv, whose hashes are in the lock as well; uv installs a hundred packages in the time pip takes for five.
bring_uv() {
    locked=$(awk '/^[^ #]/ { wanted = /^uv==/ } wanted' requirements-run.txt)
    case "$("$venv/bin/uv" --version 2>/dev/null) " in "uv $(echo "$locked" | sed -n 's/^uv==\([^ ]*\).*/\1/p') "*) return ;; esac
    echo "$locked" >"$log.uv"
    "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --require-hashes --no-deps --force-reinstall -r "$log.uv" >"$log" 2>&1
    status=$?
    rm -f "$log.uv"
    return $status
}

# A folder that already has the development tools keeps them.
install() {
    [ "$(installed)" = dev ] && kind=dev
    rm -f "$venv/ready"
    echo "Installing the $(grep -c "==" "requirements-$kind.txt") packages of requirements-$kind.txt (details in $log)"
    { bring_uv &&
        "$venv/bin/python" -P "$here/uv.py" pip sync --python "$venv/bin/python" --require-hashes "requirements-$kind.txt" >"$log" 2>&1; } ||
        fail "the packages could not be installed: $(why_no_packages) (see $log)"
    printf '%s\n%s\n' "$recipe" "$kind" >"$venv/ready" 2>/dev/null || fail "$venv cannot be written to (is the disk full?)"
}

is_ready && exit 0
take_lock
is_ready && exit 0
make_venv
install
