#!/usr/bin/env bash
# The order of system calls: file synced, renamed, folder synced, and only then 250 or OK. For a first message with all its
# folders, a second one, two recipients by SMTP and by LMTP, and for APPEND, STORE, COPY, EXPUNGE and CREATE.
source "$(dirname "$0")/lib.sh"
if ! strace -f -o "$work/probe" true 2>/dev/null; then
    echo "skipped: strace cannot run here"
    exit 0
fi
# For its certificate.
start
stop
mkdir "$work/mail"
cat >"$work/mail.toml" <<TOML
hostname = "localhost"
domains = ["localhost"]
postmaster = "ann@localhost"
accounts = "$work/passwd"
mail = "$work/mail/{domain}/{user}/Maildir"
[tls]
certificate = "$data/tls/certificate.pem"
key = "$data/tls/key.pem"
[[listener]]
protocol = "smtp"
address = "127.0.0.1:$smtp"
[[listener]]
protocol = "lmtp"
address = "127.0.0.1:$((24 + offset))"
[[listener]]
protocol = "imap"
address = "127.0.0.1:$imaps"
tls = "implicit"
TOML
(umask 077 && printf '%s@localhost:{PLAIN}secret\n' joe ann >"$work/passwd")
[ "$(id -u)" != 0 ] || chown -R 65534:65534 "$work"
calls=openat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,unlink,unlinkat,write,writev,pwrite64,sendto,sendmsg,fsync,fdatasync
strace -f -yy -s 100 -o "$work/trace" -e "trace=$calls" \
    "${as[@]}" "$work/mailserver" serve --config "$work/mail.toml" >>"$work/server.log" 2>&1 &
tracer=$!
server=
for _ in $(seq 200); do
    # The trace may not be there yet.
    server=$(head -n 1 "$work/trace" 2>/dev/null | cut -d ' ' -f 1) || server=
    if [ "$(grep -c '^listening' "$work/server.log")" = 3 ]; then break; fi
    kill -0 "$tracer" 2>/dev/null || fail "the server did not come up"
    sleep 0.05
done
[ -n "$server" ] || fail "the trace says nothing"
send() { # port, protocol, recipients
    swaks --server "127.0.0.1:$1" --protocol "$2" --from tester@example.net --to "$3" --header "Subject: $2 to $3" \
        --silent 3 || fail "$2 to $3"
}
mail() { curl -sSk -o /dev/null -u ann@localhost:secret --login-options AUTH=PLAIN "$@" || fail "curl $*"; }
box=imaps://127.0.0.1:$imaps
printf 'Subject: appended\r\n\r\nbody\r\n' >"$work/message"

send "$smtp" SMTP joe@localhost
send "$smtp" SMTP joe@localhost
send "$smtp" SMTP joe@localhost,ann@localhost
send "$((24 + offset))" LMTP joe@localhost,ann@localhost
mail "$box/INBOX" -T "$work/message"
mail "$box/INBOX" -X 'STORE 1:* +FLAGS (\Flagged custom)'
mail "$box" -X 'CREATE Archive'
mail "$box/INBOX" -X 'COPY 1:* Archive'
mail "$box/INBOX" -X 'STORE 1 +FLAGS (\Deleted)'
mail "$box/INBOX" -X EXPUNGE
mail "$box" -X 'RENAME Archive Old'
mail "$box" -X 'DELETE Old'

kill -TERM "$server"
wait "$tracer" || fail "the server ended with status $?"
server=
python3 "$(dirname "$0")/72-sync-order.py" "$work/trace" "$work/mail" \
    "$smtp:mkdir>=6,published>=1,fsync>=6,accepted>=1" "$smtp:published>=1,fsync>=2,accepted>=1" \
    "$smtp:mkdir>=5,published>=2,fsync>=6,accepted>=1" "$((24 + offset)):published>=2,fsync>=4,accepted>=2" \
    "$imaps:published>=1,fsync>=3" "$imaps:taken>=2,flagged>=3,fsync>=2" "$imaps:mkdir>=4,fsync>=3" \
    "$imaps:published>=3,fsync>=4" "$imaps:flagged>=1,fsync>=1" "$imaps:unlink>=1,fsync>=1" "$imaps:fsync>=1" "$imaps:fsync>=1"
