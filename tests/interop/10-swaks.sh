#!/usr/bin/env bash
# swaks delivers over every port: plain, STARTTLS with AUTH, TLS with AUTH, LMTP on the unix socket; and is refused where it must be.
source "$(dirname "$0")/lib.sh"
start

send() { swaks --silent 2 --from "${from:-someone@elsewhere.example}" --to "$user" "$@"; }

send --server 127.0.0.1 --port "$smtp" --header 'Subject: plain'
send --server 127.0.0.1 --port "$smtp" --tls --header 'Subject: STARTTLS'
from=$user send --server 127.0.0.1 --port "$submission" --tls --auth PLAIN --auth-user "$user" --auth-password "$password" --header 'Subject: submission'
from=$user send --server 127.0.0.1 --port "$submission" --tls --auth LOGIN --auth-user "$user" --auth-password "$password" --header 'Subject: submission, LOGIN'
from=$user send --server 127.0.0.1 --port "$submissions" --tls-on-connect --auth PLAIN --auth-user "$user" --auth-password "$password" --header 'Subject: submissions'
send --socket "$data/lmtp" --protocol LMTP --header 'Subject: LMTP'
expect "messages that swaks delivered" 6 "$(messages)"

refused() { # what, wanted reply, swaks arguments
    local what=$1 reply=$2
    shift 2
    local dialog
    dialog=$(swaks --from "${from:-someone@elsewhere.example}" "$@" 2>&1) && fail "$what was accepted"
    grep -q -- "$reply" <<<"$dialog" || fail "$what: no '$reply' in
$dialog"
    echo "ok: $what: $reply"
}
refused "an unknown recipient" "550 5.1.1" --server 127.0.0.1 --port "$smtp" --to nobody@localhost
refused "mail for elsewhere from a stranger" "550 5.7.1" --server 127.0.0.1 --port "$smtp" --to a@elsewhere.example
from=$user refused "mail for elsewhere from a user" "550 5.7.1" --server 127.0.0.1 --port "$submission" --tls --auth PLAIN --auth-user "$user" --auth-password "$password" --to a@elsewhere.example
refused "a sender of somebody else" "553 5.7.1" --server 127.0.0.1 --port "$submission" --tls --auth PLAIN --auth-user "$user" --auth-password "$password" --to "$user"
from=$user refused "an author of somebody else" "550 5.7.1" --server 127.0.0.1 --port "$submission" --tls --auth PLAIN --auth-user "$user" --auth-password "$password" --to "$user" --h-From someone@elsewhere.example
refused "submission without a login" "530 5.7.0" --server 127.0.0.1 --port "$submission" --tls --to "$user"
refused "a wrong password" "535 5.7.8" --server 127.0.0.1 --port "$submission" --tls --auth PLAIN --auth-user "$user" --auth-password wrong --to "$user"
refused "a login in the clear" "did not advertise authentication\|AUTH" --server 127.0.0.1 --port "$submission" --auth PLAIN --auth-user "$user" --auth-password "$password" --to "$user"
expect "messages after all refusals" 6 "$(messages)"

# What was delivered is whole and has its trace fields.
file=$(grep -l 'Subject: submission$' "$maildir"/new/*)
grep -q "^Return-Path: <$user>\$" "$file" || fail "no Return-Path in $(cat "$file")"
grep -q '^Received: from .* with ESMTPSA' <(sed -e ':a' -e 'N' -e '$!ba' -e 's/\n[ \t]/ /g' "$file") || fail "no Received with ESMTPSA in $(cat "$file")"
echo "ok: Return-Path and Received are in front"
stop
