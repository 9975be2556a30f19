#!/usr/bin/env bash
# Our IMAP client: the script of operations that it does with our own server, with Debian's Dovecot; and imap-fetch with both.
# Needs: cargo build --release --bin mailserver --bin imap-fetch
source "$(dirname "$0")/lib.sh"
cp "${IMAP_FETCH:-$root/target/release/imap-fetch}" "$work/imap-fetch"
start
for n in 1 2 3; do
    printf 'From: a@elsewhere.example\r\nSubject: number %s\r\n\r\nbody %s\r\n' "$n" "$n" >"$work/mail"
    curl -sS --url "smtp://127.0.0.1:$smtp" --mail-from a@elsewhere.example --mail-rcpt "$user" --upload-file "$work/mail"
done
fetch() { IMAP_PASSWORD=$password "$work/imap-fetch" --starttls --ca "$data/tls/certificate.pem" "localhost:$imap" "$user" "$@"; }
expect "names" INBOX "$(fetch | grep -x INBOX)"
mkdir "$work/fetched"
expect "messages of our server" 3 "$(fetch INBOX --to "$work/fetched" | wc -l)"
expect "messages that were written" 3 "$(grep -lx $'body [123]\r' "$work/fetched"/*.eml | wc -l)"
stop
"${as[@]}" mkdir -p "$work/peer"
dovecot_on "$work/peer"
export USER=nobody
cd "$root"
HOME=$(getent passwd "$(id -u)" | cut -d: -f6) PILLARBOX_IMAP_PEER="${as[*]} /usr/lib/dovecot/imap -c $work/dovecot/dovecot.conf" \
    cargo test -q -p pillarbox --test imap_client the_same_script_with_another_server >"$work/script" 2>&1 ||
    fail "the script with Dovecot: $(cat "$work/script")"
echo "ok: the script with Dovecot"
