#!/usr/bin/env bash
# The relay between swaks and Postfix's smtp-sink: what it has taken while the next host was down arrives once, though it is
# killed in between.
MAILSERVER=${RELAY:-$(dirname "$0")/../../target/release/relay}
source "$(dirname "$0")/lib.sh"
next=$((offset + 1025)) messages=20
relay=$work/relay
mv "$work/mailserver" "$relay"
mkdir "$work/arrived"
[ "$(id -u)" != 0 ] || chown 65534:65534 "$work/arrived"
sink=
trap 'status=$?; [ -z "$sink" ] || kill -TERM "$sink" 2>/dev/null || true; cleanup $status' EXIT

begin() {
    "${as[@]}" "$relay" --port "$next" --hostname relay.example --retry 1 "127.0.0.1:$smtp" "$work/spool" 127.0.0.1 >>"$work/server.log" 2>&1 &
    server=$!
    for _ in $(seq 200); do
        if (: <"/dev/tcp/127.0.0.1/$smtp") 2>/dev/null; then return; fi
        kill -0 "$server" 2>/dev/null || fail "the relay did not come up: $(cat "$work/server.log")"
        sleep 0.05
    done
    fail "the relay does not listen"
}

submit() { # token
    swaks --server "127.0.0.1:$smtp" --helo client.example --from joe@client.example --to ann@far.example,eve@far.example \
        --header "Subject: $1" --body "hello $1" --silent 3 >"$work/swaks" 2>&1 || fail "$1 was refused: $(cat "$work/swaks")"
}

begin_sink() {
    (cd "$work/arrived" && exec "${as[@]}" smtp-sink -d "%M." "127.0.0.1:$next" 100) &
    sink=$!
}

begin
for n in $(seq $messages); do submit "token-$n-"; done
echo "ok: $messages messages taken while the next host is down"
grep -q 'delayed' "$work/server.log" || fail "nothing was tried: $(cat "$work/server.log")"
kill -KILL "$server"
wait "$server" 2>/dev/null || true
begin
submit "token-0-"
begin_sink
for _ in $(seq 600); do
    [ "$(find "$work/arrived" -type f | wc -l)" -lt $((messages + 1)) ] || break
    sleep 0.1
done
for n in $(seq 0 $messages); do
    copies=$(grep -rl "^Subject: token-$n-" "$work/arrived" | wc -l)
    [ "$copies" = 1 ] || fail "token-$n- arrived $copies times"
done
grep -rhq '^X-Rcpt-Args: <eve@far.example>' "$work/arrived" || fail "no recipient is named: $(find "$work/arrived" -type f | head -n 1 | xargs cat)"
echo "ok: killed with -9 and started again: all arrive, and once"

# What it has written down is not sent again.
for _ in $(seq 100); do
    [ "$(grep -c ': delivered by' "$work/server.log")" -lt $((2 * (messages + 1))) ] || break
    sleep 0.1
done
[ "$(grep -c ': delivered by' "$work/server.log")" = $((2 * (messages + 1))) ] || fail "not each recipient was written down"
kill -KILL "$server"
wait "$server" 2>/dev/null || true
begin
submit "token-last-"
for _ in $(seq 600); do
    ! grep -rq '^Subject: token-last-' "$work/arrived" || break
    sleep 0.1
done
[ "$(find "$work/arrived" -type f | wc -l)" = $((messages + 2)) ] || fail "something was sent again"
echo "ok: started once more: nothing is sent again"

# A refusal comes back to its sender, which is sent to the same host.
kill -TERM "$sink"
wait "$sink" 2>/dev/null || true
(cd "$work/arrived" && exec "${as[@]}" smtp-sink -f RCPT -d "%M." "127.0.0.1:$next" 100) &
sink=$!
submit "token-refused-"
for _ in $(seq 600); do
    ! grep -q 'a notice that could not be delivered' "$work/server.log" || break
    sleep 0.1
done
grep -q 'to ann@far.example: failed by .*\[127.0.0.1\]: 500' "$work/server.log" || fail "no failure: $(tail -n 20 "$work/server.log")"
grep -q 'a notice that could not be delivered' "$work/server.log" || fail "the notice was not given up: $(tail -n 20 "$work/server.log")"
echo "ok: refused: a notice, and none about the notice"
stop
