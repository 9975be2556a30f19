#!/usr/bin/env bash
# The example imap-memory, with curl and Python's imaplib: what the base set of extensions does for a program that uses them.
# Needs: cargo build --release --bin mailserver --bin imap-memory
source "$(dirname "$0")/lib.sh"
cp "${IMAP_MEMORY:-$root/target/release/imap-memory}" "$work/imap-memory"
port=$((offset + 144))
"${as[@]}" "$work/imap-memory" "$port" "$user" "$password" >>"$work/server.log" 2>&1 &
server=$!
for _ in $(seq 100); do
    if grep -q '^listening' "$work/server.log"; then break; fi
    kill -0 "$server" 2>/dev/null || fail "imap-memory did not come up"
    sleep 0.05
done

c() { curl -sS --user "$user:$password" "$@" | tr -d '\r'; }
[ "$(c "imap://127.0.0.1:$port/INBOX;MAILINDEX=1;SECTION=HEADER.FIELDS%20(SUBJECT)" | sed -n 1p)" = "Subject: Welcome" ] || fail "curl does not find the welcome"
c "imap://127.0.0.1:$port/" | grep -q '^\* LIST (.*\\Sent) "/" Sent$' || fail "curl does not see what Sent is for"
c "imap://127.0.0.1:$port/" --request 'LIST (SPECIAL-USE) "" (Drafts Sent INBOX) RETURN (SUBSCRIBED)' >"$work/listed"
expect "special mailboxes of those asked for" 2 "$(grep -c '^\* LIST (\\HasNoChildren \\Subscribed' "$work/listed")"
printf 'Subject: by curl\r\n\r\nHello\r\n' >"$work/mail"
c "imap://127.0.0.1:$port/INBOX" --upload-file "$work/mail"
c "imap://127.0.0.1:$port/INBOX" --request 'UID SEARCH RETURN (COUNT) ALL' | grep -q '^\* ESEARCH (TAG "[^"]*") UID COUNT 2$' || fail "ESEARCH does not count both"
echo "ok: curl appends, lists and counts"
timeout 120 python3 "$(dirname "$0")/41-imap-memory.py" "$port" "$user" "$password"

kill -INT "$server"
wait "$server" || fail "imap-memory ended with status $?"
server=
echo "ok: Ctrl-C ends it"
