#!/usr/bin/env bash
# kill -9 in the middle of a load, ROUNDS times: every message that got a 250 is there after the restart, and none is cut.
source "$(dirname "$0")/lib.sh"
rounds=${ROUNDS:-5}
touch "$work/acknowledged"
for round in $(seq "$rounds"); do
    start
    timeout 60 python3 "$(dirname "$0")/80-kill.py" "$smtp" "$user" "$work/acknowledged" "round$round" &
    load=$!
    sleep "$((1 + round % 2)).$((RANDOM % 10))"
    kill -KILL "$server"
    wait "$server" 2>/dev/null || true
    server=
    : >"$work/server.log"
    wait "$load" || fail "the load ended with status $?"
done
start
python3 - "$maildir" "$work/acknowledged" <<'PY'
import collections, glob, sys
maildir, record = sys.argv[1:3]
seen, cut = collections.Counter(), []
for path in glob.glob(f"{maildir}/new/*") + glob.glob(f"{maildir}/cur/*"):
    with open(path, "rb") as f:
        text = f.read()
    ident = text.split(b"X-Ident: ", 1)[-1].split(b"\n", 1)[0].strip().decode()
    if not text.endswith(f"\nend of {ident}\n".encode()):
        cut.append(path)
    seen[ident] += 1
acknowledged = [line.strip() for line in open(record)]
lost = [ident for ident in acknowledged if not seen[ident]]
twice = [ident for ident, times in seen.items() if times > 1]
if len(acknowledged) < 100:
    sys.exit(f"only {len(acknowledged)} messages were acknowledged: that is no load")
if lost or cut or twice:
    sys.exit(f"{len(lost)} of {len(acknowledged)} acknowledged messages are lost, {len(cut)} are cut, {len(twice)} are there twice")
print(f"ok: {len(acknowledged)} messages were acknowledged, {sum(seen.values())} are there, none is lost, cut or twice")
PY
stop
