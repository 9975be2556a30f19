#!/bin/sh
# Fetches the messages and keys of dkimpy's tests by the name of the package that carries them, into target/suites/dkim (or
# $SUITES/dkim), where the tests of pillarbox-auth find them. What is there already is not fetched again. It needs pip.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
suites=${SUITES:-$root/target/suites}
if [ ! -d "$suites/dkim" ]; then
    mkdir -p "$suites"
    work=$(mktemp -d "$suites/dkim.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: --dest "$work" dkimpy==1.1.8 >&2
    tar -xzf "$work"/dkimpy-1.1.8.tar.gz -C "$work" dkimpy-1.1.8/dkim/tests/data
    # Complete or absent, whatever happens on the way.
    mv "$work/dkimpy-1.1.8/dkim/tests/data" "$suites/dkim"
fi
echo "$suites/dkim"
