#!/usr/bin/env bash
# A folder that Debian's Dovecot and the Maildir crate have used in turn is sound to the crate's fsck; what is then damaged and
# repaired Dovecot opens with the same UIDs, flags, keywords and sizes, without a resync.
source "$(dirname "$0")/maildir.sh"

sound() { # what
    we fsck >"$work/fsck" 2>&1 || fail "$1: $(cat "$work/fsck")"
    if grep -v '(usual)$' "$work/fsck" >&2; then fail "$1: fsck found something"; fi
    echo "ok: $1: sound"
}
# What fsck finds, then the repair of it, and nothing left.
mend() { # what, words of the finding
    if we fsck >"$work/fsck" 2>&1; then fail "$1: not found"; fi
    grep -q "$2" "$work/fsck" || fail "$1: $(cat "$work/fsck")"
    if we fsck repair >"$work/fsck" 2>&1; then fail "$1: nothing repaired"; fi
    we fsck >"$work/fsck" 2>&1 || fail "$1: not repaired: $(cat "$work/fsck")"
    [ ! -s "$work/fsck" ] || fail "$1: $(cat "$work/fsck")"
    ours >"$work/ours"
    theirs >"$work/theirs"
    diff "$work/before" "$work/ours" >&2 || fail "$1: ours before (<) and after (>) differ"
    diff "$work/before" "$work/theirs" >&2 || fail "$1: ours before (<) and Dovecot's after (>) differ"
    if grep -E 'Error|Warning|Panic|Fatal' "$work/dovecot.err" >&2; then fail "$1: Dovecot complains"; fi
    echo "ok: $1: found, repaired, and the same to Dovecot"
}
# The name of the file of a message in the UID list, before its flags.
base() { sed -n "s/^$1 [^:]*:\([^:]*\).*/\1/p" "$work/Maildir/dovecot-uidlist"; }

for n in $(seq 20); do message "delivered $n" | we deliver; done
sound "new mail"
for n in $(seq 20); do message "appended $n" | we append FS >/dev/null; done
commands 'SELECT INBOX' 'STORE 1:10 +FLAGS (\Answered work $Forwarded)' 'STORE 5,7 +FLAGS (\Deleted)' 'EXPUNGE' \
    'CREATE Archive/2026' 'SUBSCRIBE Archive/2026' 'COPY 1:20 Archive/2026' 'APPEND INBOX (\Seen later) {10+}\r\nSubject: x' \
    'COPY 3 INBOX' >/dev/null
we flag 20 FRS
we keyword 20 work
we expunge 30
we copy 21 Archive/2026 >/dev/null
commands 'SELECT INBOX' 'STORE 2 -FLAGS (\Answered)' 'EXAMINE Archive/2026' >/dev/null
sound "after both have used it"
agree "both" 39
cp "$work/ours" "$work/before"

# Its number counts as given from now on, so that Dovecot and we go on behind it.
next=$(sed -n 's/.*uidnext //p' "$work/before")
printf '%s :17' "$next" | "${as[@]}" tee -a "$work/Maildir/dovecot-uidlist" >/dev/null
sed -i "1s/uidnext .*/uidnext $((next + 1))/" "$work/before"
mend "a UID list that was cut off" "ends in the middle"

old=$(find "$work/Maildir/cur" -name "$(base 12):*")
mv "$old" "$(sed 's/,W=[0-9]*/,W=99999/' <<<"$old")"
"${as[@]}" sed -i "s/^\(12 .*\),W=[0-9]*/\1,W=99999/" "$work/Maildir/dovecot-uidlist"
mend "a size that is wrong" "sizes in the name"

old=$(find "$work/Maildir/cur" -name "$(base 14):*")
mv "$old" "$(sed 's/,S=[0-9]*,W=[0-9]*//' <<<"$old")"
mend "a file that lost its sizes" "with other sizes"

for n in 21 22; do
    file=$(find "$work/Maildir/cur" -name "$(base $n):*")
    "${as[@]}" ln "$file" "$work/Maildir/new/$(base $n)"
done
mend "two names of one file" "another file of this name"

printf 'cut off' | "${as[@]}" tee -a "$work/Maildir/pillarbox-journal" >/dev/null
mend "a journal that was cut off" "the journal cannot be read to its end"

we usage >"$work/usage"
[ -e "$work/Maildir/maildirsize" ] || fail "no maildirsize"
"${as[@]}" sed -i '2s/.*/5 1/' "$work/Maildir/maildirsize"
mend "a quota file that somebody else did not write in" "the quota file comes to 5 bytes of 1 messages"
printf '20' | "${as[@]}" tee -a "$work/Maildir/maildirsize" >/dev/null
mend "a quota file that was cut off" "the quota file cannot be read"
we usage | diff "$work/usage" - >&2 || fail "the usage before (<) and after (>) differ"
rm "$work/Maildir/maildirsize"

rm "$work/Maildir"/dovecot-uidvalidity*
mend "a lost UIDVALIDITY of the account" "the last UIDVALIDITY"
commands 'CREATE Later' 'STATUS Later (UIDVALIDITY)' >"$work/later"
later=$(sed -n 's/.*UIDVALIDITY \([0-9]*\).*/\1/p' "$work/later")
[ "$later" -gt "$(sed -n 's/uidvalidity \([0-9]*\) .*/\1/p' "$work/before")" ] || fail "Dovecot's next UIDVALIDITY is $later"
sound "a mailbox that Dovecot made afterwards"
