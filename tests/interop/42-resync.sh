#!/usr/bin/env bash
# CONDSTORE and QRESYNC: neomutt comes back to a mailbox that changed; raw sessions for what it does not do; and the same commands
# to Debian's Dovecot. Needs: cargo build --release --bin mailserver --bin imap-memory
source "$(dirname "$0")/lib.sh"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cp "${IMAP_MEMORY:-$root/target/release/imap-memory}" "$work/imap-memory"
port=$((offset + 145)) tapped=$((offset + 146))
"${as[@]}" "$work/imap-memory" "$port" "$user" "$password" >>"$work/server.log" 2>&1 &
server=$!
for _ in $(seq 100); do
    if grep -q '^listening' "$work/server.log"; then break; fi
    kill -0 "$server" 2>/dev/null || fail "imap-memory did not come up"
    sleep 0.05
done
c() { curl -sS --user "$user:$password" "imap://127.0.0.1:$port/$1" "${@:2}" | tr -d '\r'; }
c INBOX --request 'STORE 1 +FLAGS (\Deleted)' >/dev/null
c INBOX --request EXPUNGE >/dev/null
for n in $(seq 30); do
    printf 'From: a@elsewhere.example\r\nSubject: number-%s-\r\nMessage-ID: <%s@elsewhere.example>\r\n\r\nbody %s\r\n' "$n" "$n" "$n" >"$work/mail"
    c INBOX --upload-file "$work/mail"
done

cat >"$work/muttrc" <<RC
set imap_user="$user"
set imap_pass="$password"
set ssl_starttls=no ssl_force_tls=no
set imap_condstore=yes imap_qresync=yes
set folder="$work" spoolfile="$work" header_cache="$work/headers" message_cachedir="" record="" tmpdir="$work"
set sort=mailbox-order delete=yes quit=yes confirmappend=no wait_key=no pager_stop=yes mark_old=no
set index_format="%4C<%Z>%s" timeout=5 imap_keepalive=60
RC
mkdir -p "$work/headers"
mutt() { # transcript, keys
    python3 "$here/tap.py" "$tapped" "$port" "$work/$1" &
    tap=$!
    sleep 0.5
    timeout 60 python3 - "$work/muttrc" "imap://127.0.0.1:$tapped/INBOX" "$2" <<'PY' >"$work/screen" || fail "neomutt: $(tail -c 2000 "$work/screen")"
import os, pty, sys
rc, folder, keys = sys.argv[1:4]
os.environ["TERM"] = "xterm"
os.environ["LINES"], os.environ["COLUMNS"] = "50", "100"
status = pty.spawn(["neomutt", "-n", "-F", rc, "-f", folder, "-e", f"push '{keys}'"])
sys.exit(os.waitstatus_to_exitcode(status))
PY
    kill "$tap"
    wait "$tap" 2>/dev/null || true
}
fetched() { grep -c '^S: \* [0-9]* FETCH (.*BODY\[HEADER' "$work/$1" || true; }

mutt first '<last-entry><quit>'
expect "headers that neomutt fetches at first" 30 "$(fetched first)"
# Meanwhile somebody else reads one, deletes three and adds one.
c INBOX --request 'STORE 5 +FLAGS (\Flagged)' >/dev/null
c INBOX --request 'STORE 2,10:11 +FLAGS.SILENT (\Deleted)' >/dev/null
c INBOX --request EXPUNGE >/dev/null
printf 'From: a@elsewhere.example\r\nSubject: number-31-\r\n\r\nnew\r\n' >"$work/mail"
c INBOX --upload-file "$work/mail"
mutt second '<last-entry><quit>'
grep -q '^C: .*ENABLE QRESYNC' "$work/second" || fail "neomutt does not use QRESYNC: $(grep '^C:' "$work/second")"
grep -q '^C: .*UID FETCH 1:31 (FLAGS) (CHANGEDSINCE [0-9]* VANISHED)' "$work/second" || fail "neomutt does not ask what changed: $(grep '^C:' "$work/second")"
grep -q '^S: \* VANISHED (EARLIER) 3,11:12' "$work/second" || fail "neomutt was not told what is gone: $(cat "$work/second")"
grep -q '^S: \* 4 FETCH (UID 6 FLAGS (\\Flagged \\Seen) MODSEQ (' "$work/second" || fail "neomutt was not told what changed: $(cat "$work/second")"
# One is new. Three it fetches because it leaves holes where messages vanished, and fills them; with Dovecot it does the same.
expect "headers that neomutt fetches when it comes back" 4 "$(fetched second)"
# In the third run it changes something itself, and in the fourth it knows of that.
mutt third '<first-entry><flag-message><next-entry><delete-message><sync-mailbox><quit>'
grep -q '^S: \* VANISHED 5' "$work/third" || fail "neomutt's own expunge is no VANISHED: $(cat "$work/third")"
mutt fourth '<last-entry><quit>'
expect "headers that neomutt fetches when nothing changed but by itself" 0 "$(fetched fourth)"
for n in 1 3 5 31; do
    grep -q "number-$n-" "$work/screen" || fail "neomutt does not show number $n: $(tail -c 3000 "$work/screen")"
done
for n in 2 4 10 11; do
    if grep -q "number-$n-" "$work/screen"; then fail "neomutt shows number $n, which is gone"; fi
done
echo "ok: neomutt shows what is there"

timeout 120 python3 "$here/42-resync.py" ours "$port" "$user" "$password" >"$work/ours" || fail "$(tail -n 5 "$work/ours")"
dovecot_on "$work/dovecot/Maildir"
export USER=nobody
timeout 120 python3 "$here/42-resync.py" stdio ${as[@]+"${as[@]}"} /usr/lib/dovecot/imap -c "$work/dovecot/dovecot.conf" >"$work/theirs" 2>>"$work/dovecot/err" ||
    fail "Dovecot: $(tail -n 5 "$work/theirs"; cat "$work/dovecot/err" "$work/dovecot/log" 2>/dev/null)"
python3 "$here/42-resync.py" compare "$work/ours" "$work/theirs"

kill -INT "$server"
wait "$server" || fail "imap-memory ended with status $?"
server=
