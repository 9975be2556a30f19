# Shared by the scripts that compare mail authentication with other programs. Each runs in a network of its own that holds
# loopback alone, so the resolver of every peer finds a name server of ours at the usual port, and nothing else.
# Needs the release build: cargo build --release --bin check-auth
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
if [ "$(id -u)" != 0 ]; then
    echo "skipped: only root makes a network of its own"
    exit 0
fi
if [ -z "${IN_OWN_NETWORK:-}" ]; then
    IN_OWN_NETWORK=1 exec unshare --mount --net bash "$0" "$@"
fi
ip link set lo up
# libunbound asks no server at 127.0.0.0/8.
ip address add 192.0.2.53/32 dev lo

# Peers refuse keys and sockets in a folder that others can write to, as /tmp is.
umask 022
work=$(mktemp -d "/run/pillarbox-interop.XXXXXX")
chmod 755 "$work"
export WORK=$work CHECK_AUTH=${CHECK_AUTH:-$root/target/release/check-auth} PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1
[ -x "$CHECK_AUTH" ] || { echo "FAILED: $CHECK_AUTH is not there" >&2; exit 1; }
# Debian's own, which has the modules of Debian's packages.
python=/usr/bin/python3

started=()
cleanup() {
    status=$?
    for peer in ${started[@]+"${started[@]}"}; do
        kill -TERM "$peer" 2>/dev/null || true
        wait "$peer" 2>/dev/null || true
    done
    [ $status -eq 0 ] || tail -n 30 "$work"/*.log >&2 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

listens() { # address, port
    for _ in $(seq 1200); do
        if (: <"/dev/tcp/$1/$2") 2>/dev/null; then return; fi
        sleep 0.05
    done
    fail "nothing listens on $1 port $2"
}

# Knot serves the zones in $work/zones at 192.0.2.53, a file for each under its name, and fails for `broken.example`, of which
# it has no file. Lines for the zones' configuration may be given.
serve_zones() { # [line ...]
    mkdir -p "$work"/knot
    local zone
    {
        printf 'server:\n    listen: 192.0.2.53@53\n    rundir: %s/knot\n    user: root:root\n    udp-max-payload: 1232\n' "$work"
        printf 'database:\n    storage: %s/knot\n' "$work"
        printf 'log:\n  - target: stderr\n    any: warning\n'
        printf 'template:\n  - id: default\n    storage: %s/zones\n    file: "%%s"\n' "$work"
        [ $# -eq 0 ] || printf '    %s\n' "$@"
        printf 'zone:\n  - domain: broken.example\n'
        for zone in "$work"/zones/*; do printf '  - domain: %s\n' "${zone##*/}"; done
    } >"$work/knot.conf"
    knotd -c "$work/knot.conf" >"$work/knot.log" 2>&1 &
    started+=($!)
    listens 192.0.2.53 53
    printf 'nameserver 192.0.2.53\noptions timeout:2 attempts:1\n' >"$work/resolv.conf"
    mount --bind "$work/resolv.conf" "$(readlink -f /etc/resolv.conf)"
}
