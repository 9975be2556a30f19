#!/usr/bin/env bash
# offlineimap carries messages, flags, deletions and folders both ways, and hears of a delivery by IDLE.
source "$(dirname "$0")/lib.sh"
count=${COUNT:-50}
start
for n in $(seq "$count"); do printf 'From: a@elsewhere.example\nTo: %s\nSubject: far %d\nMessage-ID: <far%d@elsewhere.example>\n\nBody %d\n' "$user" "$n" "$n" "$n" >"$work/far.$n"; done
python3 - "$smtp" "$user" "$work" "$count" <<'PY'
import smtplib, sys
port, user, work, count = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
with smtplib.SMTP("127.0.0.1", port) as client:
    for n in range(1, count + 1):
        client.sendmail("a@elsewhere.example", [user], open(f"{work}/far.{n}", "rb").read())
PY

cat >"$work/offlineimaprc" <<RC
[general]
accounts = you
metadata = $work/offlineimap
ui = basic
socktimeout = 30
[Account you]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = $work/near
[Repository far]
type = IMAP
remotehost = localhost
remoteport = $imaps
ssl = yes
sslcacertfile = $data/tls/certificate.pem
remoteuser = $user
remotepass = $password
expunge = yes
RC
sync() { timeout 120 offlineimap -c "$work/offlineimaprc" -o >"$work/offlineimap.log" 2>&1 || fail "offlineimap ended with an error: $(tail -n 40 "$work/offlineimap.log")"; }
near() { find "$work/near/$1/cur" "$work/near/$1/new" -type f 2>/dev/null | wc -l; }
sync
expect "messages that came near" "$count" "$(near INBOX)"

# A folder, a message and a flag go far; one message goes away.
for folder in Archive Archive.2026; do mkdir -p "$work/near/$folder/cur" "$work/near/$folder/new" "$work/near/$folder/tmp"; done
printf 'From: a@near.example\nSubject: near\nMessage-ID: <near@near.example>\n\nBody\n.dot\n' >"$work/near/Archive.2026/cur/1000000.near.1:2,FS"
flagged=$(find "$work/near/INBOX/cur" "$work/near/INBOX/new" -type f | sort | sed -n 1p)
gone=$(find "$work/near/INBOX/cur" "$work/near/INBOX/new" -type f | sort | tail -n 1)
mv "$flagged" "$work/near/INBOX/cur/$(basename "${flagged%%:2,*}"):2,FRS"
rm "$gone"
sync
archive=$(find "$maildir" -maxdepth 1 -name '.Archive*2026' -print -quit)
[ -n "$archive" ] || fail "the folder did not come: $(ls -A "$maildir")"
expect "messages in a folder that offlineimap made" 1 "$(find "$archive/cur" "$archive/new" -type f | wc -l)"
expect "its flags" 1 "$(find "$archive/cur" -name '*:2,FS' | wc -l)"
expect "messages left far after a deletion near" "$((count - 1))" "$(messages)"
expect "answered and flagged far" 1 "$(find "$maildir/cur" -name '*:2,FRS' | wc -l)"

# The same from the other side.
python3 - "$imaps" "$user" "$password" <<'PY'
import imaplib, ssl, sys
trust = ssl.create_default_context()
trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
c = imaplib.IMAP4_SSL("127.0.0.1", int(sys.argv[1]), ssl_context=trust)
c.login(sys.argv[2], sys.argv[3])
c.create("Far"), c.append("Far", r"(\Answered)", None, b"Subject: made far\r\n\r\nBody\r\n")
c.select("INBOX")
plain = c.search(None, "UNFLAGGED")[1][0].decode().split()
c.store(plain[0], "+FLAGS", r"(\Flagged)"), c.store(",".join(plain[1:3]), "+FLAGS", r"(\Deleted)"), c.expunge(), c.logout()
PY
sync
expect "messages left near after deletions far" "$((count - 3))" "$(near INBOX)"
expect "flagged near" 2 "$(find "$work/near/INBOX" -name '*:2,*F*' | wc -l)"
expect "messages in a folder that came near" 1 "$(near Far)"
expect "answered near" 1 "$(find "$work/near/Far" -name '*:2,*R*' | wc -l)"
before=$(cd "$work" && find near "$maildir/cur" "$maildir/new" -type f | sort)
sync
[ "$before" = "$(cd "$work" && find near "$maildir/cur" "$maildir/new" -type f | sort)" ] || fail "a run with nothing to do changed something"
echo "ok: another run has nothing to do"

# With IDLE it stays and brings what is delivered.
sed -i "s/^expunge = yes/&\nidlefolders = ['INBOX']\nkeepalive = 60/; s/^localrepository = near/&\nautorefresh = 5/" "$work/offlineimaprc"
offlineimap -c "$work/offlineimaprc" >"$work/offlineimap.log" 2>&1 &
watching=$!
for _ in $(seq 300); do if grep -q 'Next refresh' "$work/offlineimap.log"; then break; fi; sleep 0.1; done
python3 -c 'import smtplib, sys
smtplib.SMTP("127.0.0.1", int(sys.argv[1])).sendmail("a@elsewhere.example", [sys.argv[2]], b"Subject: while idle\r\n\r\nBody\r\n")' "$smtp" "$user"
for _ in $(seq 300); do if [ "$(near INBOX)" = "$((count - 2))" ]; then break; fi; sleep 0.1; done
kill -TERM "$watching" 2>/dev/null || true
wait "$watching" || true
expect "messages near after a delivery while it watched" "$((count - 2))" "$(near INBOX)"
stop
