#!/usr/bin/env bash
# SORT and THREAD of one Maildir of 2,000 messages: our answers beside those of Debian's Dovecot, from the messages, and once more from
# what was kept of them. Needs dovecot-imapd and python3.
source "$(dirname "$0")/lib.sh"
here=$(dirname "$0")
"${as[@]}" mkdir -p "$maildir/cur" "$maildir/new" "$maildir/tmp"
python3 "$here/79-dovecot-sort.py" make "$maildir"
[ ${#as[@]} = 0 ] || chown -R 65534:65534 "$data"
expect "messages" 2000 "$(messages)"
dovecot_on "$maildir"
export USER=nobody
compare() {
    IMAPS=$imaps ACCOUNT=$user PASSWORD=$password timeout 300 python3 "$here/79-dovecot-sort.py" compare \
        "${as[*]} /usr/lib/dovecot/imap -c $work/dovecot/dovecot.conf" || fail "the answers differ"
}
start
compare
[ -s "$maildir/pillarbox-cache" ] || fail "nothing was kept"
stop
start
compare
stop
