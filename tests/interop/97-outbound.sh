#!/usr/bin/env bash
# Mail for elsewhere, from `mailserver serve`: through Postfix as a smart host with TLS and a login, from Postfix as a host that
# may send without one, to smtp-sink with its faults; what is refused comes back; `mailserver queue` with the server and without.
source "$(dirname "$0")/peers.sh"
relay=$((offset + 1025)) sink=$((offset + 1026)) p=$work/postfix d=$work/dovecot site=$work/site
mkdir -p "$d"/{run,state} "$site"/{mail,arrived}
chmod 755 "$d"

# Dovecot knows who may log in at Postfix.
echo 'joe@relay.example:{PLAIN}s3cret' >"$d/users"
cat >"$d/dovecot.conf" <<CONF
base_dir = $d/run
state_dir = $d/state
instance_name = interop-auth
log_path = $work/peer-dovecot.log
listen = 127.0.0.1
protocols =
ssl = no
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = nobody
auth_mechanisms = plain
passdb {
  driver = passwd-file
  args = username_format=%u $d/users
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
service auth {
  unix_listener sasl {
    mode = 0666
  }
}
CONF
at_exit+=("doveadm -c $d/dovecot.conf stop")
dovecot -c "$d/dovecot.conf" >"$work/peer-start.log" 2>&1 || fail "Dovecot does not start: $(cat "$work/peer-start.log" "$work/peer-dovecot.log")"

postfix_in localhost "$relay"
cat >>"$p/etc/main.cf" <<CONF
mynetworks =
virtual_mailbox_domains = peer.example
relayhost = [127.0.0.1]:$smtp
smtpd_tls_security_level = encrypt
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = $d/run/sasl
smtpd_relay_restrictions = permit_sasl_authenticated,reject
smtpd_recipient_restrictions = permit_sasl_authenticated,reject
CONF
printf 'b@peer.example b/\n' >"$p/etc/mailboxes"
start_postfix "$relay"

make_certificate "$site"
echo 'you@example.org:{PLAIN}correct-horse' >"$site/passwd"
echo wrong >"$site/relay-password"
chmod 600 "$site"/{passwd,relay-password,key.pem}
cat >"$site/mail.toml" <<CONF
hostname = "mail.example.org"
domains = ["example.org"]
postmaster = "you@example.org"
accounts = "passwd"
mail = "mail/{user}"
tls = { certificate = "certificate.pem", key = "key.pem" }

[queue]
folder = "queue"
retry_first = "1s"
retry_max = "2s"
trusted_certificates = "$p/tls/certificate.pem"

[[route]]
recipients = ["sink.example"]
to = "smtp://127.0.0.1:$sink"
tls = "none"

[[route]]
recipients = ["*"]
to = "smtp://joe%40relay.example@localhost:$relay"
address = "127.0.0.1"
password_file = "relay-password"

[[listener]]
protocol = "smtp"
address = "127.0.0.1:$smtp"
relay_from = ["127.0.0.0/8"]

[[listener]]
protocol = "submission"
address = "127.0.0.1:$submissions"
tls = "implicit"
CONF
cp "$p/tls/certificate.pem" "$site/relay.pem"
sed -i "s|$p/tls/certificate.pem|relay.pem|" "$site/mail.toml"
chown -R 65534:65534 "$site"
chmod 700 "$site/arrived"

begin() {
    "${as[@]}" "$work/mailserver" serve --config "$site/mail.toml" >>"$work/server.log" 2>&1 &
    server=$!
    listens "$smtp"
}
queue() { "${as[@]}" "$work/mailserver" queue "$1" --config "$site/mail.toml" "${@:2}"; }
submit() { # token, recipient...
    swaks --server "127.0.0.1:$submissions" --tls-on-connect --auth PLAIN --auth-user you@example.org --auth-password correct-horse \
        --helo client.example --from you@example.org --to "$(IFS=,; echo "${*:2}")" --header "From: you@example.org" \
        --header "Subject: $1" --body "hello $1" --silent 3 >"$work/swaks" 2>&1 || fail "$1 was refused: $(cat "$work/swaks")"
}
sees() { # what is waited for, a line of the server's log
    for _ in $(seq 600); do
        if grep -q -- "$2" "$work/server.log"; then return; fi
        sleep 0.1
    done
    fail "$1: no '$2' in the log"
}
empty() {
    for _ in $(seq 600); do
        if [ -z "$(queue list --json 2>&1)" ]; then return; fi
        sleep 0.1
    done
    fail "something waits still: $(queue list)"
}
begin_sink() { # options
    (cd "$site/arrived" && exec "${as[@]}" smtp-sink -d "%M." "$@" "127.0.0.1:$sink" 100) &
    sink_process=$!
    started+=("$sink_process")
    listens "$sink"
}
end_sink() {
    kill -TERM "$sink_process"
    wait "$sink_process" 2>/dev/null || true
}
begin

echo "-- Postfix as the smart host"
submit to-postfix b@peer.example
sees "a wrong password" 'b@peer.example: delayed by localhost \[127.0.0.1\]: 535 5.7.8'
echo "ok: a wrong password: the message waits"
echo s3cret >"$site/relay-password"
kill -HUP "$server"
sees SIGHUP 'read the certificate, the accounts and the passwords for other servers again'
queue flush --all >/dev/null
arrived "$p/mail/b" 1
grep -q 'using TLSv1.3' "$newest" || fail "Postfix saw no TLS: $(head -n 20 "$newest")"
grep -q 'sasl_username=joe@relay.example' "$work/peer-postfix.log" || fail "nobody logged in"
echo "ok: with the right one: delivered, with TLS and a login"
submit to-both b@peer.example you@example.org
arrived "$p/mail/b" 2
arrived "$site/mail/you" 1
echo "ok: to both kinds of recipients: each has it"
submit in-vain nobody@peer.example
arrived "$site/mail/you" 2
grep -q 'nobody@peer.example' "$newest" && grep -q '^Return-Path: <>' "$newest" || fail "no notice: $(cat "$newest")"
grep -q '550 5.1.1' "$newest" || fail "the notice does not hold Postfix's words: $(cat "$newest")"
echo "ok: refused by Postfix: it comes back into the mailbox with its words"
empty

echo "-- Postfix as a host that sends through us"
begin_sink
make_message from-postfix | sed 's/\r$//' | sendmail -C "$p/etc" -i -f b@peer.example c@sink.example
for _ in $(seq 600); do
    ! grep -rq '^Subject: from-postfix' "$site/arrived" || break
    sleep 0.1
done
grep -rq '^Subject: from-postfix' "$site/arrived" || fail "nothing came through"
echo "ok: through us to the sink"
end_sink

echo "-- smtp-sink's faults"
# What it does at each command, what the log says of it, and whether the message waits.
while read -r options words; do
    rm -f "$site/arrived"/*
    begin_sink ${options%%=*} ${options#*=}
    submit "fault" x@sink.example
    sees "$options" "x@sink.example: delayed by .*$words"
    end_sink
    # It keeps what it has refused behind DATA as well.
    rm -f "$site/arrived"/*
    begin_sink
    queue flush --all >/dev/null
    empty
    [ "$(grep -rl '^Subject: fault' "$site/arrived" | wc -l)" = 1 ] || fail "$options: it arrived $(ls "$site/arrived" | wc -l) times"
    end_sink
    : >"$work/server.log"
    echo "ok: $options: later, once"
done <<FAULTS
-q=HELO,EHLO connection
-q=MAIL connection
-q=RCPT connection
-q=DATA connection
-r=MAIL 450
-r=RCPT 450
-r=DATA 450
-r=. 450
-Q=. 421
FAULTS

echo "-- the queue, with the server and without"
submit one x@sink.example
submit two y@sink.example
sees "no sink" 'y@sink.example: delayed by \[127.0.0.1\]'
[ "$(queue list --json | wc -l)" = 2 ] || fail "two are waiting: $(queue list)"
queue list --domain sink.example | grep -q 'x@sink.example: tried' || fail "$(queue list)"
one=$(queue list --json | python3 -c 'import json,sys; print(next(m["id"] for m in map(json.loads, sys.stdin) if m["recipients"][0]["to"] == "x@sink.example"))')
queue hold "$one" >/dev/null
stop
queue list | grep -q "^$one!" || fail "it is not held without the server: $(queue list)"
begin
begin_sink
for _ in $(seq 600); do
    [ "$(queue list --json 2>&1 | wc -l)" != 1 ] || break
    sleep 0.1
done
queue list | grep -q "^$one!" || fail "the held one is not left: $(queue list)"
queue release "$one" >/dev/null
empty
echo "ok: held through a restart, released, sent"
end_sink
submit three z@sink.example
queue delete --sender you@example.org >/dev/null
empty
echo "ok: deleted"
if "${as[@]}" "$work/mailserver" serve --config "$site/mail.toml" >"$work/second" 2>&1; then fail "a second server runs"; fi
grep -q 'another server has it open' "$work/second" || fail "$(cat "$work/second")"
echo "ok: a second server is refused"
stop
