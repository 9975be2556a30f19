#!/usr/bin/env bash
# gsasl logs in with SCRAM over submission and IMAP, by keys that gsasl and Dovecot made, bound to the TLS connection (by its
# exporter) and not.
source "$(dirname "$0")/lib.sh"
start

# The accounts are read again when the file changes: now they have SCRAM keys.
accounts() { # the keys
    echo "$user:$1" >"$data/passwd"
}
accounts "$(gsasl --mkpasswd --mechanism SCRAM-SHA-256 --iteration-count 10000 --password "$password")"

login() { # how (smtp, imap), mechanism, password, more
    local port=$imap
    [ "$1" = imap ] || port=$submission
    # It ends with the login, and asks for nothing.
    timeout 20 gsasl --"$1" --connect=localhost:"$port" --mechanism="$2" --authentication-id="$user" \
        --password="$3" --x509-ca-file= --starttls --no-client-first "${@:4}" </dev/null >"$work/gsasl.log" 2>&1
}
good() {
    login "$@" && grep -q 'Client authentication finished (server trusted)' "$work/gsasl.log" || { cat "$work/gsasl.log" >&2; fail "gsasl $*"; }
    echo "ok: gsasl --$1 with $2 ${*:4}"
}
bad() {
    if login "$@"; then cat "$work/gsasl.log" >&2; fail "a wrong login worked: $*"; fi
    grep -q '^535 5.7.8 \|NO \[AUTHENTICATIONFAILED\]' "$work/gsasl.log" || { cat "$work/gsasl.log" >&2; fail "not refused: $*"; }
    echo "ok: no login by gsasl --$1 with $2 ${*:4} and a wrong password"
}

for how in smtp imap; do
    good $how SCRAM-SHA-256 "$password" --no-cb
    good $how SCRAM-SHA-256-PLUS "$password"
    good $how PLAIN "$password"
    bad $how SCRAM-SHA-256 wrong --no-cb
    bad $how SCRAM-SHA-256-PLUS wrong
done
accounts "$(doveadm pw -s SCRAM-SHA-256 -p "$password")"
good smtp SCRAM-SHA-256-PLUS "$password"
good imap SCRAM-SHA-256 "$password" --no-cb
stop
