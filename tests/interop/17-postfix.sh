#!/usr/bin/env bash
# Postfix as the next hop of our client, as a client of our server, and as a client of our LMTP listener.
source "$(dirname "$0")/peers.sh"
peer_smtp=$((offset + 1025)) p=$work/postfix
postfix_in mx.peer.example "$peer_smtp"
cat >>"$p/etc/main.cf" <<CONF
mynetworks = 127.0.0.0/8
virtual_mailbox_domains = peer.example elsewhere.example
transport_maps = texthash:$p/etc/transport
smtpd_tls_security_level = may
smtp_tls_security_level = may
smtp_tls_loglevel = 1
smtp_send_xforward_command = yes
smtputf8_enable = yes
CONF
cat >>"$p/etc/master.cf" <<CONF
$((peer_smtp + 1)) inet n - n - - smtpd -o smtpd_discard_ehlo_keywords=pipelining,chunking -o smtpd_tls_security_level=none
$((peer_smtp + 2)) inet n - n - - smtpd -o smtpd_tls_security_level=encrypt
CONF
# Mail for our server: over SMTP for one name, over LMTP for another. Notices for the sender come back to a mailbox here.
printf 'localhost smtp:[127.0.0.1]:%s\nelsewhere.example virtual:\n' "$smtp" >"$p/etc/transport"
printf 'a@elsewhere.example a/\nb@peer.example b/\nc@peer.example c/\n' >"$p/etc/mailboxes"
start_postfix "$peer_smtp"
start

echo "-- our client to Postfix"
make_message to-postfix >"$work/message"
delivered "in clear" "localhost:$peer_smtp" "$work/message" b@peer.example
arrived "$p/mail/b" 1
same_body "in clear" "$work/message" "$newest"
delivered "with STARTTLS, two recipients" --starttls --ca "$p/tls/certificate.pem" "localhost:$peer_smtp" "$work/message" b@peer.example c@peer.example
arrived "$p/mail/c" 1
same_body "with STARTTLS" "$work/message" "$newest"
grep -q 'using TLSv1.3' "$newest" || fail "Postfix saw no TLS: $(head -n 20 "$newest")"
delivered "without PIPELINING and CHUNKING" "localhost:$((peer_smtp + 1))" "$work/message" b@peer.example
refused "one of two unknown" 'nobody@peer.example: refused: 550 5.1.1' "localhost:$peer_smtp" "$work/message" nobody@peer.example b@peer.example
grep -q '^b@peer.example: delivered' "$work/sent" || fail "the known one got nothing: $(cat "$work/sent")"
refused "TLS that the server wants and we do not speak" '530 5.7.0' "localhost:$((peer_smtp + 2))" "$work/message" b@peer.example

echo "-- Postfix to our server"
submit() { # subject, recipient...
    make_message "$1" | sed 's/\r$//' | sendmail -C "$p/etc" -i -f a@elsewhere.example "${@:2}"
}
submit from-postfix "$user"
arrived "$maildir" 1
same_body "over SMTP" "$work/message" "$newest"
grep -q 'with ESMTPS' "$newest" || fail "Postfix did not use our STARTTLS: $(head -n 20 "$newest")"
echo "ok: over SMTP: with TLS"
# A recipient that we do not have: refused at RCPT, and Postfix tells the sender.
submit unknown nobody@localhost
arrived "$p/mail/a" 1
grep -q '550 5.1.1' "$newest" || fail "the notice does not hold our words: $(cat "$newest")"
echo "ok: a refused recipient: Postfix returns the message with our words"
for n in $(seq 40); do submit "many-$n" "$user"; done
arrived "$maildir" 41
echo "ok: 40 more messages"

make_message utf8 | sed -e 's/\r$//' -e 's/^From: .*/From: Jörg <jörg@elsewhere.example>/' | sendmail -C "$p/etc" -i -f jörg@elsewhere.example "$user"
arrived "$maildir" 42
grep -q 'with UTF8SMTPS' "$newest" || fail "Postfix did not use our SMTPUTF8: $(head -n 20 "$newest")"
grep -q '^From: Jörg <jörg@elsewhere.example>' "$newest" || fail "the header changed: $(cat "$newest")"
echo "ok: a sender and a header beyond ASCII: by SMTPUTF8"

echo "-- Postfix to our LMTP listener"
printf 'localhost lmtp:unix:%s/lmtp\nelsewhere.example virtual:\n' "$data" >"$p/etc/transport"
chmod 755 "$data"
chmod 666 "$data/lmtp"
postfix -c "$p/etc" reload >/dev/null 2>&1
submit lmtp "$user" nobody@localhost
arrived "$maildir" 43
same_body "over LMTP" "$work/message" "$newest"
arrived "$p/mail/a" 2
grep -q 'nobody@localhost' "$newest" || fail "the notice is about somebody else: $(cat "$newest")"
echo "ok: over LMTP: one recipient has it, the other's failure is told"
[ -z "$(postqueue -c "$p/etc" -j)" ] || fail "something is left in Postfix's queue: $(postqueue -c "$p/etc" -j)"
echo "ok: Postfix's queue is empty"
stop
