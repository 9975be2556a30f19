#!/usr/bin/env bash
# A folder that Debian's Dovecot and the Maildir crate have used in turn is sound to the crate's fsck; what is then damaged and
# repaired Dovecot opens with the same UIDs, flags, keywords and sizes, without a resync. Needs dovecot-imapd, and: cargo build -p pillarbox-maildir --example maildir
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
built=${MAILDIR_EXAMPLE:-$root/target/debug/examples/maildir}
work=$(mktemp -d "${TMPDIR:-/tmp}/pillarbox-fsck.XXXXXX")
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

rm "$work/Maildir"/dovecot-uidvalidity*
mend "a lost UIDVALIDITY of the account" "the last UIDVALIDITY"
commands 'CREATE Later' 'STATUS Later (UIDVALIDITY)' >"$work/later"
later=$(sed -n 's/.*UIDVALIDITY \([0-9]*\).*/\1/p' "$work/later")
[ "$later" -gt "$(sed -n 's/uidvalidity \([0-9]*\) .*/\1/p' "$work/before")" ] || fail "Dovecot's next UIDVALIDITY is $later"
sound "a mailbox that Dovecot made afterwards"
