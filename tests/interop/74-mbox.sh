#!/usr/bin/env bash
# mbox files of other programs come in, and they read ours: python's mailbox, neomutt, Dovecot. Needs the mailserver, neomutt,
# dovecot-imapd and python3.
source "$(dirname "$0")/lib.sh"

run() { "${as[@]}" "$@"; }
run mkdir "$work/site" "$work/site/mail" "$work/files"
run sh -c "umask 077; echo 'you@localhost:{PLAIN}$password' >'$work/site/passwd'"
cat >"$work/mail.toml" <<CONF
hostname = "localhost"
domains = ["localhost"]
postmaster = "you@localhost"
accounts = "$work/site/passwd"
mail = "$work/site/mail/{user}"
[[listener]]
protocol = "lmtp"
address = "unix:$work/site/lmtp"
CONF
import() { run "$work/mailserver" import --config "$work/mail.toml" --user you@localhost --mailbox "$@"; }
export_to() { run "$work/mailserver" export --config "$work/mail.toml" --user you@localhost "$@"; }

# What python writes: mboxrd or not, flags in both fields.
python3 - "$work/files/python.mbox" <<'PY'
import mailbox, sys
box = mailbox.mbox(sys.argv[1])
for n in range(40):
    message = mailbox.mboxMessage(b"Subject: %d\n\nFrom me\n\nFrom you Mon Jan  1 00:00:00 2001\nbody %d\n" % (n, n))
    message.set_from("a@example.org", (2021, 2, 3, 10, 11, n, 2, 34, 0))
    for letter, every in (("R", 2), ("O", 2), ("F", 3), ("A", 5), ("D", 7)):
        if n % every == 0:
            message.add_flag(letter)
    box.add(message)
box.flush()
PY
expect "from python" "python: 40 messages" "$(import python "$work/files/python.mbox")"
expect "once more" 1 "$(import python "$work/files/python.mbox" | grep -c 'brought in before')"

# Ours in their hands: counts, flags, texts, dates.
export_to --mailbox python "$work/files/out" >/dev/null
python3 - "$work/files/python.mbox" "$work/files/out/python.mbox" >"$work/python.diff" <<'PY' || fail "python: $(cat "$work/python.diff")"
import mailbox, sys
theirs, ours = mailbox.mbox(sys.argv[1]), mailbox.mbox(sys.argv[2])
assert len(theirs) == len(ours), (len(theirs), len(ours))
for n, (a, b) in enumerate(zip(theirs, ours)):
    letters = lambda m: sorted(set(m.get_flags()) - {"O"})
    assert letters(a) == letters(b), (n, a.get_flags(), b.get_flags())
    assert a["Subject"] == b["Subject"], n
    assert a.get_from().split(" ", 1)[1] == b.get_from().split(" ", 1)[1], (n, a.get_from(), b.get_from())
    # python takes no quotes away.
    assert a.get_payload() == b.get_payload(), (n, a.get_payload(), b.get_payload())
PY
echo "ok: python reads what we wrote: 40 messages, flags, dates"

# Two files of one name, as a restored backup leaves them, and two names of one file.
run mkdir -p "$work/files/twice/new" "$work/files/twice/cur" "$work/files/twice/tmp"
run sh -c "cd '$work/files/twice' && printf 'Subject: one\n\n' >new/1700000000.a.h && printf 'Subject: two\n\n' >cur/1700000000.a.h:2,S \
    && printf 'Subject: three\n\n' >cur/1700000001.b.h:2,F && ln cur/1700000001.b.h:2,F new/1700000001.b.h"
expect "two files of one name" "twice: 3 messages" "$(import twice "$work/files/twice")"
expect "once more" 1 "$(import twice "$work/files/twice" | grep -c 'brought in before')"
export_to --mailbox twice "$work/files/out" >/dev/null
expect "all of them" "Subject: one Subject: three Subject: two" "$(grep -h '^Subject' "$work/files/out/twice.mbox" | sort | tr '\n' ' ' | sed 's/ $//')"
expect "flagged, by the name in cur" 1 "$(grep -c '^X-Status: F' "$work/files/out/twice.mbox")"

# neomutt: what it shows of ours, and what it makes of it.
cat >"$work/muttrc" <<RC
set folder="$work/files" spoolfile="$work/files" header_cache="" record="" tmpdir="$work" sort=mailbox-order mbox_type=mbox
set move=no quit=yes confirmappend=no confirmcreate=no delete=no wait_key=no mark_old=no copy=no
RC
neomutt_says() { # folder, keys
    timeout 60 python3 - "$work/muttrc" "$1" "$2" <<'PY' >"$work/screen"
import os, pty, sys
rc, folder, keys = sys.argv[1:4]
os.environ["TERM"] = "xterm"
status = pty.spawn(["neomutt", "-n", "-F", rc, "-f", folder, "-e", f"push '{keys}'"])
sys.exit(os.waitstatus_to_exitcode(status))
PY
}
run cp "$work/files/out/python.mbox" "$work/files/for-neomutt.mbox"
for what in 'flagged:~F' 'answered:~Q' 'deleted:~D' 'read:~R' 'all:~A'; do
    neomutt_says "$work/files/for-neomutt.mbox" "<tag-pattern>${what#*:}<enter><tag-prefix><copy-message>$work/files/neomutt-${what%%:*}.mbox<enter><exit>"
done
counted() { grep -c '^From ' "$work/files/neomutt-$1.mbox" 2>/dev/null || echo 0; }
chmod a+r "$work"/files/neomutt-*.mbox
if [ -e "$work/files/neomutt-all.mbox" ]; then
    expect "neomutt: all" 40 "$(counted all)"
    expect "neomutt: flagged" 14 "$(counted flagged)"
    expect "neomutt: answered" 8 "$(counted answered)"
    expect "neomutt: read" 20 "$(counted read)"
    # What neomutt copied comes in again, its Content-Length and quotes included.
    expect "from neomutt" "neomutt: 40 messages" "$(import neomutt "$work/files/neomutt-all.mbox")"
    export_to --mailbox neomutt "$work/files/back" >/dev/null
    diff <(sed '/^From /d;/^Status:/d;/^X-Status:/d;/^Lines:/d' "$work/files/out/python.mbox") \
        <(sed '/^From /d;/^Status:/d;/^X-Status:/d;/^Lines:/d' "$work/files/back/neomutt.mbox") >"$work/diff" || fail "by way of neomutt: $(head -5 "$work/diff")"
    echo "ok: by way of neomutt and back: the same texts"
else
    fail "neomutt copied nothing"
fi

# Dovecot reads our mbox as its own, and what its mbox holds comes in.
run mkdir -p "$work/dovecot/mbox"
run cp "$work/files/out/python.mbox" "$work/dovecot/mbox/ours"
dovecot_on "$work/unused"
sed -i "s|^mail_location.*|mail_location = mbox:$work/dovecot/mbox:INBOX=$work/dovecot/inbox|" "$work/dovecot/dovecot.conf"
printf "mbox_lazy_writes = no\nmbox_dirty_syncs = no\n" >>"$work/dovecot/dovecot.conf"
imap() { printf '%s\r\n' "$@" "z LOGOUT" | run env USER=nobody /usr/lib/dovecot/imap -c "$work/dovecot/dovecot.conf" 2>>"$work/dovecot/err"; }
imap "a SELECT ours" "b SEARCH FLAGGED" "c SEARCH ANSWERED" "d SEARCH SEEN" >"$work/dovecot.out"
expect "Dovecot: messages" 1 "$(grep -c '^\* 40 EXISTS' "$work/dovecot.out")"
numbers() { grep '^\* SEARCH' "$work/dovecot.out" | sed -n "${1}p" | wc -w; }
expect "Dovecot: flagged" 14 "$(($(numbers 1) - 2))"
expect "Dovecot: answered" 8 "$(($(numbers 2) - 2))"
expect "Dovecot: seen" 20 "$(($(numbers 3) - 2))"
imap "a SELECT ours" "b STORE 1:3 +FLAGS (\\Draft work)" "c CHECK" >/dev/null
imap "a SELECT ours" "b EXPUNGE" >/dev/null
left=$(grep -c '^From ' "$work/dovecot/mbox/ours")
expect "from Dovecot" "dovecot: $left messages" "$(import dovecot "$work/dovecot/mbox/ours")"
export_to --mailbox dovecot "$work/files/back" >/dev/null
expect "Dovecot's keywords" 2 "$(grep -c '^X-Keywords: work$' "$work/files/back/dovecot.mbox")"
expect "Dovecot's drafts" 2 "$(grep -c '^X-Status:.*T' "$work/files/back/dovecot.mbox")"
if grep -q '^X-UID\|^X-IMAP\|^Content-Length' "$work/files/back/dovecot.mbox"; then fail "Dovecot's own fields came in"; fi
echo "ok: Dovecot's own fields stay out"
