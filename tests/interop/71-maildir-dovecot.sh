#!/usr/bin/env bash
# The Maildir crate and Debian's Dovecot work on one folder, in turn and at once, and agree on UIDs, flags, keywords and
# sizes.
source "$(dirname "$0")/maildir.sh"

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
