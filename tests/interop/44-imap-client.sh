#!/usr/bin/env bash
# Our IMAP client: the script of operations that it does with our own server, with Debian's Dovecot and with Cyrus, without
# compression and with it; and imap-fetch with our own.
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
script() { # with what, which test, more of the environment
    (cd "$root" && env HOME="$(getent passwd "$(id -u)" | cut -d: -f6)" "${@:3}" \
        cargo test -q -p pillarbox --test imap_client "$2") >"$work/script" 2>&1 ||
        fail "the script with $1: $(cat "$work/script")"
    # A name that no test has is no error to cargo.
    grep -q '^test result: ok\. [1-9]' "$work/script" || fail "the script with $1 has not run: $(cat "$work/script")"
    echo "ok: the script with $1"
}
script "our server" one_script_of_everything
another=the_same_script_with_another_server
"${as[@]}" mkdir -p "$work/peer"
dovecot_on "$work/peer"
cat >>"$work/dovecot/dovecot.conf" <<CONF
mail_plugins = zlib
protocol imap {
  mail_plugins = zlib imap_zlib
}
CONF
script Dovecot $another USER=nobody PILLARBOX_IMAP_PEER="${as[*]} /usr/lib/dovecot/imap -c $work/dovecot/dovecot.conf"

# Debian has either Dovecot or Cyrus: what both packages of Cyrus have in common is installed, its imapd unpacked.
package=$(unpack cyrus-imapd)
c=$work/cyrus cyrus_imap=$((offset + 1143)) name=$(id -un)
[ ${#as[@]} -eq 0 ] || name=nobody
"${as[@]}" mkdir -p "$c"/{config,spool,run}
# What is deleted goes at once: Cyrus would keep it under a name with the second in it, and refuse to delete twice in a second.
cat >"$c/imapd.conf" <<CONF
delete_mode: immediate
configdirectory: $c/config
partition-default: $c/spool
defaultpartition: default
cyrus_user: $name
admins: admin
servername: localhost
allowplaintext: yes
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: $c/sasldb
sasl_mech_list: PLAIN
autocreate_quota: 0
autocreate_post: yes
unixhierarchysep: yes
altnamespace: yes
virtdomains: off
idlesocket: $c/run/idle
lmtpsocket: $c/run/lmtp
notifysocket: $c/run/notify
tls_sessions_db_path: $c/config/tls.db
CONF
cat >"$c/cyrus.conf" <<CONF
START {
  recover cmd="/usr/lib/cyrus/bin/ctl_cyrusdb -C $c/imapd.conf -r"
}
SERVICES {
  imap cmd="$package/usr/lib/cyrus/bin/imapd -C $c/imapd.conf -U 30" listen="127.0.0.1:$cyrus_imap" prefork=0
}
EVENTS {
}
DAEMON {
}
CONF
echo secret | "${as[@]}" saslpasswd2 -p -c -f "$c/sasldb" -u localhost you
# It ends its children with itself, if it is asked to.
trap 'status=$?; { [ -z "$server" ] || kill -TERM "$server"; } && wait; server=; cleanup $status' EXIT
"${as[@]}" env CYRUS_USER="$name" /usr/lib/cyrus/bin/master -C "$c/imapd.conf" -M "$c/cyrus.conf" -p "$c/run/master.pid" -D >"$c/out" 2>&1 &
server=$!
for _ in $(seq 200); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$cyrus_imap") 2>/dev/null; then break; fi
    kill -0 "$server" 2>/dev/null || fail "Cyrus did not come up: $(cat "$c/out")"
    sleep 0.05
done
script Cyrus $another PILLARBOX_IMAP_PEER="tcp:127.0.0.1:$cyrus_imap" PILLARBOX_IMAP_USER=you
kill -TERM "$server"
wait "$server" || true
server=
