#!/usr/bin/env bash
# Postfix as a filter in front of us says by XFORWARD where a message came from; and its XCLIENT means what ours does.
# Needs root, because Postfix's master does.
source "$(dirname "$0")/lib.sh"
if [ "$(id -u)" != 0 ] || [ ! -x /usr/sbin/postfix ]; then
    echo "skipped: needs root and postfix"
    exit 0
fi
filter=$((offset + 26))
postfix=$work/postfix
cleanup_postfix() {
    status=$?
    /usr/sbin/postfix -c "$postfix/etc" stop >/dev/null 2>&1 || true
    cleanup $status
}
trap cleanup_postfix EXIT

# Our server, with a listener for a filter on this machine.
mkdir -p "$maildir"/{new,cur,tmp} "$postfix"/{etc,queue,data}
printf '%s:{PLAIN}%s\n' "$user" "$password" >"$data/passwd"
chmod 640 "$data/passwd"
cat >"$data/mail.toml" <<END
hostname = "mail.example.org"
domains = ["localhost"]
postmaster = "$user"
accounts = "passwd"
mail = "mail/{domain}/{user}/Maildir"
[[listener]]
protocol = "smtp"
address = "127.0.0.1:$smtp"
xforward = ["127.0.0.1"]
xclient = ["127.0.0.1"]
END
[ ${#as[@]} -eq 0 ] || chown -R 65534:65534 "$data"
"${as[@]}" "$work/mailserver" serve --config "$data/mail.toml" --show-dialog >>"$work/server.log" 2>&1 &
server=$!

# Postfix in a root of its own, which takes mail from everywhere and hands it to us.
chmod 755 "$work" "$postfix"
chown postfix "$postfix/data"
cat >"$postfix/etc/main.cf" <<END
compatibility_level = 3.6
queue_directory = $postfix/queue
data_directory = $postfix/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = filter.example
mydestination =
local_recipient_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
relay_domains = localhost
transport_maps = inline:{localhost=smtp:[127.0.0.1]:$smtp}
smtp_send_xforward_command = yes
smtpd_authorized_xclient_hosts = 127.0.0.1
smtpd_relay_restrictions = permit_mynetworks, reject
mynetworks = 127.0.0.0/8, 192.0.2.0/24
maillog_file = $postfix/log
maillog_file_prefixes = ${TMPDIR:-/tmp}
disable_dns_lookups = yes
smtp_host_lookup = native
smtp_tls_security_level = none
END
grep -E '^[a-z]+ +(unix|unix-dgram) ' /etc/postfix/master.cf >"$postfix/etc/master.cf"
echo "127.0.0.1:$filter inet n - n - - smtpd" >>"$postfix/etc/master.cf"
cp /etc/postfix/postfix-files /etc/postfix/dynamicmaps.cf "$postfix/etc/" 2>/dev/null || true
/usr/sbin/postconf -c "$postfix/etc" -F '*/*/chroot=n'
/usr/sbin/postfix -c "$postfix/etc" start >/dev/null 2>&1 || fail "postfix did not start"
for _ in $(seq 100); do if (: <"/dev/tcp/127.0.0.1/$filter") 2>/dev/null; then break; fi; sleep 0.05; done

# The client at the filter is somebody else, as XCLIENT says.
swaks --silent 2 --server 127.0.0.1 --port "$filter" --from a@elsewhere.example --to "$user" --ehlo client.example \
    --xclient-addr 192.0.2.7 --xclient-name client.example --header 'Subject: filtered'
for _ in $(seq 100); do [ "$(messages)" = 0 ] || break; sleep 0.05; done
[ "$(messages)" = 1 ] || tail -n 5 "$postfix/log" "$work/server.log" >&2
expect "messages through the filter" 1 "$(messages)"
grep -q 'XFORWARD .*ADDR=192.0.2.7' "$work/server.log" || fail "no XFORWARD: $(cat "$work/server.log")"
echo "ok: Postfix says by XFORWARD where it came from"

# The same conversation with both servers: the codes are the same.
codes() { # port
    exec 3<>"/dev/tcp/127.0.0.1/$1"
    local line reply codes=
    for line in "" "EHLO proxy.example" "XCLIENT ADDR=192.0.2.7 NAME=[UNAVAILABLE] LOGIN=joe" "EHLO client.example" \
        "XCLIENT ADDR=127.0.0.1" "MAIL FROM:<>" "RSET" "QUIT"; do
        [ -z "$line" ] || printf '%s\r\n' "$line" >&3
        while IFS= read -r -t 5 reply <&3; do [ "${reply:3:1}" = - ] || break; done
        codes+="${reply:0:3} "
    done
    exec 3>&-
    echo "$codes"
}
expect "codes of XCLIENT" "$(codes "$filter")" "$(codes "$smtp")"
stop
