# Shared by the scripts of this folder: starts `mailserver try` on loopback in a folder of its own, and ends it.
# Needs the release build: cargo build --release --bin mailserver
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
mailserver=${MAILSERVER:-$root/target/release/mailserver}
work=$(mktemp -d "${TMPDIR:-/tmp}/pillarbox-interop.XXXXXX")
# Away from the default ports, so that a server that somebody is trying goes on undisturbed.
offset=${PORT_OFFSET:-23000}
smtp=$((25 + offset)) submission=$((587 + offset)) submissions=$((465 + offset)) imap=$((143 + offset)) imaps=$((993 + offset))
user=you@localhost password=correct-horse
data=$work/data
maildir=$data/mail/localhost/you/Maildir
server=
: >"$work/server.log"
export HOME=$work

# The server needs no root, and Dovecot opens no mail as root.
as=()
if [ "$(id -u)" = 0 ]; then
    as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    chown 65534:65534 "$work"
fi
cp "$mailserver" "$work/mailserver"

start() {
    "${as[@]}" "$work/mailserver" try --dir "$data" --port-base "$offset" --password "$password" "$@" >>"$work/server.log" 2>&1 &
    server=$!
    for _ in $(seq 200); do
        if grep -q '^listening' "$work/server.log"; then return; fi
        kill -0 "$server" 2>/dev/null || break
        sleep 0.05
    done
    cat "$work/server.log" >&2
    fail "the server did not come up"
}

# Ends the server as Ctrl-C does and waits for it.
stop() {
    [ -n "$server" ] || return 0
    kill -TERM "$server" 2>/dev/null || true
    wait "$server" || fail "the server ended with status $?"
    server=
    : >"$work/server.log"
}

cleanup() {
    status=${1:-$?}
    if [ -n "$server" ]; then
        kill -KILL "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    if [ $status -ne 0 ]; then
        echo "--- the last lines of the server's log:" >&2
        tail -n 15 "$work/server.log" >&2 || true
    fi
    rm -rf "$work"
}
trap cleanup EXIT

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# Writes $work/dovecot/dovecot.conf for Dovecot's imap on a Maildir, without a network.
dovecot_on() { # the folder
    local uid gid
    uid=$(id -u) gid=$(id -g)
    [ "$uid" != 0 ] || uid=65534 gid=65534
    "${as[@]}" mkdir -p "$work/dovecot"
    cat >"$work/dovecot/dovecot.conf" <<CONF
base_dir = $work/dovecot/run
state_dir = $work/dovecot/state
log_path = $work/dovecot/log
mail_location = maildir:$1
mail_uid = ${uid}
mail_gid = ${gid}
first_valid_uid = 0
first_valid_gid = 0
ssl = no
namespace inbox {
  inbox = yes
  separator = /
}
CONF
}

# Says commands to that Dovecot, one after the other's answer; all that it answers.
dovecot_does() { # commands
    python3 "$root/tests/interop/imap-commands.py" "${as[*]} /usr/lib/dovecot/imap -c $work/dovecot/dovecot.conf" "$@" 2>>"$work/dovecot/err" ||
        fail "Dovecot and $*: $(cat "$work/dovecot/err" "$work/dovecot/log" 2>/dev/null)"
}

# Where a package's files are, unpacked and not installed.
unpack() { # package
    local cache=$root/target/peers
    if [ ! -d "$cache/$1" ]; then
        mkdir -p "$cache/download"
        (cd "$cache/download" && apt-get download -qq "$1" 2>/dev/null) || fail "$1 cannot be fetched"
        dpkg -x "$cache/download/$1"_*.deb "$cache/$1.new"
        mv "$cache/$1.new" "$cache/$1"
    fi
    echo "$cache/$1"
}

# How many messages are in the INBOX on disk.
messages() {
    find "$maildir/new" "$maildir/cur" -type f | wc -l
}

expect() { # what, wanted, seen
    [ "$2" = "$3" ] || fail "$1: $3 instead of $2"
    echo "ok: $1: $3"
}
