#!/usr/bin/env bash
# mbsync (isync) carries 1,000 messages each way; a second run finds nothing left to do.
source "$(dirname "$0")/lib.sh"
count=${COUNT:-1000}
start

python3 - "$work/near" "$count" <<'PY'
import os, sys
near, count = sys.argv[1], int(sys.argv[2])
for box in ("INBOX", "Archive"):
    for folder in ("cur", "new", "tmp"):
        os.makedirs(f"{near}/{box}/{folder}", exist_ok=True)
for n in range(count):
    with open(f"{near}/Archive/cur/{1000000 + n}.near.{n}:2,{'S' if n % 2 else 'FS'}", "w") as f:
        f.write(f"From: a@near.example\nTo: b@near.example\nSubject: near {n}\nMessage-ID: <near{n}@near.example>\n\nBody {n}\n" + "x" * (n % 300) + "\n")
PY
smtp-source -c -m "$count" -s 10 -l 2000 -f a@elsewhere.example -t "$user" "127.0.0.1:$smtp" >/dev/null

cat >"$work/mbsyncrc" <<RC
IMAPAccount far
Host 127.0.0.1
Port $imaps
User $user
Pass $password
SSLType IMAPS
CertificateFile $data/tls/certificate.pem

IMAPStore far
Account far

MaildirStore near
Path $work/near/
Inbox $work/near/INBOX

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
RC
sync() { mbsync -c "$work/mbsyncrc" all >"$work/mbsync.log" 2>&1 || { tail -n 5 "$work/mbsync.log" | tr "\r" "\n" | tail -n 5; fail "mbsync ended with an error"; }; }
sync
expect "messages that came near" "$count" "$(find "$work/near/INBOX/cur" "$work/near/INBOX/new" -type f | wc -l)"
expect "messages that went far" "$count" "$(find "$maildir/.Archive/cur" "$maildir/.Archive/new" -type f | wc -l)"

snapshot() { (cd "$work" && find near "$maildir" -path '*/tmp' -prune -o -type f -printf '%p %s\n' | grep -v 'mbsyncstate\|dovecot-uid\|uidlist\|pillarbox-' | sort); }
snapshot >"$work/before"
again=$(sync)
snapshot >"$work/after"
diff "$work/before" "$work/after" || fail "the second run changed something: $again"
echo "ok: the second run has nothing to do"

# Flags and deletions go both ways.
one=$(find "$work/near/INBOX/cur" "$work/near/INBOX/new" -type f -print -quit)
mv "$one" "$work/near/INBOX/cur/$(basename "${one%%:2,*}"):2,FS"
gone=$(find "$work/near/Archive/cur" -type f -print -quit)
rm "$gone"
sync
expect "flagged far" 1 "$(find "$maildir/cur" -name '*:2,FS*' | wc -l)"
expect "left far after a deletion near" "$((count - 1))" "$(find "$maildir/.Archive/cur" "$maildir/.Archive/new" -type f | wc -l)"
stop
