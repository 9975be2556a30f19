#!/usr/bin/env bash
# Our client: against our own server over every port, and against Postfix's smtp-sink; and LMTP into a Maildir with lmtp-to-maildir.
# Needs: cargo build --release --bin mailserver --bin smtp-send --bin lmtp-to-maildir
source "$(dirname "$0")/lib.sh"
cp "${SMTP_SEND:-$root/target/release/smtp-send}" "$work/smtp-send"
cp "${LMTP_TO_MAILDIR:-$root/target/release/lmtp-to-maildir}" "$work/lmtp-to-maildir"
started=()
cleanup_peers() {
    status=$?
    for peer in ${started[@]+"${started[@]}"}; do kill -TERM "$peer" 2>/dev/null || true; done
    cleanup $status
}
trap cleanup_peers EXIT

printf 'From: %s\nSubject: smtp-send\n\n.\n..two dots\nthe end' "$user" >"$work/message"
send() { "$work/smtp-send" --from "${from:-someone@elsewhere.example}" "$@" >"$work/sent" 2>&1; }
delivered() { # what, arguments
    local what=$1
    shift
    send "$@" || fail "$what: $(cat "$work/sent")"
    echo "ok: $what: $(tail -n 1 "$work/sent")"
}
refused() { # what, wanted words, arguments
    local what=$1 wanted=$2
    shift 2
    if send "$@"; then fail "$what was delivered"; fi
    grep -q -- "$wanted" "$work/sent" || fail "$what: no '$wanted' in $(cat "$work/sent")"
    echo "ok: $what: $wanted"
}
listens() { for _ in $(seq 100); do if (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return; fi; sleep 0.05; done; fail "nothing listens on $1"; }

start
ca=(--ca "$data/tls/certificate.pem")
export SMTP_PASSWORD=$password
delivered "our server, plain" "localhost:$smtp" "$work/message" "$user"
delivered "our server, STARTTLS" --starttls "${ca[@]}" "localhost:$smtp" "$work/message" "$user"
from=$user delivered "our server, submission" --starttls "${ca[@]}" --auth "$user" "localhost:$submission" "$work/message" "$user"
from=$user delivered "our server, submissions" --tls "${ca[@]}" --auth "$user" "localhost:$submissions" "$work/message" "$user"
delivered "our server, LMTP" --lmtp "$data/lmtp" "$work/message" "$user"
refused "an unknown recipient beside a known one" "nobody@localhost: refused: 550 5.1.1" "localhost:$smtp" "$work/message" nobody@localhost "$user"
grep -q "^$user: delivered" "$work/sent" || fail "the known one got nothing: $(cat "$work/sent")"
refused "a password in the clear" "no mechanism" --auth "$user" "localhost:$submission" "$work/message" "$user"
SMTP_PASSWORD=wrong refused "a wrong password" "535 5.7.8" --tls "${ca[@]}" --auth "$user" "localhost:$submissions" "$work/message" "$user"
refused "a certificate that is not trusted" "authority" --starttls "localhost:$smtp" "$work/message" "$user"
expect "messages of smtp-send" 6 "$(messages)"
file=$(find "$maildir/new" -type f | sed -n 1p)
[ "$(tail -n 3 "$file" | tr -d '\r')" = $'.\n..two dots\nthe end' ] || fail "the body changed: $(cat "$file")"
echo "ok: the body is the same"
stop

# smtp-sink with and without PIPELINING, one that refuses, and one that closes in the flight.
sink() { # port, arguments
    local port=$1
    shift
    mkdir -p "$work/sink"
    chown 65534 "$work/sink" 2>/dev/null || true
    (cd "$work/sink" && exec /usr/sbin/smtp-sink "${sink_user[@]}" "$@" "127.0.0.1:$port" 100) >>"$work/server.log" 2>&1 &
    started+=($!)
    listens "$port"
}
sink_user=()
[ "$(id -u)" != 0 ] || sink_user=(-u nobody)
sink_port=$((offset + 26))
if [ -x /usr/sbin/smtp-sink ]; then
    sink "$sink_port"
    delivered "smtp-sink, pipelined" "localhost:$sink_port" "$work/message" a@sink.example b@sink.example
    sink "$((sink_port + 1))" -p
    delivered "smtp-sink, not pipelined" "localhost:$((sink_port + 1))" "$work/message" a@sink.example b@sink.example
    sink "$((sink_port + 2))" -f RCPT
    refused "smtp-sink that refuses recipients" "refused: 5" "localhost:$((sink_port + 2))" "$work/message" a@sink.example
    sink "$((sink_port + 3))" -q RCPT
    refused "smtp-sink that goes away at RCPT" "later" "localhost:$((sink_port + 3))" "$work/message" a@sink.example
    sink "$((sink_port + 4))" -L
    delivered "smtp-sink, LMTP" --lmtp "localhost:$((sink_port + 4))" "$work/message" a@sink.example b@sink.example
fi

# LMTP into Maildirs.
mkdir -p "$work/mail/own.example/u"
[ ${#as[@]} -eq 0 ] || chown -R 65534:65534 "$work/mail"
"${as[@]}" "$work/lmtp-to-maildir" "127.0.0.1:$((offset + 24))" "$work/mail" >>"$work/server.log" 2>&1 &
started+=($!)
listens "$((offset + 24))"
refused "lmtp-to-maildir, one of two" "v@own.example: refused: 550 5.1.1" --lmtp "localhost:$((offset + 24))" "$work/message" u@own.example v@own.example
expect "messages in the Maildir" 1 "$(find "$work/mail/own.example/u/Maildir/new" -type f | wc -l)"
