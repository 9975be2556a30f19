#!/usr/bin/env bash
# Python's smtplib: SMTPUTF8 to a mailbox, all the parameters of DSN to smtp-sink, logins, LMTP, and a message that is too large.
# Needs: cargo build --release --bin mailserver --bin smtp-sink
source "$(dirname "$0")/lib.sh"
cp "${SMTP_SINK:-$root/target/release/smtp-sink}" "$work/smtp-sink"
sink=
cleanup_sink() {
    status=$?
    [ -z "$sink" ] || kill -TERM "$sink" 2>/dev/null || true
    cleanup $status
}
trap cleanup_sink EXIT
start
sink_port=$((offset + 27))
"$work/smtp-sink" "127.0.0.1:$sink_port" 2 >"$work/sink.log" 2>>"$work/server.log" &
sink=$!
for _ in $(seq 100); do
    if (: <"/dev/tcp/127.0.0.1/$sink_port") 2>/dev/null; then break; fi
    sleep 0.05
done
timeout 120 python3 "$(dirname "$0")/23-smtplib.py" "$smtp" "$submission" "$submissions" "$data/lmtp" "$sink_port" "$user" "$password" "$data/tls/certificate.pem"
wait "$sink" || fail "smtp-sink ended with status $?"
sink=
expect "what smtp-sink was told with DSN" \
    '<a@elsewhere.example> EightBitMime RET=Hdrs ENVID=QQ+314159 -> <b@sink.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Bob+tag@sink.example <c@sink.example> NOTIFY=NEVER: 25 octets' \
    "$(sed -n 1p "$work/sink.log")"
expect "what smtp-sink was told with SMTPUTF8" \
    '<jörg@bücher.example> EightBitMime SMTPUTF8 -> <用户@例子.example>: 23 octets' "$(sed -n 2p "$work/sink.log")"
file=$(grep -l 'Subject: Grüße' "$maildir"/new/*)
grep -q '^Return-Path: <jörg@bücher.example>' "$file" || fail "no Return-Path beyond ASCII in $(cat "$file")"
grep -q 'with UTF8SMTP' "$file" || fail "no Received with UTF8SMTP in $(cat "$file")"
echo "ok: a message whose header and sender are beyond ASCII is in the mailbox, octet for octet"
expect "messages of smtplib" 5 "$(messages)"
stop
