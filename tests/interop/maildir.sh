# Shared by the scripts that put the Maildir crate and Debian's Dovecot on one folder: how each is told what to do, and what each
# sees of it. Needs dovecot-imapd, and: cargo build -p pillarbox-maildir --example maildir
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
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

commands() {
    python3 "$root/tests/interop/imap-commands.py" "${as[*]} /usr/lib/dovecot/imap -c $work/dovecot.conf" "$@" 2>>"$work/dovecot.err" || fail "commands $*"
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
