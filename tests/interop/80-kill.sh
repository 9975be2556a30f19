#!/usr/bin/env bash
# kill -9 in the middle of a load, ROUNDS times: what was acknowledged by SMTP and IMAP is so after the restart. Messages are
# there, whole and once; flags are as stored, the expunged are gone, copies and moved ones are there; UIDs are those that
# were told, under the same UIDVALIDITY.
source "$(dirname "$0")/lib.sh"
rounds=${ROUNDS:-20} locks=0
touch "$work/record"
kill_py() { # mode, more
    timeout 300 python3 "$(dirname "$0")/80-kill.py" "$1" "$smtp" "$imaps" "$user" "$password" "$maildir" "$work/record" "${@:2}"
}
start
kill_py make
for round in $(seq "$rounds"); do
    kill_py load "$round" &
    load=$!
    # Whatever the server is doing at that moment: after so many things were written down, some of them by IMAP.
    before=$(wc -l <"$work/record") after=$((30 + RANDOM % 170)) patience=$((SECONDS + 20))
    while [ "$SECONDS" -lt $patience ]; do
        news=$(tail -n "+$((before + 1))" "$work/record")
        [ "$(wc -l <<<"$news")" -lt $after ] || ! grep -q '"Work", "\(came\|set\|left\)"' <<<"$news" || break
        sleep 0.02
    done
    kill -KILL "$server"
    wait "$server" 2>/dev/null || true
    server=
    : >"$work/server.log"
    wait "$load" || fail "the load ended with status $?"
    # A lock that was held is nobody's now, and nobody waits for it.
    locks=$((locks + $(find "$maildir" -name '*.lock' -print | wc -l)))
    start
    # A long run begins anew now and then, as large mailboxes would slow it down.
    if [ $((round % 20)) = 0 ] || [ "$round" = "$rounds" ]; then
        kill_py audit || fail "after round $round"
        kill_py empty || fail "removing what was looked at"
    fi
done
stop
echo "ok: $rounds kills, $locks of them while a lock was held"
