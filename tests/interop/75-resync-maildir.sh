#!/usr/bin/env bash
# CONDSTORE and QRESYNC over a Maildir that Dovecot changes as well: a client that comes back is told of what changed and what went, and of
# nothing else; after a restart, after kill -9, and with Dovecot at work while the server is down. The commands of script 42 over a
# Maildir, and copies that have the same EMAILID, whoever made them.
source "$(dirname "$0")/lib.sh"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
start
back() { timeout 120 python3 "$here/75-resync-maildir.py" "$imaps" "$user" "$password" "$work/cache" "$@" || fail "the client and $*"; }
dovecot_on "$maildir"
export USER=nobody
c() { curl -sS --insecure --user "$user:$password" "imaps://127.0.0.1:$imaps/$1" "${@:2}" | tr -d '\r'; }

printf 'Subject: x\r\n\r\nbody\r\n' >"$work/mail"
for _ in $(seq 20); do c INBOX --upload-file "$work/mail"; done
back >/dev/null
expect "nothing happened" "told: vanished [] changed []" "$(back)"
c INBOX -X 'STORE 2 +FLAGS (\Flagged)' >/dev/null
expect "one of us flagged one" "told: vanished [] changed [2]" "$(back)"
dovecot_does 'SELECT INBOX' 'STORE 3 +FLAGS (\Answered work)' 'STORE 5:6 +FLAGS (\Deleted)' EXPUNGE 'APPEND INBOX (\Seen) {10+}\r\nSubject: d' >/dev/null
expect "Dovecot flagged one, expunged two and appended one" "told: vanished [5, 6] changed [3, 21]" "$(back)"
expect "and that is told once" "told: vanished [] changed []" "$(back)"

# The client stays, and hears what Dovecot does.
mkfifo "$work/go"
back ready wait <"$work/go" >"$work/heard" &
client=$!
exec 6>"$work/go"
for _ in $(seq 100); do
    if grep -q ready "$work/heard"; then break; fi
    sleep 0.1
done
dovecot_does 'SELECT INBOX' 'STORE 1 +FLAGS (\Flagged)' 'UID STORE 8 +FLAGS (\Deleted)' EXPUNGE >/dev/null
echo go >&6
exec 6>&-
wait "$client" || fail "the client that stayed: $(cat "$work/heard")"
expect "what a client in session hears of Dovecot" "heard: vanished [8] changed [1]" "$(tail -n 1 "$work/heard")"

stop
start
expect "after a restart" "told: vanished [] changed []" "$(back 'UID STORE 9 +FLAGS (\Draft)')"
kill -KILL "$server"
wait "$server" 2>/dev/null || true
server=
: >"$work/server.log"
dovecot_does 'SELECT INBOX' 'UID STORE 10 +FLAGS (\Flagged)' 'UID STORE 11 +FLAGS (\Deleted)' EXPUNGE >/dev/null
start
expect "kill -9, and Dovecot at work without us" "told: vanished [11] changed [10]" "$(back)"
stop
# Without the journal nothing is known but what is there.
rm "$maildir/pillarbox-journal"
start
told=$(back)
[[ $told == "told: vanished [5, 6, 8, 11] changed [1, 2, 3, 4, 7, "* ]] || fail "without the journal: $told"
echo "ok: without the journal everything is told"

# RFC 8474: copies have the same EMAILID, and mailboxes keep their MAILBOXID.
email_id() { c "$1" -X "UID FETCH $2 (EMAILID)" -v 2>&1 | grep -o 'EMAILID ([^)]*)' | sort -u; }
c '' -X 'CREATE Ours' >/dev/null
c INBOX -X 'UID COPY 2 Ours' >/dev/null
expect "the EMAILID of a copy of ours" "$(email_id INBOX 2)" "$(email_id Ours 1)"
dovecot_does 'CREATE Theirs' 'SELECT INBOX' 'UID COPY 3 Theirs' 'SELECT Ours' 'UID COPY 1 Theirs' >/dev/null
expect "the EMAILID of a copy of Dovecot's" "$(email_id INBOX 3)" "$(email_id Theirs 1)"
expect "the EMAILID of Dovecot's copy of our copy" "$(email_id INBOX 2)" "$(email_id Theirs 2)"
mailbox_id() { c '' -X "STATUS $1 (MAILBOXID)" -v 2>&1 | grep -o 'MAILBOXID ([^)]*)' | sort -u; }
before=$(mailbox_id Ours)
c '' -X 'RENAME Ours Renamed' >/dev/null
expect "the MAILBOXID of a mailbox with another name" "$before" "$(mailbox_id Renamed)"
[ "$(mailbox_id Theirs)" != "$before" ] || fail "two mailboxes have one MAILBOXID"
if grep -E 'Error|Warning|Panic|Fatal' "$work/dovecot/err" "$work/dovecot/log" >&2 2>/dev/null; then fail "Dovecot complains"; fi

timeout 120 python3 "$here/42-resync.py" tls "$imaps" "$user" "$password" >"$work/ours" || fail "$(tail -n 5 "$work/ours")"
rm -rf "$work/dovecot"
dovecot_on "$work/theirs-mail/Maildir"
"${as[@]}" mkdir -p "$work/theirs-mail"
timeout 120 python3 "$here/42-resync.py" stdio ${as[@]+"${as[@]}"} /usr/lib/dovecot/imap -c "$work/dovecot/dovecot.conf" >"$work/theirs" 2>>"$work/dovecot/err" ||
    fail "Dovecot: $(tail -n 5 "$work/theirs"; cat "$work/dovecot/err" "$work/dovecot/log" 2>/dev/null)"
python3 "$here/42-resync.py" compare "$work/ours" "$work/theirs"
stop
