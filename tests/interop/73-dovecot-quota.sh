#!/usr/bin/env bash
# Our server and Debian's Dovecot (quota = maildir) work on one folder in turn, and agree on what is used, by the same file and
# to the byte; both refuse what is too much, and our server refuses one of two recipients. Needs dovecot-imapd and swaks.
source "$(dirname "$0")/lib.sh"
# For its certificate.
start
stop
limit=200000
mkdir "$work/mail"
configure() { # the rest of [quota]
    cat >"$work/mail.toml" <<TOML
hostname = "localhost"
domains = ["localhost"]
postmaster = "ann@localhost"
accounts = "$work/passwd"
mail = "$work/mail/{user}"
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
[quota]
storage = "${limit}b"
messages = 100
$1
TOML
}
# Ann has more room than the others.
(umask 077 && printf '%s\n' 'joe@localhost:{PLAIN}secret' 'ann@localhost:{PLAIN}secret::::::userdb_quota_rule=*:storage=1G' >"$work/passwd")
configure ''
[ "$(id -u)" != 0 ] || chown -R 65534:65534 "$work"
serve() {
    : >"$work/server.log"
    "${as[@]}" "$work/mailserver" serve --config "$work/mail.toml" >>"$work/server.log" 2>&1 &
    server=$!
    for _ in $(seq 200); do
        if [ "$(grep -c '^listening' "$work/server.log")" = 3 ]; then return; fi
        kill -0 "$server" 2>/dev/null || fail "the server did not come up"
        sleep 0.05
    done
    fail "the server did not come up"
}
maildir=$work/mail/joe
dovecot_on "$maildir"
cat >>"$work/dovecot/dovecot.conf" <<CONF
mail_plugins = quota
protocol imap {
  mail_plugins = quota imap_quota
}
plugin {
  quota = maildir:User quota
  quota_rule = *:bytes=$limit:messages=100
}
CONF

cat >"$work/commands.py" <<'PY'
import subprocess, sys
imap = subprocess.Popen(sys.argv[1].split(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
for number, command in enumerate(sys.argv[2:] + ["LOGOUT"]):
    tag = b"t%d " % number
    if command.startswith("APPEND "):
        mailbox, size = command.split()[1:]
        body = b"Subject: theirs\r\n\r\n" + b"x" * 70 + b"\r\n"
        body += b"y" * (int(size) - len(body))
        command = "APPEND %s {%d+}\r\n%s" % (mailbox, len(body), body.decode())
    imap.stdin.write(tag + command.encode() + b"\r\n")
    imap.stdin.flush()
    for line in imap.stdout:
        sys.stdout.write(line.decode())
        if line.startswith(tag):
            break
imap.wait()
PY
dovecot() { # commands; all the answers
    USER=joe python3 "$work/commands.py" "${as[*]} /usr/lib/dovecot/imap -c $work/dovecot/dovecot.conf" "$@" 2>>"$work/dovecot.err"
}
fine() { ! grep -E '^t[0-9]+ (NO|BAD)' <<<"$1" || fail "Dovecot: $1"; }
deliver() { # octets, further arguments of swaks
    local octets=$1
    shift
    swaks --server "127.0.0.1:$((24 + offset))" --protocol LMTP --from tester@example.net --to joe@localhost \
        --header 'Subject: ours' --body "$(head -c "$octets" /dev/zero | tr '\0' z | fold -w 70)" "$@" >"$work/swaks.log" 2>&1
}
mail() { curl -sSk -o /dev/null -u joe@localhost:secret --login-options AUTH=PLAIN "$@" 2>"$work/curl.err"; }
box=imaps://127.0.0.1:$imaps
there() { # bytes and messages by the files
    find "$maildir" \( -path '*/new/*' -o -path '*/cur/*' \) -type f -printf '%s\n' | awk '{ b += $1 } END { print b + 0, NR }'
}
file() { awk 'NR > 1 { b += $1; m += $2 } END { print b + 0, m + 0 }' "$maildir/maildirsize"; }
agree() { # what
    local told bytes messages
    expect "$1: the file, by what is there" "$(there)" "$(file)"
    read -r bytes messages <<<"$(there)"
    told=$(dovecot 'GETQUOTAROOT INBOX' | sed -n 's/^\* QUOTA .*STORAGE \([0-9]*\) [0-9]* MESSAGE \([0-9]*\) [0-9]*).*/\1 \2/p')
    expect "$1: Dovecot's usage in KiB, by what is there" "$(((bytes + 1023) / 1024)) $messages" "$told"
    expect "$1: the limits" "${limit}S,100C" "$(head -n 1 "$maildir/maildirsize")"
}

serve
deliver 5000 || fail "a delivery: $(cat "$work/swaks.log")"
agree "the first delivery"
lines=$(wc -l <"$maildir/maildirsize")
for _ in 1 2 3; do deliver 3000; done
expect "a line for each delivery" "$((lines + 3))" "$(wc -l <"$maildir/maildirsize")"
inode=$(stat -c %i "$maildir/maildirsize")
fine "$(dovecot 'SELECT INBOX' 'APPEND INBOX 4000' 'APPEND INBOX 5000' 'CREATE a' 'COPY 1:2 a' 'STORE 3 +FLAGS (\Deleted)' 'EXPUNGE')"
agree "what Dovecot appended, copied and expunged"
printf 'Subject: ours\r\n\r\n%01000d\r\n' 1 >"$work/message"
mail "$box/INBOX" -T "$work/message"
mail "$box" -X 'CREATE b'
mail "$box/INBOX" -X 'COPY 1:3 b'
mail "$box/INBOX" -X 'STORE 1:2 +FLAGS (\Deleted)'
mail "$box/INBOX" -X EXPUNGE
mail "$box/INBOX" -X 'MOVE 1 a'
agree "what we appended, copied, moved and expunged"
mail "$box" -X 'RENAME b c'
mail "$box" -X 'DELETE a'
agree "what we renamed and deleted"
expect "the file is the one that Dovecot appended to" "$inode" "$(stat -c %i "$maildir/maildirsize")"
fine "$(dovecot 'DELETE c' 'APPEND INBOX 2000')"
deliver 1000
agree "what Dovecot deleted"

# Both at once.
for n in $(seq 10); do deliver "$((n * 100))"; done &
writer=$!
for _ in $(seq 5); do dovecot 'SELECT INBOX' 'APPEND INBOX 300' 'APPEND INBOX 400' 'STORE 1 +FLAGS (\Deleted)' 'EXPUNGE' >/dev/null; done
wait "$writer"
agree "both at once"

# What neither of them was told of, and a file that is damaged.
printf '100S\ngarb' >"$maildir/maildirsize"
deliver 1000
mail "$box/INBOX" -T "$work/message"
agree "a damaged file"

# Full.
read -r bytes _ <<<"$(there)"
left=$((limit - bytes))
refused() { # what Dovecot answered
    grep -q '^t0 NO \[OVERQUOTA\]' <<<"$1" || fail "Dovecot takes more than there is room for: $1"
}
refused "$(dovecot "APPEND INBOX $((left + 5000))")"
head -c "$((left + 5000))" /dev/zero | tr '\0' z | fold -w 70 | sed 's/$/\r/' >"$work/large"
if mail "$box/INBOX" -T "$work/large"; then fail "we take more than there is room for"; fi
agree "what was too much for both"
fine "$(dovecot "APPEND INBOX $((left - 1000))")"
for _ in 1 2 3; do deliver 10000 || true; done
grep -q '452 4.2.2' "$work/swaks.log" || fail "a delivery to a full mailbox: $(cat "$work/swaks.log")"
agree "a full mailbox"
refused "$(dovecot 'APPEND INBOX 100')"
of_ann() { find "$work/mail" -path '*/ann/new/*' -type f | wc -l; }
messages=$(of_ann)
deliver 100 --to joe@localhost,ann@localhost || true
grep -A1 'RCPT TO:<joe@localhost>' "$work/swaks.log" | grep -q '452 4.2.2' || fail "joe: $(cat "$work/swaks.log")"
expect "the other recipient's messages" "$((messages + 1))" "$(of_ann)"
deliver 100 --server "127.0.0.1:$smtp" --protocol ESMTP --to joe@localhost,ann@localhost || true
grep -q '452 4.2.2' "$work/swaks.log" || fail "SMTP: $(cat "$work/swaks.log")"
expect "the same by SMTP" "$((messages + 2))" "$(of_ann)"
stop
configure 'over = "refuse"'
serve
deliver 100 || true
grep -q '552 5.2.2' "$work/swaks.log" || fail "not for good: $(cat "$work/swaks.log")"
echo "ok: 552 5.2.2 where that is configured"
fine "$(dovecot 'SELECT INBOX' 'STORE 1:* +FLAGS (\Deleted)' 'EXPUNGE')"
deliver 100 || fail "there is room again: $(cat "$work/swaks.log")"
agree "room again"
if grep -E 'Error|Panic|Fatal' "$work/dovecot.err" "$work/dovecot/log" 2>/dev/null | grep -i quota >&2; then fail "Dovecot complains"; fi
stop
