#!/usr/bin/env bash
# smtp-source (from postfix) sends 10,000 messages over 20 sessions; every one is in the Maildir, none twice.
source "$(dirname "$0")/lib.sh"
count=${COUNT:-10000}
start
smtp-source -m "$count" -s 20 -l 4000 -f a@elsewhere.example -t "$user" "127.0.0.1:$smtp"
expect "messages after smtp-source" "$count" "$(messages)"
expect "messages left in tmp" 0 "$(find "$maildir/tmp" -type f | wc -l)"
expect "sizes of messages (all alike but for their Received field)" ok "$(find "$maildir/new" -type f -size -4000c | grep -q . && echo cut || echo ok)"
stop
