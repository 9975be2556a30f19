#!/usr/bin/env bash
# curl sends over SMTP with TLS, lists and fetches over IMAPS and IMAP with STARTTLS, appends and searches.
source "$(dirname "$0")/lib.sh"
start

printf 'From: %s\r\nTo: %s\r\nSubject: by curl\r\n\r\nHello\r\n.dot\r\n..two dots\r\n' "$user" "$user" >"$work/mail"
curl -sS --insecure --url "smtps://127.0.0.1:$submissions" --user "$user:$password" --mail-from "$user" --mail-rcpt "$user" --upload-file "$work/mail"
expect "messages that curl delivered" 1 "$(messages)"

c() { curl -sS --insecure --user "$user:$password" "$@"; }
c "imaps://127.0.0.1:$imaps/" | grep -q '^\* LIST .* "\?INBOX"\?' || fail "INBOX is not listed"
echo "ok: curl lists INBOX"
c "imaps://127.0.0.1:$imaps/INBOX;MAILINDEX=1" | tr -d '\r' >"$work/fetched"
tr -d '\r' <"$work/mail" >"$work/sent"
grep -q '^Return-Path: <you@localhost>$' "$work/fetched" || fail "no Return-Path in $(cat "$work/fetched")"
sed '/^Return-Path:/d; /^Delivered-To:/d; /^Received:/,/^[^ \t]/{/^Received:/d; /^[ \t]/d}' "$work/fetched" | diff - "$work/sent" || fail "what was fetched is not what was sent"
echo "ok: what curl fetches is what curl sent"
c --ssl-reqd "imap://127.0.0.1:$imap/INBOX;MAILINDEX=1;SECTION=HEADER.FIELDS%20(SUBJECT)" | grep -q '^Subject: by curl' || fail "no subject by STARTTLS"
c "imaps://127.0.0.1:$imaps/INBOX" --upload-file "$work/mail" || fail "curl cannot append"
expect "messages after an append" 2 "$(messages)"
c "imaps://127.0.0.1:$imaps/INBOX?SUBJECT%20curl" | grep -q '^\* SEARCH 1 2' || fail "the search does not find both"
echo "ok: STARTTLS, APPEND and SEARCH by curl"
if c "imap://127.0.0.1:$imap/" 2>/dev/null; then fail "a login in the clear worked"; fi
echo "ok: no login in the clear"
stop
