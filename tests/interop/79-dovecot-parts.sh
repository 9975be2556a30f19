#!/usr/bin/env bash
# PREVIEW of messages with text in many forms, and messages made of their parts by CATENATE: our answers and octets beside those of
# Debian's Dovecot. Differences are named in the script, each with its reason. REPLACE is not compared: Dovecot 2.3 has none.
# Needs dovecot-imapd and python3.
source "$(dirname "$0")/lib.sh"
here=$(dirname "$0")
"${as[@]}" mkdir -p "$maildir/cur" "$maildir/new" "$maildir/tmp"
python3 "$here/79-dovecot-parts.py" make "$maildir"
[ ${#as[@]} = 0 ] || chown -R 65534:65534 "$data"
# Each has a folder of its own, with the same numbers.
dovecot_on "$work/theirs"
start
curl -sSk --user "$user:$password" "imaps://127.0.0.1:$imaps/" --request 'STATUS INBOX (MESSAGES)' >/dev/null
"${as[@]}" cp -r "$maildir" "$work/theirs"
export USER=nobody
IMAPS=$imaps ACCOUNT=$user PASSWORD=$password timeout 300 python3 "$here/79-dovecot-parts.py" compare \
    "${as[*]} /usr/lib/dovecot/imap -c $work/dovecot/dovecot.conf" || fail "the answers differ"
stop
