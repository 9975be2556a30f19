#!/usr/bin/env bash
# msmtp as a client of our server: STARTTLS and implicit TLS with the certificate checked, and each login that it knows and we offer.
source "$(dirname "$0")/lib.sh"
start
# The accounts are read again when the file changes: now they have SCRAM keys.
echo "$user:$(doveadm pw -s SCRAM-SHA-256 -p "$password")" >"$data/passwd"
ca=$data/tls/certificate.pem
printf 'From: you@localhost\nTo: you@localhost\nSubject: msmtp\n\n.\n..two dots\nend\n' >"$work/message"
send() { # arguments
    "${as[@]}" msmtp --host=localhost --domain=client.example --from="$user" --user="$user" \
        --passwordeval="echo $password" --tls=on --tls-trust-file="$ca" "$@" -- "$user" <"$work/message" >"$work/sent" 2>&1
}
number=0
for auth in plain login scram-sha-256; do
    if ! msmtp --version | grep -i 'authentication' -A 2 | grep -qwi -- "$auth"; then
        echo "skipped: this msmtp has no $auth"
        continue
    fi
    send --port="$submission" --tls-starttls=on --auth="$auth" || fail "STARTTLS, $auth: $(cat "$work/sent")"
    send --port="$submissions" --tls-starttls=off --auth="$auth" || fail "implicit TLS, $auth: $(cat "$work/sent")"
    number=$((number + 2))
    echo "ok: $auth, over STARTTLS and implicit TLS"
done
if "${as[@]}" msmtp --host=localhost --port="$submission" --from="$user" --user="$user" --passwordeval="echo wrong" --auth=plain --tls=on \
    --tls-starttls=on --tls-trust-file="$ca" -- "$user" <"$work/message" >"$work/sent" 2>&1; then fail "a wrong password was taken"; fi
grep -q 535 "$work/sent" || fail "a wrong password: $(cat "$work/sent")"
echo "ok: a wrong password: 535"
expect "messages of msmtp" "$number" "$(messages)"
file=$(find "$maildir/new" -type f | sed -n 1p)
[ "$(tail -n 3 "$file" | tr -d '\r')" = $'.\n..two dots\nend' ] || fail "the body changed: $(cat "$file")"
echo "ok: the body is the same"
stop
