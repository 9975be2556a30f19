#!/usr/bin/env bash
# `mailserver serve` sends by the DNS and by what domains publish, and reports on TLS: Knot has the zones, Unbound validates, and mail exchangers and a
# policy host listen on addresses of the script's own network, and so does who takes reports by HTTPS POST. Needs the release build of mailserver.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
mailserver=${MAILSERVER:-$root/target/release/mailserver}
CHECK_AUTH=$mailserver source "$(dirname "$0")/auth.sh"
for last in 10 21 22 23 24 25 26 30 31 54; do ip address add 192.0.2.$last/32 dev lo; done
mkdir "$work/zones" "$work/arrived" "$work/mail"

# A test authority, and certificates by it; `lone` has one that nobody signed.
ca() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=$1" "${@:2}" 2>/dev/null; }
ca authority -keyout "$work/ca.key" -out "$work/ca.pem"
certify() { # name, names
    local names
    names=$(printf ',DNS:%s' "${@:2}")
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$2" -keyout "$work/$1.key" -out "$work/$1.csr" 2>/dev/null
    openssl x509 -req -in "$work/$1.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -days 30 -out "$work/$1.pem" \
        -extfile <(echo "subjectAltName=${names#,}") 2>/dev/null
}
certify sts mx.sts.example
certify needy mx.needy.example
certify web mta-sts.sts.example mta-sts.bad-sts.example mta-sts.needy.example
certify reports reports.example
certify near mx.near.example
ca lone -addext basicConstraints=critical,CA:FALSE -keyout "$work/lone.key" -out "$work/lone.pem"
digest=$(openssl x509 -in "$work/lone.pem" -pubkey -noout | openssl pkey -pubin -outform der | sha256sum | cut -d ' ' -f 1)

zone() { # name; its records on stdin
    { printf '@ 3600 SOA ns hostmaster 1 3600 600 86400 60\n@ 3600 NS ns\nns 3600 A 192.0.2.53\n'; cat; } >"$work/zones/$1"
}
zone near.example <<<'@ 60 MX 10 mx
mx 60 A 192.0.2.10'
zone null.example <<<'@ 60 MX 0 .'
zone implicit.example <<<'@ 60 A 192.0.2.23
www 60 CNAME implicit.example.'
zone loop.example <<<'@ 60 MX 10 mx.near.example.'
zone dane.example <<<"@ 60 MX 10 mx
mx 60 A 192.0.2.21
_25._tcp.mx 60 TLSA 3 1 1 $digest"
zone bad-dane.example <<<"@ 60 MX 10 mx
mx 60 A 192.0.2.22
_25._tcp.mx 60 TLSA 3 1 1 ${digest//[0-9]/a}
_smtp._tls 60 TXT \"v=TLSRPTv1; rua=mailto:tls@implicit.example,mailto:tls@www.implicit.example,https://reports.example/v1?from=near\""
zone reports.example <<<'@ 60 A 192.0.2.31'
for name in sts.example:24 bad-sts.example:25 needy.example:26; do
    zone "${name%:*}" <<<"@ 60 MX 10 mx
mx 60 A 192.0.2.${name#*:}
_mta-sts 60 TXT \"v=STSv1; id=1;\"
mta-sts 60 A 192.0.2.30"
done
serve_zones "dnssec-signing: on"
{
    printf 'server:\n    interface: 192.0.2.54\n    access-control: 192.0.2.0/24 allow\n    do-daemonize: no\n    username: ""\n    chroot: ""\n'
    printf '    directory: "%s"\n    pidfile: "%s/unbound.pid"\n    use-syslog: no\n    logfile: ""\n    module-config: "validator iterator"\n' "$work" "$work"
    for name in dane.example bad-dane.example; do
        # Without its anchor a zone would pass for one that is not signed.
        for _ in $(seq 200); do
            [ -z "$(keymgr -c "$work/knot.conf" "$name" dnskey 2>/dev/null)" ] || break
            sleep 0.1
        done
        keymgr -c "$work/knot.conf" "$name" dnskey 2>/dev/null | sed 's/.*/    trust-anchor: "&"/' | grep . || fail "$name has no key"
    done
    for name in "$work"/zones/*; do printf 'stub-zone:\n    name: %s\n    stub-addr: 192.0.2.53\n' "${name##*/}"; done
} >"$work/unbound.conf"
unbound -c "$work/unbound.conf" >"$work/unbound.log" 2>&1 &
started+=($!)
listens 192.0.2.54 53

far=$here/98-policies.py
"$python" "$far" mx "$work/arrived" 192.0.2.21 "$work/lone.pem" "$work/lone.key" 192.0.2.22 "$work/lone.pem" "$work/lone.key" \
    192.0.2.23 "$work/lone.pem" "$work/lone.key" 192.0.2.24 "$work/sts.pem" "$work/sts.key" 192.0.2.25 "$work/lone.pem" "$work/lone.key" \
    192.0.2.26+ "$work/needy.pem" "$work/needy.key" 2>"$work/mx.log" &
started+=($!)
"$python" "$far" web 192.0.2.30 "$work/web.pem" "$work/web.key" 2>"$work/web.log" &
web=$!
started+=($web)
"$python" "$far" take "$work/arrived" 192.0.2.31 "$work/reports.pem" "$work/reports.key" 2>"$work/reports.log" &
started+=($!)
for last in 21 22 23 24 25 26; do listens 192.0.2.$last 25; done
listens 192.0.2.30 443
listens 192.0.2.31 443

printf 'joe@near.example:{PLAIN}x\n' >"$work/passwd"
chmod 600 "$work/passwd" "$work/near.key"
(umask 077; openssl genpkey -algorithm ed25519 -out "$work/dkim.pem")
cat >"$work/mailserver.toml" <<CONF
hostname = "mx.near.example"
domains = ["near.example"]
postmaster = "joe@near.example"
accounts = "passwd"
mail = "mail/{domain}/{user}"

[tls]
certificate = "near.pem"
key = "near.key"

[[listener]]
protocol = "submission"
address = "192.0.2.10:587"
tls = "starttls"

[[listener]]
protocol = "smtp"
address = "192.0.2.10:25"
relay_from = ["192.0.2.10"]

[queue]
folder = "queue"
trusted_certificates = "ca.pem"
policies = "policies"
private_policy_hosts = true

[tls_reports]
folder = "tls-reports"
organization_name = "Near"
sender_address = "tls@near.example"
spread_out_delivery = "1s"
dkim_selector = "sel"
dkim_key_file = "dkim.pem"
private_hosts = true

[dns]
servers = ["192.0.2.54"]
validates = true
CONF
serve() {
    "$mailserver" serve --config "$work/mailserver.toml" >>"$work/server.log" 2>&1 &
    server=$!
    started+=($server)
    listens 192.0.2.10 25
}
serve
submit() { "$python" "$far" send 192.0.2.10 joe@near.example "$1" || fail "$1 was refused"; }
within() { # seconds, what, command ...
    for _ in $(seq $((10 * $1))); do
        if "${@:3}"; then
            echo "ok: $2"
            return
        fi
        sleep 0.1
    done
    fail "$2: not within $1 s"
}
told() { grep -rqs "$1" "$work/mail"; }
arrived() { [ "$(cat "$work/arrived/$1" 2>/dev/null)" = "$2" ]; }
logged() { grep -q "$1" "$work/server.log"; }

submit ann@null.example
within 10 "null MX goes back at once" told 'Status: 5.1.10'
submit ann@loop.example
within 10 "a domain whose exchanger we are goes back at once" told 'Status: 5.4.6'
submit ann@nowhere.null.example
within 10 "a domain that is not there goes back at once" told 'Final-Recipient: rfc822; ann@nowhere.null.example'
submit ann@implicit.example
within 10 "a domain without MX is its own exchanger" arrived ann@implicit.example "192.0.2.23 TLS"
submit ann@www.implicit.example
within 10 "an alias leads there too" arrived ann@www.implicit.example "192.0.2.23 TLS"
submit ann@dane.example
within 10 "DANE: the key that the record tells" arrived ann@dane.example "192.0.2.21 TLS"
submit ann@bad-dane.example
within 10 "DANE: another key, and it waits" logged 'to ann@bad-dane.example: delayed'
submit ann@sts.example
within 10 "MTA-STS: a certificate by an authority" arrived ann@sts.example "192.0.2.24 TLS"
submit ann@bad-sts.example
within 10 "MTA-STS: a certificate by nobody, and it waits" logged 'to ann@bad-sts.example: delayed'

# RFC 8689: handed on to who offers it, and back from who has shown a good certificate and does not.
require() { "$python" "$far" require 192.0.2.10 "$work/ca.pem" joe@near.example "$1" || fail "$1 was refused"; }
require eve@needy.example
within 10 "REQUIRETLS: a host that offers it is asked for it" arrived eve@needy.example "192.0.2.26 TLS REQUIRETLS"
submit ann@needy.example
within 10 "REQUIRETLS: nobody is asked for it who need not be" arrived ann@needy.example "192.0.2.26 TLS"
require bob@sts.example
within 10 "REQUIRETLS: back from a host that does not offer it" told 'Final-Recipient: rfc822; bob@sts.example'
told 'Status: 5.7.30' || fail "it is not said why"
[ ! -e "$work/arrived/bob@sts.example" ] || fail "it went where it must not"
[ "$(find "$work/policies" -name '*.policy' | wc -l)" = 3 ] || fail "the policies are not kept"

# The policy host is gone, and the server starts anew: what was kept is in force.
kill -TERM "$web" "$server"
wait "$web" "$server" 2>/dev/null || true
: >"$work/server.log"
serve
submit eve@bad-sts.example
within 10 "MTA-STS: a policy outlives its host and our restart" logged 'to eve@bad-sts.example: delayed'
for domain in bad-dane.example bad-sts.example; do
    ! compgen -G "$work/arrived/*@$domain" >/dev/null || fail "something arrived at $domain"
done
echo "ok: nothing arrived where it must not"

# A day is over: what was counted so far is yesterday's. Who wants it is told at the next start, in both places, and once.
kill -TERM "$server"
wait "$server" 2>/dev/null || true
today=$(($(date +%s) / 86400))
mv "$work/tls-reports/day-$today.json" "$work/tls-reports/day-$((today - 1)).json" || fail "nothing was counted"
: >"$work/server.log"
serve
for to in tls@implicit.example tls@www.implicit.example; do
    within 10 "a report on TLS for $to" test -s "$work/arrived/$to.eml"
    "$python" "$far" report "$work/arrived/$to.eml" "$((today - 1))" || fail "the report is not as it has to be"
done
within 10 "a report on TLS by HTTPS POST" test -s "$work/arrived/posted.json.gz"
"$python" "$far" posted "$work/arrived/posted.json.gz" || fail "the report that was posted is not as it has to be"
within 10 "what was reported is forgotten" test ! -e "$work/tls-reports/day-$((today - 1)).json"
echo "ok: the reports say which host failed, and how"
