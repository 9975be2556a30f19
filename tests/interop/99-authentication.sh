#!/usr/bin/env bash
# `mailserver` as Postfix with opendkim, opendmarc and policyd-spf: what it says of messages that dkimpy and opendkim signed is read
# by authres; what it signs, with a key of opendkim-genkey, opendkim and dkimpy verify; the chain that it seals, alone and on a seal of
# dkimpy's, dkimpy validates.
source "$(dirname "$0")/auth.sh"
mailserver=${MAILSERVER:-$root/target/release/mailserver}
[ -x "$mailserver" ] || fail "$mailserver is not there"
"$python" "$here/99-authentication.py" zone
serve_zones

site=$work/site
mkdir -p "$site"/{mail,arrived}
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=us.example \
    -keyout "$site/key.pem" -out "$site/certificate.pem" 2>/dev/null
cp "$work/genkey.private" "$site/dkim-rsa.pem"
cp "$work/our-ed.pem" "$site/dkim-ed.pem"
echo 'joe@us.example:{PLAIN}correct-horse' >"$site/passwd"
echo 'info: ann@far.example' >"$site/aliases"
echo 'a secret of some length' >"$site/srs"
cat >"$site/mail.toml" <<CONF
hostname = "mx.us.example"
domains = ["us.example"]
postmaster = "joe@us.example"
accounts = "passwd"
mail = "mail/{user}"
tls = { certificate = "certificate.pem", key = "key.pem" }

[[listener]]
protocol = "smtp"
address = "127.0.0.1:2025"

[[listener]]
protocol = "submission"
address = "127.0.0.1:2465"
tls = "implicit"

[authentication]
dmarc = "honour"

[[sign]]
domain = "us.example"
selector = "genkey"
key_file = "dkim-rsa.pem"

[[sign]]
domain = "us.example"
selector = "our-ed"
key_file = "dkim-ed.pem"

[queue]
folder = "queue"
trusted_certificates = "certificate.pem"

[forward]
aliases = "aliases"
srs_domain = "srs.us.example"
srs_secrets = "srs"
seal_domain = "us.example"
seal_selector = "genkey"
seal_key_file = "dkim-rsa.pem"

[[route]]
recipients = ["*"]
to = "smtp://127.0.0.1:2026"
CONF
chmod 600 "$site"/*.pem "$site/passwd" "$site/srs"
cp "$mailserver" "$work/mailserver"
chown -R 65534:65534 "$site"
as=(setpriv --reuid=65534 --regid=65534 --clear-groups)

(cd "$site/arrived" && exec "${as[@]}" smtp-sink -d "%M." 127.0.0.1:2026 100) >"$work/sink.log" 2>&1 &
started+=($!)
"${as[@]}" "$work/mailserver" check --config "$site/mail.toml" >"$work/check.log" || fail "the configuration: $(cat "$work/check.log")"
"${as[@]}" "$work/mailserver" serve --config "$site/mail.toml" >"$work/server.log" 2>&1 &
started+=($!)
listens 127.0.0.1 2025
listens 127.0.0.1 2026
"$python" "$here/99-authentication.py" compare
