#!/usr/bin/env bash
# NOTIFY: what one session is told of what another does, by our server and by Debian's Dovecot (mailbox_list_index = yes), each on a
# Maildir of its own; and what our client hears when Dovecot changes names in our Maildir. Needs dovecot-imapd and python3.
source "$(dirname "$0")/lib.sh"
dovecot_on "$work/theirs"
"${as[@]}" mkdir "$work/theirs"
cat >>"$work/dovecot/dovecot.conf" <<CONF
mailbox_list_index = yes
CONF
export USER=nobody
start
IMAPS=$imaps ACCOUNT=$user PASSWORD=$password timeout 300 python3 "$(dirname "$0")/79-dovecot-notify.py" \
    "${as[*]} ${DOVECOT_IMAP:-/usr/lib/dovecot/imap} -c $work/dovecot/dovecot.conf" \
    "${as[*]} ${DOVECOT_IMAP:-/usr/lib/dovecot/imap} -c $work/dovecot/dovecot.conf -o mail_location=maildir:$maildir" 2>&1 ||
    fail "$(cat "$work/dovecot/log" 2>/dev/null)"
stop
