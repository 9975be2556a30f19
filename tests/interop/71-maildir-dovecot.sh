#!/usr/bin/env bash
# The Maildir crate and Debian's Dovecot work on one folder, in turn and at once, and agree on UIDs, flags, keywords and
# sizes. Needs dovecot-imapd, and: cargo build -p pillarbox-maildir --example maildir
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
built=${MAILDIR_EXAMPLE:-$root/target/debug/examples/maildir}
work=$(mktemp -d "${TMPDIR:-/tmp}/pillarbox-maildir.XXXXXX")
trap 'rm -rf "$work"' EXIT
export HOME=$work USER=nobody

fail() {
    echo "FAILED: $*" >&2
    cat "$work/dovecot.err" >&2 || true
    exit 1
}

# Dovecot refuses to open mail as root.
as=() uid=$(id -u) gid=$(id -g)
if [ "$uid" = 0 ]; then
    uid=65534 gid=65534
    as=(setpriv "--reuid=$uid" "--regid=$gid" --clear-groups)
fi
cp "$built" "$work/maildir"
cat >"$work/dovecot.conf" <<CONF
base_dir = $work/run
state_dir = $work/state
mail_location = maildir:$work/Maildir
mail_uid = $uid
mail_gid = $gid
first_valid_uid = 0
first_valid_gid = 0
ssl = no
namespace inbox {
  inbox = yes
  separator = /
}
CONF
chown -R "$uid:$gid" "$work"

we() { "${as[@]}" "$work/maildir" "$work/Maildir" "$@"; }
dovecot() { cat | "${as[@]}" /usr/lib/dovecot/imap -c "$work/dovecot.conf" 2>>"$work/dovecot.err"; }

# One command after the other's answer: Dovecot puts pipelined ones together, and an EXPUNGE may then miss a STORE.
cat >"$work/commands.py" <<'PY'
import subprocess, sys
imap = subprocess.Popen(sys.argv[1].split(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
for number, command in enumerate(sys.argv[2:] + ["LOGOUT"]):
    tag = b"t%d " % number
    imap.stdin.write(tag + command.replace("\\r\\n", "\r\n").encode() + b"\r\n")
    imap.stdin.flush()
    for line in imap.stdout:
        sys.stdout.write(line.decode())
        if line.startswith(tag):
            break
    if not line.startswith(tag + b"OK"):
        sys.exit("%s: %s" % (command, line.decode()))
imap.wait()
PY
commands() {
    python3 "$work/commands.py" "${as[*]} /usr/lib/dovecot/imap -c $work/dovecot.conf" "$@" 2>>"$work/dovecot.err" || fail "commands $*"
}

# Both as: uid [flags] [keywords] size, after a line with UIDVALIDITY and UIDNEXT.
theirs() {
    commands 'SELECT INBOX' 'FETCH 1:* (UID FLAGS RFC822.SIZE)' | python3 -c '
import re, sys
letters = {"\\Draft": "D", "\\Flagged": "F", "\\Answered": "R", "\\Seen": "S", "\\Deleted": "T"}
rows, numbers = [], {}
for line in sys.stdin:
    code = re.search(r"\[(UIDVALIDITY|UIDNEXT) (\d+)\]", line)
    if code:
        numbers[code[1]] = code[2]
    if " FETCH (" in line:
        flags = re.search(r"FLAGS \(([^)]*)\)", line)[1].replace("\\Recent", "").split()
        system = "".join(sorted(letters[f] for f in flags if f in letters))
        keywords = ",".join(sorted(f for f in flags if f not in letters))
        rows.append((re.search(r"UID (\d+)", line)[1], system, keywords, re.search(r"SIZE (\d+)", line)[1]))
print("uidvalidity", numbers["UIDVALIDITY"], "uidnext", numbers["UIDNEXT"])
for row in rows:
    print("%s [%s] [%s] %s" % row)'
}
ours() { we list | python3 -c '
import re, sys
for line in sys.stdin:
    print(re.sub(r"\] \[([^]]*)\]", lambda m: "] [%s]" % ",".join(sorted(m[1].split(","))), line), end="")'; }
agree() { # what, how many messages
    ours >"$work/ours"
    theirs >"$work/theirs"
    diff "$work/ours" "$work/theirs" >&2 || fail "$1: ours (<) and Dovecot's (>) differ"
    if grep -E 'Error|Warning|Panic|Fatal' "$work/dovecot.err" >&2; then fail "$1: Dovecot complains"; fi
    [ "$(wc -l <"$work/ours")" = $(($2 + 1)) ] || fail "$1: $(($(wc -l <"$work/ours") - 1)) messages instead of $2"
    echo "ok: $1: $2 messages"
}
message() { printf 'From: a@example.org\r\nSubject: %s\r\n\r\nbody %s\r\n' "$1" "$1"; }

for n in $(seq 50); do message "delivered $n" | we deliver; done
for n in $(seq 50); do message "appended $n" | we append "$([ $((n % 2)) = 0 ] && echo FS || true)" >/dev/null; done
agree "what we delivered and appended" 100

commands 'SELECT INBOX' 'STORE 1:10 +FLAGS (\Answered work $Forwarded)' 'STORE 5,7 +FLAGS (\Deleted)' 'EXPUNGE' \
    'CREATE Archive/2026' 'COPY 1:20 Archive/2026' 'APPEND INBOX (\Seen later) {10+}\r\nSubject: x' 'COPY 3 INBOX' >/dev/null
agree "what Dovecot flagged, expunged, appended and copied" 100

we flag 20 FRS
we keyword 20 work
we keyword 21 '$Junk'
we expunge 30
we copy 21 Archive/2026 >/dev/null
message "again" | we append D >/dev/null
agree "what we changed after Dovecot" 100
[ "$(we mailboxes | tr '\n' ' ')" = "Archive (no mailbox) Archive/2026 INBOX " ] || fail "mailboxes: $(we mailboxes)"
copied=$(commands 'STATUS Archive/2026 (MESSAGES UIDNEXT)' 'EXAMINE Archive/2026' 'FETCH 21 (UID FLAGS)')
grep -q 'MESSAGES 21 UIDNEXT 22' <<<"$copied" || fail "our copy into Dovecot's mailbox: $copied"
grep -q '21 FETCH (UID 21 FLAGS (.*$Junk))' <<<"$copied" || fail "our copy's keyword: $copied"

# Copies of both sides, and copies of copies, have the GUIDs of their sources.
guids() { # mailbox
    we guids "$1" >"$work/ours"
    "${as[@]}" doveadm -c "$work/dovecot.conf" -f flow fetch 'uid guid' mailbox "$1" 2>>"$work/dovecot.err" |
        sed 's/^uid=\([0-9]*\) guid=/\1 /' >"$work/theirs"
    diff "$work/ours" "$work/theirs" >&2 || fail "GUIDs in $1: ours (<) and Dovecot's (>) differ"
}
guid() { we guids "$1" | sed -n "s/^$2 //p"; } # mailbox, UID
guids INBOX
guids Archive/2026
[ "$(guid INBOX 21)" = "$(guid Archive/2026 21)" ] || fail "our copy has a GUID of its own"
copy=$(we copy 3 Archive/2026)
[ "$(guid Archive/2026 "$copy")" = "$(guid Archive/2026 3)" ] || fail "our copy and Dovecot's have different GUIDs"
guids Archive/2026
echo "ok: GUIDs of copies"
commands 'SELECT Archive/2026' "UID STORE $copy +FLAGS (\\Deleted)" 'EXPUNGE' >/dev/null

# Letter P, which others write for $Forwarded, is nothing to Dovecot and survives its changes.
we flag 22 P
commands 'SELECT INBOX' 'UID STORE 22 +FLAGS (\Flagged)' >/dev/null
find "$work/Maildir/cur" -name '*:2,*FP*' | grep -q . || fail "the letter P is gone"
we expunge 22
agree "a foreign letter" 99

# A session of Dovecot's is open while we change the mailbox under it.
mkfifo "$work/in"
dovecot <"$work/in" >"$work/out" &
session=$!
exec 5>"$work/in"
ask() { # command, pattern to wait for
    printf '%s\r\n' "$1" >&5
    for _ in $(seq 200); do
        grep -q "$2" "$work/out" && return
        read -r -t 0.05 <> <(:) || true
    done
    fail "no answer to $1: $(tail -5 "$work/out")"
}
ask 'a SELECT INBOX' '^a OK'
message "under its eyes" | we append F >"$work/uid"
we expunge 40
we flag 41 FT
ask 'b NOOP' '^b OK'
ask 'c UID FETCH 1:* (UID FLAGS)' '^c OK'
grep -q "UID $(cat "$work/uid") FLAGS (.*Flagged" "$work/out" || fail "the open session does not see our message"
grep -q 'EXPUNGE' "$work/out" || fail "the open session does not see our expunge"
printf 'z LOGOUT\r\n' >&5
exec 5>&-
wait "$session"
agree "changes under an open session" 99

# Both at once.
for n in $(seq 40); do message "ours, at once $n" | we append >/dev/null; done &
writer=$!
for n in $(seq 8); do
    commands 'SELECT INBOX' 'APPEND INBOX {10+}\r\nSubject: d' 'APPEND INBOX {10+}\r\nSubject: e' 'NOOP' >/dev/null
done
wait "$writer"
agree "both at once" 155
