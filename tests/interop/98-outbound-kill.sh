#!/usr/bin/env bash
# kill -9 in the middle of a load that goes on to smtp-sink, ROUNDS times: what was acknowledged arrives for each recipient,
# and twice only what was on its way at a kill.
source "$(dirname "$0")/lib.sh"
rounds=${ROUNDS:-10} sink=$((offset + 1026)) site=$work/site
mkdir -p "$site"/{mail,arrived}
echo 'you@example.org:{PLAIN}correct-horse' >"$site/passwd"
chmod 600 "$site/passwd"
cat >"$site/mail.toml" <<CONF
hostname = "mail.example.org"
domains = ["example.org"]
postmaster = "you@example.org"
accounts = "passwd"
mail = "mail/{user}"

[queue]
folder = "queue"
retry_first = "1s"
retry_max = "1s"

[[route]]
recipients = ["*"]
to = "smtp://127.0.0.1:$sink"
tls = "none"

[[listener]]
protocol = "smtp"
address = "127.0.0.1:$smtp"
relay_from = ["127.0.0.0/8"]

[limits]
trusted = ["127.0.0.0/8"]
CONF
[ "$(id -u)" != 0 ] || chown -R 65534:65534 "$site"
touch "$work/record"
sink_process=
trap 'status=$?; [ -z "$sink_process" ] || kill -TERM "$sink_process" 2>/dev/null || true; cleanup $status' EXIT
(cd "$site/arrived" && exec "${as[@]}" smtp-sink -d "%M." "127.0.0.1:$sink" 100) &
sink_process=$!

begin() {
    "${as[@]}" "$work/mailserver" serve --config "$site/mail.toml" >>"$work/server.log" 2>&1 &
    server=$!
    for _ in $(seq 200); do
        if (: <"/dev/tcp/127.0.0.1/$smtp") 2>/dev/null; then return; fi
        kill -0 "$server" 2>/dev/null || fail "the server did not come up"
        sleep 0.05
    done
    fail "the server does not listen"
}

kill_py() { timeout 300 python3 "$(dirname "$0")/98-outbound-kill.py" "$@"; }
begin
for round in $(seq "$rounds"); do
    kill_py load "$smtp" "$work/record" "$round" &
    load=$!
    # Whatever the server is doing at that moment.
    wanted=$(($(wc -l <"$work/record") + 50 + RANDOM % 400)) patience=$((SECONDS + 20))
    while [ "$(wc -l <"$work/record")" -lt "$wanted" ] && [ "$SECONDS" -lt $patience ]; do sleep 0.02; done
    kill -KILL "$server"
    wait "$server" 2>/dev/null || true
    wait "$load" || fail "the load ended with status $?"
    begin
done
# A line that the queue is still being read counts as well.
for _ in $(seq 1200); do
    left=$("${as[@]}" "$work/mailserver" queue list --config "$site/mail.toml" --json 2>&1 | wc -l)
    [ "$left" != 0 ] || break
    sleep 0.1
done
[ "$left" = 0 ] || fail "$left messages wait still"
kill_py audit "$work/record" "$site/arrived" "$rounds"
! grep -q TROUBLE "$work/server.log" || fail "trouble: $(grep TROUBLE "$work/server.log" | head)"
stop
