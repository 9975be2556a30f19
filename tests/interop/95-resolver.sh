#!/usr/bin/env bash
# Our resolver against a real name server, and against one that validates in front of it: answers that need TCP, names that are
# not there, failures, answers that are forged, and servers that do not answer.
source "$(dirname "$0")/auth.sh"
ip address add 192.0.2.54/32 dev lo
"$python" "$here/95-resolver.py" zone
serve_zones "dnssec-signing: on"

# Unbound trusts the key of each zone, and for `forged.example` another's.
keys() { keymgr -c "$work/knot.conf" "$1" dnskey 2>/dev/null | sed "s/^[^ ]*/$2./"; }
{
    cat <<CONF
server:
    interface: 192.0.2.54
    access-control: 192.0.2.0/24 allow
    do-daemonize: no
    username: ""
    chroot: ""
    directory: "$work"
    pidfile: "$work/unbound.pid"
    use-syslog: no
    logfile: ""
    module-config: "validator iterator"
CONF
    for zone in signed.example forged.example; do
        keys signed.example "$zone" | sed 's/.*/    trust-anchor: "&"/'
    done
    for zone in signed.example forged.example broken.example; do
        printf 'stub-zone:\n    name: %s\n    stub-addr: 192.0.2.53\n' "$zone"
    done
} >"$work/unbound.conf"
unbound -c "$work/unbound.conf" >"$work/unbound.log" 2>&1 &
started+=($!)
listens 192.0.2.54 53
"$python" "$here/95-resolver.py" compare
