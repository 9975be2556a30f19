#!/usr/bin/env bash
# alpine, driven by keys in a pseudo terminal: it reads, flags, saves into a mailbox that it makes, selects by a search, deletes
# and expunges; imaplib then sees what the server holds.
source "$(dirname "$0")/lib.sh"
start
for n in 1 2 3 4; do
    swaks --silent 2 --server 127.0.0.1 --port "$smtp" --from a@elsewhere.example --to "$user" --header "Subject: number $n" --body "body $n"
done
TERM=xterm timeout 120 python3 "$(dirname "$0")/52-alpine.py" "$imap" "$imaps" "$user" "$password" || fail "alpine ended with status $?"
expect "messages left in INBOX by alpine" 2 "$(messages)"
stop
