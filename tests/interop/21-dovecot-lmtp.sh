#!/usr/bin/env bash
# Dovecot as the LMTP server of our client, over TCP and a unix socket: each recipient has an outcome of its own.
source "$(dirname "$0")/peers.sh"
peer_lmtp=$((offset + 1324)) d=$work/dovecot
mkdir -p "$d"/{run,state,mail}
chown 65534:65534 "$d/mail"
{
    echo "b@peer.example:{PLAIN}pw:65534:65534::$d/mail/b::"
    echo "c@peer.example:{PLAIN}pw:65534:65534::$d/mail/c::"
    echo "full@peer.example:{PLAIN}pw:65534:65534::$d/mail/full::userdb_quota_rule=*:storage=1K"
} >"$d/users"
cat >"$d/dovecot.conf" <<CONF
base_dir = $d/run
state_dir = $d/state
instance_name = interop
log_path = $work/peer-dovecot.log
listen = 127.0.0.1
protocols = lmtp
ssl = no
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = nobody
first_valid_uid = 65534
last_valid_uid = 0
mail_location = maildir:~/Maildir
mail_plugins = quota
passdb {
  driver = passwd-file
  args = username_format=%u $d/users
}
userdb {
  driver = passwd-file
  args = username_format=%u $d/users
}
plugin {
  quota = maildir:User quota
}
namespace inbox {
  inbox = yes
  separator = /
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
service lmtp {
  inet_listener lmtp {
    port = $peer_lmtp
  }
  unix_listener lmtp {
    mode = 0666
  }
}
protocol lmtp {
  postmaster_address = postmaster@peer.example
}
CONF
at_exit+=("doveadm -c $d/dovecot.conf stop")
dovecot -c "$d/dovecot.conf" >"$work/peer-start.log" 2>&1 || fail "Dovecot does not start: $(cat "$work/peer-start.log" "$work/peer-dovecot.log")"
listens "$peer_lmtp"

make_message to-dovecot >"$work/message"
delivered "over TCP" --lmtp "localhost:$peer_lmtp" "$work/message" b@peer.example
arrived "$d/mail/b/Maildir" 1
same_body "over TCP" "$work/message" "$newest"
delivered "over a unix socket, two recipients" --lmtp "$d/run/lmtp" "$work/message" b@peer.example c@peer.example
arrived "$d/mail/c/Maildir" 1
same_body "over a unix socket" "$work/message" "$newest"
refused "one of two over quota" '^full@peer.example: \(later: 4\|refused: 5\)[0-9]* .\.2\.2' --lmtp "$d/run/lmtp" "$work/message" full@peer.example c@peer.example
grep -q '^c@peer.example: delivered: 250 2.0.0 <c@peer.example>' "$work/sent" || fail "the other one got nothing, or another's reply: $(cat "$work/sent")"
arrived "$d/mail/c/Maildir" 2
[ -z "$(find "$d/mail/full/Maildir/new" -type f 2>/dev/null)" ] || fail "something arrived where the quota is full"
echo "ok: $(tr '\n' '|' <"$work/sent")"
refused "one of two unknown" 'nobody@peer.example: refused: 550 5.1.1' --lmtp "localhost:$peer_lmtp" "$work/message" nobody@peer.example b@peer.example
grep -q '^b@peer.example: delivered' "$work/sent" || fail "the known one got nothing: $(cat "$work/sent")"
