#!/usr/bin/env bash
# Postfix as the next hop of our client, as a client of our server, and as a client of our LMTP listener.
source "$(dirname "$0")/peers.sh"
peer_smtp=$((offset + 1025)) p=$work/postfix
mkdir -p "$p"/{etc,spool,lib,tls,mail}
chmod 755 "$p" "$p"/*
chown postfix "$p/lib"
chown 65534:65534 "$p/mail"
make_certificate "$p/tls"
cat >"$p/etc/main.cf" <<CONF
compatibility_level = 3.6
queue_directory = $p/spool
data_directory = $p/lib
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.peer.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
maillog_file = $work/peer-postfix.log
maillog_file_prefixes = $work
alias_maps =
default_database_type = texthash
virtual_mailbox_domains = peer.example
virtual_mailbox_base = $p/mail
virtual_mailbox_maps = texthash:$p/etc/mailboxes
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
transport_maps = texthash:$p/etc/transport
smtpd_tls_cert_file = $p/tls/certificate.pem
smtpd_tls_key_file = $p/tls/key.pem
smtpd_tls_security_level = may
smtpd_tls_received_header = yes
smtp_tls_security_level = may
smtp_tls_loglevel = 1
smtp_send_xforward_command = yes
smtputf8_enable = yes
CONF
cat >"$p/etc/master.cf" <<CONF
$peer_smtp inet n - n - - smtpd
$((peer_smtp + 1)) inet n - n - - smtpd -o smtpd_discard_ehlo_keywords=pipelining,chunking -o smtpd_tls_security_level=none
$((peer_smtp + 2)) inet n - n - - smtpd -o smtpd_tls_security_level=encrypt
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
CONF
printf 'b@peer.example b/\nc@peer.example c/\na@elsewhere.example x\n' >"$p/etc/mailboxes"
# Mail for our server: over SMTP for one name, over LMTP for another. Notices for the sender come back to a mailbox here.
printf 'localhost smtp:[127.0.0.1]:%s\nelsewhere.example virtual:\n' "$smtp" >"$p/etc/transport"
sed -i 's/^virtual_mailbox_domains = .*/virtual_mailbox_domains = peer.example elsewhere.example/' "$p/etc/main.cf"
printf 'a@elsewhere.example a/\nb@peer.example b/\nc@peer.example c/\n' >"$p/etc/mailboxes"
for name in dynamicmaps.cf dynamicmaps.cf.d postfix-files; do cp -r "/etc/postfix/$name" "$p/etc/" 2>/dev/null || true; done
chown -R root:root "$p/etc"
at_exit+=("postfix -c $p/etc stop")
postfix -c "$p/etc" start >"$work/peer-start.log" 2>&1 || fail "Postfix does not start: $(cat "$work/peer-start.log" "$work/peer-postfix.log")"
listens "$peer_smtp"
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
