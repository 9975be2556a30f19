#!/usr/bin/env bash
# Debian's Dovecot opens the Maildir that the server filled and sees the same messages under the same UIDs, and back.
source "$(dirname "$0")/lib.sh"
start
for n in $(seq 20); do
    printf 'From: a@elsewhere.example\r\nSubject: number %s\r\n\r\nbody %s\r\n' "$n" "$n" >"$work/mail"
    curl -sS --url "smtp://127.0.0.1:$smtp" --mail-from a@elsewhere.example --mail-rcpt "$user" --upload-file "$work/mail"
done
c() { curl -sS --insecure --user "$user:$password" "$@"; }
c "imaps://127.0.0.1:$imaps/INBOX" -X 'STORE 3 +FLAGS (\Flagged \Seen todo)' >/dev/null
c "imaps://127.0.0.1:$imaps/INBOX" -X 'STORE 5 +FLAGS (\Deleted)' >/dev/null
c "imaps://127.0.0.1:$imaps/INBOX" -X 'EXPUNGE' >/dev/null
c "imaps://127.0.0.1:$imaps/" -X 'CREATE Archive/2026' >/dev/null
c "imaps://127.0.0.1:$imaps/INBOX" -X 'COPY 1:4 Archive/2026' >/dev/null
sorted='
import re, sys
for line in sys.stdin:
    found = re.match(r"\* \d+ FETCH \((.*)\)", line)
    if found:
        uid = re.search(r"UID (\d+)", found[1])[1]
        size = re.search(r"RFC822.SIZE (\d+)", found[1])[1]
        flags = sorted(re.search(r"FLAGS \(([^)]*)\)", found[1])[1].replace("\\Recent", "").split())
        print(uid, size, *flags)'
ours() { c "imaps://127.0.0.1:$imaps/$1" -X 'FETCH 1:* (UID FLAGS RFC822.SIZE)' -v 2>&1 | sed -n 's/^< //p' | tr -d '\r' | python3 -c "$sorted"; }
ours INBOX >"$work/ours-inbox"
ours Archive/2026 >"$work/ours-archive"
expect "messages in INBOX" 19 "$(wc -l <"$work/ours-inbox")"
expect "messages in Archive/2026" 4 "$(wc -l <"$work/ours-archive")"

dovecot_on "$maildir"
export USER=nobody
theirs() { dovecot_does "SELECT $1" 'FETCH 1:* (UID FLAGS RFC822.SIZE)' | python3 -c "$sorted"; }
theirs INBOX >"$work/theirs-inbox"
theirs Archive/2026 >"$work/theirs-archive"
diff "$work/ours-inbox" "$work/theirs-inbox" || fail "Dovecot sees another INBOX: $(cat "$work/dovecot/err" "$work/dovecot/log" 2>/dev/null)"
diff "$work/ours-archive" "$work/theirs-archive" || fail "Dovecot sees another Archive/2026"
echo "ok: Dovecot sees the same messages, UIDs, sizes and flags"

# Dovecot changes something; we see it, under the same UIDs.
dovecot_does 'SELECT INBOX' 'STORE 1 +FLAGS (\Answered)' 'STORE 2 +FLAGS (\Deleted)' EXPUNGE >/dev/null
theirs INBOX >"$work/theirs-inbox"
ours INBOX >"$work/ours-inbox"
expect "messages after Dovecot's expunge" 18 "$(wc -l <"$work/ours-inbox")"
diff "$work/ours-inbox" "$work/theirs-inbox" || fail "we see another INBOX than Dovecot after its changes"
echo "ok: what Dovecot changes is seen under the same UIDs"
stop
