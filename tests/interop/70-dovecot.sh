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
ours() { c "imaps://127.0.0.1:$imaps/$1" -X 'FETCH 1:* (UID FLAGS RFC822.SIZE)' -v 2>&1 | grep -o '^< \* [0-9]* FETCH (.*)' | sed 's/.*FETCH (\(.*\))/\1/' | python3 -c '
import re, sys
for line in sys.stdin:
    uid = re.search(r"UID (\d+)", line)[1]
    size = re.search(r"RFC822.SIZE (\d+)", line)[1]
    flags = sorted(re.search(r"FLAGS \(([^)]*)\)", line)[1].replace("\\Recent", "").split())
    print(uid, size, *flags)'; }
ours INBOX >"$work/ours-inbox"
ours Archive/2026 >"$work/ours-archive"
expect "messages in INBOX" 19 "$(wc -l <"$work/ours-inbox")"
expect "messages in Archive/2026" 4 "$(wc -l <"$work/ours-archive")"

mkdir -p "$work/dovecot"
cat >"$work/dovecot/dovecot.conf" <<CONF
base_dir = $work/dovecot/run
state_dir = $work/dovecot/state
log_path = $work/dovecot/log
mail_location = maildir:$maildir
mail_uid = $(id -u)
mail_gid = $(id -g)
first_valid_uid = 0
namespace inbox {
  inbox = yes
  separator = /
}
CONF
theirs() { /usr/lib/dovecot/imap -c "$work/dovecot/dovecot.conf" <<< "$(printf 'a SELECT %s\r\nb FETCH 1:* (UID FLAGS RFC822.SIZE)\r\nc LOGOUT\r\n' "$1")" 2>>"$work/dovecot/err" | grep -o '^\* [0-9]* FETCH (.*)' | python3 -c '
import re, sys
for line in sys.stdin:
    uid = re.search(r"UID (\d+)", line)[1]
    size = re.search(r"RFC822.SIZE (\d+)", line)[1]
    flags = sorted(re.search(r"FLAGS \(([^)]*)\)", line)[1].replace("\\Recent", "").split())
    print(uid, size, *flags)'; }
export USER=root HOME=$work
theirs INBOX >"$work/theirs-inbox"
theirs Archive/2026 >"$work/theirs-archive"
diff "$work/ours-inbox" "$work/theirs-inbox" || fail "Dovecot sees another INBOX: $(cat "$work/dovecot/err" "$work/dovecot/log" 2>/dev/null)"
diff "$work/ours-archive" "$work/theirs-archive" || fail "Dovecot sees another Archive/2026"
echo "ok: Dovecot sees the same messages, UIDs, sizes and flags"

# Dovecot changes something; we see it, under the same UIDs.
printf 'a SELECT INBOX\r\nb STORE 1 +FLAGS (\\Answered)\r\nc STORE 2 +FLAGS (\\Deleted)\r\nd EXPUNGE\r\ne LOGOUT\r\n' | /usr/lib/dovecot/imap -c "$work/dovecot/dovecot.conf" >/dev/null 2>>"$work/dovecot/err"
theirs INBOX >"$work/theirs-inbox"
ours INBOX >"$work/ours-inbox"
expect "messages after Dovecot's expunge" 18 "$(wc -l <"$work/ours-inbox")"
diff "$work/ours-inbox" "$work/theirs-inbox" || fail "we see another INBOX than Dovecot after its changes"
echo "ok: what Dovecot changes is seen under the same UIDs"
stop
