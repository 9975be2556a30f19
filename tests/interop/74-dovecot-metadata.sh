#!/usr/bin/env bash
# Annotations: what our server and Debian's Dovecot (imap_metadata = yes) answer to the same commands; and rights, limits and
# annotations of ours from Python's imaplib. Needs dovecot-imapd and python3.
source "$(dirname "$0")/lib.sh"
# For its certificate.
start
stop
"${as[@]}" mkdir "$work/mail" "$work/theirs"
(umask 077 && printf '%s\n' 'joe@localhost:{PLAIN}secret' 'ann@localhost:{PLAIN}secret' >"$work/passwd")
cat >"$work/mail.toml" <<TOML
hostname = "localhost"
domains = ["localhost"]
postmaster = "joe@localhost"
accounts = "$work/passwd"
mail = "$work/mail/{user}"
[mailboxes]
sharing = "acl"
[tls]
certificate = "$data/tls/certificate.pem"
key = "$data/tls/key.pem"
[[listener]]
protocol = "imap"
address = "127.0.0.1:$imaps"
tls = "implicit"
[quota]
set_by = ["joe@localhost"]
TOML
[ "$(id -u)" != 0 ] || chown -R 65534:65534 "$work"
dovecot_on "$work/theirs"
cat >>"$work/dovecot/dovecot.conf" <<CONF
mail_attribute_dict = file:$work/theirs/dovecot-attributes
protocol imap {
  imap_metadata = yes
}
CONF
"${as[@]}" "$work/mailserver" serve --config "$work/mail.toml" >>"$work/server.log" 2>&1 &
server=$!
for _ in $(seq 200); do
    if grep -q '^listening' "$work/server.log"; then break; fi
    kill -0 "$server" 2>/dev/null || fail "the server did not come up"
    sleep 0.05
done
USER=joe IMAPS=$imaps timeout 120 python3 "$(dirname "$0")/74-dovecot-metadata.py" \
    "${as[*]} ${DOVECOT_IMAP:-/usr/lib/dovecot/imap} -c $work/dovecot/dovecot.conf" 2>&1 || fail "$(cat "$work/dovecot/log" 2>/dev/null)"
stop
