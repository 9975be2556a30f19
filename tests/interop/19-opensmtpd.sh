#!/usr/bin/env bash
# OpenSMTPD as the next hop of our client, and as a client of our server. Its folders and accounts are fixed when it is built, so it runs in a
# mount namespace that has its own. As a server it has no TLS here: the one of Debian 12 cannot sign with OpenSSL 3, for any client.
source "$(dirname "$0")/peers.sh"
package=$(unpack opensmtpd)
peer_smtp=$((offset + 1225)) p=$work/opensmtpd
mkdir -p "$p/mail"
chown 65534:65534 "$p/mail"
cat >"$p/smtpd.conf" <<CONF
table mailboxes { a = nobody, b = nobody, c = nobody }
table owner { nobody = 65534:65534:$p/mail }
listen on lo port $peer_smtp hostname mx.peer.example
listen on socket
action "ours" relay host smtp+tls://127.0.0.1:$smtp tls no-verify helo mx.peer.example
action "mailbox" maildir "$p/mail/%{rcpt.user}" userbase <owner> virtual <mailboxes>
match from any for domain "localhost" action "ours"
match from any for domain { "peer.example", "elsewhere.example" } action "mailbox"
CONF
chmod 755 "$p"
cat >"$p/run.sh" <<'RUN'
set -e
package=$1
mkdir -p /usr/libexec
mount -t tmpfs -o mode=755 none /var/spool
mkdir -m 711 /var/spool/smtpd
mount -t tmpfs -o mode=755 none /var/lib
mkdir -p /var/lib/opensmtpd/empty
mount -t tmpfs -o mode=755 none /usr/libexec
cp -a "$package/usr/libexec/opensmtpd" /usr/libexec/
mount -t tmpfs -o mode=755 none /run
shift
exec "$@"
RUN
with_accounts "opensmtpd opensmtpq" bash "$p/run.sh" "$package" "$package/usr/sbin/smtpd" -d -f "$p/smtpd.conf" >>"$work/peer-opensmtpd.log" 2>&1 &
started+=($!)
listens "$peer_smtp"
start

echo "-- our client to OpenSMTPD"
make_message to-opensmtpd >"$work/message"
delivered "in clear" "localhost:$peer_smtp" "$work/message" b@peer.example
arrived "$p/mail/b" 1
same_body "in clear" "$work/message" "$newest"
delivered "two recipients" "localhost:$peer_smtp" "$work/message" b@peer.example c@peer.example
arrived "$p/mail/c" 1
same_body "two recipients" "$work/message" "$newest"
refused "one of two unknown" 'nobody@peer.example: refused: 524 5.2.4' "localhost:$peer_smtp" "$work/message" nobody@peer.example b@peer.example
echo "-- OpenSMTPD to our server"
submit() { # subject, recipient
    make_message "$1" >"$work/message"
    delivered "a message for OpenSMTPD to pass on" "localhost:$peer_smtp" "$work/message" "${@:2}"
}
submit from-opensmtpd "$user"
arrived "$maildir" 1
same_body "over SMTP" "$work/message" "$newest"
grep -q 'with ESMTPS' "$newest" || fail "OpenSMTPD did not use our STARTTLS: $(head -n 20 "$newest")"
echo "ok: over SMTP: with TLS"
submit unknown nobody@localhost
arrived "$p/mail/a" 1
grep -q '550 5.1.1' "$newest" || fail "the notice does not hold our words: $(cat "$newest")"
echo "ok: a refused recipient: OpenSMTPD returns the message with our words"
for n in $(seq 20); do submit "many-$n" "$user"; done >/dev/null
arrived "$maildir" 21
echo "ok: 20 more messages"
stop
